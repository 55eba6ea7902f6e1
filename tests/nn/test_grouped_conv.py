from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.errors import UserError
from jaxgan.nn.conv import conv, grouped_conv
from jaxgan.nn.layers import Conv


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("size", [1, 3])
def test_grouped_convolution_is_one_convolution_per_group(size):
    rng = np.random.RandomState(0)
    x, kernel = (jnp.asarray(rng.randn(*shape)) for shape in ((2, 5, 4, 6), (size, size, 2, 9)))
    parts = [conv(x[..., 2 * i : 2 * i + 2], kernel[..., 3 * i : 3 * i + 3]) for i in range(3)]
    assert_allclose(grouped_conv(x, kernel, 3), jnp.concatenate(parts, -1), rtol=1e-12, atol=1e-12)


def test_grouped_convolution_refuses_even_kernels():
    with pytest.raises(UserError, match="odd kernel, not 4x4"):
        grouped_conv(jnp.ones((1, 4, 4, 2)), jnp.ones((4, 4, 1, 2)), 2)


def test_layer_starts_with_the_fan_in_of_its_group():
    layer = Conv(64, 3, groups=8, kernel_init=jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal"))
    kernel = jax.jit(partial(layer.init, train=True))(jax.random.key(0), jnp.ones((1, 2, 2, 64)))["params"]["kernel"]
    assert kernel.shape == (3, 3, 8, 64)
    assert_allclose(kernel.std(), (9 * 8) ** -0.5, rtol=0.05)
