"""Convolutions and their derivatives against lax's own, differentiated by JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.errors import UserError
from jaxgan.nn.conv import (
    conv,
    conv_kernel_gradient,
    conv_pool,
    conv_transpose,
    upsample_conv,
)
from jaxgan.nn.layers import Conv, ConvTranspose, Dense

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# kernel, stride, height, width, input channels, output channels
CONV_CASES = [
    (1, 1, 5, 4, 3, 2),
    (1, 2, 7, 6, 2, 1),
    (3, 1, 6, 5, 1, 3),
    (3, 2, 7, 8, 3, 4),
    (4, 1, 6, 6, 2, 3),
    (4, 2, 8, 7, 3, 1),
    (5, 1, 7, 6, 1, 2),
    (5, 2, 9, 8, 4, 3),
]
# kernel, stride, height, width, input channels, output channels
TRANSPOSE_CASES = [
    (1, 1, 4, 3, 2, 3),
    (1, 2, 3, 4, 2, 3),
    (3, 1, 5, 4, 3, 1),
    (3, 2, 4, 3, 1, 2),
    (4, 2, 4, 5, 4, 3),
    (5, 1, 5, 6, 2, 1),
    (5, 2, 4, 3, 3, 1),
]


pytestmark = pytest.mark.usefixtures("float64")


def normal(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def stock_conv(x, kernel, stride):
    pad = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=DIMENSIONS)


def stock_conv_transpose(x, kernel, stride):
    """The dilated form with the flipped kernel, padded on the far side up to `stride` times the size."""
    k = kernel.shape[0]
    low = k - 1 - (k - 1) // 2
    pads = [(low, stride * n - (stride * (n - 1) + 1) + k - 1 - low) for n in x.shape[1:3]]
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    return lax.conv_general_dilated(
        x, flipped, (1, 1), pads, lhs_dilation=(stride, stride), dimension_numbers=DIMENSIONS
    )


def operands(form, case):
    """Our function, the stock one, and arguments for both."""
    k, stride, height, width, inputs, outputs = case
    channels = (inputs, outputs) if form == "conv" else (outputs, inputs)
    ours, stock = {"conv": (conv, stock_conv), "transpose": (conv_transpose, stock_conv_transpose)}[form]
    return (
        lambda x, kernel: ours(x, kernel, stride),
        lambda x, kernel: stock(x, kernel, stride),
        normal(2, height, width, inputs),
        normal(k, k, *channels),
    )


def penalty(f):
    """R1 of a network that ends in a curved function, so that no second derivative vanishes."""

    def squared_gradient(x, kernel):
        return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(f(x, kernel))))(x) ** 2)

    return squared_gradient


def assert_same(derive, ours, stock, *args):
    """Asserts that `derive(f)` is the same function for both, compiled as one program to save time."""
    assert_close(*jax.jit(lambda *args: (derive(ours)(*args), derive(stock)(*args)))(*args))


def assert_close(actual, expected):
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-10), actual, expected)


def case_id(case):
    return str(case).replace(" ", "")


CASES = [("conv", c) for c in CONV_CASES] + [("transpose", c) for c in TRANSPOSE_CASES]
each_case = pytest.mark.parametrize(("form", "case"), CASES, ids=case_id)
two_cases = pytest.mark.parametrize(("form", "case"), [CASES[3], CASES[12]], ids=case_id)
each_conv = pytest.mark.parametrize("case", CONV_CASES, ids=case_id)


@each_case
def test_conv_matches_stock(form, case):
    ours, stock, x, kernel = operands(form, case)
    assert_same(lambda f: f, ours, stock, x, kernel)


@each_case
def test_conv_gradients_match_stock(form, case):
    assert_same(lambda f: jax.grad(lambda x, k: jnp.sum(jnp.sin(f(x, k))), (0, 1)), *operands(form, case))


@each_case
def test_conv_second_derivatives_match_stock(form, case):
    assert_same(lambda f: jax.grad(penalty(f), (0, 1)), *operands(form, case))


@two_cases
def test_conv_third_derivatives_match_stock(form, case):
    def third(f):
        return jax.grad(lambda x, k: jnp.sum(jnp.sin(jax.grad(penalty(f), 1)(x, k))), 1)

    assert_same(third, *operands(form, case))


@each_conv
def test_kernel_gradient_matches_stock(case):
    _, stock, x, kernel = operands("conv", case)
    g = normal(*jax.eval_shape(stock, x, kernel).shape)
    ours = jax.jit(conv_kernel_gradient, static_argnums=(2, 3))(x, g, case[1], kernel.shape[:2])
    assert_close(ours, jax.jit(lambda k: jax.vjp(lambda k: stock(x, k), k)[1](g)[0])(kernel))


@each_conv
def test_conv_transpose_is_adjoint_of_conv(case):
    ours, _, x, kernel = operands("conv", case)
    out = ours(x, kernel)
    y = normal(*out.shape)
    back = conv_transpose(y, kernel, case[1], x.shape[1:3])
    np.testing.assert_allclose(jnp.vdot(out, y), jnp.vdot(x, back), rtol=1e-10)


@two_cases
def test_conv_maps_over_both_arguments(form, case):
    ours, _, x, kernel = operands(form, case)
    gradient = jax.jit(jax.grad(penalty(ours), (0, 1)))
    each = [(x, kernel), (2 * x, kernel[::-1])]
    looped = jax.tree.map(lambda *g: jnp.stack(g), *[gradient(*args) for args in each])
    assert_close(jax.jit(jax.vmap(gradient))(*map(jnp.stack, zip(*each, strict=True))), looped)


@pytest.mark.parametrize(("transpose", "expected"), [(conv_transpose, False), (stock_conv_transpose, True)])
def test_conv_second_derivatives_avoid_the_slow_form(transpose, expected):
    """The slow form is a convolution over the batch (channels as batch) of a dilated image."""
    gradient = jax.jit(jax.grad(penalty(lambda x, k: transpose(x, k, 2)), (0, 1)))
    program = gradient.lower(normal(2, 4, 4, 3), normal(4, 4, 5, 3)).as_text()
    slow = [line for line in program.splitlines() if "[f, 0, 1, b]" in line and "lhs_dilate = [2, 2]" in line]
    assert bool(slow) == expected


def abstract_init(layer, x):
    """Shapes and types alone: nothing is compiled."""
    return jax.eval_shape(lambda x: layer.init_with_output(jax.random.key(0), x, train=True), x)


@pytest.mark.parametrize("kernel_size", [3, 4, 5])
def test_conv_layers_halve_and_double(kernel_size):
    down, _ = abstract_init(Conv(4, kernel_size, 2), normal(2, 14, 14, 3))
    up, _ = abstract_init(ConvTranspose(1, kernel_size, 2), down)
    assert (down.shape, up.shape) == ((2, 7, 7, 4), (2, 14, 14, 1))


def test_conv_transpose_refuses_impossible_size():
    with pytest.raises(UserError, match="kernel 4x4 and stride 1 cannot turn 5x5 into 5x5"):
        conv_transpose(normal(1, 5, 5, 2), normal(4, 4, 3, 2), 1)


LAYERS = {"conv": Conv(4, 3), "transpose": ConvTranspose(4, 4, 2), "dense": Dense(4)}
each_layer = pytest.mark.parametrize("name", LAYERS)


@each_layer
def test_layer_parameters_are_float32(name):
    params = abstract_init(LAYERS[name], normal(2, 6, 6, 3))[1]["params"]
    assert {k: str(v.dtype) for k, v in params.items()} == {"kernel": "float32", "bias": "float32"}


@pytest.mark.slow
@each_layer
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_layer_computes_in_bfloat16(name, spectral_norm):
    layer = LAYERS[name].clone(dtype=jnp.bfloat16, spectral_norm=spectral_norm)
    x = normal(2, 6, 6, 3).astype(jnp.float32)
    variables = jax.tree.map(lambda s: normal(*s.shape).astype(jnp.float32), abstract_init(layer, x)[1])
    y = layer.apply(variables, x, train=True)
    reference = layer.clone(dtype=jnp.float32).apply(variables, x, train=False)
    assert (y.dtype, reference.dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(y.astype(jnp.float32), reference, atol=0.03 * float(jnp.max(jnp.abs(reference))))


@each_layer
def test_layer_computes_in_float64_given_float64(name):
    y, _ = abstract_init(LAYERS[name], normal(2, 6, 6, 3))
    assert y.dtype == jnp.float64


@each_layer
def test_layer_bias_is_added_per_channel(name):
    x = normal(2, 6, 6, 3)
    kernel = jnp.zeros(abstract_init(LAYERS[name], x)[1]["params"]["kernel"].shape)
    y = LAYERS[name].apply({"params": {"kernel": kernel, "bias": jnp.arange(4.0)}}, x, train=True)
    assert_close(y, jnp.broadcast_to(jnp.arange(4.0), y.shape))


@each_layer
def test_layer_without_bias_has_none(name):
    layer = LAYERS[name].clone(use_bias=False)
    assert set(abstract_init(layer, normal(2, 6, 6, 3))[1]["params"]) == {"kernel"}


def resampled(resample):
    """The convolution with its resampling as a step of its own."""

    def enlarge(x):
        return jnp.kron(x, jnp.ones((1, 2, 2, 1)))

    def average(x):
        return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4

    return {
        "up": (upsample_conv, lambda x, k: stock_conv(enlarge(x), k, 1)),
        "down": (conv_pool, lambda x, k: average(stock_conv(x, k, 1))),
    }[resample]


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("resample", ["up", "down"])
def test_resampling_is_fused_into_the_kernel(resample, kernel_size):
    ours, stock = resampled(resample)
    x, kernel = normal(2, 6, 4, 3), normal(kernel_size, kernel_size, 3, 2)
    assert_same(lambda f: f, ours, stock, x, kernel)
    assert_same(lambda f: jax.grad(lambda x, k: jnp.sum(jnp.sin(f(x, k))), (0, 1)), ours, stock, x, kernel)


def test_resampling_refuses_even_kernels():
    with pytest.raises(UserError, match="odd kernel, not 4x4"):
        conv_pool(normal(1, 4, 4, 2), normal(4, 4, 2, 2))
