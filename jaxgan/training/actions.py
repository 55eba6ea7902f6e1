"""What happens periodically besides training: clu's actions, and the one rule of when."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.data import Source, synthetic_modes, to_floats
from jaxgan.data.source import permutation
from jaxgan.devices.packing import table
from jaxgan.errors import NonFiniteError, NotFiniteError
from jaxgan.evaluation.scorer import Scorer
from jaxgan.metrics.conditional import diversity
from jaxgan.metrics.modes import count_modes
from jaxgan.monitor.curves import draw_curves, draw_points
from jaxgan.monitor.doctor import Doctor
from jaxgan.runs import score_log
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.runs.writers import metric_writers, periodic_actions
from jaxgan.sampling.grid import drawable, grid, save_png, to_uint8
from jaxgan.steps import sample
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import GAN
from jaxgan.steps.state import GANState
from jaxgan.techniques.infogan import sweep

GRID_ROWS = GRID_COLUMNS = 8
MAX_COLUMNS = 10  # of classes
SWEEP_COLUMNS = 9  # of a continuous code
MODE_SAMPLES = 2500  # PacGAN's protocol
MIN_SHARE = 0.01
DIVERSITY_SAMPLES = 128  # as many as the doctor's thresholds were fitted with


def at_steps(every: int, last: int, act: Callable[..., None]) -> periodic_actions.PeriodicCallback:
    """`act(step, state=..., metrics=...)` when called with 0, a multiple of `every`, or `last`; every=0: `last` only.

    The one rule of what is due. Call the result after every step.
    """
    return periodic_actions.PeriodicCallback(
        every_steps=every or None,
        on_steps=[last],
        callback_fn=lambda step, t, **kwargs: act(step, **kwargs),
    )


@contextlib.contextmanager
def profiling(workdir: Path, first: int, steps: int) -> Iterator[Callable[..., None]]:
    """An action that writes a profiler trace of so many steps, from step `first` on, or up to where training ends."""
    profile = periodic_actions.Profile(
        logdir=str(workdir), num_profile_steps=steps, profile_duration_ms=None, first_profile=first, every_secs=None
    )
    try:
        yield lambda step, **_: profile(step)
    finally:
        profile(sys.maxsize)  # later than all steps of a trace, which ends it


def check_finite(step: int, metrics: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Fetches the scalars of a step, and raises where one is NaN or infinite.

    Args:
      step: that the metrics are of.
      metrics: scalars; or [k] each, of the k steps up to `step`, all of which are looked at.

    Returns:
      The scalars of `step`.

    Raises:
      NonFiniteError: naming the first such step and every such scalar of it.
    """
    names, values = table(metrics)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        i = int(np.argmin(finite))
        first, scalars = step - len(finite) + 1 + i, dict(zip(names, values[i].tolist(), strict=True))
        bad = ", ".join(f"{name} is {value}" for name, value in scalars.items() if not np.isfinite(value))
        raise NonFiniteError(f"training stopped at step {first}: {bad}.", first, scalars)
    return dict(zip(names, values[-1], strict=True))


class Progress:
    """Prints the latest scalars, the speed since the last line, and the time left at that speed."""

    def __init__(self, last: int, images_per_step: int):
        self._last, self._images = last, images_per_step

    def start(self, step: int) -> None:
        """Starts the clock, `step` steps being done."""
        self._step, self._time = step, time.monotonic()

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        speed = (step - self._step) / max(time.monotonic() - self._time, 1e-9)
        self.start(step)
        values = check_finite(step, metrics)
        shown = "  ".join(f"{name} {values[name]:.3f}" for name in ("loss/d", "loss/g", "score/real", "score/fake"))
        rate = f"{speed:.3g} steps/s  {speed * self._images:.4g} images/s" if speed else "compiled"
        left = f"  ETA {_duration((self._last - step) / speed)}" if speed else ""
        print(f"step {step}/{self._last}  {shown}  {rate}{left}", flush=True)


class Log:
    """Writes the step's scalars, which must be finite."""

    def __init__(self, writer: metric_writers.MetricWriter):
        self._writer = writer

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        self._writer.write_scalars(step, check_finite(step, metrics))
        self._writer.flush()


class Samples:
    """A picture of what the averaged generator makes of the same latents at every time."""

    def __init__(
        self, gan: GAN, key: jax.Array, output: str, source: Source, workdir: Path, writer: metric_writers.MetricWriter
    ):
        self._output, self._source, self._workdir, self._writer = output, source, workdir, writer
        self._points = gan.shape == (2,)
        if not self._points and not drawable(gan.shape):
            print(f"no pictures of samples: a PNG cannot show examples of shape {gan.shape}", flush=True)
        # With classes, one to a column and the same latent along a row; points are of all classes alike.
        classes = jnp.asarray(np.unique(source.labels) if gan.num_classes else [], jnp.int32)
        columns = classes if self._points else classes[:MAX_COLUMNS]
        self._columns = len(columns) or GRID_COLUMNS
        places = jnp.arange(MODE_SAMPLES if self._points else GRID_ROWS * self._columns)
        z = g_inputs(gan, key, places // self._columns if gan.num_classes and not self._points else places)
        label = columns[places % self._columns] if gan.num_classes else None
        self._sample = jax.jit(lambda variables: sample(gan, variables, z, label))

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        check_finite(step, metrics)
        images = np.asarray(self._sample(state.ema.variables))
        check_finite(step, {"samples": np.abs(images).max()})
        path = self._workdir / "samples" / f"step_{step:08d}.png"
        if self._points:
            real = self._source.read(np.arange(min(MODE_SAMPLES, len(self._source))))
            picture = draw_points(real, images, path)
            self._count(step, images)
        elif images.ndim == 4 and images.shape[-1] in (1, 3):
            picture = grid(to_uint8(images, self._output), self._columns)
            save_png(path, picture)
        else:
            return  # said at the start
        self._writer.write_images(step, {"samples": picture})

    def _count(self, step: int, points: np.ndarray) -> None:
        source, _, name = self._source.name.partition("/")
        if source != "synthetic":
            return
        count = count_modes(points, *synthetic_modes(name), min_share=MIN_SHARE)
        self._writer.write_scalars(step, {"eval/modes": count.modes, "eval/high_quality": count.high_quality})
        print(
            f"step {step}  {count.modes} of {len(count.shares)} modes (min_share {MIN_SHARE}), "
            f"{count.high_quality:.1%} of {len(points)} samples of high quality",
            flush=True,
        )


class Diversity:
    """Writes `diversity/fake`: the mean distance of two generated examples, by live weights, over that of two real.

    Of values as they are, not of features, so that it costs next to nothing; 1 is the data's own.
    """

    def __init__(self, gan: GAN, key: jax.Array, output: str, source: Source, writer: metric_writers.MetricWriter):
        chosen = np.sort(permutation(len(source), 0)[:DIVERSITY_SAMPLES])  # a source may be in the order of its classes
        self._real = diversity(_rows(to_floats(source.read(chosen), output))) if len(chosen) > 1 else 0.0
        places = jnp.arange(DIVERSITY_SAMPLES)
        classes = jnp.asarray(np.unique(source.labels) if gan.num_classes else [0], jnp.int32)
        z, label = g_inputs(gan, key, places), classes[places % len(classes)] if gan.num_classes else None
        self._writer = writer
        self._sample = jax.jit(lambda variables: sample(gan, variables, z, label))

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        check_finite(step, metrics)
        made = np.asarray(self._sample(state.generator.variables))
        check_finite(step, {"samples": np.abs(made).max()})
        if self._real:  # else all examples are the same one
            self._writer.write_scalars(step, {"diversity/fake": diversity(_rows(made)) / self._real})


def _rows(examples: np.ndarray) -> np.ndarray:
    return examples.reshape(len(examples), -1)


class Sweeps:
    """A picture for each of InfoGAN's codes: along a row it takes its values, and all else stays as it is.

    With classes, each row is of another one.
    """

    def __init__(
        self, gan: GAN, key: jax.Array, output: str, source: Source, workdir: Path, writer: metric_writers.MetricWriter
    ):
        self._output, self._workdir, self._writer = output, workdir, writer
        codes = gan.codes
        assert codes is not None
        inputs = g_inputs(gan, key, jnp.arange(GRID_ROWS))
        number = len(codes.categorical) + codes.continuous
        self._inputs = [sweep(codes, inputs, code, SWEEP_COLUMNS) for code in range(number)]
        classes = np.resize(np.unique(source.labels), GRID_ROWS).astype(np.int32) if gan.num_classes else None

        def draw(variables: dict[str, Any], inputs: jax.Array) -> jax.Array:
            label = None if classes is None else jnp.repeat(jnp.asarray(classes), len(inputs) // GRID_ROWS)
            return sample(gan, variables, inputs, label)

        self._sample = jax.jit(draw)

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        for code, inputs in enumerate(self._inputs):
            images = np.asarray(self._sample(state.ema.variables, inputs))
            picture = grid(to_uint8(images, self._output), len(inputs) // GRID_ROWS)
            save_png(self._workdir / "samples" / f"step_{step:08d}_code_{code}.png", picture)
            self._writer.write_images(step, {f"code_{code}": picture})


class Curves:
    """A picture of the scalars logged so far, with what the doctor found in them."""

    def __init__(self, workdir: Path, doctor: Doctor):
        self._workdir, self._doctor = workdir, doctor

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        draw_curves(self._workdir / "metrics.jsonl", self._workdir / "curves.png", self._doctor.findings)


class Save:
    """Saves the whole state, with the step's scores if it has any, provided that it and its scalars are finite.

    What is written of the steps before must be on disk first: they will not be run again.
    """

    def __init__(self, checkpoints: Checkpoints, writer: metric_writers.MetricWriter):
        self._checkpoints, self._writer = checkpoints, writer
        self.scores: tuple[int, dict[str, float]] = (-1, {})  # of the last evaluation by their keys, and its step

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        check_finite(step, metrics)
        self._writer.flush()
        scored, scores = self.scores
        state = jax.device_get(state)
        # An update that no scalar tells of, such as by InfoGAN's codes, may have gone wrong in this very step.
        spoiled = sum(
            bool((~np.isfinite(x)).any()) for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)
        )
        check_finite(step, {"parameters": np.nan if spoiled else 0.0})
        self._checkpoints.save(step, state, scores if scored == step else None)


class Evaluate:
    """Scores the generator: scalars, and a line of `evaluation.jsonl`; the checkpoint of the step gets them too."""

    def __init__(self, scorer: Scorer, writer: metric_writers.MetricWriter, save: Save, workdir: Path):
        self._scorer, self._writer, self._save, self._workdir = scorer, writer, save, workdir

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        check_finite(step, metrics)
        try:
            found = self._scorer(state)
        except NotFiniteError:
            check_finite(step, {"samples": np.nan})
            raise
        values = {score.tag: score.value for score in found.values()}
        self._writer.write_scalars(step, values)
        score_log.record(self._workdir / score_log.FILE, "train", found.values())
        self._save.scores = (step, {score.key: score.value for score in found.values()})
        print(f"step {step}  " + "  ".join(f"{name} {score.value:.4g}" for name, score in found.items()), flush=True)


def _duration(seconds: float) -> str:
    seconds = math.ceil(seconds)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds % 60:02d}s"
