"""What a step minimizes: the adversarial loss with its tricks, classes and penalties, of D and of G."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.architectures import DOutput
from jaxgan.devices.collectives import global_mean
from jaxgan.steps.forward import Examples, discriminate
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.randomness import PENALTY, TARGETS, per_example, stream
from jaxgan.steps.state import Params, Stats
from jaxgan.techniques import classes
from jaxgan.techniques.label_tricks import d_targets, g_targets, unflip
from jaxgan.techniques.losses import Mean, d_terms, targeted_d, targeted_g
from jaxgan.techniques.penalties import COUPLED, PENALTIES, feature_matching

Array = jax.Array
Metrics = dict[str, Array]


class Objective(NamedTuple):
    """A loss and the scalars to log."""

    loss: Array
    metrics: Metrics


def d_objective(gan: GAN, hyper: Hyper, real: DOutput, fake: DOutput, examples: Examples, key: Array) -> Objective:
    """D's loss on its outputs, but for penalties."""
    metrics: Metrics = {}
    for name, out in (("real", real), ("fake", fake)):
        metrics[f"score/{name}"] = _score(gan, hyper, out)
        metrics[f"logits/{name}"] = jnp.mean(out.logits)
    metrics |= _accuracies(gan, hyper, real, fake)
    loss, terms = _d_adversarial(gan, hyper, real, fake, examples, key)
    if terms is not None:
        metrics["loss/d_real"], metrics["loss/d_fake"] = terms
        metrics["loss/d_halved"] = loss / 2
    if gan.d_conditioning == "auxiliary" or gan.lecam or (gan.regularizers and gan.interval == 1):
        metrics["loss/d_adversarial"] = loss
    if gan.d_conditioning == "auxiliary":
        by_class = [classes.cross_entropy(out.heads["class"], examples.label) for out in (real, fake)]
        metrics["loss/class_real"], metrics["loss/class_fake"] = by_class
        loss += hyper.class_weight * sum(by_class)
    return Objective(loss, metrics)


def _d_adversarial(
    gan: GAN, hyper: Hyper, real: DOutput, fake: DOutput, examples: Examples, key: Array
) -> tuple[Array, tuple[Array, Array] | None]:
    """The loss, and what of it real and generated examples make where that can be told apart."""
    if gan.d_conditioning == "class_fake":
        terms = classes.class_fake_d(real.heads["class_fake"], fake.heads["class_fake"], examples.label)
        return terms[0] + terms[1], terms
    logits, mean = (real.logits, fake.logits), _mean(gan)
    if not gan.label_tricks:
        return gan.loss.d(*logits, mean=mean), d_terms(gan.loss, *logits, mean=mean)
    keys = per_example(stream(key, TARGETS), examples.indices[:: gan.packing])
    targets = d_targets(hyper.tricks, keys)
    return targeted_d(gan.loss, *logits, *targets, mean=mean), d_terms(gan.loss, *logits, *targets, mean=mean)


def g_objective(gan: GAN, hyper: Hyper, real: DOutput, fake: DOutput, examples: Examples) -> Objective:
    """G's loss on D's outputs; `real` is read by relativistic losses and feature matching alone."""
    metrics: Metrics = {}
    if gan.order == "d_first":  # D has just been updated
        metrics["score/fake_after"] = _score(gan, hyper, fake)
        if gan.reads_real:
            metrics["score/real_after"] = _score(gan, hyper, real)
    if gan.d_conditioning == "class_fake":
        adversarial = classes.class_fake_g(fake.heads["class_fake"], examples.label)
    elif gan.label_tricks:
        adversarial = targeted_g(gan.loss, fake.logits, *g_targets(hyper.tricks), mean=_mean(gan))
    else:
        adversarial = gan.loss.g(real.logits, fake.logits, mean=_mean(gan))
    if gan.d_conditioning == "auxiliary" or gan.feature_matching:
        metrics["loss/g_adversarial"] = adversarial
    loss = hyper.g_adversarial_weight * adversarial
    if gan.feature_matching:
        distance = feature_matching(real.features, fake.features, mean=global_mean(gan.axis_name))
        metrics["loss/feature_matching"] = distance
        loss += hyper.regularizers["feature_matching"] * distance
    if gan.d_conditioning == "auxiliary":
        metrics["loss/g_class"] = classes.cross_entropy(fake.heads["class"], examples.label)
        loss += hyper.class_weight * metrics["loss/g_class"]
    return Objective(loss, {"loss/g": loss, **metrics})


def penalties(
    gan: GAN, hyper: Hyper, params: Params, stats: Stats, real: Array, fake: Array, examples: Examples, key: Array
) -> Objective:
    """The gradient penalties by their weights, at examples as D sees them.

    With augmentation these are the augmented ones. StyleGAN2-ADA's and R3GAN's programs take R1 and R2 at the images
    before it, through it: where a box is erased they then ask for nothing.
    """

    def apply(x: Array) -> DOutput:
        return discriminate(gan, params, stats, x, examples.label, train=False)[0]

    metrics, total = {}, jnp.zeros(())
    for name, penalty in gan.regularizers.items():
        purpose = list(PENALTIES).index(name)  # whatever others there are
        keys = per_example(stream(key, PENALTY, purpose), examples.indices[:: gan.packing])
        mean = global_mean(gan.axis_name) if name in COUPLED else jnp.mean
        value = penalty(apply, real, fake, keys, mean)
        metrics[f"penalty/{name}"] = value
        total += hyper.regularizers[name].astype(value.dtype) * value
    return Objective(total, metrics)


def _score(gan: GAN, hyper: Hyper, out: DOutput) -> Array:
    """The mean P(real)."""
    score = jnp.mean(jax.nn.sigmoid(out.logits))
    return unflip(score, hyper.tricks.flip) if gan.label_tricks else score


def _accuracies(gan: GAN, hyper: Hyper, real: DOutput, fake: DOutput) -> Metrics:
    """Which shares of real and of generated examples D takes for what they are; and the sign that ADA goes by."""
    if gan.loss.boundary is None:
        return {}
    sides = [jnp.sign(out.logits - gan.loss.boundary) for out in (real, fake)]
    if gan.label_tricks:
        sides = [jnp.where(hyper.tricks.flip > 0, -side, side) for side in sides]
    metrics = {"accuracy/real": jnp.mean(sides[0] > 0), "accuracy/fake": jnp.mean(sides[1] < 0)}
    return metrics | ({"ada/sign": jnp.mean(sides[0])} if gan.ada else {})


def _mean(gan: GAN) -> Mean:
    """The loss's mean. Over the global batch only where examples meet inside of it: each collective is a meeting, and
    the mean of the devices' gradients is the gradient of their mean."""
    return global_mean(gan.axis_name) if gan.loss.coupled else jnp.mean
