"""Gradients of parts of a batch, and the updates made of them by hand."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support.games import batches, first, game, same, small

from jaxgan.steps import d_step, penalty_step, train_step
from jaxgan.steps.gan import make_hyper
from jaxgan.steps.update import in_parts
from jaxgan.techniques.optim import lazy_adam


@pytest.mark.parametrize("m", [1, 2, 4])
def test_parts_average_gradients_and_metrics_and_pass_statistics_on(m):
    seen = []

    def part(stats, x, first):
        seen.append(first)
        return {"w": x.mean(0)}, stats + x.sum(), {"loss": jnp.square(x).mean()}, x[0]

    x = jnp.float32(np.random.RandomState(0).randn(8, 3))
    grads, stats, metrics, more = in_parts(m, part, jnp.zeros(()), x)
    assert_allclose(grads["w"], x.mean(0), rtol=1e-5)
    assert_allclose(stats, x.sum(), rtol=1e-5)
    assert_allclose(metrics["loss"], jnp.square(x).mean(), rtol=1e-5)
    assert_allclose(more, x[0])
    assert seen[0] and not any(seen[1:])


def wide(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64) if x.dtype == jnp.float32 else x, tree)


APART = {
    "model__g_batch_norm": False,
    "model__g_spectral_norm": True,
    "model__minibatch_stddev": 2,
    "targets__noisy_real": 0.3,
    "augment__policy": ("cutout",),
    "augment__ada": True,
    "regularizers__r1": 1.0,
    "regularizers__interval": 2,
    "infogan__categorical": (3,),
}


def test_parts_of_a_batch_make_the_step_of_the_whole(float64):
    """Without batch norm, and in float64: the order of sums is all that differs."""
    results = []
    for m in (1, 2, 4):
        gan, state, hyper = game(small(train__accumulate=m, **APART))
        step = jax.jit(partial(train_step, gan))
        results.append(step(wide(state), wide(jax.tree.map(jnp.asarray, batches(1))), jax.random.key(0), hyper))
    assert results[0][0].discriminator.params["Dense_0"]["kernel"].dtype == jnp.float64
    for found in results[1:]:
        jax.tree.map(partial(assert_allclose, rtol=1e-9, atol=1e-11), found, results[0])


PENALTY = {"model__g_batch_norm": False, "regularizers__r1": 3.0, "regularizers__interval": 5}


def test_penalty_step_descends_on_the_interval_times_the_penalty(key):
    """Adam with b1 = 0 and eps = 1, whose step is then g / (|g| + 1), on a gradient that grows by the interval."""
    import flax.linen as nn

    from jaxgan.architectures import DOutput

    class Line(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            w = self.param("w", nn.initializers.constant(0.5), (64,))
            return DOutput(x.reshape(len(x), -1) @ w, x, {})

    adam = {"d_optim__learning_rate": 0.1, "d_optim__b1": 0.0, "d_optim__b2": 0.0, "d_optim__eps": 1.0}
    gan, state, hyper = game(small(model__d_spectral_norm=False, **PENALTY, **adam), discriminator=Line())
    new, metrics = penalty_step(gan, state, first(batches(1)), key, hyper)
    assert_allclose(metrics["penalty/r1"], 0.5 * 64 * 0.25, rtol=1e-5)  # |w|^2 / 2
    slope = 5 * 3.0 * 0.5  # interval x weight x w
    rate = 0.1 * 5 / 6
    assert_allclose(new.discriminator.params["w"], 0.5 - rate * slope / (slope + 1), rtol=1e-5)
    assert same((new.generator, new.ema, new.step), (state.generator, state.ema, state.step))


def test_lazy_optimizer_is_that_of_d_alone_and_of_all_its_updates():
    lazy, plain = make_hyper(small(**PENALTY)), make_hyper(small(**{**PENALTY, "regularizers__interval": 1}))
    jax.tree.map(assert_allclose, lazy.d_optim, lazy_adam(plain.d_optim, 5))
    assert_allclose(lazy.d_optim.learning_rate, 2e-4 * 5 / 6, rtol=1e-6)
    assert_allclose(lazy.d_optim.b2, 0.999 ** (5 / 6), rtol=1e-6)
    assert same(lazy.g_optim, plain.g_optim)


def test_d_step_knows_of_penalties_only_where_they_are_in_every_step(key):
    batch = first(batches(1))
    losses = []
    for interval in (1, 5):
        gan, state, hyper = game(small(**{**PENALTY, "regularizers__interval": interval}))
        _, metrics = d_step(gan, state, batch, key, hyper)
        assert ("penalty/r1" in metrics) == (interval == 1)
        losses.append(metrics["loss/d"] - 3 * metrics.get("penalty/r1", 0))
    assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_penalty_step_leaves_statistics_alone(key):
    gan, state, hyper = game(small(**PENALTY))
    new, _ = penalty_step(gan, state, first(batches(1)), key, hyper)
    assert same(new.discriminator.stats, state.discriminator.stats)
    assert same(dataclasses.replace(new, discriminator=state.discriminator), state)
