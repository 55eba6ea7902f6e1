"""Updates the generator: its loss, and the update that minimizes it."""

from __future__ import annotations

import dataclasses

import jax

from jaxgan.architectures import DOutput
from jaxgan.devices.collectives import global_mean
from jaxgan.monitor.gradients import update_scalars
from jaxgan.steps.forward import (
    Batch,
    Generated,
    Metrics,
    Objective,
    Update,
    examples_of,
    generate,
    loss_mean,
    score,
    show,
)
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.randomness import G_FAKE, G_REAL
from jaxgan.steps.state import GANState, Stats, ema_update
from jaxgan.steps.update import over_batch, update_net
from jaxgan.techniques import classes
from jaxgan.techniques.label_tricks import g_targets
from jaxgan.techniques.losses import targeted_g
from jaxgan.techniques.penalties import feature_matching

Array = jax.Array


def g_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """Updates the generator and its average once, and adds one to `step`. The discriminator stays bit-identical.

    Given the `key` and `batch` of a D-step, it sees that step's latents and real examples, as in the usual loops.

    Args:
      gan: static.
      state: its `step` decides the learning rate, the strength of instance noise and the warm-up of the average.
      batch: leaves [B, ...]; the images are read by losses that compare real with generated examples, the labels by
        conditional networks, and the size decides how many examples are generated.
      key: of this update alone.
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
    >>> state, metrics = jax.jit(partial(g_step, gan))(state, batch, jax.random.key(2), hyper)
    >>> int(state.step), "loss/d" in metrics, "loss/g" in metrics
    (1, False, True)
    """
    return update_g(gan, state, Update(examples_of(gan, batch, key), key, state.step, hyper))


def update_g(gan: GAN, state: GANState, update: Update, generated: Generated | None = None) -> tuple[GANState, Metrics]:
    """Makes the update of `g_step`, on examples already generated for it if there are any."""
    g, d = state.generator, state.discriminator

    def part(stats: Stats, update: Update, first: bool):
        e = update.examples
        made = generated or generate(gan, g.params, stats, e.z, e.label, move_spectral=first)

        def judge(kind: int, x: Array) -> DOutput:
            return show(gan, state, update, d.params, d.stats, {kind: x}).outputs[0]

        def loss(images: Array) -> Objective:
            fake = judge(G_FAKE, images)
            real = judge(G_REAL, e.real) if gan.reads_real else fake
            return g_objective(gan, update, real, fake)

        by_images, metrics = jax.grad(loss, has_aux=True)(made.images)
        (grads,) = made.pullback(by_images)
        return grads, made.stats, metrics | made.sigmas

    grads, stats, metrics = over_batch(gan, part, g.stats, update)
    new = update_net(gan.g_tx, update.hyper.g_optim, gan.g_schedule(update.step), g, grads, stats)
    ema = ema_update(state.ema, new, update.step, update.hyper.ema_decay)
    metrics |= update_scalars("g", gan.layers["g"], grads, g.params, new.params)
    return dataclasses.replace(state, step=state.step + 1, generator=new, ema=ema), metrics


def g_objective(gan: GAN, update: Update, real: DOutput, fake: DOutput) -> Objective:
    """Computes G's loss on D's outputs; only relativistic losses and feature matching read `real`."""
    hyper, metrics = update.hyper, {}
    if gan.order == "d_first":  # D has just been updated
        metrics["score/fake_after"] = score(gan, hyper, fake)
        if gan.reads_real:
            metrics["score/real_after"] = score(gan, hyper, real)
    if gan.d_conditioning == "class_fake":
        adversarial = classes.class_fake_g(fake.heads["class_fake"], update.examples.label)
    elif gan.label_tricks:
        adversarial = targeted_g(gan.loss, fake.logits, *g_targets(hyper.tricks), mean=loss_mean(gan))
    else:
        adversarial = gan.loss.g(real.logits, fake.logits, mean=loss_mean(gan))
    if gan.d_conditioning == "auxiliary" or gan.feature_matching:
        metrics["loss/g_adversarial"] = adversarial
    loss = hyper.g_adversarial_weight * adversarial
    if gan.feature_matching:
        distance = feature_matching(real.features, fake.features, mean=global_mean(gan.axis_name))
        metrics["loss/feature_matching"] = distance
        loss += hyper.penalty_weights["feature_matching"] * distance
    if gan.d_conditioning == "auxiliary":
        metrics["loss/g_class"] = classes.cross_entropy(fake.heads["class"], update.examples.label)
        loss += hyper.class_weight * metrics["loss/g_class"]
    return Objective(loss, {"loss/g": loss, **metrics})
