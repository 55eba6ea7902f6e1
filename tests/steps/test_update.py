"""Gradients of parts of a batch, and the updates made of them by hand."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support.games import batches, first, game, same, small

from jaxgan.architectures import DOutput
from jaxgan.steps import d_step, g_step, penalty_step, train_step
from jaxgan.steps.forward import Examples, Update, examples_of, generate
from jaxgan.steps.gan import make_hyper
from jaxgan.steps.update import in_parts
from jaxgan.techniques.optim import lazy_adam


@pytest.mark.parametrize("m", [1, 2, 4])
def test_parts_average_gradients_and_metrics_and_pass_statistics_on(m, key):
    seen = []

    def part(stats, update, first):
        x = update.examples.real
        assert update.key is key
        seen.append(first)
        return {"w": x.mean(0)}, stats + x.sum(), {"loss": jnp.square(x).mean()}

    x = jnp.float32(np.random.RandomState(0).randn(8, 3))
    update = Update(Examples(x, None, x, jnp.arange(8)), key, jnp.int32(0), None)
    grads, stats, metrics = in_parts(m, part, jnp.zeros(()), update)
    assert_allclose(grads["w"], x.mean(0), rtol=1e-5)
    assert_allclose(stats, x.sum(), rtol=1e-5)
    assert_allclose(metrics["loss"], jnp.square(x).mean(), rtol=1e-5)
    assert seen[0] and not any(seen[1:])


@pytest.mark.parametrize("group", [1, 2])
def test_parts_are_the_same_examples_of_the_batch_on_any_number_of_devices(group, key):
    """Each of c devices holds a slice of the batch; what their i-th parts hold together does not depend on c."""

    def parts(indices):
        seen = []

        def part(moving, update, first):
            seen.append(update.examples.indices)
            return (), (), ()

        with jax.disable_jit():
            in_parts(2, part, (), Update(Examples(None, None, None, indices), key, None, None), group)
        return [set(map(int, x)) for x in seen]

    whole = parts(jnp.arange(16))
    halves = [parts(x) for x in jnp.split(jnp.arange(16), 2)]
    assert [a | b for a, b in zip(*halves, strict=True)] == whole and len(whole[0] & whole[1]) == 0
    assert all(i ^ 1 in half for half in whole for i in half) == (group == 2)


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_penalty_step_descends_on_the_interval_times_the_penalty(key):
    """Adam with b1 = 0 and eps = 1, whose step is then g / (|g| + 1), on a gradient that grows by the interval."""

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


@pytest.mark.slow
def test_d_step_knows_of_penalties_only_where_they_are_in_every_step(key):
    batch = first(batches(1))
    losses = []
    for interval in (1, 5):
        gan, state, hyper = game(small(**{**PENALTY, "regularizers__interval": interval}))
        _, metrics = d_step(gan, state, batch, key, hyper)
        assert ("penalty/r1" in metrics) == (interval == 1)
        losses.append(metrics["loss/d"] - 3 * metrics.get("penalty/r1", 0))
    assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.slow
def test_penalty_step_leaves_statistics_alone(key):
    gan, state, hyper = game(small(**PENALTY))
    new, _ = penalty_step(gan, state, first(batches(1)), key, hyper)
    assert same(new.discriminator.stats, state.discriminator.stats)
    assert same(dataclasses.replace(new, discriminator=state.discriminator), state)


class Square(nn.Module):
    """A discriminator whose logit is the mean square of an image, so that mean logits tell batches of images apart."""

    @nn.compact
    def __call__(self, x, *, train):
        w = self.param("w", nn.initializers.ones, ())
        return DOutput(w * jnp.square(x).mean((1, 2, 3)), x.reshape(len(x), -1), {})


@pytest.mark.slow
@pytest.mark.parametrize("step", [d_step, g_step])
def test_parts_are_generated_alone_in_both_networks_steps(step, key):
    """Batch norm of G sees one part at a time: the examples of a part are those of a pass over that part alone."""
    gan, state, hyper = game(small(train__accumulate=4, loss__name="wasserstein"), discriminator=Square())
    batch = first(batches(1))
    _, metrics = jax.jit(partial(step, gan))(state, batch, key, hyper)
    g, examples = state.generator, examples_of(gan, batch, key)

    def mean_logit(z):
        return float(jnp.square(generate(gan, g.params, g.stats, z, None).images).mean())

    alone = np.mean([mean_logit(z) for z in (examples.z[i::4] for i in range(4))])
    found = metrics["logits/fake"] if step is d_step else -metrics["loss/g"]
    assert_allclose(found, alone, rtol=1e-5)
    assert abs(alone - mean_logit(examples.z)) > 1e-3


@pytest.mark.slow
def test_no_pass_of_a_step_in_parts_generates_more_than_a_part(key, monkeypatch):
    sizes = []

    class Generator(nn.Module):
        @nn.compact
        def __call__(self, z, *, train):
            sizes.append(len(z))
            return jnp.tanh(nn.Dense(64)(z)).reshape(-1, 8, 8, 1)

    options = {"regularizers__r1": 1.0, "regularizers__interval": 2, "monitor__layers": False}
    gan, state, hyper = game(small(train__accumulate=4, **options), generator=Generator())
    sizes.clear()
    jax.eval_shape(partial(train_step, gan), state, batches(1), key, hyper)
    assert sizes and set(sizes) == {2}


@pytest.mark.slow
@pytest.mark.parametrize(("platform", "loops"), [("cpu", 0), ("cuda", 3)])
def test_parts_are_a_loop_on_accelerators_and_none_on_a_cpu(platform, loops, key):
    """Whatever platform the program is made on: a loop saves memory, but slows convolutions down on a CPU."""
    options = {"model__d_spectral_norm": False, "regularizers__r1": 1.0, "regularizers__interval": 2}
    found = []
    for parts in (1, 4):
        gan, state, hyper = game(small(train__accumulate=parts, **options))
        program = jax.export.export(jax.jit(partial(train_step, gan)), platforms=[platform])
        found.append(program(state, batches(1), key, hyper).mlir_module().count("stablehlo.while"))
    assert found[1] - found[0] == loops  # of D's update, of its penalties and of G's update
