from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.nn.norm import BatchNorm, ConditionalBatchNorm

X = np.random.RandomState(0).randn(8, 4, 4, 3).astype(np.float32) * [1, 2, 3] + [0, 1, 5]
MEAN, VAR = X.mean((0, 1, 2)), X.var((0, 1, 2))


def apply(x, axis_name=None, train=True):
    norm = BatchNorm(axis_name)
    variables = norm.init(jax.random.key(0), x, train=True)
    return norm.apply(variables, x, train=train, mutable=["batch_stats"])


def test_batch_norm_normalizes_by_the_batch_and_moves_its_statistics():
    y, moved = jax.jit(apply)(jnp.float32(X))
    assert_allclose(y, (X - MEAN) / np.sqrt(VAR + 1e-5), rtol=1e-4, atol=1e-5)
    stats = moved["batch_stats"]["BatchNorm_0"]
    assert_allclose(stats["mean"], 0.1 * MEAN, rtol=1e-5, atol=1e-6)
    assert_allclose(stats["var"], 0.9 + 0.1 * VAR, rtol=1e-5)


def test_batch_norm_evaluates_by_its_statistics():
    y, _ = jax.jit(partial(apply, train=False))(jnp.float32(X))
    assert_allclose(y, X / np.sqrt(1 + 1e-5), rtol=1e-5)


def test_batch_norm_over_devices_is_that_of_the_whole_batch():
    """Pooled variances: the mean of the devices' own would be smaller wherever their means differ."""
    shifted = np.float32(X + np.arange(8).reshape(8, 1, 1, 1))
    parts = shifted.reshape(4, 2, 4, 4, 3)
    y, moved = jax.pmap(partial(apply, axis_name="batch"), axis_name="batch")(parts)
    whole, whole_moved = jax.jit(apply)(shifted)
    assert_allclose(y.reshape(whole.shape), whole, rtol=1e-4, atol=1e-5)
    for device in range(4):
        jax.tree.map(lambda a, b, d=device: assert_allclose(a[d], b, rtol=1e-5), moved, whole_moved)


@pytest.mark.parametrize(("dtype", "expected"), [(jnp.bfloat16, jnp.bfloat16), (jnp.float32, jnp.float32)])
def test_batch_norm_keeps_statistics_wide(dtype, expected):
    norm = BatchNorm(None, dtype)
    x = jnp.asarray(X, dtype)
    variables = jax.eval_shape(partial(norm.init, train=True), jax.random.key(0), x)
    y, moved = jax.eval_shape(partial(norm.apply, train=True, mutable=["batch_stats"]), variables, x)
    assert y.dtype == expected
    assert {leaf.dtype for leaf in jax.tree.leaves(moved)} == {jnp.dtype("float32")}


Y = np.random.RandomState(1).randn(8, 2).astype(np.float32)


def test_conditional_batch_norm_starts_as_plain_batch_norm():
    norm = ConditionalBatchNorm()
    x = jnp.float32(X)
    y, _ = jax.jit(lambda x, y: norm.init_with_output(jax.random.key(0), x, y, train=True))(x, jnp.asarray(Y))
    assert_allclose(y, (X - MEAN) / np.sqrt(VAR + 1e-5), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 4, 4, 3), (8, 3)])
def test_conditional_batch_norm_has_a_gain_around_one_and_a_bias_for_each_example(shape):
    x = X[:, :1, :1].reshape(8, 3) if len(shape) == 2 else X
    axes = tuple(range(x.ndim - 1))
    gamma, beta = np.random.RandomState(2).randn(2, 2, 3).astype(np.float32)
    params = {"gamma": {"kernel": gamma}, "beta": {"kernel": beta}}
    norm = ConditionalBatchNorm()
    stats = {"BatchNorm_0": {"BatchNorm_0": {"mean": jnp.zeros(3), "var": jnp.ones(3)}}}
    apply = jax.jit(partial(norm.apply, train=True, mutable=["batch_stats"]))
    got, _ = apply({"params": params, "batch_stats": stats}, jnp.float32(x), jnp.asarray(Y))
    normalized = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
    gain, bias = (a.reshape(8, *(1,) * (x.ndim - 2), 3) for a in (1 + Y @ gamma, Y @ beta))
    assert_allclose(got, gain * normalized + bias, rtol=1e-4, atol=1e-5)


def test_conditional_batch_norm_is_spectrally_normalized_on_request():
    norm = ConditionalBatchNorm(None, jnp.float32, True, jax.nn.initializers.orthogonal())
    variables = jax.eval_shape(partial(norm.init, train=True), jax.random.key(0), jnp.float32(X), jnp.asarray(Y))
    assert set(variables["spectral_stats"]) == {"gamma", "beta"}


def test_conditional_norm_keeps_small_gains_in_bfloat16():
    """Gains of 0.003 are less than half a step of 1 + gamma in bfloat16."""
    norm = ConditionalBatchNorm(dtype=jnp.bfloat16)
    x, y = jnp.linspace(-1.0, 1.0, 4096, dtype=jnp.bfloat16)[:, None], jnp.ones((4096, 1))
    variables = norm.init(jax.random.key(0), x, y, train=False)
    shifted = jax.tree.map(lambda p: p, variables)
    shifted["params"]["gamma"]["kernel"] += 0.003
    plain, scaled = (norm.apply(v, x, y, train=False) for v in (variables, shifted))
    assert scaled.dtype == jnp.bfloat16
    ratio = np.abs(np.asarray(scaled, np.float64)).mean() / np.abs(np.asarray(plain, np.float64)).mean()
    assert ratio == pytest.approx(1.003, abs=1e-3)  # rounded outputs
