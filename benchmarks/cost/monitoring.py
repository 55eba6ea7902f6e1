"""Measures what monitoring costs: steps and loops with all monitors and with none, in turn: `python -m
benchmarks.cost.monitoring`.

Steps without monitors are of two kinds: with `monitor.layers` off, and one that returns its two losses alone, so that
the compiler leaves out scores and norms too. A loop without monitors has off what can be switched off. Both loops log
every 20 steps and save every 100, and the one with monitors writes histograms every 100. The order within a pair
changes from pair to pair.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed.loop import Loop
from benchmarks.speed.side import LOOP_STEPS, Side
from benchmarks.speed.sides import Jaxgan, kept
from jaxgan.config.config import Config, as_config, load_file
from jaxgan.config.monitor import MonitorConfig

LOSSES = ("loss/d", "loss/g")
OFF = MonitorConfig(layers=False, histograms_every=0, preflight=False)
ON = MonitorConfig(layers=True, histograms_every=LOOP_STEPS, preflight=True)
RESAMPLES = 10_000


def upper_bound(ratios: Sequence[float]) -> float:
    """Computes the upper end of the 95 % interval of the median by the bootstrap over pairs.

    >>> upper_bound([1.5, 1.5, 1.5])
    1.5
    """
    draws = np.random.default_rng(0).choice(np.asarray(ratios, float), (RESAMPLES, len(ratios)))
    return float(np.quantile(np.median(draws, axis=1), 0.975))


class Turn(NamedTuple):
    """Milliseconds per step: wall time, and the processor time of all threads together."""

    wall: float
    processor: float


def turn(side: Side, steps: int) -> Turn:
    """Times `steps` steps of a side."""
    start = time.process_time()
    wall = side.run(steps)
    return Turn(1000 * wall / steps, 1000 * (time.process_time() - start) / steps)


def pairs(on: Side, off: Side, count: int, steps: int) -> list[tuple[Turn, Turn]]:
    """Times `count` pairs of turns; the turn with monitors is first in each pair."""
    found = []
    for i in range(count):
        turns = {side: turn(side, steps) for side in ((on, off) if i % 2 else (off, on))}
        found.append((turns[on], turns[off]))
    return found


def report(what: str, measured: Sequence[tuple[Turn, Turn]]) -> str:
    """Formats a line for each clock: medians, the median ratio, and its upper bound."""
    lines = []
    for clock in Turn._fields:
        on, off = np.array([[getattr(turn, clock) for turn in pair] for pair in measured]).T
        ratios = on / off
        lines.append(
            f"{what}, {clock} time: {np.median(on):.3g} ms with monitors, {np.median(off):.3g} without; "
            f"ratio of {len(ratios)} pairs {np.median(ratios):.4f}, upper 95 % bound {upper_bound(ratios):.4f}"
        )
    return "\n".join(lines)


def flops(config: Config, shape: tuple[int, ...], only: tuple[str, ...]) -> float:
    """Counts the operations of a step on one device, by the compiler's cost analysis."""
    from functools import partial

    import jax
    import jax.numpy as jnp

    from jaxgan.steps import train_step
    from jaxgan.steps.gan import build, init, make_hyper
    from jaxgan.steps.randomness import seed_keys

    gan, keys = build(config, shape), seed_keys(config.seed)

    def make() -> tuple[Any, ...]:
        leading = (gan.d_steps_per_g_step, config.train.batch_size)
        batch = {"image": jnp.zeros((*leading, *shape)), "label": jnp.zeros(leading, jnp.int32)}
        return init(gan, keys.init), batch, keys.train, make_hyper(config)

    step: Callable[..., Any] = partial(train_step, gan)
    compiled = jax.jit(kept(step, only) if only else step, donate_argnums=0).lower(*jax.eval_shape(make)).compile()
    counts = compiled.cost_analysis()
    assert counts is not None
    return counts["flops"]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cost.monitoring", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--config", default="configs/mnist_unconditional.py")
    parser.add_argument("--pairs", type=int, default=40, help="of turns of the compiled step")
    parser.add_argument("--steps", type=int, default=10, help="in a turn")
    parser.add_argument("--loop_pairs", type=int, default=30, help="of turns of the whole loop; 0: none")
    args = parser.parse_args()
    config = as_config(load_file(args.config))
    config = dataclasses.replace(config, eval=dataclasses.replace(config.eval, every=0), monitor=ON)
    assert config.data.form.size
    shape = (*config.data.form.size, 1)
    on, off, bare = Jaxgan(config, shape), Jaxgan(config, shape, layers=False), Jaxgan(config, shape, only=LOSSES)
    for side in (on, off, bare):
        side.warm_up()
    for what, other in (("step against one without layers", off), ("step against one with losses alone", bare)):
        print(report(what, pairs(on, other, args.pairs, args.steps)), flush=True)
    counts = [flops(config, shape, only) for only in ((), LOSSES)]
    more = counts[0] / counts[1] - 1
    print(
        f"FLOP of a step: {counts[0]:.6g} with monitors, {counts[1]:.6g} with losses alone, {more:.3%} more", flush=True
    )
    if args.loop_pairs:
        with_monitors, without = (Loop(dataclasses.replace(config, monitor=monitor)) for monitor in (ON, OFF))
        for loop in (with_monitors, without):
            loop.warm_up()
        print(report("loop", pairs(with_monitors, without, args.loop_pairs, LOOP_STEPS)), flush=True)
    print(f"load average {', '.join(f'{x:.1f}' for x in os.getloadavg())}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
