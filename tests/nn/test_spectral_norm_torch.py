"""Spectral normalization step by step beside torch's, weights and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.nn.spectral_norm import SPECTRAL_STATS, SpectralNorm

torch = pytest.importorskip("torch")

# torch layer, axes that take torch's kernel to ours, our output axis, and torch's order of v as axes of ours
LAYERS = {
    "conv": (lambda: torch.nn.Conv2d(6, 5, 3), (2, 3, 1, 0), 3, (3, 3, 6), (2, 0, 1)),
    "transpose": (lambda: torch.nn.ConvTranspose2d(6, 5, 4), (2, 3, 1, 0), 2, (4, 4, 6), (2, 0, 1)),
    "dense": (lambda: torch.nn.Linear(6, 5), (1, 0), 1, (6,), (0,)),
}


def close(actual, expected):
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm_follows_torch(name):
    make, axes, out_axis, input_shape, v_axes = LAYERS[name]
    torch.manual_seed(0)
    layer = torch.nn.utils.parametrizations.spectral_norm(make())
    state = layer.parametrizations.weight[0]
    original = layer.parametrizations.weight.original
    to_ours = lambda kernel: jnp.asarray(kernel.detach().numpy().transpose(axes))  # noqa: E731
    v = state._v.numpy().reshape([input_shape[a] for a in v_axes]).transpose(np.argsort(v_axes)).reshape(-1)
    variables = {SPECTRAL_STATS: {"u": jnp.asarray(state._u.numpy().copy()), "v": jnp.asarray(v.copy())}}

    @jax.jit
    def step(kernel, variables):
        def loss(kernel):
            out, moved = SpectralNorm().apply(
                variables, kernel, out_axis=out_axis, train=True, mutable=[SPECTRAL_STATS]
            )
            return jnp.sum(out**3), (out, moved)

        return jax.value_and_grad(loss, has_aux=True)(kernel)

    for _ in range(50):
        with torch.no_grad():
            original += 0.05 * torch.randn_like(original)
        original.grad = None
        weight = layer.weight  # one access is one iteration
        (weight**3).sum().backward()
        (_, (out, variables)), gradient = step(to_ours(original), variables)
        close(out, to_ours(weight))
        close(gradient, to_ours(original.grad))
