"""Runs tricks with labels and inputs at several strengths by one compiled step: `python -m
benchmarks.experiments.ablation`.

Strengths are arrays, arguments of the step (`targets.traced` keeps the tricks in the program at strength 0), so that
the whole ablation costs one compilation, which is counted by the lines of `jax.log_compiles`.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

from benchmarks.experiments.rows import DENSE, NO_SN, Overrides, config_of
from benchmarks.experiments.techniques import SAMPLES, data_of, line
from jaxgan.config.config import Config
from jaxgan.data import Source, make_batch
from jaxgan.metrics.conditional import diversity
from jaxgan.steps import sample, train_step
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import GAN, Hyper, build, init, make_hyper
from jaxgan.steps.randomness import seed_keys
from jaxgan.steps.state import GANState

STEPS, SEEDS, LAST = 1000, 3, 100
# Without spectral norm, since tricks are for a D that would otherwise be too sure.
BASE: Overrides = DENSE | NO_SN | {"targets.traced": True, "targets.instance_noise_steps": STEPS}
HEAD = ("trick", "strength", "loss D", "loss G", "score real", "score fake", "diversity")


class Game(NamedTuple):
    """What runs of all strengths share; `step` is compiled at its first call."""

    source: Source
    start: Callable[[jax.Array], GANState]
    step: Callable[..., tuple[GANState, dict[str, jax.Array]]]
    draw: Callable[[GANState], jax.Array]


class Figures(NamedTuple):
    """Results of one run: means over its last steps, and the diversity of its samples relative to the data's."""

    loss_d: float
    loss_g: float
    score_real: float
    score_fake: float
    diversity: float


def _each(*names: str, strengths: Sequence[float]) -> list[Overrides]:
    return [{f"targets.{name}": strength for name in names} for strength in strengths]


FLIP: Overrides = {"targets.flip": True}
TRICKS: dict[str, list[Overrides]] = {
    "none": [{}],
    "smoothing": _each("smoothing", strengths=(0.1, 0.2, 0.3)),
    "soft": _each("soft_real", "soft_fake", strengths=(0.05, 0.1, 0.3)),
    # On or off: its three are alone, with soft labels, and with noisy ones too.
    "flip": [FLIP, FLIP | _each("soft_real", "soft_fake", strengths=[0.1])[0]],
    "noisy": _each("noisy_real", "noisy_fake", strengths=(0.02, 0.05, 0.2)),
    "noisy real": _each("noisy_real", strengths=(0.02, 0.05, 0.2)),
    "instance noise": _each("instance_noise", strengths=(0.05, 0.2, 0.5)),
}
TRICKS["flip"].append(TRICKS["flip"][1] | TRICKS["noisy"][1])


def configs() -> list[tuple[str, str, Config]]:
    """Lists trick, strength and configuration of each run."""
    return [(name, _strength(overrides), config_of(BASE | overrides)) for name, overrides in _all()]


def _all() -> Iterator[tuple[str, Overrides]]:
    for name, strengths in TRICKS.items():
        for overrides in strengths:
            yield name, overrides


def _strength(overrides: Overrides) -> str:
    return ", ".join(f"{key.removeprefix('targets.')} {value}" for key, value in overrides.items())


@contextmanager
def compilations(name: str) -> Iterator[list[str]]:
    """Collects a line for each program compiled inside the block whose name contains `name`."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if text.startswith("Compiling") and name in text.split(" with ")[0]:
                found.append(text)

    handler, logger = Handler(), logging.getLogger("jax")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False  # counted, not shown
    stream = [h for h in logger.handlers if h is not handler]
    for other in stream:
        logger.removeHandler(other)
    try:
        with jax.log_compiles():
            yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        for other in stream:
            logger.addHandler(other)


def game(config: Config) -> Game:
    """Builds the game of one configuration, which is that of all: they differ in `Hyper` only."""
    source = data_of(config)
    gan = build(config, source.shape)

    def ablation_step(state: GANState, batch: Any, key: jax.Array, hyper: Hyper):
        return train_step(gan, state, batch, key, hyper)

    return Game(
        source,
        jax.jit(partial(init, gan)),
        jax.jit(ablation_step, donate_argnums=0),
        jax.jit(partial(_draw, gan)),
    )


def _draw(gan: GAN, state: GANState) -> jax.Array:
    z = g_inputs(gan, seed_keys(0).sample, jax.numpy.arange(SAMPLES))
    return sample(gan, state.ema.variables, z)


def run(game: Game, config: Config, seed: int, steps: int) -> Figures:
    """One run.

    Raises:
      FloatingPointError: a figure is not finite.
    """
    keys, hyper = seed_keys(seed), make_hyper(config)
    state, last = game.start(keys.init), []
    size, output = config.train.batch_size, config.model.output
    for i in range(steps):
        batch = make_batch(game.source, i, seed=seed, batch_size=size, output=output)
        state, metrics = game.step(state, jax.tree.map(lambda x: x[None], batch), keys.train, hyper)
        last.append([metrics[name] for name in ("loss/d", "loss/g", "score/real", "score/fake")])
    means = np.mean(jax.device_get(last[-LAST:]), axis=0)
    fake = np.asarray(game.draw(state)).reshape(SAMPLES, -1)
    real = make_batch(game.source, 0, seed=0, batch_size=SAMPLES, output=output)["image"].reshape(SAMPLES, -1)
    d, g, score_real, score_fake = map(float, means)
    figures = Figures(d, g, score_real, score_fake, diversity(fake) / diversity(real))
    if not np.isfinite(figures).all():
        raise FloatingPointError(f"not finite: {figures}")
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; the exit code is 1 if the step was compiled more than once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args(argv)
    runs = configs()
    shared, start = game(runs[0][2]), time.perf_counter()
    print(f"Means of {args.seeds} seeds (least to greatest), over the last {LAST} of {args.steps} steps.\n")
    print(line(HEAD), line(["---"] * len(HEAD)), sep="\n", flush=True)
    with compilations("ablation_step") as compiled:
        for name, strength, config in runs:
            figures = [run(shared, config, seed, args.steps) for seed in range(args.seeds)]
            print(line([name, strength, *(_summary(values) for values in zip(*figures, strict=True))]), flush=True)
    seconds = time.perf_counter() - start
    print(
        f"\n{len(runs)} settings x {args.seeds} seeds; the step was compiled {len(compiled)} time(s); {seconds:.0f} s"
    )
    return int(len(compiled) != 1)


def _summary(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    raise SystemExit(main())
