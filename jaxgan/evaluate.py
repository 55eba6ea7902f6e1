"""What a run's generator is worth, by a classifier trained on the real training split."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxgan import codes
from jaxgan.data import Source, load, to_floats
from jaxgan.draws import seed_keys
from jaxgan.errors import UserError
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
from jaxgan.passes import g_inputs
from jaxgan.sampling import Sampler


class Obedience(NamedTuple):
    """Whether a class-conditional generator makes what it is told, and how varied, with the judge's own accuracy."""

    accuracy: ClassAccuracy
    diversity: WithinClassDiversity
    judge: float  # share of held-out real images that the classifier is right about


class CodeMeaning(NamedTuple):
    """Whether InfoGAN's categorical code is the data's class, with the judge's own accuracy."""

    assignment: Assignment
    judge: float


def class_obedience(sampler: Sampler, per_class: int = 200, seed: int = 0) -> Obedience:
    """Judges `per_class` samples of each class against as many real examples, at most, of the held-out split.

    Raises:
      UserError: the run was not conditioned on classes, or its data have no held-out split with labels.
    """
    present = np.asarray(sampler.present, np.int64)
    if not len(present):
        raise UserError("this run was not conditioned on classes: set model.g_conditioning and model.d_conditioning.")
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
    """Judges by the classifier whether the first categorical code of InfoGAN stands for the class, whichever for which.

    Raises:
      UserError: the run has no categorical code, or its data have no held-out split with labels.
    """
    if not sampler.gan.codes or not sampler.gan.codes.categorical:
        raise UserError("this run has no categorical code: set infogan.categorical.")
    judge, _ = _judge(sampler)
    drawn = g_inputs(sampler.gan, seed_keys(seed).sample, jnp.arange(num))[:, sampler.gan.z_dim :]
    chosen = codes.values(sampler.gan.codes, drawn)[0]
    predicted = judge(sampler.sample(num, seed))[1].argmax(axis=1)
    return CodeMeaning(best_assignment_accuracy(np.asarray(chosen), predicted), float(judge.accuracy or 0.0))


def _judge(sampler: Sampler) -> tuple[Features, Source]:
    d = sampler.config.data
    splits = [
        load(d.source, name=d.name, split=split, data_dir=d.data_dir, image_size=d.image_size, classes=d.classes)
        for split in ("train", "test")
    ]
    return load_classifier(*splits, output=sampler.config.model.output), splits[1]
