from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from numpy.testing import assert_allclose

from jaxgan.errors import UserError
from jaxgan.nn.conv import conv
from jaxgan.nn.grouped_conv import PARTS, grouped_conv
from jaxgan.nn.layers import Conv


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("size", "groups"), [(1, 3), (3, 3), (3, 2 * PARTS)])
def test_grouped_convolution_is_one_convolution_per_group(size, groups):
    rng = np.random.RandomState(0)
    x, kernel = (jnp.asarray(rng.randn(*s)) for s in ((2, 5, 4, 2 * groups), (size, size, 2, 3 * groups)))
    parts = [conv(x[..., 2 * i : 2 * i + 2], kernel[..., 3 * i : 3 * i + 3]) for i in range(groups)]
    got = jax.jit(partial(grouped_conv, groups=groups))(x, kernel)
    assert_allclose(got, jnp.concatenate(parts, -1), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("groups", [3, 2 * PARTS])
def test_grouped_convolution_has_the_second_derivatives_of_xlas_own(groups):
    rng = np.random.RandomState(0)
    x, kernel = (jnp.asarray(rng.randn(*s)) for s in ((1, 3, 2, groups), (3, 3, 1, groups)))

    def gradients(convolve):
        def loss(x, kernel):
            return (convolve(x, kernel) ** 3).sum()

        return jax.jit(jax.grad(lambda x, kernel: (jax.grad(loss)(x, kernel) ** 2).sum(), (0, 1)))(x, kernel)

    dimensions = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": groups}
    stock = gradients(lambda x, kernel: lax.conv_general_dilated(x, kernel, (1, 1), "SAME", **dimensions))
    for got, expected in zip(gradients(partial(grouped_conv, groups=groups)), stock, strict=True):
        assert_allclose(got, expected, rtol=1e-10)


def test_grouped_convolution_is_one_operation_for_accelerators():
    x, kernel = jnp.ones((1, 4, 4, 6)), jnp.ones((3, 3, 2, 6))
    convolve = jax.jit(partial(grouped_conv, groups=3))
    count = {
        p: export.export(convolve, platforms=[p])(x, kernel).mlir_module().count("stablehlo.convolution")
        for p in ("cpu", "cuda")
    }
    assert count == {"cpu": 3, "cuda": 1}


def test_grouped_convolution_refuses_even_kernels():
    with pytest.raises(UserError, match="odd kernel, not 4x4"):
        grouped_conv(jnp.ones((1, 4, 4, 2)), jnp.ones((4, 4, 1, 2)), 2)


def test_layer_starts_with_the_fan_in_of_its_group():
    layer = Conv(64, 3, groups=8, kernel_init=jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal"))
    kernel = jax.jit(partial(layer.init, train=True))(jax.random.key(0), jnp.ones((1, 2, 2, 64)))["params"]["kernel"]
    assert kernel.shape == (3, 3, 8, 64)
    assert_allclose(kernel.std(), (9 * 8) ** -0.5, rtol=0.05)
