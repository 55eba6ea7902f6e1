from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.testing import assert_allclose, assert_array_equal

from jaxgan.nn.attention import SelfAttention

X = np.random.RandomState(0).randn(2, 4, 6, 16).astype(np.float32)


def parameters(spectral_norm=False):
    variables = SelfAttention(spectral_norm).init(jax.random.key(0), jnp.asarray(X), train=True)
    rng = np.random.RandomState(1)
    params = {
        name: {"kernel": rng.randn(*v["kernel"].shape)} for name, v in variables["params"].items() if name != "gamma"
    }
    return {**variables, "params": {**jax.tree.map(np.float32, params), "gamma": np.float32(0.7)}}


def pooled(x):
    return x.reshape(2, 2, 2, 3, 2, -1).max((2, 4)).reshape(2, 6, -1)


def explicit(params, x):
    def conv(x, name):
        return x @ params[name]["kernel"][0, 0]

    queries = conv(x, "theta").reshape(2, 24, -1)
    keys, values = pooled(conv(x, "phi")), pooled(conv(x, "g"))
    out = np.zeros((2, 24, 8))
    for b in range(2):
        for q in range(24):
            weights = np.exp([queries[b, q] @ keys[b, k] for k in range(6)])
            out[b, q] = (weights / weights.sum()) @ values[b]
    return x + params["gamma"] * conv(out.reshape(2, 4, 6, 8), "o")


def test_attention_equals_the_sum_over_pixels():
    variables = parameters()
    got = jax.jit(partial(SelfAttention().apply, train=True))(variables, X)
    assert_allclose(got, explicit(variables["params"], X.astype(np.float64)), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_attention_differentiates_twice():
    params = jax.tree.map(lambda p: jnp.asarray(p, float) / 4, parameters()["params"])
    apply = jax.jit(lambda p, x: SelfAttention().apply({"params": p}, x, train=True))
    check_grads(apply, (params, jnp.asarray(X[:1, :2, :2], float)), order=2, modes=["rev"])


def test_attention_starts_as_the_identity():
    got, variables = jax.jit(partial(SelfAttention().init_with_output, train=True))(jax.random.key(0), X)
    assert variables["params"]["gamma"] == 0
    assert_array_equal(got, X)


def test_attention_has_the_papers_widths():
    shapes = jax.tree.map(np.shape, parameters()["params"], is_leaf=lambda x: hasattr(x, "shape"))
    assert shapes["theta"]["kernel"] == shapes["phi"]["kernel"] == (1, 1, 16, 2)
    assert shapes["g"]["kernel"] == (1, 1, 16, 8) and shapes["o"]["kernel"] == (1, 1, 8, 16)


def test_attention_is_spectrally_normalized_on_request():
    variables = jax.eval_shape(partial(SelfAttention(True).init, train=True), jax.random.key(0), X)
    assert set(variables["spectral_stats"]) == {"theta", "phi", "g", "o"}


@pytest.mark.parametrize("channels", [1, 4])
def test_attention_of_few_channels_computes_in_bfloat16(channels):
    x = jnp.ones((1, 2, 2, channels), jnp.bfloat16)
    y, _ = jax.eval_shape(partial(SelfAttention(dtype=jnp.bfloat16).init_with_output, train=True), jax.random.key(0), x)
    assert y.shape == x.shape and y.dtype == jnp.bfloat16
