"""The proof that jaxgan and its PyTorch twins do the same mathematics: both train from the same state on the same data.

In float64 they agree to 1e-9 after 20 steps, which leaves no room for a different formula; in float32 they agree as far
as its rounding allows. Run `python -m benchmarks.parity`.

The measure is |a - b| / |b| in the 2-norm, b PyTorch's: of both losses at every step, of every leaf of both networks'
gradients in the first step, and of every leaf of the whole state after the last. Two exact zeros differ by 0. A leaf
that is zero in mathematics and holds nothing but rounding has no relative difference to speak of: `Case.vain` names
it, and |b| is then the norm of all leaves of its kind in its network. A loss of either sign passes zero now and then:
its scale is its root mean square over the run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from flax.traverse_util import flatten_dict
from torch import Tensor

from benchmarks.torch_twins import Twin
from jaxgan.config import Config
from jaxgan.gan import GAN, build, init, make_hyper
from jaxgan.nn.spectral_norm import SPECTRAL_STATS
from jaxgan.state import AveragedNet, GANState
from jaxgan.steps import Z, latents, seed_keys, train_step

STEPS = 20
TOLERANCES = {
    "float64": {"loss": 1e-9, "gradient": 1e-9, "state": 1e-9, "moment": 1e-9},
    "float32": {"loss": 1e-4, "gradient": 1e-4, "state": 1e-3, "moment": 1e-3},
}


LOSS_NAMES = ("loss/d", "loss/g")
SIGNED = {"hinge": ("loss/g",), "wasserstein": ("loss/d", "loss/g")}  # losses of either sign, by name
# The leaves of a state that are not zero at the start, each from normal numbers of its shape.
DRAWN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "kernel": lambda x: x / np.sqrt(x[..., 0].size),
    "scale": lambda x: 1 + 0.1 * x,
    "bias": lambda x: 0.1 * x,
    "mean": lambda x: 0.1 * x,
    "var": lambda x: 1 + 0.1 * np.abs(x),
    "v": lambda x: x,
}


class Case(NamedTuple):
    """One game that both sides play."""

    name: str
    shape: tuple[int, ...]
    config: Config
    vain: str = ""  # end of the name of leaves that no gradient moves


class Comparison(NamedTuple):
    """One figure and what it may be."""

    name: str
    error: float
    tolerance: float

    @property
    def fine(self) -> bool:
        """False for NaN too."""
        return self.error <= self.tolerance


def case(name: str, shape: tuple[int, ...], **sections: dict[str, Any]) -> Case:
    """A small game: `sections` on top of the library's defaults, but for sizes and two constants of Adam.

    In float32 a run meets ReLUs whose input is smaller than its rounding, on at one side and off at the other. Such a
    difference is real but small, and with the small learning rate 20 steps of a game that 8 examples overturn do
    not multiply it. eps stands above what rounding leaves (1e-9) of a gradient that is zero in mathematics, of which
    the usual 1e-8 would make steps; such are, under losses of differences of logits, those of biases whose
    unit is on the same side of its kink for all examples.
    """
    sections["model"] = {"base_features": 8, "z_dim": 16, **sections.get("model", {})}
    sections["train"] = {"batch_size": 8, **sections.get("train", {})}
    for net in ("g_optim", "d_optim"):
        sections[net] = {"learning_rate": 2e-5, "eps": 1e-6, **sections.get(net, {})}
    config = Config.from_dict({"data": {"image_size": 0}, **sections})
    # These read differences of logits only, so that the gradient of D's last bias is zero.
    differences = config.loss.name in ("wasserstein", "relativistic_paired", "relativistic_average")
    last = {"mlp": "Dense_3", "dcgan": "Dense_0", "sngan_resnet": "Dense_0"}[config.model.architecture]
    return Case(name, shape, config, f"['{last}']['bias']" if differences else "")


def cases() -> Iterator[Case]:
    """All of them; `test_parity.py` runs a few."""
    images = {"dcgan28": (28, 28, 1), "dcgan32": (32, 32, 3), "resnet32": (32, 32, 3)}
    for kind, shape in images.items():
        model = {"architecture": "sngan_resnet" if kind == "resnet32" else "dcgan"}
        for loss in ("non_saturating", "hinge"):
            for sn in (True, False):
                name = f"{kind}, {loss}, {'SN' if sn else 'no SN'}"
                yield case(name, shape, model={**model, "d_spectral_norm": sn}, loss={"name": loss})
        normed = {**model, "d_batch_norm": True}
        yield case(f"{kind}, batch norm in D, two D-steps", shape, model=normed, train={"d_steps_per_g_step": 2})
    yield case("dcgan28, two D-steps", images["dcgan28"], train={"d_steps_per_g_step": 2})
    yield case(
        "dcgan28, G first, two D-steps, no batch norm, uniform z, sigmoid",
        images["dcgan28"],
        model={"g_batch_norm": False, "z_distribution": "uniform", "output": "sigmoid"},
        train={"d_steps_per_g_step": 2, "order": "g_first"},
    )
    yield case("dcgan32, R1", images["dcgan32"], loss={"name": "hinge"}, regularizers={"r1": 10.0})
    yield from ring_cases()


def ring_cases() -> Iterator[Case]:
    """Points from dense networks, cheap enough for every loss."""
    model = {"architecture": "mlp", "output": "linear", "z_dim": 2, "base_features": 16}
    plain = {**model, "g_batch_norm": False, "d_spectral_norm": False}
    optim = {"learning_rate": 1e-3, "b1": 0.0, "b2": 0.99, "schedule": "cosine", "schedule_steps": 40}
    yield case(
        "ring as in configs/ring.py",
        (2,),
        model=plain,
        loss={"name": "relativistic_paired"},
        regularizers={"r1": 0.1, "r2": 0.1},
        g_optim=optim,
        d_optim=optim,
    )
    yield case("ring, non_saturating, no SN", (2,), model=plain)
    yield case("ring, batch norm in both", (2,), model={**model, "d_batch_norm": True})
    for loss in ("non_saturating", "hinge", "minimax", "least_squares", "wasserstein", "relativistic_average"):
        yield case(f"ring, {loss}, SN", (2,), model=model, loss={"name": loss})


def to_torch(x: np.ndarray) -> Tensor:
    """Images in torch's order, channels-last in memory as they already are; points as they are."""
    tensor = torch.from_numpy(x)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def start(gan: GAN, dtype: str) -> GANState:
    """A state of NumPy arrays as training might have left it, all floats of one type, with Adam at its beginning.

    Not that of `init`, where a bias is zero: 20 steps later it would consist of Adam's first steps, each of
    the size of the learning rate and with the sign of a gradient that may itself be rounding. Statistics get
    their type at once, because Flax would make them float32 and promote them in the first step.
    """
    rng = np.random.default_rng(1)

    def fill(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = getattr(path[-1], "key", "")
        if name not in DRAWN or any(getattr(key, "name", "") == "opt_state" for key in path):
            return np.zeros(leaf.shape, leaf.dtype if leaf.dtype == np.int32 else dtype)
        return DRAWN[name](rng.normal(size=leaf.shape)).astype(dtype)

    state = jax.tree_util.tree_map_with_path(fill, jax.eval_shape(partial(init, gan), jax.random.key(0)))
    d = state.discriminator
    for path, kernel in flatten_dict(d.params).items():
        if path[-1] == "kernel" and SPECTRAL_STATS in d.stats:
            vectors = reduce(lambda tree, key: tree[key], path[:-1], d.stats[SPECTRAL_STATS])["SpectralNorm_0"]
            matrix = kernel.reshape(-1, kernel.shape[-1])
            for _ in range(5):  # near the singular vectors, as training keeps them
                vectors["u"] = vectors["v"] @ matrix / np.linalg.norm(vectors["v"] @ matrix)
                vectors["v"] = matrix @ vectors["u"] / np.linalg.norm(matrix @ vectors["u"])
    ema = AveragedNet(jax.tree.map(np.copy, state.generator.params), jax.tree.map(np.copy, state.generator.stats))
    return state.replace(ema=ema)


def draw(gan: GAN, key: jax.Array, step: int, batch_size: int, dtype: str) -> list[Tensor]:
    """The very latents that `train_step` draws."""
    step_key = jax.random.fold_in(key, step)
    keys = [jax.random.fold_in(jax.random.fold_in(step_key, i), Z) for i in range(gan.d_steps_per_g_step)]
    zs = [latents(k, np.arange(batch_size), gan.z_dim, gan.z_distribution) for k in keys]
    return [torch.from_numpy(np.asarray(z).astype(dtype)) for z in zs]


def compare(case: Case, dtype: str, steps: int = STEPS) -> Iterator[Comparison]:
    """Runs both sides, in turn a step each; float64 needs `jax_enable_x64`."""
    config, shape = case.config, case.shape
    gan, keys, hyper = build(config, shape), seed_keys(config.seed), make_hyper(config)
    state = start(gan, dtype)
    step = jax.jit(partial(train_step, gan))
    twin = Twin(config, shape, dtype=getattr(torch, dtype))
    twin.load(state)
    rng, size = np.random.default_rng(0), config.train.batch_size
    tolerance, losses = TOLERANCES[dtype], []
    for t in range(steps):
        images = rng.uniform(-1, 1, (gan.d_steps_per_g_step, size, *shape)).astype(dtype)
        labels = np.zeros(images.shape[:2], np.int32)
        zs = draw(gan, keys.train, t, size, dtype)
        state, metrics = step(state, {"image": images, "label": labels}, keys.train, hyper)
        theirs = twin.train_step([to_torch(x) for x in images], zs)
        losses.append([{name: np.asarray(side[name]) for name in LOSS_NAMES} for side in (metrics, theirs)])
        if t == 0:
            # From zero, Adam's first moment is (1 - b1) times the gradient; of two D-steps, a sum of both gradients.
            other = twin.unload()
            for name in ("generator", "discriminator"):
                mu = tuple(getattr(s, name).opt_state[0].mu for s in (state, other))
                yield from compare_trees(f"gradient {name}", *mu, case.vain, tolerance["gradient"])
    for name in LOSS_NAMES:
        size = np.sqrt(np.mean([b[name] ** 2 for _, b in losses]))
        scale = float(size) if name in SIGNED.get(config.loss.name, ()) else None
        for t, (a, b) in enumerate(losses, 1):
            yield Comparison(f"{name} of step {t}", difference(a[name], b[name], scale), tolerance["loss"])
    yield from compare_states(state, twin.unload(), case.vain, tolerance)


def compare_states(ours: GANState, theirs: GANState, vain: str, tolerances: dict[str, float]) -> Iterator[Comparison]:
    """Every array there is, by network and kind."""
    tolerance = tolerances["state"]
    yield Comparison("step", difference(np.asarray(ours.step), np.asarray(theirs.step)), tolerance)
    for name in ("generator", "discriminator"):
        a, b = getattr(ours, name), getattr(theirs, name)
        yield from compare_trees(f"{name} params", a.params, b.params, vain, tolerance)
        yield from compare_trees(f"{name} stats", a.stats, b.stats, "", tolerance)
        for kind in ("count", "mu", "nu"):
            moments = (getattr(net.opt_state[0], kind) for net in (a, b))
            yield from compare_trees(f"{name} Adam {kind}", *moments, vain, tolerances["moment"])
    yield from compare_trees("average", ours.ema.variables, theirs.ema.variables, "", tolerance)


def compare_trees(name: str, ours: Any, theirs: Any, vain: str, tolerance: float) -> Iterator[Comparison]:
    """Leaf by leaf.

    Raises:
      ValueError: the trees or the shapes of their leaves differ.
    """
    a, b = jax.tree_util.tree_leaves_with_path(ours), jax.tree_util.tree_leaves_with_path(theirs)
    if [(path, np.shape(x)) for path, x in a] != [(path, np.shape(x)) for path, x in b]:
        raise ValueError(f"{name}: the trees differ")
    whole = np.sqrt(sum(float(np.vdot(x, x)) for _, x in b))
    for (path, x), (_, y) in zip(a, b, strict=True):
        leaf = jax.tree_util.keystr(path)
        scale = whole if vain and leaf.endswith(vain) else None
        yield Comparison(f"{name} {leaf}", difference(np.asarray(x), np.asarray(y), scale), tolerance)


def difference(ours: np.ndarray, theirs: np.ndarray, scale: float | None = None) -> float:
    """|ours - theirs| / |theirs|, or / scale; 0 if they are equal and infinite if only theirs is 0."""
    if ours.dtype != theirs.dtype:
        raise TypeError(f"{ours.dtype} is compared with {theirs.dtype}")
    if np.array_equal(ours, theirs):
        return 0.0
    a, b = ours.astype(np.float64).ravel(), theirs.astype(np.float64).ravel()
    scale = float(np.linalg.norm(b)) if scale is None else scale
    return float(np.linalg.norm(a - b)) / scale if scale else float("inf")


def run(case: Case, dtype: str, steps: int = STEPS) -> list[Comparison]:
    """`compare` in the precision it needs."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", dtype == "float64")
    try:
        return list(compare(case, dtype, steps))
    finally:
        jax.config.update("jax_enable_x64", before)


def worst(comparisons: list[Comparison], kind: str = "") -> float:
    """The largest error among those whose name begins with `kind`; NaN counts as the largest."""
    return float(np.max([c.error for c in comparisons if c.name.startswith(kind)]))


def main() -> int:
    """All cases in both precisions, a line each; the exit status is 1 if any figure is too large."""
    every: list[Comparison] = []
    failures = 0
    summary = []
    for dtype in TOLERANCES:
        found: list[Comparison] = []
        for c in cases():
            start = time.perf_counter()
            results = run(c, dtype)
            figures = [
                f"{kind} {worst(results, kind):.1e}" for kind in ("loss", "gradient", "generator", "discriminator")
            ]
            seconds = time.perf_counter() - start
            print(f"{dtype} {c.name}: {', '.join(figures)} ({len(results)} comparisons, {seconds:.1f} s)", flush=True)
            for bad in (r for r in results if not r.fine):
                print(f"  FAILED {bad.name}: {bad.error:.3g}, allowed {bad.tolerance:g}", flush=True)
                failures += 1
            found += results
        limits = ", ".join(f"{kind} {limit:g}" for kind, limit in TOLERANCES[dtype].items())
        summary.append(f"{dtype}: {len(found)} comparisons, worst {worst(found):.2e} (allowed: {limits})")
        every += found
    print("\n".join(summary))
    if failures:
        print(f"{failures} of them too large, named above")
    print(f"{len(every)} comparisons, 0 skipped, worst {worst(every):.2e}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
