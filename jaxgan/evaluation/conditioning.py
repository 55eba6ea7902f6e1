"""Tests whether a generator obeys its class labels, and whether InfoGAN's codes stand for classes."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxgan.data import Source, to_floats
from jaxgan.errors import UserError
from jaxgan.evaluation.run_data import RunData
from jaxgan.metrics.classifier import load_classifier
from jaxgan.metrics.conditional import (
    Assignment,
    ClassAccuracy,
    WithinClassDiversity,
    best_assignment_accuracy,
    class_accuracy,
    within_class_diversity,
)
from jaxgan.metrics.features import Features
from jaxgan.sampling.sampler import Sampler
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.randomness import seed_keys
from jaxgan.techniques import infogan


class Obedience(NamedTuple):
    """Holds how well a class-conditional generator obeys, and how varied each class is.

    Attributes:
      accuracy: share of generated images that the classifier puts into the class asked for.
      diversity: distances between generated images of a class, relative to those between real ones.
      judge: share of held-out real images that the classifier is right about.
    """

    accuracy: ClassAccuracy
    diversity: WithinClassDiversity
    judge: float


class CodeMeaning(NamedTuple):
    """Holds how well InfoGAN's categorical code matches the data's classes.

    Attributes:
      assignment: of codes to classes, and the share of images that agree with it.
      judge: share of held-out real images that the classifier is right about.
    """

    assignment: Assignment
    judge: float


def class_obedience(sampler: Sampler, per_class: int = 200, seed: int = 0) -> Obedience:
    """Judges `per_class` samples of each class against at most as many real examples of the held-out split.

    Raises:
      UserError: the run was not conditioned on classes, or its data have no labels.
    """
    present = np.asarray(sampler.present, np.int64)
    if not len(present):
        raise UserError("This run was not conditioned on classes: set model.g_conditioning and model.d_conditioning.")
    judge, test = _judge(sampler)
    images = sampler.sample(per_class * len(present), seed)
    labels = present[np.arange(len(images)) % len(present)]
    chosen = np.concatenate([np.flatnonzero(test.labels == c)[:per_class] for c in present])
    real = to_floats(test.read(chosen), sampler.config.model.output)
    accuracy = class_accuracy(judge, images, labels)
    return Obedience(
        accuracy,
        within_class_diversity(judge(images)[0], labels, judge(real)[0], test.labels[chosen]),
        float(judge.accuracy or 0.0),
    )


def code_meaning(sampler: Sampler, num: int = 2000, seed: int = 0) -> CodeMeaning:
    """Judges by the classifier whether each value of InfoGAN's first categorical code stands for one class.

    Raises:
      UserError: the run has no categorical code, or its data have no labels.
    """
    if not sampler.gan.codes or not sampler.gan.codes.categorical:
        raise UserError("This run has no categorical code: set infogan.categorical.")
    judge, _ = _judge(sampler)
    drawn = g_inputs(sampler.gan, seed_keys(seed).sample, jnp.arange(num))[:, sampler.gan.z_dim :]
    chosen = infogan.values(sampler.gan.codes, drawn)[0]
    predicted = judge(sampler.sample(num, seed))[1].argmax(axis=1)
    return CodeMeaning(best_assignment_accuracy(np.asarray(chosen), predicted), float(judge.accuracy or 0.0))


def _judge(sampler: Sampler) -> tuple[Features, Source]:
    """The classifier of the run's data, and the real examples that were held out from it."""
    train, test = RunData(sampler.config).labelled_splits()
    return load_classifier(train, test, output=sampler.config.model.output), test
