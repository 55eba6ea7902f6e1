"""Proves that jaxgan and its PyTorch twins do the same mathematics: both train from the same state and data.

In float64 they agree to 1e-9 after 20 steps, which leaves no room for a different formula; in float32 they agree as far
as its rounding allows. Run `python -m benchmarks.parity.run`.

The measure is |a - b| / |b| in the 2-norm, b PyTorch's: of both losses at every step, of every leaf of both networks'
gradients in the first step, and of every leaf of the whole state after the last. Two exact zeros differ by 0. A leaf
that is zero in mathematics and holds nothing but rounding has no relative difference to speak of: `Case.vain` names
it, and |b| is then the norm of all leaves of its kind in its network. A loss of either sign passes zero now and then:
its scale is its root mean square over the run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from flax.traverse_util import flatten_dict
from torch import Tensor

from benchmarks.parity.cases import Case, cases
from benchmarks.parity.twins import Twin
from benchmarks.speed.sides import cores
from jaxgan.devices.cpu import use_cpu_devices
from jaxgan.nn.spectral_norm import SPECTRAL_STATS
from jaxgan.steps import train_step
from jaxgan.steps.gan import GAN, build, init, make_hyper
from jaxgan.steps.randomness import Z, latents, seed_keys
from jaxgan.steps.state import AveragedNet, GANState, NetState

STEPS = 20
KINDS = ("loss", "gradient", "parameter", "statistic", "moment", "average")
# A ReLU whose input float32 rounds to the other side of zero changes a whole term of one example's gradient, and which
# one does so depends on the processor: parameters hardly notice, but the first step's gradient (seen: torch is 5e-3
# from its own in float64, where both sides agree to 2e-14) and Adam's moments, sums of few gradients (2e-2, 1e-12), do.
TOLERANCES = {
    "float64": dict.fromkeys(KINDS, 1e-9),
    "float32": {**dict.fromkeys(KINDS, 1e-3), "loss": 1e-4, "gradient": 2e-2, "moment": 5e-2},
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


class Comparison(NamedTuple):
    """One compared figure."""

    kind: str  # of `KINDS`
    name: str
    error: float


def to_torch(x: np.ndarray) -> Tensor:
    """Views images in torch's order of axes, channels-last in memory as before; points stay as they are."""
    tensor = torch.from_numpy(x)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def start(gan: GAN, dtype: str) -> GANState:
    """Makes a state of NumPy arrays as training might have left it, all floats of one type, with Adam at its start.

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
    """Draws the latents that `train_step` draws."""
    step_key = jax.random.fold_in(key, step)
    keys = [jax.random.fold_in(jax.random.fold_in(step_key, i), Z) for i in range(gan.d_steps_per_g_step)]
    zs = [latents(k, jax.numpy.arange(batch_size), gan.z_dim, gan.z_distribution) for k in keys]
    return [torch.from_numpy(np.asarray(z).astype(dtype)) for z in zs]


def compare(case: Case, dtype: str, steps: int = STEPS) -> Iterator[Comparison]:
    """Runs both sides step by step in turn; float64 needs `jax_enable_x64`."""
    config, shape = case.config, case.shape
    gan, keys, hyper = build(config, shape), seed_keys(config.seed), make_hyper(config)
    state, step = start(gan, dtype), jax.jit(partial(train_step, gan))
    twin = Twin(config, shape, dtype=getattr(torch, dtype))
    twin.load(state)
    rng, batch_size = np.random.default_rng(0), config.train.batch_size
    losses = []
    for t in range(steps):
        images = rng.uniform(-1, 1, (gan.d_steps_per_g_step, batch_size, *shape)).astype(dtype)
        labels = np.zeros(images.shape[:2], np.int32)
        zs = draw(gan, keys.train, t, batch_size, dtype)
        state, metrics = step(state, {"image": images, "label": labels}, keys.train, hyper)
        theirs = twin.train_step([to_torch(x) for x in images], zs)
        losses.append([{name: np.asarray(side[name]) for name in LOSS_NAMES} for side in (metrics, theirs)])
        if t == 0:
            # From zero, Adam's first moment is (1 - b1) times the gradient; of two D-steps, a sum of both gradients.
            for network, a, b in networks(state, twin.unload()):
                yield from compare_trees("gradient", network, a.opt_state[0].mu, b.opt_state[0].mu, case.vain)
    yield from compare_losses(losses, SIGNED.get(config.loss.name, ()))
    yield from compare_states(state, twin.unload(), case.vain)


def networks(ours: GANState, theirs: GANState) -> Iterator[tuple[str, NetState, NetState]]:
    """Pairs the networks of both sides by name."""
    yield "generator", ours.generator, theirs.generator
    yield "discriminator", ours.discriminator, theirs.discriminator


def compare_losses(losses: list[list[dict[str, np.ndarray]]], signed: tuple[str, ...]) -> Iterator[Comparison]:
    """Compares both losses step by step."""
    for name in LOSS_NAMES:
        size = float(np.sqrt(np.mean([theirs[name] ** 2 for _, theirs in losses])))
        for t, (ours, theirs) in enumerate(losses, 1):
            error = difference(ours[name], theirs[name], size if name in signed else None)
            yield Comparison("loss", f"{name} of step {t}", error)


def compare_states(ours: GANState, theirs: GANState, vain: str = "") -> Iterator[Comparison]:
    """Compares every array of both states."""
    yield Comparison("moment", "step", difference(np.asarray(ours.step), np.asarray(theirs.step)))
    for network, a, b in networks(ours, theirs):
        yield from compare_trees("parameter", network, a.params, b.params, vain)
        yield from compare_trees("statistic", network, a.stats, b.stats)
        for name in ("count", "mu", "nu"):
            x, y = (getattr(net.opt_state[0], name) for net in (a, b))
            yield from compare_trees("moment", f"{network} {name}", x, y, vain)
    yield from compare_trees("average", "generator", ours.ema.variables, theirs.ema.variables)


def compare_trees(kind: str, name: str, ours: Any, theirs: Any, vain: str = "") -> Iterator[Comparison]:
    """Leaf by leaf.

    Raises:
      ValueError: the trees or the shapes of their leaves differ.
    """
    a, b = jax.tree_util.tree_leaves_with_path(ours), jax.tree_util.tree_leaves_with_path(theirs)
    if [(path, np.shape(x)) for path, x in a] != [(path, np.shape(x)) for path, x in b]:
        raise ValueError(f"{kind} {name}: the trees differ.")
    whole = float(np.sqrt(sum(np.vdot(x, x) for _, x in b)))
    for (path, x), (_, y) in zip(a, b, strict=True):
        leaf = jax.tree_util.keystr(path)
        scale = whole if vain and leaf.endswith(vain) else None
        yield Comparison(kind, f"{name} {leaf}", difference(np.asarray(x), np.asarray(y), scale))


def difference(ours: np.ndarray, theirs: np.ndarray, scale: float | None = None) -> float:
    """Computes |ours - theirs| / |theirs|, or / scale; 0 if they are equal and infinite if only theirs is 0.

    Raises:
      TypeError: they are not of one type.
    """
    if ours.dtype != theirs.dtype:
        raise TypeError(f"{ours.dtype} is compared with {theirs.dtype}.")
    if np.array_equal(ours, theirs):
        return 0.0
    a, b = ours.astype(np.float64).ravel(), theirs.astype(np.float64).ravel()
    scale = float(np.linalg.norm(b)) if scale is None else scale
    return float(np.linalg.norm(a - b)) / scale if scale else float("inf")


def run(case: Case, dtype: str, steps: int = STEPS) -> list[Comparison]:
    """Calls `compare` in the precision that the job asks for."""
    before = getattr(jax.config, "jax_enable_x64", False)
    jax.config.update("jax_enable_x64", dtype == "float64")
    try:
        return list(compare(case, dtype, steps))
    finally:
        jax.config.update("jax_enable_x64", before)


def failures(comparisons: list[Comparison], dtype: str) -> list[str]:
    """Lists in words the figures that differ by more than is allowed, NaN included."""
    limits = TOLERANCES[dtype]
    return [
        f"{c.kind} {c.name}: {c.error:.3g}, allowed {limits[c.kind]:g}"
        for c in comparisons
        if not c.error <= limits[c.kind]
    ]


def worst(comparisons: list[Comparison]) -> str:
    """Finds the largest error; NaN counts as the largest."""
    return f"{np.max([c.error for c in comparisons]):.1e}"


class Job(NamedTuple):
    """A case in one precision."""

    case: Case
    dtype: str


def work(job: Job) -> tuple[list[Comparison], float]:
    """Runs a job; gives its comparisons and the seconds they took."""
    begin = time.perf_counter()
    return run(job.case, job.dtype), time.perf_counter() - begin


def prepare() -> None:
    """Prepares a worker process before it computes."""
    use_cpu_devices(2, 2)  # devices of one core each, for which jaxgan computes convolutions in its own ways
    torch.set_num_threads(1)  # the other cores have processes of their own, and threads that wait for them spin
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches all processes: one of them may speak


def results(jobs: list[Job], processes: int) -> Iterator[tuple[list[Comparison], float]]:
    """Yields the results of every job in order, by processes: XLA's compilation hardly uses a second core."""
    if processes == 1:
        prepare()
        yield from map(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, prepare) as executor:
        yield from executor.map(work, jobs)


def stop(number: int, _frame: object) -> None:
    """Ends all processes at once, where leaving the executor would wait for them to finish."""
    for process in multiprocessing.active_children():
        process.kill()
    os._exit(128 + number)


def report(job: Job, comparisons: list[Comparison], seconds: float) -> int:
    """Prints a line, and one for each figure that is too large; returns the number of those."""
    kinds = [(kind, [c for c in comparisons if c.kind == kind]) for kind in KINDS]
    figures = ", ".join(f"{kind} {worst(of_kind)}" for kind, of_kind in kinds if of_kind)
    print(f"{job.dtype} {job.case.name}: {figures}; {len(comparisons)} comparisons, {seconds:.1f} s", flush=True)
    failed = failures(comparisons, job.dtype)
    for failure in failed:
        print(f"  FAILED {failure}", flush=True)
    return len(failed)


def main(processes: int) -> int:
    """Compares all cases in both precisions, a line each; the exit code is 1 if any figure is too large."""
    jobs = [Job(case, dtype) for dtype in TOLERANCES for case in cases()]
    found: dict[str, list[Comparison]] = {dtype: [] for dtype in TOLERANCES}
    failed = 0
    for job, (comparisons, seconds) in zip(jobs, results(jobs, processes), strict=True):
        failed += report(job, comparisons, seconds)
        found[job.dtype] += comparisons
    for dtype, limits in TOLERANCES.items():
        allowed = ", ".join(f"{kind} {limit:g}" for kind, limit in limits.items())
        print(f"{dtype}: {len(found[dtype])} comparisons, worst {worst(found[dtype])} (allowed: {allowed})")
    if failed:
        print(f"{failed} differ by more than they may; they are named above.")
    every = [c for comparisons in found.values() for c in comparisons]
    print(f"{len(every)} comparisons, 0 skipped, worst {worst(every)}")
    return 1 if failed else 0


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    sys.exit(main(cores()))
