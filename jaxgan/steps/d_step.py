"""Updates the discriminator: its loss, its penalties, and the updates that minimize them."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.architectures import DOutput
from jaxgan.devices.collectives import global_mean
from jaxgan.monitor.gradients import update_scalars
from jaxgan.steps.forward import (
    Batch,
    Generated,
    Metrics,
    Objective,
    Update,
    as_seen,
    discriminate,
    examples_of,
    generate_for,
    loss_mean,
    pack,
    score,
    show,
    unpack,
)
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.randomness import D_FAKE, D_REAL, PENALTY, TARGETS, per_example, stream
from jaxgan.steps.state import GANState, NetState, Params, Stats
from jaxgan.steps.update import gradients, update_net
from jaxgan.techniques import classes
from jaxgan.techniques.augment import Ada, ada_update
from jaxgan.techniques.label_tricks import d_targets
from jaxgan.techniques.losses import d_terms, targeted_d
from jaxgan.techniques.penalties import LeCamAverages, clip_params, lecam

Array = jax.Array


def d_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """Updates the discriminator once. The generator, its average and `step` stay bit-identical.

    Args:
      gan: static.
      state: its `step` decides the learning rate and the strength of instance noise.
      batch: leaves [B, ...], the real examples.
      key: of this update alone; `train_step` derives it from the seed, the step and the update's number.
      hyper: the swept scalars.

    Returns:
      The next state, and the scalars to log.

    >>> from functools import partial
    >>> import jax, jaxgan
    >>> config = jaxgan.Config.from_dict({
    ...     "data": {"source": "synthetic", "name": "ring"},
    ...     "model": {"architecture": "mlp", "output": "linear", "base_features": 4, "channel_multipliers": (1,)},
    ... })
    >>> gan, hyper = jaxgan.build(config, shape=(2,)), jaxgan.make_hyper(config)
    >>> state = jax.jit(partial(jaxgan.init, gan))(jax.random.key(0))
    >>> batch = {"image": jax.random.normal(jax.random.key(1), (8, 2))}
    >>> state, metrics = jax.jit(partial(d_step, gan))(state, batch, jax.random.key(2), hyper)
    >>> int(state.step), "loss/d" in metrics, "loss/g" in metrics
    (0, True, False)
    """
    return update_d(gan, state, Update(examples_of(gan, batch, key), key, state.step, hyper))


def penalty_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """Updates the discriminator once on the gradient penalties alone, each times `gan.interval`.

    This is lazy regularization. The optimizer's constants are those of `optim.lazy_adam`, in this update as in D's
    others (`make_hyper` sees to it). Karras et al. 2020, https://arxiv.org/abs/1912.04958, appendix B.
    """
    return penalize_d(gan, state, Update(examples_of(gan, batch, key), key, state.step, hyper))


def update_d(gan: GAN, state: GANState, update: Update, generated: Generated | None = None) -> tuple[GANState, Metrics]:
    """Makes the update of `d_step`, on examples already generated for it if there are any."""
    d = state.discriminator

    def loss(params: Params, moving: Moving, update: Update, first: bool) -> tuple[Array, tuple[Moving, Metrics]]:
        stats, averages = moving
        real, fake = update.examples.real, _fake(gan, state, update, generated)
        shown = show(gan, state, update, params, stats, {D_REAL: real, D_FAKE: fake}, move_spectral=first)
        real_out, fake_out = shown.outputs
        total, metrics = d_objective(gan, update, real_out, fake_out)
        metrics |= shown.sigmas
        if averages is not None:
            averages = averages.update(real_out.logits, fake_out.logits, mean=global_mean(gan.axis_name))
            metrics["penalty/lecam"] = lecam(real_out.logits, fake_out.logits, averages, relu=gan.lecam_relu)
            total += update.hyper.penalty_weights["lecam"].astype(total.dtype) * metrics["penalty/lecam"]
        if gan.interval == 1:
            penalty, values = penalties(gan, state, update, params, shown.stats, fake)
            total, metrics = total + penalty.astype(total.dtype), metrics | values
        return total, (Moving(shown.stats, averages), {"loss/d": total, **metrics})

    before = Moving(d.stats, state.aux.get("lecam"))
    grads, (stats, averages), metrics = gradients(gan, loss, d.params, before, update)
    aux = dict(state.aux)
    if averages is not None:
        aux["lecam"] = averages
    if gan.ada is not None:
        aux |= _next_ada(gan, gan.ada, update, aux, metrics["ada/sign"])
        metrics["ada/p"] = aux["ada_p"]
    new = _next_d(gan, state, update, grads, stats)
    metrics |= update_scalars("d", gan.layers["d"], grads, d.params, new.params)
    return dataclasses.replace(state, discriminator=new, aux=aux), metrics


def penalize_d(
    gan: GAN, state: GANState, update: Update, generated: Generated | None = None
) -> tuple[GANState, Metrics]:
    """Makes the update of `penalty_step`, on examples already generated for it if there are any."""
    d = state.discriminator

    def loss(params: Params, moving: None, update: Update, first: bool) -> tuple[Array, tuple[None, Metrics]]:
        total, metrics = penalties(gan, state, update, params, d.stats, _fake(gan, state, update, generated))
        return gan.interval * total, (None, metrics)

    grads, _, metrics = gradients(gan, loss, d.params, None, update)
    return dataclasses.replace(state, discriminator=_next_d(gan, state, update, grads, d.stats)), metrics


class Moving(NamedTuple):
    """Holds what an update of D moves besides its parameters, from one part of a batch to the next."""

    stats: Stats
    averages: LeCamAverages | None


def _fake(gan: GAN, state: GANState, update: Update, generated: Generated | None) -> Array:
    """Returns the generated examples of an update, or of a part of it."""
    return (generated or generate_for(gan, state, update.examples)).images


def _next_d(gan: GAN, state: GANState, update: Update, grads: Params, stats: Stats) -> NetState:
    """Takes D's optimizer step, and clips its parameters where the game does."""
    factor = gan.d_schedule(update.step)
    d = update_net(gan.d_tx, update.hyper.d_optim, factor, state.discriminator, grads, stats)
    return dataclasses.replace(d, params=clip_params(d.params, update.hyper.clip)) if gan.clip else d


def _next_ada(gan: GAN, ada: Ada, update: Update, aux: dict[str, Any], sign: Array) -> dict[str, Any]:
    """Counts one more minibatch's mean sign for ADA, and moves its probability where that is due."""
    p, target, kimg = aux["ada_p"], jnp.asarray(ada.target, float), jnp.asarray(ada.kimg, float)
    examples = len(update.examples.real) * (lax.psum(1, gan.axis_name) if gan.axis_name else 1)
    if ada.interval == 1:
        return {"ada_p": ada_update(p, sign, examples, target, kimg)}
    signs = aux["ada_signs"].add(sign)
    due = signs.minibatches >= ada.interval
    moved = ada_update(p, signs.mean, examples * ada.interval, target, kimg)
    return {"ada_p": jnp.where(due, moved, p), "ada_signs": signs.emptied(due)}


def d_objective(gan: GAN, update: Update, real: DOutput, fake: DOutput) -> Objective:
    """Computes D's loss on its outputs, without penalties."""
    metrics: Metrics = {}
    for name, out in (("real", real), ("fake", fake)):
        metrics[f"score/{name}"] = score(gan, update.hyper, out)
        metrics[f"logits/{name}"] = jnp.mean(out.logits)
    metrics |= _accuracies(gan, update.hyper, real, fake)
    loss, terms = _adversarial(gan, update, real, fake)
    if terms is not None:
        metrics["loss/d_real"], metrics["loss/d_fake"] = terms
        metrics["loss/d_halved"] = loss / 2
    if gan.d_conditioning == "auxiliary" or gan.lecam or (gan.penalties and gan.interval == 1):
        metrics["loss/d_adversarial"] = loss
    if gan.d_conditioning == "auxiliary":
        by_class = [classes.cross_entropy(out.heads["class"], update.examples.label) for out in (real, fake)]
        metrics["loss/class_real"], metrics["loss/class_fake"] = by_class
        loss += update.hyper.class_weight * sum(by_class)
    return Objective(loss, metrics)


def _adversarial(gan: GAN, update: Update, real: DOutput, fake: DOutput) -> tuple[Array, tuple[Array, Array] | None]:
    """Computes the adversarial loss, and the terms of real and of generated examples where it is their sum."""
    examples = update.examples
    if gan.d_conditioning == "class_fake":
        terms = classes.class_fake_d(real.heads["class_fake"], fake.heads["class_fake"], examples.label)
        return terms[0] + terms[1], terms
    logits, mean = (real.logits, fake.logits), loss_mean(gan)
    if not gan.label_tricks:
        return gan.loss.d(*logits, mean=mean), d_terms(gan.loss, *logits, mean=mean)
    keys = per_example(stream(update.key, TARGETS), examples.indices[:: gan.packing])
    targets = d_targets(update.hyper.tricks, keys)
    return targeted_d(gan.loss, *logits, *targets, mean=mean), d_terms(gan.loss, *logits, *targets, mean=mean)


def penalties(gan: GAN, state: GANState, update: Update, params: Params, stats: Stats, fake: Array) -> Objective:
    """Sums the gradient penalties by their weights, each at examples as D sees them or before augmentation.

    Before augmentation, the penalized function is D of the augmented image and the gradient passes through the
    augmentation, so that a box that is erased adds nothing. See `GAN.before_augmentation`.

    Args:
      gan: static.
      state: for ADA's probability.
      update: for its real examples, its randomness and the weights.
      params, stats: of D; the statistics do not move.
      fake: the generated examples, [n, ...].
    """
    examples = {D_REAL: update.examples.real, D_FAKE: fake}
    seen = [as_seen(gan, state, update, kind, x) for kind, x in examples.items()]

    def judge(x: Array) -> DOutput:
        return discriminate(gan, params, stats, x, update.examples.label, train=False)[0]

    def judge_augmented(kind: int, x: Array) -> DOutput:
        return judge(as_seen(gan, state, update, kind, unpack(x, gan.packing)))

    metrics, total = {}, jnp.zeros(())
    for name, penalty in gan.penalties.items():
        apply, points = judge, seen
        if gan.before_augmentation and penalty.at:
            apply = partial(judge_augmented, {"real": D_REAL, "fake": D_FAKE}[penalty.at])
            points = [pack(x, gan.packing) for x in examples.values()]
        keys = per_example(stream(update.key, PENALTY, penalty.stream), update.examples.indices[:: gan.packing])
        value = penalty.value(apply, *points, keys, global_mean(gan.axis_name) if penalty.coupled else jnp.mean)
        metrics[f"penalty/{name}"] = value
        total += update.hyper.penalty_weights[name].astype(value.dtype) * value
    return Objective(total, metrics)


def _accuracies(gan: GAN, hyper: Hyper, real: DOutput, fake: DOutput) -> Metrics:
    """Measures the shares of real and of generated examples that D tells rightly, and the sign that ADA reads."""
    if gan.loss.boundary is None:
        return {}
    sides = [jnp.sign(out.logits - gan.loss.boundary) for out in (real, fake)]
    if gan.label_tricks:
        sides = [jnp.where(hyper.tricks.flip > 0, -side, side) for side in sides]
    metrics = {"accuracy/real": jnp.mean(sides[0] > 0), "accuracy/fake": jnp.mean(sides[1] < 0)}
    return metrics | ({"ada/sign": jnp.mean(sides[0])} if gan.ada else {})
