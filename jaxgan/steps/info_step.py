"""Updates both networks on InfoGAN's codes."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxgan.steps.forward import Batch, Metrics, Update, examples_of, generate, show
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.randomness import G_FAKE
from jaxgan.steps.state import GANState, Params
from jaxgan.steps.update import descend, gradients
from jaxgan.techniques.infogan import HEAD, code_losses
from jaxgan.techniques.penalties import clip_params

Array = jax.Array


def info_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """Updates both networks once on the codes' loss alone, by the optimizer in `state.aux["info"]`.

    Statistics, average and `step` stay as they are. Given the `key` of a G-step, it sees that step's latents and codes.
    Chen et al. 2016, https://arxiv.org/abs/1606.03657

    Raises:
      ValueError: the game has no codes.
    """
    return update_by_codes(gan, state, Update(examples_of(gan, batch, key), key, state.step, hyper))


def update_by_codes(gan: GAN, state: GANState, update: Update) -> tuple[GANState, Metrics]:
    """Makes the update of `info_step`."""
    codes = gan.codes
    if codes is None:
        raise ValueError("this game has no codes: set infogan.categorical or infogan.continuous.")
    g, d, hyper = state.generator, state.discriminator, update.hyper

    def loss(params: tuple[Params, Params], moving: None, update: Update, first: bool):
        e = update.examples
        fake = generate(gan, params[0], g.stats, e.z, e.label).images
        (out,) = show(gan, state, update, params[1], d.stats, {G_FAKE: fake}).outputs
        terms = code_losses(codes, out.heads[HEAD], e.z)
        return hyper.info_weight * sum(terms.values(), jnp.zeros(())), (None, terms)

    params = g.params, d.params
    grads, _, metrics = gradients(gan, loss, params, None, update)
    factor = gan.g_schedule(update.step)
    (g_params, d_params), optimizer = descend(gan.g_tx, hyper.info_optim, factor, grads, state.aux["info"], params)
    if gan.clip:  # as after every update of D
        d_params = clip_params(d_params, hyper.clip)
    state = dataclasses.replace(
        state,
        generator=dataclasses.replace(g, params=g_params),
        discriminator=dataclasses.replace(d, params=d_params),
        aux={**state.aux, "info": optimizer},
    )
    return state, metrics
