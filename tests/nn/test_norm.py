from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.nn.norm import BatchNorm

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
