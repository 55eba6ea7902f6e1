import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.testing import assert_allclose

from jaxgan.techniques.losses import LOSSES, d_terms, targeted_d, targeted_g

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


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_loss_gradients_match_finite_differences(name, float64):
    r, f = jnp.asarray(R + 0.05), jnp.asarray(F + 0.05)
    for loss in (LOSSES[name].d, LOSSES[name].g):
        check_grads(loss, (r, f), order=1, modes=["rev"], rtol=1e-6)


@pytest.mark.slow
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


TARGETED = [name for name, loss in LOSSES.items() if loss.term]
T_R, T_F = np.array([0.9, 1.0, 0.0, 0.95]), np.array([0.0, 0.1, 1.0, 0.05])


def entropy(logits, targets):
    """-t log s(l) - (1 - t) log(1 - s(l)), the textbook's form."""
    p = 1 / (1 + np.exp(-logits))
    return -(targets * np.log(p) + (1 - targets) * np.log(1 - p))


# (term, G's loss for the targets of a real and of a generated example)
TERMS = {
    "minimax": (entropy, lambda f, real, fake: -entropy(f, fake).mean()),
    "non_saturating": (entropy, lambda f, real, fake: entropy(f, real).mean()),
    "least_squares": (lambda x, t: (x - t) ** 2 / 2, lambda f, real, fake: ((f - real) ** 2 / 2).mean()),
}


@pytest.fixture(params=[True, False], ids=["as in tests", "optimized"])
def compiler(request):
    """Exactness is a claim about the compiler too."""
    jax.config.update("jax_disable_most_optimizations", request.param)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.mark.parametrize("name", TARGETED)
def test_targeted_losses_equal_their_formula(name):
    loss, (term, g) = LOSSES[name], TERMS[name]
    d = targeted_d(loss, jnp.float32(R), jnp.float32(F), jnp.float32(T_R), jnp.float32(T_F))
    assert_allclose(d, term(R, T_R).mean() + term(F, T_F).mean(), rtol=1e-6)
    for targets in ((1, 0), (0, 1)):
        assert_allclose(targeted_g(loss, jnp.float32(F), *map(jnp.float32, targets)), g(F, *targets), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETED)
def test_targets_of_1_and_0_leave_the_loss_and_its_gradient_bit_for_bit(name, compiler):
    loss = LOSSES[name]

    def trick_d(r, f, one, zero):
        return targeted_d(loss, r, f, jnp.full(64, one), jnp.full(64, zero))

    def trick_g(r, f, one, zero):
        return targeted_g(loss, f, one, zero)

    for plain, trick in ((loss.d, trick_d), (loss.g, trick_g)):
        plain, trick = (jax.jit(jax.value_and_grad(each, argnums=(0, 1))) for each in (plain, trick))
        for scale in (1, 90, 1e6, 1e15):  # 0 * inf would be NaN
            r, f = jnp.float32(np.random.RandomState(0).randn(2, 64) * scale)
            found = trick(r, f, jnp.float32(1), jnp.float32(0))
            jax.tree.map(np.testing.assert_array_equal, found, plain(r, f))
            assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))


@pytest.mark.parametrize("name", TARGETED)
def test_flipped_targets_pull_the_players_apart_the_other_way(name):
    r, f = jnp.full(4, 0.6), jnp.full(4, 0.4)
    one, zero = jnp.float32(1), jnp.float32(0)
    d_real, d_fake = jax.grad(targeted_d, argnums=(1, 2))(LOSSES[name], r, f, zero, one)
    assert (d_real > 0).all() and (d_fake < 0).all()
    assert (jax.grad(targeted_g, argnums=1)(LOSSES[name], f, zero, one) > 0).all()


@pytest.mark.slow
def test_smoothed_cross_entropy_is_least_where_d_states_the_target():
    logits = jnp.linspace(-6, 6, 2401)
    best = logits[jnp.argmin(LOSSES["minimax"].term(logits, jnp.float32(0.9)))]
    assert_allclose(jax.nn.sigmoid(best), 0.9, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in TARGETED])
def test_losses_without_targets_refuse_them(name):
    with pytest.raises(ValueError, match="no targets"):
        targeted_d(LOSSES[name], R, F, T_R, T_F)


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.boundary is not None])
def test_loss_boundary_is_where_the_best_d_of_equal_distributions_sits(name):
    slope = jax.grad(lambda x: LOSSES[name].d(x, x))(jnp.full(4, LOSSES[name].boundary))
    assert_allclose(slope, 0, atol=1e-7)


@pytest.mark.parametrize("name", TARGETED)
def test_targeted_losses_refuse_targets_of_another_shape(name):
    with pytest.raises(ValueError, match="differ in shape"):
        targeted_d(LOSSES[name], jnp.float32(R), jnp.float32(F), jnp.ones((4, 1)), jnp.zeros(4))


@pytest.mark.parametrize("name", LOSSES)
def test_terms_of_d_add_up_to_its_loss(name):
    terms = d_terms(LOSSES[name], jnp.float32(R), jnp.float32(F))
    if LOSSES[name].relativistic or name == "wasserstein":
        assert terms is None
    else:
        assert_allclose(sum(terms), FORMULAS[name][0](R, F), rtol=1e-6)
        assert_allclose(terms[1], d_terms(LOSSES[name], jnp.float32(-R), jnp.float32(F))[1])  # of generated ones alone
