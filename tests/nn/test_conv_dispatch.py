"""The faster forms of convolutions against the stock ones, and where each is chosen."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.nn import conv_dispatch, winograd
from jaxgan.nn.conv import conv, conv_pool, conv_transpose, upsample_conv

pytestmark = pytest.mark.usefixtures("float64")

SIZES = [(4, 4), (6, 10), (14, 14)]  # of images: one tile, tiles over the edge, several
each_size = pytest.mark.parametrize("size", SIZES, ids=str)


def normal(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def enlarge(x):
    return jnp.kron(x, jnp.ones((1, 2, 2, 1)))


def average(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4


# form: kernel size, and the same convolution as it is usually written
FORMS = {
    "PLAIN": (3, lambda x, k: conv_dispatch.strided(x, k, 1)),
    "UP": (3, lambda x, k: conv_dispatch.strided(enlarge(x), k, 1)),
    "DOWN": (3, lambda x, k: average(conv_dispatch.strided(x, k, 1))),
    "HALVING": (4, lambda x, k: conv_dispatch.strided(x, k, 2)),
}
each_form = pytest.mark.parametrize("name", FORMS)


@each_form
@each_size
def test_minimal_filtering_matches_stock(name, size):
    kernel_size, stock = FORMS[name]
    x, kernel, form = normal(3, *size, 5), normal(kernel_size, kernel_size, 5, 7), getattr(winograd, name)
    expected, pullback = jax.vjp(partial(stock, x), kernel)
    g = normal(*expected.shape)
    np.testing.assert_allclose(winograd.conv(form, x, kernel), expected, rtol=0, atol=1e-11)
    gradient = winograd.conv_kernel_gradient(form, x, g)
    np.testing.assert_allclose(gradient, pullback(g)[0], rtol=0, atol=1e-11)


@pytest.mark.parametrize("transpose", [winograd.conv_transpose, conv_dispatch._scattered])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5), (7, 7), (8, 8)], ids=str)
def test_doubling_matches_the_transpose_of_stock(transpose, size):
    g, kernel = normal(3, *size, 7), normal(4, 4, 5, 7)
    x = jnp.zeros((3, 2 * size[0], 2 * size[1], 5))
    (expected,) = jax.vjp(lambda x: conv_dispatch.strided(x, kernel, 2), x)[1](g)
    np.testing.assert_allclose(transpose(g, kernel), expected, rtol=0, atol=1e-11)


def test_scattered_goes_through_in_blocks(monkeypatch):
    g, kernel = normal(6, 4, 4, 3), normal(4, 4, 2, 3)
    whole = conv_dispatch._scattered(g, kernel)
    monkeypatch.setattr(conv_dispatch, "BLOCK", 2 * 4 * 4 * 16 * 2)
    assert "while" in jax.jit(conv_dispatch._scattered).lower(g, kernel).as_text()
    np.testing.assert_allclose(conv_dispatch._scattered(g, kernel), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FORMS)
def test_minimal_filtering_rounds_little_more_than_stock(name):
    kernel_size, stock = FORMS[name]
    x, kernel = normal(2, 16, 16, 32), normal(kernel_size, kernel_size, 32, 32)
    exact = stock(x, kernel)
    narrow = x.astype(jnp.float32), kernel.astype(jnp.float32)
    error = jnp.linalg.norm(winograd.conv(getattr(winograd, name), *narrow) - exact) / jnp.linalg.norm(exact)
    assert 1e-8 < error < 5e-6


PUBLIC = {
    "conv": (conv, (8, 8), 3),
    "halving": (partial(conv, stride=2), (8, 8), 4),
    "doubling": (partial(conv_transpose, stride=2), (7, 7), 4),
    "up": (upsample_conv, (4, 4), 3),
    "down": (conv_pool, (8, 8), 3),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_fast_forms_give_stock_derivatives_of_second_order(name, monkeypatch):
    function, size, k = PUBLIC[name]
    x, kernel = normal(2, *size, 2), normal(k, k, 2, 2)

    def penalty(x, kernel):
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(function(x, kernel))))(x)
        return jnp.sum(gradient**2)

    def derivatives():
        return jax.jit(jax.value_and_grad(lambda *args: penalty(*args), (0, 1)))(x, kernel)

    monkeypatch.setattr(conv_dispatch, "CHANNELS", 1)
    monkeypatch.setattr(conv_dispatch, "PART", 1)
    fast = derivatives()
    monkeypatch.setattr(conv_dispatch, "_fast", lambda dtype: False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), fast, derivatives())


def products(function, platform, devices, monkeypatch, dtype=jnp.float32):
    """Whether the program lowered for a platform holds convolutions, and whether it holds matrix products."""
    monkeypatch.setattr(jax, "local_device_count", lambda backend: devices)
    x, kernel = (jax.ShapeDtypeStruct(shape, dtype) for shape in ((2, 8, 8, 32), (3, 3, 32, 32)))
    text = jax.jit(lambda *args: function(*args)).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    return "stablehlo.convolution" in text, "stablehlo.dot_general" in text


@pytest.mark.parametrize("function", [conv, conv_pool, upsample_conv])
def test_accelerators_and_threaded_devices_get_stock_forms(function, monkeypatch):
    assert products(function, "cpu", 2, monkeypatch) == (False, True)
    assert products(function, "cpu", 1, monkeypatch) == (True, False)
    assert products(function, "cpu", 2, monkeypatch, jnp.bfloat16) == (True, False)
    for platform in ("cuda", "tpu"):
        assert products(function, platform, 2, monkeypatch) == (True, False)


@pytest.mark.parametrize("function", [conv, conv_pool, upsample_conv])
def test_stock_forms_serve_where_jax_has_no_cpu_at_all(function, monkeypatch):
    """As with JAX_PLATFORMS=cuda, where to ask for CPU devices is an error."""

    def absent(backend):
        raise RuntimeError(f"Unknown backend: {backend!r} requested, but no platforms that are instances of it.")

    monkeypatch.setattr(jax, "local_device_count", absent)
    x, kernel = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 8, 8, 32), (3, 3, 32, 32)))
    program = jax.export.export(jax.jit(lambda *args: function(*args)), platforms=["cuda"])(x, kernel)
    text = program.mlir_module()
    assert "stablehlo.convolution" in text and "stablehlo.dot_general" not in text


def test_jax_itself_raises_what_is_caught_where_it_has_no_cpu():
    with pytest.raises(RuntimeError, match="backend"):
        jax.local_device_count("cuda")  # as absent here as the CPU is where only accelerators are allowed
