"""The training steps: pure functions `(gan, state, batch, key, hyper) -> (state, metrics)`.

They see one device's slice of the global batch. All that leaves a step is averaged over `gan.axis_name`, so that
replicas stay equal; all randomness is drawn per example from its index in the *global* batch, so that the number
of devices changes nothing but rounding.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.architectures import DOutput
from jaxgan.devices.collectives import global_mean, synchronize
from jaxgan.monitor.gradients import update_scalars
from jaxgan.steps.forward import (
    Batch,
    Examples,
    Generated,
    discriminate,
    discriminate_both,
    examples_of,
    generate,
    given,
    show,
)
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.objectives import Metrics, d_objective, g_objective, penalties
from jaxgan.steps.randomness import D_FAKE, D_REAL, G_FAKE, G_REAL, stream
from jaxgan.steps.state import GANState, NetState, Params, Stats, ema_update
from jaxgan.steps.update import descend, in_parts, update_net
from jaxgan.techniques.augment import ada_update
from jaxgan.techniques.infogan import HEAD, code_losses
from jaxgan.techniques.penalties import clip_params, lecam

Array = jax.Array


def sample(gan: GAN, variables: dict[str, Any], z: Array, label: Array | None = None) -> Array:
    """Images for inputs z [B, input_dim], with the statistics in `variables` (best `state.ema.variables`).

    `label` i32[B] says what they are to be of, if G was conditioned on classes.
    """
    return gan.generator.apply(variables, z, *given(label), train=False)  # type: ignore[return-value]


def d_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """One discriminator update. Generator, average and `step` leave it bit-identical.

    `key` belongs to this update alone: `train_step` derives it from the seed, the step and the update's number.
    """
    examples = examples_of(gan, batch, key)
    return _update_d(gan, state, examples, _generate(gan, state, examples).images, key, hyper)


def g_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """One generator update with its average. The discriminator leaves it bit-identical; `step` grows by one.

    With the `key` and `batch` of a D-step it sees that step's latents and real examples, as the usual loops do.
    """
    return _update_g(gan, state, examples_of(gan, batch, key), None, key, hyper)


def penalty_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """One discriminator update on the gradient penalties alone, each times `gan.interval`: lazy regularization.

    The optimizer's constants are those of `optim.lazy_adam`, in this update as in D's others (`make_hyper` sees to
    it). Karras et al. 2020, https://arxiv.org/abs/1912.04958, appendix B.
    """
    examples = examples_of(gan, batch, key)
    return _update_by_penalties(gan, state, examples, _generate(gan, state, examples).images, key, hyper)


def info_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """InfoGAN: one update of both networks on the codes' loss alone, by the optimizer in `state.aux["info"]`.

    Statistics and average stay as they are. With the `key` of a G-step it sees that step's latents and codes.
    Chen et al. 2016, https://arxiv.org/abs/1606.03657
    """
    codes = gan.codes
    if codes is None:
        raise ValueError("this game has no codes: set infogan.categorical or infogan.continuous.")
    g, d = state.generator, state.discriminator
    params = g.params, d.params

    def part(stats: Stats, e: Examples, first: bool):
        def loss_fn(params: tuple[Params, Params]) -> tuple[Array, Metrics]:
            fake = generate(gan, params[0], g.stats, e.z, e.label).images
            fake = show(gan, fake, key, G_FAKE, e.indices, state, hyper)
            heads = discriminate(gan, params[1], d.stats, fake, e.label, train=True)[0].heads
            terms = code_losses(codes, heads[HEAD], e.z)
            return hyper.info_weight * sum(terms.values(), jnp.zeros(())), terms

        grads, metrics = jax.grad(loss_fn, has_aux=True)(params)
        return grads, stats, metrics, None

    grads, _, metrics, _ = in_parts(gan.accumulate, part, {}, examples_of(gan, batch, key))
    grads, metrics = synchronize((grads, metrics), gan.axis_name)
    (g_params, d_params), opt_state = descend(
        gan.g_tx, hyper.info_optim, gan.g_schedule(state.step), grads, state.aux["info"], params
    )
    if gan.clip:  # as after each update of D
        d_params = clip_params(d_params, hyper.clip)
    state = dataclasses.replace(
        state,
        generator=dataclasses.replace(g, params=g_params),
        discriminator=dataclasses.replace(d, params=d_params),
        aux={**state.aux, "info": opt_state},
    )
    return state, metrics


def train_step(
    gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper, penalize: bool = True
) -> tuple[GANState, Metrics]:
    """`gan.d_steps_per_g_step` D-steps and one G-step, in `gan.order`; with codes, then one on them.

    Args:
      gan: static.
      state: donated by the caller who compiles this.
      batch: leaves [n, B, ...], the examples of D-step i at i.
      key: the run's seed key, the same at every step; what is drawn depends on it and on `state.step` only.
      hyper: the swept scalars.
      penalize: static; whether this is a step with the penalties, where `gan.interval` is more than 1.

    Returns:
      The next state, and the metrics of the G-step and of the last D-step.
    """
    n = gan.d_steps_per_g_step
    keys = [stream(key, state.step, i) for i in range(n)]
    batches = [jax.tree.map(lambda x, i=i: x[i], batch) for i in range(n)]
    rounds = [examples_of(gan, batch, key) for batch, key in zip(batches, keys, strict=True)]
    metrics: Metrics = {}
    if gan.order == "g_first":
        state, metrics = _update_g(gan, state, rounds[0], None, keys[0], hyper)
    # Unrolled rather than scanned: on CPU a convolution inside a scan loses its threads, and n is small.
    for examples, key in zip(rounds, keys, strict=True):
        # The generator is the same in the last D-step and in the G-step after it, and so are its latents: it runs once.
        generated = _generate(gan, state, examples)
        state, d_metrics = _update_d(gan, state, examples, generated.images, key, hyper)
        if gan.interval > 1 and penalize:
            state, more = _update_by_penalties(gan, state, examples, generated.images, key, hyper)
            d_metrics |= more
    if gan.order == "d_first":
        shared = None if gan.accumulate > 1 else generated
        state, metrics = _update_g(gan, state, rounds[-1], shared, keys[-1], hyper)
    metrics = d_metrics | metrics
    if gan.codes is not None:
        state, info = info_step(gan, state, batches[-1], keys[-1], hyper)
        metrics |= info
    return state, metrics


def _generate(gan: GAN, state: GANState, examples: Examples) -> Generated:
    return generate(gan, state.generator.params, state.generator.stats, examples.z, examples.label)


def _update_d(
    gan: GAN, state: GANState, examples: Examples, fake: Array, key: Array, hyper: Hyper
) -> tuple[GANState, Metrics]:
    """`d_step` on given examples."""

    def part(stats: Stats, operands: tuple[Examples, Array], first: bool):
        e, fake = operands
        real = show(gan, e.real, key, D_REAL, e.indices, state, hyper)
        fake = show(gan, fake, key, D_FAKE, e.indices, state, hyper)

        def loss_fn(params: Params):
            real_out, fake_out, moved, sigmas = discriminate_both(
                gan, params, stats, real, fake, e.label, move_spectral=first
            )
            loss, metrics = d_objective(gan, hyper, real_out, fake_out, e, key)
            metrics |= sigmas
            averages = state.aux.get("lecam")
            if averages is not None:
                logits = real_out.logits, fake_out.logits
                averages = averages.update(*logits, mean=global_mean(gan.axis_name))
                metrics["penalty/lecam"] = lecam(*logits, averages, relu=gan.lecam_relu)
                loss += hyper.regularizers["lecam"].astype(loss.dtype) * metrics["penalty/lecam"]
            if gan.interval == 1:
                penalty, values = penalties(gan, hyper, params, moved, real, fake, e, key)
                loss, metrics = loss + penalty.astype(loss.dtype), metrics | values
            return loss, (moved, averages, {"loss/d": loss, **metrics})

        grads, (moved, averages, metrics) = jax.grad(loss_fn, has_aux=True)(state.discriminator.params)
        return grads, moved, metrics, averages

    grads, stats, metrics, averages = in_parts(gan.accumulate, part, state.discriminator.stats, (examples, fake))
    grads, stats, metrics = synchronize((grads, stats, metrics), gan.axis_name)
    aux = dict(state.aux)
    if averages is not None:
        aux["lecam"] = averages
    if gan.ada:
        target, kimg = (jnp.asarray(x, float) for x in gan.ada[:2])
        seen = len(examples.real) * (lax.psum(1, gan.axis_name) if gan.axis_name else 1)
        aux["ada_p"] = ada_update(aux["ada_p"], metrics["ada/sign"], seen, target, kimg)
        metrics["ada/p"] = aux["ada_p"]
    d = _next_d(gan, state, grads, stats, hyper)
    metrics |= update_scalars("d", gan.layers["d"], grads, state.discriminator.params, d.params)
    return dataclasses.replace(state, discriminator=d, aux=aux), metrics


def _update_by_penalties(
    gan: GAN, state: GANState, examples: Examples, fake: Array, key: Array, hyper: Hyper
) -> tuple[GANState, Metrics]:
    """`penalty_step` on given examples."""
    stats = state.discriminator.stats

    def part(stats: Stats, operands: tuple[Examples, Array], first: bool):
        e, fake = operands
        real = show(gan, e.real, key, D_REAL, e.indices, state, hyper)
        fake = show(gan, fake, key, D_FAKE, e.indices, state, hyper)

        def loss_fn(params: Params):
            penalty, metrics = penalties(gan, hyper, params, stats, real, fake, e, key)
            return gan.interval * penalty, metrics

        grads, metrics = jax.grad(loss_fn, has_aux=True)(state.discriminator.params)
        return grads, stats, metrics, None

    grads, _, metrics, _ = in_parts(gan.accumulate, part, stats, (examples, fake))
    grads, metrics = synchronize((grads, metrics), gan.axis_name)
    return dataclasses.replace(state, discriminator=_next_d(gan, state, grads, stats, hyper)), metrics


def _next_d(gan: GAN, state: GANState, grads: Params, stats: Stats, hyper: Hyper) -> NetState:
    net = update_net(gan.d_tx, hyper.d_optim, gan.d_schedule(state.step), state.discriminator, grads, stats)
    return dataclasses.replace(net, params=clip_params(net.params, hyper.clip)) if gan.clip else net


def _update_g(
    gan: GAN, state: GANState, examples: Examples, generated: Generated | None, key: Array, hyper: Hyper
) -> tuple[GANState, Metrics]:
    """`g_step` on given examples, and on images already generated of them if there are."""
    d = state.discriminator

    def part(stats: Stats, e: Examples, first: bool):
        made = generated or generate(gan, state.generator.params, stats, e.z, e.label, move_spectral=first)

        def loss_fn(fake: Array) -> tuple[Array, Metrics]:
            def judge(x: Array, kind: int) -> DOutput:
                x = show(gan, x, key, kind, e.indices, state, hyper)
                return discriminate(gan, d.params, d.stats, x, e.label, train=True)[0]

            fake_out = judge(fake, G_FAKE)
            real_out = judge(e.real, G_REAL) if gan.reads_real else fake_out
            return g_objective(gan, hyper, real_out, fake_out, e)

        by_images, metrics = jax.grad(loss_fn, has_aux=True)(made.images)
        (grads,) = made.pullback(by_images)
        return grads, made.stats, metrics | made.sigmas, None

    grads, stats, metrics, _ = in_parts(gan.accumulate, part, state.generator.stats, examples)
    grads, stats, metrics = synchronize((grads, stats, metrics), gan.axis_name)
    generator = update_net(gan.g_tx, hyper.g_optim, gan.g_schedule(state.step), state.generator, grads, stats)
    ema = ema_update(state.ema, generator, state.step, hyper.ema_decay)
    metrics |= update_scalars("g", gan.layers["g"], grads, state.generator.params, generator.params)
    return dataclasses.replace(state, step=state.step + 1, generator=generator, ema=ema), metrics
