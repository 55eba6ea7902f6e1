"""Measures what one update did to each layer of a network: its gradient, how far it moved, and its spectral norm.

All numbers are computed inside of the compiled step, from arrays that exist there anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Path = tuple[str, ...]

BOTTOM, TOP = "bottom", "top"  # the layers next to a net's input and to its output, as `panels.ENDS`
SMALL = 1024  # parameters of a leaf; smaller ones are summed together, since a kernel of their own would cost more
SIGMA = "sigma"  # what a variable that holds a largest singular value is called, here as in Flax


class Layer(NamedTuple):
    """Names the parameters of one module, such as kernel and bias.

    Attributes:
      name: as it is logged: `bottom` for the first layer that runs, `top` for the last, and between them its number
        and its module's path, such as `3_ResBlock_0.Conv_1`, so that names in natural order are the layers in the
        order in which they run.
      path: of the module.
      leaves: the numbers of its parameters among the leaves of the network's.
    """

    name: str
    path: Path
    leaves: tuple[int, ...]


def layers_of(module: nn.Module, *inputs: Any, **keywords: Any) -> tuple[Layer, ...]:
    """Lists the layers of a network in the order in which they first run. Only shapes are computed.

    A layer is the innermost module that a parameter belongs to. The parameters of the network itself, outside of any
    module in it, come first, because that is when its call begins.

    Args:
      module: any Linen module.
      inputs, keywords: what it is called with; of arrays only the shapes count.
    """
    order: dict[Path, None] = {}

    def record(call, args, kwargs, context):
        order.setdefault(context.module.path)
        return call(*args, **kwargs)

    def params(key: Array) -> Any:
        return module.init(key, *inputs, **keywords).get("params", {})

    with nn.intercept_methods(record):
        tree = jax.eval_shape(params, jax.random.key(0))
    members: dict[Path, list[int]] = {path: [] for path in order}
    for i, (place, _) in enumerate(jax.tree_util.tree_leaves_with_path(tree)):
        members[_owner(_path(place), members)].append(i)
    paths = [path for path, leaves in members.items() if leaves]
    return tuple(
        Layer(_name(i, paths, type(module).__name__), path, tuple(members[path])) for i, path in enumerate(paths)
    )


def update_scalars(net: str, layers: Sequence[Layer], grads: Any, before: Any, after: Any) -> dict[str, Array]:
    """Computes norms of one update's gradient, and by layer also the share by which parameters changed.

    `grad_norm/net` and `grad_norm/net/layer` are |g|; `update_ratio/net/layer` is |w' - w| / |w|, or 1 for a layer that
    was all zeros and is not any more. Norms are Euclidean, over all parameters of a layer together.

    Args:
      net: "g" or "d".
      layers: of the network; none: only the norm of the whole gradient.
      grads: g, as the optimizer gets them.
      before: w, the parameters.
      after: w', the parameters after the update and whatever bounds them.
    """
    if not layers:
        return {f"grad_norm/{net}": jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(grads)))}
    squares = _squares(layers, grads, before, jax.tree.map(jnp.subtract, after, before))
    grad, weight, move = jnp.sqrt(squares)
    ratios = jnp.where(weight > 0, move / jnp.where(weight > 0, weight, 1), jnp.sign(move))
    # Computed as vectors: taken apart before, XLA would make a kernel for each layer.
    total, norms, ratios = jax.lax.optimization_barrier((jnp.sqrt(jnp.sum(squares[0])), grad, ratios))
    scalars = {f"grad_norm/{net}": total}
    for group, values in (("grad_norm", norms), ("update_ratio", ratios)):
        scalars |= {f"{group}/{net}/{layer.name}": values[i] for i, layer in enumerate(layers)}
    return scalars


def sigma_scalars(net: str, layers: Sequence[Layer], variables: Mapping[str, Any]) -> dict[str, Array]:
    """Collects `sigma/net/layer`, the estimates of the largest singular values by which kernels were divided.

    Args:
      net: "g" or "d".
      layers: of the network.
      variables: a network's collections, of which every number under the name `sigma` is taken, be it of
        `jaxgan.nn.spectral_norm.SpectralNorm` or of Flax's; of several of one layer the largest.
    """
    owners = {layer.path: layer for layer in layers}
    found: dict[str, Array] = {}
    for place, value in jax.tree_util.tree_leaves_with_path(dict(variables)):
        path = tuple(part for key in _path(place)[1:] for part in key.split("/"))
        if path and path[-1] == SIGMA and jnp.ndim(value) == 0 and (owner := _described(path, owners)) is not None:
            name = f"sigma/{net}/{owners[owner].name}"
            found[name] = jnp.maximum(found[name], value) if name in found else value
    return found


def _squares(layers: Sequence[Layer], *trees: Any) -> Array:
    """The sum of squares over each layer of each tree, f[trees, layers], in few kernels."""
    owners = {i: number for number, layer in enumerate(layers) for i in layer.leaves}
    sizes = [x.size for x in jax.tree.leaves(trees[0])]
    small = [i for i, size in enumerate(sizes) if size <= SMALL]
    large = [i for i, size in enumerate(sizes) if size > SMALL]
    rows = []
    for leaves in map(jax.tree.leaves, trees):
        terms = [jnp.square(leaves[i]).ravel() for i in small]
        terms += [jnp.sum(jnp.square(leaves[i])).reshape(1) for i in large]
        rows.append(jnp.concatenate(terms))
    owner = np.array([owners[i] for i in small for _ in range(sizes[i])] + [owners[i] for i in large])
    members = owner == np.arange(len(layers))[:, None]
    return jnp.sum(jnp.where(members[None], jnp.stack(rows)[:, None], 0), axis=2)


def _name(i: int, paths: Sequence[Path], network: str) -> str:
    if i == 0:
        return BOTTOM
    if i == len(paths) - 1:
        return TOP
    path = paths[i]
    # A module that is all there is of another, as batch norm within a wrapper, is known by the outer one's name.
    while len(path) > 1 and sum(other[: len(path) - 1] == path[:-1] for other in paths) == 1:
        path = path[:-1]
    return f"{i}_{'.'.join(path) or network}"


def _path(place: tuple[Any, ...]) -> Path:
    """Of a leaf of nested dictionaries, or of whatever a parameter may be."""
    return tuple(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in place)


def _owner(path: Path, modules: Collection[Path]) -> Path:
    """The innermost module in which a parameter is."""
    return max((module for module in modules if path[: len(module)] == module), key=len)


def _described(path: Path, modules: Collection[Path]) -> Path | None:
    """The innermost module that a statistic says something of: its path is in that of the statistic, with gaps."""
    return max((module for module in modules if _within(module, path)), key=len, default=None)


def _within(part: Path, whole: Path) -> bool:
    rest = iter(whole)
    return all(key in rest for key in part)
