import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.nn.resample import downsample, upsample

pytestmark = pytest.mark.usefixtures("float64")
FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def normal(*shape):
    return np.random.RandomState(0).randn(*shape)


def test_upsample_filters_the_image_between_zeros():
    x = normal(2, 3, 5, 2)
    b, h, w, c = x.shape
    spread = np.zeros((b, 2 * h + 3, 2 * w + 3, c))  # the filter reaches two to the left and one to the right
    spread[:, 2 : 2 + 2 * h : 2, 2 : 2 + 2 * w : 2] = x
    expected = np.zeros((b, 2 * h, 2 * w, c))
    for i in range(4):
        for j in range(4):
            expected += 4 * FILTER[i, j] * spread[:, i : i + 2 * h, j : j + 2 * w]
    assert_allclose(upsample(jnp.asarray(x)), expected, rtol=1e-12, atol=1e-12)


def test_downsample_filters_and_takes_every_second_pixel():
    x = normal(2, 4, 6, 2)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(FILTER[i, j] * padded[:, i : i + 4 : 2, j : j + 6 : 2] for i in range(4) for j in range(4))
    assert_allclose(downsample(jnp.asarray(x)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_downsample_is_a_quarter_of_upsample_transposed():
    x, y = jnp.asarray(normal(1, 3, 2, 1)), jnp.asarray(normal(1, 6, 4, 1))
    (transposed,) = jax.linear_transpose(upsample, x)(y)
    assert_allclose(transposed / 4, downsample(y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("resample", [upsample, downsample])
def test_resampling_keeps_bfloat16(resample):
    assert resample(jnp.ones((1, 4, 4, 2), jnp.bfloat16)).dtype == jnp.bfloat16
