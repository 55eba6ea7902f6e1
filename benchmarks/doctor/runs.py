"""Trains the runs that are broken on purpose, and healthy ones, and keeps their curves.

`python -m benchmarks.doctor.runs [--directory=runs/doctor] [--only=NAME,NAME] [--seeds=0]` writes NAME_SEED.npz for
each run there is none of yet. `python -m benchmarks.doctor.report` then says what the doctor makes of them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.spatial.distance import cdist

from benchmarks.doctor.rows import BROKEN, HEALTHY, SEEDS_BROKEN, SEEDS_HEALTHY, STEPS, Row
from benchmarks.doctor.unseen import UNSEEN_BROKEN, UNSEEN_HEALTHY
from benchmarks.experiments.techniques import data_of
from jaxgan.config.config import Config
from jaxgan.data import Source, make_batch, synthetic_modes
from jaxgan.metrics.conditional import diversity
from jaxgan.metrics.modes import count_modes
from jaxgan.steps import sample, train_step
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import GAN, build, init, make_hyper
from jaxgan.steps.randomness import seed_keys, stream
from jaxgan.steps.state import GANState

EVERY, EVAL_EVERY = 20, 100
SAMPLES, DIVERSITY_SAMPLES = 1024, 128
POINTS = 20_000  # of the data, to draw batches from

History = dict[str, np.ndarray]


def run(row: Row, seed: int) -> History:
    """Trains one run and returns its curves: every name with its steps as `NAME/step`."""
    config = row.config(seed)
    source = data_of(config)
    images, labels = _arrays(row, source, config)
    gan = build(
        config,
        source.shape,
        generator=row.generator and row.generator(source.shape),
        discriminator=row.discriminator and row.discriminator(),
        num_classes=len(source.class_names),
    )
    if row.gan:
        gan = row.gan(gan)
    keys = seed_keys(seed)
    state = jax.jit(partial(init, gan))(keys.init)
    several = jax.jit(partial(_several, gan, config), donate_argnums=0)
    draw = jax.jit(partial(_draw, gan), static_argnames=("n", "averaged"))
    evaluate = _evaluation(config, source, images, labels)
    reference = diversity(images[:DIVERSITY_SAMPLES].reshape(DIVERSITY_SAMPLES, -1)) if len(images) > 100 else None
    reference = reference or diversity(images.reshape(len(images), -1))
    hyper, data = make_hyper(config), (jnp.asarray(images), jnp.asarray(labels))
    rows: list[tuple[int, dict[str, float]]] = []
    for step in range(EVERY, STEPS + 1, EVERY):
        state, metrics = several(state, data, keys.train, hyper)
        scalars = {name: float(value) for name, value in jax.device_get(metrics).items()}
        samples = np.asarray(draw(state, keys.sample, n=DIVERSITY_SAMPLES, averaged=False))
        finite = np.isfinite(samples).all() and np.isfinite(list(scalars.values())).all()
        if finite:
            scalars["diversity/fake"] = diversity(samples.reshape(len(samples), -1)) / reference
            if step % EVAL_EVERY == 0:
                fake = np.asarray(draw(state, keys.sample, n=SAMPLES, averaged=True))
                scalars |= evaluate(fake, np.arange(SAMPLES) % max(gan.num_classes, 1))
        rows.append((step, scalars))
        if not finite:  # where the loop would stop
            break
    return columns(rows)


def columns(rows: Sequence[tuple[int, dict[str, float]]]) -> History:
    """Turns logged rows into curves, each with its own steps."""
    names = sorted({name for _, scalars in rows for name in scalars})
    history: History = {}
    for name in names:
        points = [(step, scalars[name]) for step, scalars in rows if name in scalars]
        history[f"{name}/step"] = np.array([step for step, _ in points])
        history[name] = np.array([value for _, value in points])
    return history


def _arrays(row: Row, source: Source, config: Config) -> tuple[np.ndarray, np.ndarray]:
    indices = np.arange(min(len(source), POINTS))
    images = source.read(indices)
    if images.dtype == np.uint8:
        images = (images / np.float32(127.5) - 1).astype(np.float32)
    labels = source.labels[indices]
    return row.data(images) if row.data else images, row.labels(labels) if row.labels else labels


def _several(gan: GAN, config: Config, state: GANState, data, key, hyper):
    n, size = gan.d_steps_per_g_step, config.train.batch_size

    def one(state: GANState, _):
        # Drawn inside of the program, so that the host is asked once for twenty steps; a stream of its own.
        chosen = jax.random.randint(stream(key, 99, state.step), (n, size), 0, len(data[0]))
        return train_step(gan, state, {"image": data[0][chosen], "label": data[1][chosen]}, key, hyper)

    state, metrics = lax.scan(one, state, length=EVERY)
    return state, jax.tree.map(lambda x: x[-1], metrics)  # as logged: of one batch


def _draw(gan: GAN, state: GANState, key: jax.Array, n: int, averaged: bool) -> jax.Array:
    label = jnp.arange(n) % gan.num_classes if gan.num_classes else None
    live = {"params": state.generator.params, **state.generator.stats}
    return sample(gan, state.ema.variables if averaged else live, g_inputs(gan, key, jnp.arange(n)), label)


def _evaluation(config: Config, source: Source, images: np.ndarray, labels: np.ndarray):
    """Measures samples f[N, ...] and the classes asked for: modes of points, distances of images."""
    if config.data.source == "synthetic":
        modes = synthetic_modes(config.data.name)

        def of_points(fake: np.ndarray, asked: np.ndarray) -> dict[str, float]:
            found = count_modes(fake, *modes, min_share=0.01)
            return {"eval/modes": found.modes, "eval/high_quality": found.high_quality}

        return of_points
    real = images.reshape(len(images), -1)
    held_out = _flat(data_of(config, "test"))
    own = np.median(cdist(held_out, real).min(axis=1))
    classes = source.labels[: len(images)]  # not as given to the networks

    def of_images(fake: np.ndarray, asked: np.ndarray) -> dict[str, float]:
        fake = fake.reshape(len(fake), -1)
        distances = cdist(fake, real)
        scores = {
            "eval/fd_pixels": frechet(fake, real),
            "eval/memorization": float(np.median(distances.min(axis=1)) / own),
        }
        if config.model.g_conditioning != "none":
            scores["eval/class_accuracy"] = float(np.mean(classes[distances.argmin(axis=1)] == asked))
        return scores

    return of_images


def _flat(source: Source) -> np.ndarray:
    batch = make_batch(source, 0, seed=0, batch_size=len(source), output="tanh")
    return batch["image"].reshape(len(source), -1)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Computes |mean_a - mean_b|^2 + tr(C_a + C_b - 2 sqrt(C_a C_b)) of pixels f[N, F] and f[M, F]: not the FID."""
    c_a, c_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.sqrt(np.maximum(np.linalg.eigvals(c_a @ c_b).real, 0)).sum()
    return float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + np.trace(c_a) + np.trace(c_b) - 2 * root)


def main(argv: Sequence[str] | None = None) -> int:
    """Trains the runs that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", default="runs/doctor", help="where the curves go")
    parser.add_argument("--only", default="", help="names of runs; empty: all")
    parser.add_argument("--seeds", default="", help="numbers; empty: those of the table")
    flags = parser.parse_args(argv)
    rows = BROKEN | HEALTHY | UNSEEN_BROKEN | UNSEEN_HEALTHY
    names = flags.only.split(",") if flags.only else list(rows)
    if unknown := set(names) - rows.keys():
        parser.error(f"--only={','.join(sorted(unknown))}: there are {', '.join(rows)}")
    directory = Path(flags.directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        seeds = map(int, flags.seeds.split(",")) if flags.seeds else SEEDS_HEALTHY if name in HEALTHY else SEEDS_BROKEN
        for seed in seeds:
            path = directory / f"{name}_{seed}.npz"
            if path.exists():
                continue
            start = time.monotonic()
            history = run(rows[name], seed)
            partial_path = path.with_suffix(".partial.npz")
            np.savez_compressed(partial_path, **history)  # type: ignore[arg-type]
            os.replace(partial_path, path)
            last = ", ".join(f"{k} {v[-1]:.3g}" for k, v in history.items() if not k.endswith("step"))
            print(f"{name} {seed}: {time.monotonic() - start:.0f} s; {last}", flush=True)
        jax.clear_caches()
    return 0


if __name__ == "__main__":
    sys.exit(main())
