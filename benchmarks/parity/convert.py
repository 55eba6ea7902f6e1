"""Converts jaxgan's state to the twin's and back: the same numbers under other names, with axes in another order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import numpy as np
import optax
import torch
from flax.traverse_util import flatten_dict, unflatten_dict
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmarks.parity.torch_networks import BatchNorm, Block
from jaxgan.config.config import Config
from jaxgan.steps.gan import build, init
from jaxgan.steps.state import AveragedNet, GANState, NetState

LAYERS: dict[type[nn.Module], str] = {
    nn.Linear: "Dense",
    nn.Conv2d: "Conv",
    nn.ConvTranspose2d: "ConvTranspose",
    BatchNorm: "BatchNorm",
}
KERNEL = {4: (2, 3, 1, 0), 2: (1, 0)}  # [O, I, kh, kw] -> [kh, kw, I, O]; [O, I] -> [I, O]


class Leaf(NamedTuple):
    """One array of the Flax tree, `path` beginning with its collection, and where it is in torch.

    It is `tensor` in the shape `shape`, its axes permuted by `axes`, and again flat if the tensor is.
    """

    path: tuple[str, ...]
    tensor: Tensor
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def to_flax(self, tensor: Tensor) -> np.ndarray:
        """Copies `tensor`, which has the layout of the leaf's own, in Flax's order of axes."""
        array = tensor.detach().reshape(self.shape).permute(self.axes).numpy().copy()
        return array.ravel() if self.tensor.ndim == 1 else array

    def to_torch(self, array: Any, out: Tensor | None = None) -> Tensor:
        """Writes the array, in torch's order of axes, to `out` or else to the leaf's own tensor."""
        permuted = torch.from_numpy(np.array(array)).reshape([self.shape[axis] for axis in self.axes])
        out = self.tensor if out is None else out
        with torch.no_grad():
            return out.copy_(permuted.permute(*np.argsort(self.axes).tolist()).reshape(out.shape))


def layers(module: nn.Module, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], nn.Module]]:
    """Lists every layer that has parameters with its path in Flax, which numbers layers in the order of their calls."""
    counts: dict[str, int] = {}
    pending = list(module.named_children())
    while pending:
        attribute, child = pending.pop(0)
        kinds = [name for kind, name in LAYERS.items() if isinstance(child, kind)]
        kind = "Block" if isinstance(child, Block) else next(iter(kinds), None)
        if kind is None:  # a container, of which Flax knows nothing
            pending = [*child.named_children(), *pending]
            continue
        name = attribute if attribute == "shortcut" else f"{kind}_{counts.setdefault(kind, 0)}"
        counts[kind] = counts.get(kind, 0) + (name != attribute)
        if kind == "Block":
            yield from layers(child, (*path, name))
        else:
            yield (*path, name), child


def leaves(network: nn.Module) -> Iterator[Leaf]:
    """Lists all arrays of a network."""
    for path, layer in layers(network):
        if isinstance(layer, BatchNorm):
            path = (*path, "BatchNorm_0")  # Flax's own module within jaxgan's
            names = {"weight": "scale", "bias": "bias"}
            stats = {"running_mean": "mean", "running_var": "var"}
            for tensor, name in names.items():
                yield _vector(("params", *path, name), getattr(layer, tensor))
            for tensor, name in stats.items():
                yield _vector(("batch_stats", *path, name), getattr(layer, tensor))
            continue
        if parametrize.is_parametrized(layer, "weight"):  # reading `weight` would move u and v
            kernel = layer.get_parameter("parametrizations.weight.original")
            spectral = ("spectral_stats", *path, "SpectralNorm_0")
            yield _vector((*spectral, "u"), layer.get_buffer("parametrizations.weight.0._u"))
            # One entry per weight that feeds an output channel, in the order of the kernel's other axes.
            shape = tuple(kernel.shape[1:])
            v = layer.get_buffer("parametrizations.weight.0._v")
            yield Leaf((*spectral, "v"), v, shape, (1, 2, 0) if len(shape) == 3 else (0,))
        else:
            kernel = layer.get_parameter("weight")
        yield Leaf(("params", *path, "kernel"), kernel, tuple(kernel.shape), KERNEL[kernel.ndim])
        if layer.bias is not None:
            yield _vector(("params", *path, "bias"), layer.get_parameter("bias"))


def load_variables(network: nn.Module, variables: dict[str, Any]) -> None:
    """Writes Flax variables into the network.

    Raises:
      ValueError: they are not the network's.
    """
    found, flat = list(leaves(network)), flatten_dict(variables)
    if difference := {leaf.path for leaf in found} ^ set(flat):
        raise ValueError(f"the trees differ in {sorted(difference)}")
    for leaf in found:
        leaf.to_torch(flat[leaf.path])


def variables_of(network: nn.Module) -> dict[str, Any]:
    """Collects the network's variables as Flax has them."""
    return unflatten_dict({leaf.path: leaf.to_flax(leaf.tensor) for leaf in leaves(network)})


def load_adam(optimizer: torch.optim.Optimizer, network: nn.Module, opt_state: Any) -> None:
    """Writes the moments and the count of optax's Adam into torch's."""
    count = float(optax.tree.get(opt_state, "count"))
    mu, nu = (flatten_dict({"params": optax.tree.get(opt_state, name)}) for name in ("mu", "nu"))
    for leaf in leaves(network):
        if leaf.path[0] == "params":
            optimizer.state[leaf.tensor] = {
                "step": torch.tensor(count, dtype=torch.float32),
                # As the parameter in memory, which the fused update takes for granted.
                "exp_avg": leaf.to_torch(mu[leaf.path], torch.empty_like(leaf.tensor)),
                "exp_avg_sq": leaf.to_torch(nu[leaf.path], torch.empty_like(leaf.tensor)),
            }


def adam_of(optimizer: torch.optim.Optimizer, network: nn.Module, like: Any) -> Any:
    """Converts the state of torch's Adam to optax's; `like` is a state with the wanted structure."""
    found = [leaf for leaf in leaves(network) if leaf.path[0] == "params"]
    states = [optimizer.state[leaf.tensor] for leaf in found]
    if not all(states):  # torch makes them in the first update
        states = [{"step": 0, **dict.fromkeys(("exp_avg", "exp_avg_sq"), torch.zeros_like(x.tensor))} for x in found]

    def tree(name: str) -> Any:
        arrays = {leaf.path[1:]: leaf.to_flax(state[name]) for leaf, state in zip(found, states, strict=True)}
        return unflatten_dict(arrays)

    count = np.int32(states[0]["step"])
    return optax.tree.set(like, count=count, mu=tree("exp_avg"), nu=tree("exp_avg_sq"))


def load(twin: Any, state: GANState) -> None:
    """Sets a twin to `state`."""
    load_variables(twin.generator, state.generator.variables)
    load_variables(twin.discriminator, state.discriminator.variables)
    load_variables(twin.average, state.ema.variables)
    load_adam(twin.g_optimizer, twin.generator, state.generator.opt_state)
    load_adam(twin.d_optimizer, twin.discriminator, state.discriminator.opt_state)
    twin.step = int(state.step)


def unload(twin: Any, config: Config, shape: tuple[int, ...]) -> GANState:
    """Converts a twin's state to a `GANState` of NumPy arrays."""
    like = jax.eval_shape(partial(init, build(config, shape)), jax.random.key(0))

    def net(network: nn.Module, optimizer: torch.optim.Optimizer, like: NetState) -> NetState:
        stats = variables_of(network)
        return NetState(stats.pop("params"), stats, adam_of(optimizer, network, like.opt_state))

    stats = variables_of(twin.average)
    return GANState(
        step=cast(jax.Array, np.int32(twin.step)),
        generator=net(twin.generator, twin.g_optimizer, like.generator),
        discriminator=net(twin.discriminator, twin.d_optimizer, like.discriminator),
        ema=AveragedNet(stats.pop("params"), stats),
        aux={},
    )


def _vector(path: tuple[str, ...], tensor: Tensor) -> Leaf:
    return Leaf(path, tensor, tuple(tensor.shape), (0,))
