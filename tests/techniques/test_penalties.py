from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from benchmarks.speed.flax_twins import DCGANDiscriminator
from jaxgan.architectures import ARCHITECTURES, DOutput
from jaxgan.techniques.penalties import PENALTIES, LeCamAverages, clip_params, feature_matching, lecam

W = np.array([3.0, -4.0], np.float32)
REAL, FAKE = np.float32([[1, 2], [0, 1], [5, 5], [-2, 0]]), np.float32([[0, 0], [2, 1], [3, -1], [1, 1]])
KEYS = jax.random.split(jax.random.key(3), 4)


def linear(x):
    return DOutput(x @ W, x, {})


def quadratic(x):  # gradient 2 x
    return DOutput(jnp.sum(x**2, axis=1), x, {})


def draws(n):
    """What each example's key gives, n numbers each."""
    return np.stack([jax.random.uniform(key, (n,)) for key in KEYS])


def interpolated():
    return draws(1) * REAL + (1 - draws(1)) * FAKE


def perturbed():
    return REAL + 0.5 * REAL.std() * draws(2)


def far_from_one(x):
    """(|grad D| - 1)^2 of the quadratic D."""
    return np.mean((2 * np.sqrt((x**2).sum(1)) - 1) ** 2)


# Closed forms for D(x) = w.x with |w| = 5, for D(x) = |x|^2, and for a constant D.
CLOSED = {
    "r1": (0.5 * 25.0, 0.5 * (4 * REAL**2).sum(1).mean(), 0),
    "r2": (0.5 * 25.0, 0.5 * (4 * FAKE**2).sum(1).mean(), 0),
    "wgan_gp": (16.0, far_from_one(interpolated()), 1),  # a gradient of 0 is 1 away from 1
    "dragan": (16.0, far_from_one(perturbed()), 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PENALTIES)
def test_regularizer_equals_its_closed_form(name):
    for apply, expected in zip((linear, quadratic), CLOSED[name], strict=False):
        assert_allclose(PENALTIES[name].value(apply, REAL, FAKE, KEYS), expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", PENALTIES)
def test_regularizer_of_a_constant_discriminator_has_its_value_and_no_gradient(name):
    def penalty(w):
        return PENALTIES[name].value(lambda x: DOutput(x @ w + 7, x, {}), REAL, FAKE, KEYS)

    value, gradient = jax.value_and_grad(penalty)(jnp.zeros(2))
    assert value == CLOSED[name][2]
    assert_array_equal(gradient, np.zeros(2))


@pytest.mark.slow
@pytest.mark.parametrize("name", PENALTIES)
def test_regularizer_does_not_depend_on_the_split_of_the_batch(name):
    def slice_of(real, fake, keys):
        return PENALTIES[name].value(
            quadratic, real, fake, keys, mean=lambda x, axis=None: jax.lax.pmean(jnp.mean(x, axis), "devices")
        )

    parts = [jnp.reshape(x, (2, 2, *x.shape[1:])) for x in (REAL, FAKE, KEYS)]
    found = jax.vmap(slice_of, axis_name="devices")(*parts)
    assert_allclose(found, np.full(2, CLOSED[name][1]), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", PENALTIES)
def test_regularizer_computes_narrow_examples_in_float32(name):
    value = PENALTIES[name].value(linear, jnp.bfloat16(REAL), jnp.bfloat16(FAKE), KEYS)
    assert value.dtype == jnp.float32
    assert_allclose(value, CLOSED[name][0], rtol=1e-2)


def small_dcgan(key):
    """Our discriminator, examples of both kinds, and parameters with which all units are at work."""
    discriminator = ARCHITECTURES["dcgan"].discriminator(base_features=2)
    x = jax.random.normal(key, (2, 28, 28, 1))
    params = discriminator.init(key, x, train=True)["params"]
    return discriminator, x, -x, jax.tree.map(lambda p: 20 * p.astype(x.dtype), params)


@pytest.mark.slow
@pytest.mark.parametrize("name", PENALTIES)
def test_regularizer_differentiates_through_our_convolutions(name, key, float64):
    discriminator, x, fake, params = small_dcgan(key)

    def penalty(kernel):
        changed = {**params, "Conv_0": {**params["Conv_0"], "kernel": kernel}}
        return PENALTIES[name].value(
            lambda x: discriminator.apply({"params": changed}, x, train=False), x, fake, KEYS[:2]
        )

    kernel = params["Conv_0"]["kernel"]
    direction = jax.random.normal(key, kernel.shape)
    slope = jnp.vdot(jax.grad(penalty)(kernel), direction)
    step = 1e-6
    difference = (penalty(kernel + step * direction) - penalty(kernel - step * direction)) / (2 * step)
    assert slope.dtype == jnp.float64 and slope != 0
    assert_allclose(slope, difference, rtol=1e-6)


def through_stock_layers(key):
    """WGAN-GP and its gradient by all parameters, through our layers and through stock ones."""
    discriminator, x, fake, params = small_dcgan(key)
    stock = DCGANDiscriminator(base_features=2, spectral_norm=False)

    def penalty(params, apply):
        return PENALTIES["wgan_gp"].value(lambda x: apply(params, x), x, fake, KEYS[:2])

    def ours(params, x):
        return discriminator.apply({"params": params}, x, train=False)

    def theirs(params, x):
        return DOutput(stock.apply({"params": params}, x, train=False)[:, 0], x, {})

    return [jax.value_and_grad(penalty)(params, apply) for apply in (ours, theirs)]


@pytest.mark.slow
def test_gradient_penalty_equals_that_of_stock_layers(key):
    (value, grads), (expected, expected_grads) = through_stock_layers(key)
    assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max()), grads, expected_grads)


@pytest.mark.slow
def test_gradient_penalty_equals_that_of_stock_layers_in_float64(key, float64):
    (value, grads), (expected, expected_grads) = through_stock_layers(key)
    assert value.dtype == jnp.float64
    assert_allclose(value, expected, rtol=1e-12)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-9, atol=1e-11 * np.abs(b).max()), grads, expected_grads)
    assert all(np.abs(g).max() > 0 for path, g in jax.tree_util.tree_leaves_with_path(grads) if "kernel" in str(path))


def test_lecam_equals_its_closed_form():
    averages = LeCamAverages(jnp.float32(2), jnp.float32(-1), jnp.float32(1))
    r, f = np.float32([1, 3]), np.float32([0, -2])
    assert_allclose(lecam(r, f, averages), ((r + 1) ** 2).mean() + ((f - 2) ** 2).mean(), rtol=1e-6)


def test_lecam_with_relu_leaves_out_the_wrong_side_of_the_other_average():
    averages = LeCamAverages(jnp.float32(2), jnp.float32(-1), jnp.float32(1))
    r, f = jnp.float32([3, -2]), jnp.float32([0, 5])  # -2 is below a_F = -1, and 5 above a_R = 2
    value, (of_r, of_f) = jax.value_and_grad(partial(lecam, averages=averages, relu=True), (0, 1))(r, f)
    assert_allclose(value, (3 + 1) ** 2 / 2 + (2 - 0) ** 2 / 2)
    assert_allclose((of_r, of_f), ([3 + 1, 0], [0 - 2, 0]))


def test_lecam_averages_are_weighted_means_of_all_they_saw():
    batches = np.random.RandomState(0).randn(5, 2, 8).astype(np.float32)
    averages = LeCamAverages.start()
    for t, (r, f) in enumerate(batches, start=1):
        averages = averages.update(r, f, 0.9)
        weights = 0.9 ** np.arange(t)[::-1]
        expected = np.average(batches[:t].mean(2), axis=0, weights=weights)
        assert_allclose((averages.real, averages.fake), expected, rtol=1e-5)
        assert_allclose(averages.weight, 1 - 0.9**t, rtol=1e-5)


def test_lecam_averages_pass_no_gradient():
    def loss(r):
        return lecam(r, r, LeCamAverages.start().update(r, r))

    r = jnp.float32([1.0, 3.0])  # both averages are 2
    assert_allclose(jax.grad(loss)(r), 2 * (r - 2) / 2 * 2, rtol=1e-6)


def test_feature_matching_equals_its_closed_form():
    rng = np.random.RandomState(0)
    real, fake = rng.randn(4, 2, 3).astype(np.float32), rng.randn(6, 2, 3).astype(np.float32)
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    assert_allclose(feature_matching(real, fake), expected, rtol=1e-5)
    assert feature_matching(real, real[::-1]) < 1e-12  # whatever the order


def test_feature_matching_takes_its_means_over_all_devices():
    rng = np.random.RandomState(0)
    real, fake = rng.randn(2, 4, 3).astype(np.float32)
    found = jax.vmap(
        lambda r, f: feature_matching(r, f, lambda x, axis: jax.lax.pmean(jnp.mean(x, axis), "devices")),
        axis_name="devices",
    )(real.reshape(2, 2, 3), fake.reshape(2, 2, 3))
    assert_allclose(found, np.full(2, ((real.mean(0) - fake.mean(0)) ** 2).sum()), rtol=1e-5)


def test_clip_params_leaves_what_is_inside():
    params = {"w": jnp.float32([-3, -0.01, 0.005, 2]), "b": jnp.bfloat16([0.5])}
    clipped = clip_params(params, jnp.float32(0.01))
    assert_array_equal(clipped["w"], np.float32([-0.01, -0.01, 0.005, 0.01]))
    assert clipped["b"].dtype == jnp.bfloat16
    assert_allclose(np.float32(clipped["b"]), [0.01], rtol=1e-2)


def test_each_penalty_has_a_random_stream_of_its_own_for_ever():
    """Changing one of these numbers changes what resumed runs draw."""
    assert {name: penalty.stream for name, penalty in PENALTIES.items()} == {
        "r1": 0,
        "r2": 1,
        "wgan_gp": 2,
        "dragan": 3,
    }
