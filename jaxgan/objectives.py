"""What a step minimizes: the adversarial loss with its tricks, classes and penalties, of D and of G."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan import classes
from jaxgan.architectures import DOutput
from jaxgan.draws import PENALTY, TARGETS, per_example, stream
from jaxgan.gan import GAN, Hyper
from jaxgan.losses import Mean, targeted_d, targeted_g
from jaxgan.passes import Examples, discriminate
from jaxgan.regularizers import COUPLED, REGULARIZERS, feature_matching
from jaxgan.state import Params, Stats
from jaxgan.synchronize import global_mean
from jaxgan.targets import d_targets, g_targets, unflip

Array = jax.Array
Metrics = dict[str, Array]


class Objective(NamedTuple):
    """A loss and the scalars to log."""

    loss: Array
    metrics: Metrics


def d_objective(gan: GAN, hyper: Hyper, real: DOutput, fake: DOutput, examples: Examples, key: Array) -> Objective:
    """D's loss on its outputs, but for penalties."""
    metrics = _scores(gan, hyper, real, fake)
    if gan.ada:
        side = jnp.sign(real.logits - (gan.loss.boundary or 0.0))
        metrics["ada/sign"] = jnp.mean(jnp.where(hyper.tricks.flip > 0, -side, side))
    if gan.d_conditioning == "class_fake":
        return Objective(
            classes.class_fake_d(real.heads["class_fake"], fake.heads["class_fake"], examples.label), metrics
        )
    if gan.label_tricks:
        keys = per_example(stream(key, TARGETS), examples.indices[:: gan.packing])
        loss = targeted_d(gan.loss, real.logits, fake.logits, *d_targets(hyper.tricks, keys), mean=_mean(gan))
    else:
        loss = gan.loss.d(real.logits, fake.logits, mean=_mean(gan))
    if gan.d_conditioning == "auxiliary":
        terms = [classes.cross_entropy(out.heads["class"], examples.label) for out in (real, fake)]
        metrics["loss/class_real"], metrics["loss/class_fake"] = terms
        loss += hyper.class_weight * sum(terms)
    return Objective(loss, metrics)


def g_objective(gan: GAN, hyper: Hyper, real: DOutput, fake: DOutput, examples: Examples) -> Objective:
    """G's loss on D's outputs; `real` is read by relativistic losses and feature matching alone."""
    metrics: Metrics = {}
    if gan.d_conditioning == "class_fake":
        loss = classes.class_fake_g(fake.heads["class_fake"], examples.label)
    elif gan.label_tricks:
        loss = targeted_g(gan.loss, fake.logits, *g_targets(hyper.tricks), mean=_mean(gan))
    else:
        loss = gan.loss.g(real.logits, fake.logits, mean=_mean(gan))
    loss = hyper.g_adversarial_weight * loss
    if gan.feature_matching:
        distance = feature_matching(real.features, fake.features, mean=global_mean(gan.axis_name))
        metrics["loss/feature_matching"] = distance
        loss += hyper.regularizers["feature_matching"] * distance
    if gan.d_conditioning == "auxiliary":
        loss += hyper.class_weight * classes.cross_entropy(fake.heads["class"], examples.label)
    return Objective(loss, {"loss/g": loss, **metrics})


def penalties(
    gan: GAN, hyper: Hyper, params: Params, stats: Stats, real: Array, fake: Array, examples: Examples, key: Array
) -> Objective:
    """The gradient penalties by their weights, at examples as D sees them."""

    def apply(x: Array) -> DOutput:
        return discriminate(gan, params, stats, x, examples.label, train=False)[0]

    metrics, total = {}, jnp.zeros(())
    for name, penalty in gan.regularizers.items():
        purpose = list(REGULARIZERS).index(name)  # whatever others there are
        keys = per_example(stream(key, PENALTY, purpose), examples.indices[:: gan.packing])
        mean = global_mean(gan.axis_name) if name in COUPLED else jnp.mean
        value = penalty(apply, real, fake, keys, mean)
        metrics[f"penalty/{name}"] = value
        total += hyper.regularizers[name].astype(value.dtype) * value
    return Objective(total, metrics)


def _scores(gan: GAN, hyper: Hyper, real: DOutput, fake: DOutput) -> Metrics:
    metrics = {}
    for name, out in (("real", real), ("fake", fake)):
        score = jnp.mean(jax.nn.sigmoid(out.logits))
        metrics[f"score/{name}"] = unflip(score, hyper.tricks.flip) if gan.label_tricks else score
        metrics[f"logits/{name}"] = jnp.mean(out.logits)
    return metrics


def _mean(gan: GAN) -> Mean:
    """The loss's mean. Over the global batch only where examples meet inside of it: each collective is a meeting, and
    the mean of the devices' gradients is the gradient of their mean."""
    return global_mean(gan.axis_name) if gan.loss.coupled else jnp.mean
