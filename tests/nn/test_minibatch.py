import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jaxgan.errors import UserError
from jaxgan.nn.minibatch import minibatch_stddev

X = np.random.RandomState(0).randn(6, 2, 4, 3).astype(np.float32)


@pytest.mark.parametrize("group", [2, 3, 6])
def test_minibatch_stddev_appends_the_mean_deviation_of_each_run(group):
    y = np.asarray(minibatch_stddev(jnp.asarray(X), group))
    assert_array_equal(y[..., :3], X)
    for start in range(0, 6, group):
        expected = X[start : start + group].std(0).mean()
        assert_allclose(y[start : start + group, ..., 3], np.full((group, 2, 4), expected), rtol=1e-5)


def test_minibatch_stddev_of_vectors():
    y = minibatch_stddev(jnp.asarray(X.reshape(6, -1)), 3)
    assert_allclose(y[:3, -1], np.full(3, X[:3].std(0).mean()), rtol=1e-5)


@pytest.mark.slow
def test_minibatch_stddev_of_equal_examples_has_a_gradient():
    value, gradient = jax.value_and_grad(lambda x: minibatch_stddev(x, 2)[0, 3])(jnp.ones((2, 3)))
    assert_allclose(value, 1e-4, rtol=1e-5)
    assert_array_equal(gradient, np.zeros((2, 3)))


def test_minibatch_stddev_keeps_small_differences_of_bfloat16():
    x = jnp.asarray([[1.0], [1.0078125]], jnp.bfloat16)
    y = minibatch_stddev(x, 2)
    assert y.dtype == jnp.bfloat16
    assert_allclose(np.float32(y[:, 1]), 0.00390625, rtol=0.01)


def test_minibatch_stddev_refuses_other_batches():
    with pytest.raises(UserError, match=r"minibatch_stddev is 4, but 6 examples do not divide into groups of 4"):
        minibatch_stddev(jnp.asarray(X), 4)
