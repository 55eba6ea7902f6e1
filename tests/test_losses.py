import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.testing import assert_allclose

from jaxgan.losses import LOSSES

R = np.array([2.0, -1.0, 0.3, 0.0])
F = np.array([-0.5, 1.5, 0.0, -3.0])


def sp(t):
    return np.logaddexp(0, t)


# An independent statement of every loss in numpy float64: (discriminator, generator).
FORMULAS = {
    "minimax": (lambda r, f: sp(-r).mean() + sp(f).mean(), lambda r, f: -sp(f).mean()),
    "non_saturating": (lambda r, f: sp(-r).mean() + sp(f).mean(), lambda r, f: sp(-f).mean()),
    "least_squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda r, f: ((f - 1) ** 2).mean() / 2,
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
    "hinge": (lambda r, f: np.maximum(1 - r, 0).mean() + np.maximum(1 + f, 0).mean(), lambda r, f: -f.mean()),
    "relativistic_paired": (lambda r, f: sp(-(r - f)).mean(), lambda r, f: sp(-(f - r)).mean()),
    "relativistic_average": (
        lambda r, f: (sp(-(r - f.mean())).mean() + sp(f - r.mean()).mean()) / 2,
        lambda r, f: (sp(-(f - r.mean())).mean() + sp(r - f.mean()).mean()) / 2,
    ),
}


def test_losses_all_have_a_formula_here():
    assert FORMULAS.keys() == LOSSES.keys()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_equals_its_formula(name):
    for ours, formula in zip((LOSSES[name].d, LOSSES[name].g), FORMULAS[name], strict=True):
        assert_allclose(ours(jnp.float32(R), jnp.float32(F)), formula(R, F), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [80.0, -80.0])
def test_loss_stays_exact_for_large_logits(name, scale):
    r, f = np.array([scale, scale / 2]), np.array([-scale, scale / 4])
    for ours, formula in zip((LOSSES[name].d, LOSSES[name].g), FORMULAS[name], strict=True):
        value, grads = jax.value_and_grad(ours, argnums=(0, 1))(jnp.float32(r), jnp.float32(f))
        assert_allclose(value, formula(r, f), rtol=1e-6)
        assert all(np.isfinite(g).all() for g in grads)


def test_loss_of_minimax_generator_keeps_tiny_values():
    assert_allclose(LOSSES["minimax"].g(jnp.zeros(1), jnp.float32([-80.0])), -np.exp(-80.0), rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_gradients_match_finite_differences(name, float64):
    r, f = jnp.asarray(R + 0.05), jnp.asarray(F + 0.05)
    for loss in (LOSSES[name].d, LOSSES[name].g):
        check_grads(loss, (r, f), order=1, modes=["rev"], rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_pulls_the_players_apart(name):
    r, f = jnp.full(4, 0.1), jnp.full(4, 0.3)  # between the targets of least squares, which pulls back beyond them
    d_real, d_fake = jax.grad(LOSSES[name].d, argnums=(0, 1))(r, f)
    assert (d_real < 0).all() and (d_fake > 0).all()  # D raises real logits and lowers fake ones
    assert (jax.grad(LOSSES[name].g, argnums=1)(r, f) < 0).all()  # G raises fake ones
    if not LOSSES[name].relativistic:
        assert (jax.grad(LOSSES[name].g, argnums=0)(r, f) == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_computes_narrow_logits_in_float32(name):
    value = LOSSES[name].d(jnp.bfloat16(R), jnp.bfloat16(F))
    expected = FORMULAS[name][0](np.float64(jnp.bfloat16(R)), np.float64(jnp.bfloat16(F)))
    assert value.dtype == jnp.float32
    assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_takes_its_mean_from_the_hook(name):
    doubled = LOSSES[name].d(jnp.float32(R), jnp.float32(F), mean=lambda x: jnp.mean(x, keepdims=True))
    assert_allclose(doubled.reshape(()), FORMULAS[name][0](R, F), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_refuses_unlike_shapes(name):
    with pytest.raises(ValueError, match="differ in shape"):
        LOSSES[name].g(jnp.zeros(3), jnp.zeros((3, 1)))
