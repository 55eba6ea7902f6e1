"""Draws what shows a run's course: samples, what D sees of the data, learning curves, histograms of D's logits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.data import Source, synthetic_modes
from jaxgan.devices.devices import Devices
from jaxgan.metrics.modes import count_modes
from jaxgan.monitor.curves import draw_curves, draw_points
from jaxgan.monitor.doctor import Finding
from jaxgan.runs.writers import metric_writers
from jaxgan.sampling.grid import drawable, grid, save_png, to_uint8
from jaxgan.steps import sample
from jaxgan.steps.forward import Batch, Update, as_seen, examples_of, g_inputs, generate_for, show
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.randomness import D_FAKE, D_REAL, stream
from jaxgan.steps.state import GANState
from jaxgan.techniques.infogan import sweep
from jaxgan.training.actions import SCALARS, Values, finite_samples, not_finite

GRID_ROWS = GRID_COLUMNS = 8
MAX_COLUMNS = 10  # of classes
SWEEP_COLUMNS = 9  # of a continuous code
MODE_SAMPLES = 2500  # PacGAN's protocol
MIN_SHARE = 0.01
CURVES_SHARE = 0.02  # of a run's time may go into drawing its curves

Array = jax.Array


class Samples:
    """Draws what the averaged generator makes of the same latents every time, and counts the modes of synthetic data.

    With classes, each column is of one class, and the latent is the same along a row.
    """

    gives = (SCALARS,)

    def __init__(
        self, gan: GAN, key: Array, output: str, source: Source, workdir: Path, writer: metric_writers.MetricWriter
    ):
        self._output, self._source, self._workdir, self._writer = output, source, workdir, writer
        self._points = gan.shape == (2,)
        if not self._points and not drawable(gan.shape):
            print(f"no pictures of samples: a PNG cannot show examples of shape {gan.shape}", flush=True)
        # Points are of all classes alike.
        classes = jnp.asarray(np.unique(source.labels) if gan.num_classes else [], jnp.int32)
        columns = classes if self._points else classes[:MAX_COLUMNS]
        self._columns = len(columns) or GRID_COLUMNS
        places = jnp.arange(MODE_SAMPLES if self._points else GRID_ROWS * self._columns)
        z = g_inputs(gan, key, places // self._columns if gan.num_classes and not self._points else places)
        label = columns[places % self._columns] if gan.num_classes else None
        self._sample = jax.jit(lambda variables: sample(gan, variables, z, label))

    def __call__(self, step: int, state: GANState, metrics: Mapping[str, float]) -> Values:
        examples = finite_samples(step, self._sample(state.ema.variables), metrics)
        path = self._workdir / "samples" / f"step_{step:08d}.png"
        if self._points:
            real = self._source.read(np.arange(min(MODE_SAMPLES, len(self._source))))
            self._writer.write_images(step, {"samples": draw_points(real, examples, path)})
            return {SCALARS: self._count(step, examples)}
        if drawable(examples.shape[1:]):
            picture = grid(to_uint8(examples, self._output), self._columns)
            save_png(path, picture)
            self._writer.write_images(step, {"samples": picture})
        return {}

    def _count(self, step: int, points: np.ndarray) -> dict[str, float]:
        source, _, name = self._source.name.partition("/")
        if source != "synthetic":
            return {}
        count = count_modes(points, *synthetic_modes(name), min_share=MIN_SHARE)
        print(
            f"step {step}  {count.modes} of {len(count.shares)} modes (min_share {MIN_SHARE}), "
            f"{count.high_quality:.1%} of {len(points)} samples of high quality",
            flush=True,
        )
        return {"eval/modes": count.modes, "eval/high_quality": count.high_quality}


class Sweeps:
    """Draws a picture for each of InfoGAN's codes: along a row the code takes its values, and all else stays as it is.

    With classes, each row is of another one.
    """

    def __init__(
        self, gan: GAN, key: Array, output: str, source: Source, workdir: Path, writer: metric_writers.MetricWriter
    ):
        self._output, self._workdir, self._writer = output, workdir, writer
        codes = gan.codes
        assert codes is not None
        inputs = g_inputs(gan, key, jnp.arange(GRID_ROWS))
        number = len(codes.categorical) + codes.continuous
        self._inputs = [sweep(codes, inputs, code, SWEEP_COLUMNS) for code in range(number)]
        classes = np.resize(np.unique(source.labels), GRID_ROWS).astype(np.int32) if gan.num_classes else None

        def draw(variables: dict[str, Any], inputs: Array) -> Array:
            label = None if classes is None else jnp.repeat(jnp.asarray(classes), len(inputs) // GRID_ROWS)
            return sample(gan, variables, inputs, label)

        self._sample = jax.jit(draw)

    def __call__(self, step: int, state: GANState) -> None:
        for code, inputs in enumerate(self._inputs):
            images = np.asarray(self._sample(state.ema.variables, inputs))
            picture = grid(to_uint8(images, self._output), len(inputs) // GRID_ROWS)
            save_png(self._workdir / "samples" / f"step_{step:08d}_code_{code}.png", picture)
            self._writer.write_images(step, {f"code_{code}": picture})


class Curves:
    """Draws the scalars logged so far, with what the doctor found in them.

    Drawing takes as long as many a small step: until the last step the curves are drawn anew only once the run has
    trained long enough since.
    """

    def __init__(self, workdir: Path, last: int):
        self._workdir, self._last = workdir, last
        self._drawn, self._cost = time.monotonic(), 0.5  # seconds; the cost is measured each time

    def __call__(self, step: int, findings: Sequence[Finding], logged: bool) -> None:
        started = time.monotonic()
        if step != self._last and started - self._drawn < self._cost / CURVES_SHARE:
            return
        self.draw(findings)
        self._drawn = time.monotonic()
        self._cost = self._drawn - started

    def draw(self, findings: Sequence[Finding]) -> None:
        """Draws them now."""
        draw_curves(self._workdir / "metrics.jsonl", self._workdir / "curves.png", findings)


def draw_real(
    gan: GAN, devices: Devices, state: GANState, key: Array, hyper: Hyper, batch: dict[str, np.ndarray], output: str
) -> np.ndarray | None:
    """Draws real examples as D sees them in its first update: cropped, flipped, augmented, noisy.

    Args:
      gan: static.
      devices: share the batch.
      state: the first of the run, on all devices.
      key: the run's seed key, on all devices.
      hyper: the swept scalars, on all devices.
      batch: the run's first batch, leaves [B, ...].
      output: the generator's, "tanh" or "sigmoid".

    Returns:
      A grid u8[H, W, C]; None where the examples cannot be drawn.
    """
    if not drawable(gan.shape):
        return None

    def shown(given: tuple[GANState, Array, Hyper], batch: Batch) -> Array:
        state, key, hyper = given
        key = stream(key, state.step, 0)
        update = Update(examples_of(gan, batch, key), key, state.step, hyper)
        return as_seen(gan, state, update, D_REAL, update.examples.real)

    seen = np.asarray(devices.map_examples(shown)((state, key, hyper), devices.split(batch)))
    seen = seen.reshape(-1, *seen.shape[2:-1], gan.packing, gan.shape[-1])  # PacGAN's examples lie in the channels
    images = np.moveaxis(seen, -2, 1).reshape(-1, *gan.shape)[: GRID_ROWS * GRID_COLUMNS]
    return grid(to_uint8(images.astype(np.float32), output), min(GRID_COLUMNS, len(images)))


def logits(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> dict[str, Array]:
    """Computes what D says, in training mode, of the examples of the step that led to `state`, by its weights now.

    Args:
      gan: static.
      state: after a step.
      batch: this device's share of the real examples of the step's last D-step.
      key: the run's seed key.
      hyper: the swept scalars.

    Returns:
      `logits_real` and `logits_fake`, f[B] of this device.
    """
    step, d = state.step - 1, state.discriminator
    key = stream(key, step, gan.d_steps_per_g_step - 1)
    update = Update(examples_of(gan, batch, key), key, step, hyper)
    examples = {D_REAL: update.examples.real, D_FAKE: generate_for(gan, state, update.examples).images}
    real, fake = show(gan, state, update, d.params, d.stats, examples).outputs
    return {"logits_real": real.logits, "logits_fake": fake.logits}


class Histograms:
    """Writes the histograms of `logits`, which show whether real and generated examples lie apart, and how far.

    They come from a program of their own, so that the compiled step is the same with and without them.
    """

    gives = (SCALARS,)  # none, but what is not finite must be told before the step is logged

    def __init__(
        self,
        gan: GAN,
        devices: Devices,
        key: Array,
        hyper: Hyper,
        batch: Callable[[int], dict[str, np.ndarray]],
        writer: metric_writers.MetricWriter,
    ):
        """`batch(i)` are the examples of the run's D-step i; key and hyper are replicated."""
        self._devices, self._batch, self._writer, self._n = devices, batch, writer, gan.d_steps_per_g_step
        self._given = key, hyper
        self._logits = devices.map_examples(lambda given, batch: logits(gan, given[0], batch, *given[1:]))

    def __call__(self, step: int, state: GANState, metrics: Mapping[str, float]) -> None:
        examples = self._devices.split(self._batch(step * self._n - 1))
        found = jax.device_get(self._logits((state, *self._given), examples))
        arrays = {f"histogram/{name}": np.ravel(x) for name, x in found.items()}
        largest = {name: float(np.abs(x).max()) for name, x in arrays.items()}
        if not np.isfinite([*largest.values()]).all():
            raise not_finite(step, metrics, **largest)
        self._writer.write_histograms(step, arrays)
