"""Spectral normalization against numpy's singular values and an explicit iteration."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.nn.layers import Conv, ConvTranspose, Dense
from jaxgan.nn.spectral_norm import SPECTRAL_STATS, SpectralNorm, power_iteration

KEY = jax.random.key(0)
# layer, input, output axis of its kernel; all three sizes unlike, so that no wrong axis has the right shape
LAYERS = {
    "conv": (Conv(5, 3, spectral_norm=True), (2, 6, 6, 4), 3),
    "transpose": (ConvTranspose(5, 4, 2, spectral_norm=True), (2, 6, 6, 7), 2),
    "dense": (Dense(5, spectral_norm=True), (2, 9), 1),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def rows_per_output(kernel, out_axis):
    """W: one row per output channel."""
    return np.moveaxis(np.asarray(kernel), out_axis, 0).reshape(kernel.shape[out_axis], -1)


@functools.cache  # compiling an initialization takes longer than all the rest of a test
def initialized(module, *shape, **kwargs):
    return jax.jit(lambda x: module.init(KEY, x, train=True, **kwargs))(normal(*shape))


def start(warmup):
    """A kernel whose last axis is the output channel, and singular vectors after `warmup` steps."""
    return normal(7, 5), initialized(SpectralNorm(warmup=warmup), 7, 5, out_axis=1)


def normalize(kernel, variables, *, train=True, mutable=(SPECTRAL_STATS,), n_steps=1):
    module = SpectralNorm(n_steps=n_steps)
    return module.apply(variables, kernel, out_axis=1, train=train, mutable=list(mutable))


def assert_trees_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.slow
@each_layer
def test_spectral_norm_converges_to_svd(name):
    layer, shape, out_axis = LAYERS[name]
    params, stats = (initialized(layer, *shape)[collection] for collection in ("params", SPECTRAL_STATS))
    sigma = np.linalg.norm(rows_per_output(params["kernel"], out_axis), 2)
    _, moved = SpectralNorm(n_steps=200).apply(
        {SPECTRAL_STATS: stats["SpectralNorm_0"]},
        params["kernel"],
        out_axis=out_axis,
        train=True,
        mutable=[SPECTRAL_STATS],
    )
    stats = {"SpectralNorm_0": moved[SPECTRAL_STATS]}
    x = normal(*shape)
    normalized = layer.apply({"params": params, SPECTRAL_STATS: stats}, x, train=False)
    plain = layer.clone(spectral_norm=False).apply({"params": params}, x, train=False)
    np.testing.assert_allclose(normalized, plain / sigma, rtol=1e-4, atol=1e-5)


def test_spectral_norm_of_scaled_identity():
    _, variables = start(15)
    np.testing.assert_allclose(normalize(4 * jnp.eye(7, 5), variables)[0], jnp.eye(7, 5), rtol=1e-6)


@each_layer
def test_spectral_norm_warm_up_is_near_svd(name):
    layer, shape, out_axis = LAYERS[name]
    variables = initialized(layer, *shape)
    kernel = variables["params"]["kernel"]
    normalized = SpectralNorm().apply(
        {SPECTRAL_STATS: variables[SPECTRAL_STATS]["SpectralNorm_0"]}, kernel, out_axis=out_axis, train=False
    )
    np.testing.assert_allclose(np.linalg.norm(rows_per_output(normalized, out_axis), 2), 1.0, atol=0.02)


@pytest.mark.parametrize(
    ("train", "mutable"), [(False, [SPECTRAL_STATS]), (True, []), (True, ["batch_stats"]), (False, [])]
)
def test_spectral_norm_state_is_unmoved(train, mutable):
    kernel, variables = start(0)
    out, moved = normalize(kernel, variables, train=train, mutable=mutable)
    u, v = (np.asarray(variables[SPECTRAL_STATS][k]) for k in "uv")
    np.testing.assert_allclose(out, kernel / (u @ kernel.T @ v), rtol=1e-5)
    if SPECTRAL_STATS in moved:
        assert_trees_equal(moved[SPECTRAL_STATS], variables[SPECTRAL_STATS])


@pytest.mark.slow
def test_spectral_norm_initialization_does_not_depend_on_train():
    kernel, variables = start(0)
    evaluate = SpectralNorm(warmup=0).init(KEY, kernel, out_axis=1, train=False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), variables, evaluate)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_spectral_norm_moves_n_steps(n_steps):
    kernel, variables = start(0)
    out, moved = normalize(kernel, variables, n_steps=n_steps)
    v = np.asarray(variables[SPECTRAL_STATS]["v"])
    for _ in range(n_steps):
        u = kernel.T @ v / np.linalg.norm(kernel.T @ v)
        v = kernel @ u / np.linalg.norm(kernel @ u)
    np.testing.assert_allclose(moved[SPECTRAL_STATS]["u"], u, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moved[SPECTRAL_STATS]["v"], v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out, kernel / (u @ kernel.T @ v), rtol=1e-5)


@pytest.mark.slow
def test_spectral_norm_gradient_is_orthogonal_to_kernel():
    kernel, variables = start(0)
    gradient = jax.grad(lambda k: jnp.sum(normalize(k, variables)[0] ** 3))(kernel)
    cosine = jnp.vdot(gradient, kernel) / jnp.linalg.norm(gradient) / jnp.linalg.norm(kernel)
    np.testing.assert_allclose(cosine, 0.0, atol=1e-6)


def test_spectral_norm_gradient_holds_vectors_constant():
    kernel, variables = start(0)
    weights = jnp.asarray(normal(5, 7).T)
    _, moved = normalize(kernel, variables)
    u, v = moved[SPECTRAL_STATS]["u"], moved[SPECTRAL_STATS]["v"]
    gradient = jax.grad(lambda k: jnp.vdot(weights, normalize(k, variables)[0]))(kernel)
    sigma = u @ kernel.T @ v
    expected = weights / sigma - jnp.vdot(weights, kernel) / sigma**2 * jnp.outer(v, u)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_spectral_norm_state_is_float32_under_bfloat16():
    kernel = jnp.asarray(normal(7, 5), jnp.bfloat16)
    init = functools.partial(SpectralNorm().init_with_output, KEY, out_axis=1, train=True)
    out, variables = jax.eval_shape(init, kernel)
    moved = jax.eval_shape(normalize, kernel, variables)
    assert {str(a.dtype) for a in jax.tree.leaves((out, variables, moved))} == {"float32"}


def test_spectral_norm_state_keeps_its_dtype_under_float64(float64):
    kernel, variables = start(0)
    kernel, variables = jax.tree.map(jnp.float32, (kernel, variables))
    out, moved = normalize(jnp.asarray(kernel, jnp.float64), variables)
    assert (out.dtype, moved[SPECTRAL_STATS]["u"].dtype) == (jnp.float64, jnp.float32)


def test_spectral_norm_precedes_the_cast():
    layer, shape, _ = LAYERS["dense"]
    variables, x = initialized(layer, *shape), jnp.eye(9)
    normalized = layer.apply(variables, x, train=False)
    y = layer.clone(dtype=jnp.bfloat16).apply(variables, x, train=False)
    assert_trees_equal(y, normalized.astype(jnp.bfloat16))


def test_power_iteration_of_no_steps_changes_nothing():
    matrix, u, v = jnp.asarray(normal(7, 5)), jnp.asarray(normal(5)), jnp.asarray(normal(7))
    assert_trees_equal(power_iteration(matrix, u, v, 0), (u, v))


def test_spectral_norm_refuses_no_steps():
    with pytest.raises(UserError, match="n_steps is 0: it must be at least 1"):
        normalize(*start(0), n_steps=0)
