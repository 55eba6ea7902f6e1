"""Scores the generator of a run, at any state of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np

from jaxgan.errors import UserError
from jaxgan.evaluation.reference import SEED, Reference, joined
from jaxgan.metrics import METRICS, Score
from jaxgan.metrics.features import to_levels
from jaxgan.metrics.scores import key_of
from jaxgan.steps import sample
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import GAN
from jaxgan.steps.randomness import seed_keys
from jaxgan.steps.state import GANState

PASSES = 64  # blocks from which batch statistics are computed anew; batch norm then keeps 0.1 % of the old ones


class Scorer:
    """Scores the generators of one run. The same state gives the same numbers, bit for bit.

    Generated images are rounded to 8 bits, because the images of a folder are, too.

    Args:
      reference: the real examples that generated ones are compared with.
      gan: the static part of the run, built with `axis_name=AXIS`.
    """

    def __init__(self, reference: Reference, gan: GAN):
        config, devices = reference.config, reference.devices
        self.reference, self._gan, self._devices, self._eval = reference, gan, devices, config.eval
        self._generate = devices.map_examples(partial(_generate, gan, config.model.output))
        self._recalibrate = devices.map_examples(partial(_recalibrate, gan), joined=True)

    @property
    def rank(self) -> tuple[str, str]:
        """The key of the score by which the best checkpoint is kept, and which of its values are better."""
        name, e = self._eval.best_metric, self._eval
        return key_of(name, self.reference.protocol(e.num_samples, weights=e.weights)), METRICS[name].better

    def __call__(self, state: GANState) -> dict[str, Score]:
        """Scores a state's generator by every metric of `eval.metrics`; returns the scores by name, in that order."""
        num, variables = self._eval.num_samples, self._devices.put(self._weights(state))
        blocks = (self._generate(variables, self._inputs(i)) for i in self.reference.positions(num))
        labels = self._labels(np.arange(num))
        return self.reference.scores(blocks, num, labels, **self.origin(state))

    def origin(self, state: GANState) -> dict[str, Any]:
        """Returns what the protocol records of where a state's examples come from."""
        return {"weights": self._eval.weights, "step": int(state.step)}

    def images(self, state: GANState) -> tuple[np.ndarray, np.ndarray | None]:
        """Generates the examples that the scores are of.

        Returns:
          Examples f32[num_samples, ...] in the range of the generator's output, and the classes i32[num_samples] they
          were made for, or None.
        """
        num, variables = self._eval.num_samples, self._devices.put(self._weights(state))
        blocks = [joined(self._generate(variables, self._inputs(i))) for i in self.reference.positions(num)]
        return np.concatenate(blocks)[:num], self._labels(np.arange(num))

    def _labels(self, positions: np.ndarray) -> np.ndarray | None:
        """The classes of the generated examples with these numbers, if G is conditioned on classes; else None.

        Each class has the share that it has in the training data. With equal shares, a perfect generator of unbalanced
        data would get a bad score.
        """
        if not self._gan.num_classes:
            return None
        drawn = self.reference.drawn_labels
        return drawn[positions % len(drawn)]

    def _inputs(self, positions: np.ndarray) -> dict[str, Any]:
        return self._devices.split({"index": positions, "label": self._labels(positions)})

    def _weights(self, state: GANState) -> dict[str, Any]:
        """The variables of G that `eval.weights` names."""
        variables = state.generator.variables if self._eval.weights == "raw" else state.ema.variables
        if self._eval.weights != "recalibrated":
            return variables
        if "batch_stats" not in variables:
            raise UserError("eval.weights is 'recalibrated', but the generator has no batch norm: set it to 'ema'.")
        variables = self._devices.put(variables)
        for positions in self.reference.positions(PASSES * self.reference.block):
            variables = self._recalibrate(variables, self._inputs(positions))
        return variables


def _generate(gan: GAN, output: str, variables: dict[str, Any], at: dict[str, Any]) -> jax.Array:
    """Generates one device's share of the examples with these numbers, images rounded to the 256 levels of a byte."""
    x = sample(gan, variables, g_inputs(gan, seed_keys(SEED).sample, at["index"]), at["label"])
    if len(gan.shape) != 3:
        return x
    levels = to_levels(x, output)
    return levels / 255 if output == "sigmoid" else levels / 127.5 - 1


def _recalibrate(gan: GAN, variables: dict[str, Any], at: dict[str, Any]) -> dict[str, Any]:
    """Moves the batch statistics by one batch, as training does, and returns all variables."""
    z = g_inputs(gan, seed_keys(SEED).train, at["index"])
    label = () if at["label"] is None else (at["label"],)
    _, moved = gan.generator.apply(variables, z, *label, train=True, mutable=["batch_stats"])
    return {**variables, **moved}
