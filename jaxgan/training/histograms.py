"""Histograms of D's logits, for TensorBoard: whether real and generated examples lie apart, and how far out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxgan.devices.devices import Devices
from jaxgan.runs.writers import metric_writers
from jaxgan.steps.forward import Batch, Update, examples_of, generate_for, show
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.randomness import D_FAKE, D_REAL, stream
from jaxgan.steps.state import GANState
from jaxgan.training.actions import check_finite

Array = jax.Array


def logits(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> dict[str, Array]:
    """What D says, in training mode, of the examples of the step that led to `state`, when both networks are updated.

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
    """Writes the histograms of `logits` by a program of its own: the step's is the same with and without."""

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

    def __call__(self, step: int, *, state: GANState, metrics: Mapping[str, Any]) -> None:
        check_finite(step, metrics)
        examples = self._devices.split(self._batch(step * self._n - 1))
        found = jax.device_get(self._logits((state, *self._given), examples))
        arrays = {f"histogram/{name}": np.ravel(x) for name, x in found.items()}
        check_finite(step, {name: np.abs(x).max() for name, x in arrays.items()})
        self._writer.write_histograms(step, arrays)
