import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.architectures import ARCHITECTURES, DOutput
from jaxgan.regularizers import REGULARIZERS

W = np.array([3.0, -4.0], np.float32)
REAL, FAKE = np.float32([[1, 2], [0, 1], [5, 5]]), np.float32([[0, 0], [2, 1], [3, -1]])


def linear(x):
    return DOutput(x @ W, x, {})


def quadratic(x):  # gradient 2 x
    return DOutput(jnp.sum(x**2, axis=1), x, {})


# Closed forms for D(x) = w.x and D(x) = |x|^2.
CLOSED = {
    "r1": (0.5 * 25.0, 0.5 * (4 * REAL**2).sum(1).mean()),
    "r2": (0.5 * 25.0, 0.5 * (4 * FAKE**2).sum(1).mean()),
}


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizer_equals_its_closed_form(name, key):
    for apply, expected in zip((linear, quadratic), CLOSED[name], strict=True):
        assert_allclose(REGULARIZERS[name](apply, REAL, FAKE, key), expected, rtol=1e-6)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizer_of_a_constant_discriminator_is_zero(name, key):
    assert REGULARIZERS[name](lambda x: DOutput(0 * x[:, 0] + 7, x, {}), REAL, FAKE, key) == 0


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizer_differentiates_through_our_convolutions(name, key, float64):
    discriminator = ARCHITECTURES["dcgan"].discriminator(base_features=2)
    x = jax.random.normal(key, (2, 28, 28, 1))
    fake = -x
    variables = discriminator.init(key, x, train=True)
    variables = jax.tree.map(lambda p: 20 * jnp.float64(p), variables)

    def penalty(kernel):
        params = {**variables["params"], "Conv_0": {**variables["params"]["Conv_0"], "kernel": kernel}}
        return REGULARIZERS[name](lambda x: discriminator.apply({"params": params}, x, train=False), x, fake, key)

    kernel = variables["params"]["Conv_0"]["kernel"]
    direction = jax.random.normal(key, kernel.shape)
    slope = jnp.vdot(jax.grad(penalty)(kernel), direction)
    step = 1e-6
    difference = (penalty(kernel + step * direction) - penalty(kernel - step * direction)) / (2 * step)
    assert slope.dtype == jnp.float64 and slope != 0
    assert_allclose(slope, difference, rtol=1e-6)
