import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose

from jaxgan.techniques.optim import KINDS, PRESETS, SCHEDULES, OptimHyper, lazy_adam, schedule_factor


def hyper(lr=0.01, b1=0.5, b2=0.9, eps=1e-3, eps_root=1e-4):
    return OptimHyper(*(jnp.float32(x) for x in (lr, b1, b2, eps, eps_root)))


def numpy_adam(grads, lr, b1, b2, eps, eps_root):
    m = v = w = 0.0
    for t, g in enumerate(grads, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        w -= lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
    return w


def numpy_adamax(grads, lr, b1, b2, eps, eps_root):
    m = u = w = 0.0
    for t, g in enumerate(grads, start=1):
        m, u = b1 * m + (1 - b1) * g, max(b2 * u, abs(g) + eps)
        w -= lr * (m / (1 - b1**t)) / u
    return w


REFERENCES = {"adam": numpy_adam, "adamax": numpy_adamax}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("b1", [0.0, 0.5])
def test_kind_follows_its_formula(kind, b1):
    grads = [0.3, -2.0, 0.7, 0.001]
    h = hyper(b1=b1)

    @jax.jit
    def run(h):
        tx = KINDS[kind](h)
        w, state = jnp.float32(0), tx.init(jnp.float32(0))
        for g in grads:
            update, state = tx.update(jnp.float32(g), state, w)
            w += update
        return w

    assert_allclose(run(h), REFERENCES[kind](grads, 0.01, b1, 0.9, 1e-3, 1e-4), rtol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_kind_has_one_state_whatever_the_constants(kind):
    structures = {jax.tree.structure(KINDS[kind](hyper(lr, b1)).init(jnp.zeros(3))) for lr in (0, 1) for b1 in (0, 0.9)}
    assert len(structures) == 1


def test_presets_are_the_papers_table():
    expected = {
        "A": (1e-4, 0.5, 0.9, 5),
        "B": (1e-4, 0.5, 0.999, 1),
        "C": (2e-4, 0.5, 0.999, 1),
        "D": (1e-3, 0.5, 0.9, 5),
        "E": (1e-3, 0.5, 0.999, 5),
        "F": (1e-3, 0.9, 0.999, 5),
    }
    assert {name: tuple(preset) for name, preset in PRESETS.items()} == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs"),
    [("linear", optax.linear_schedule(1.0, 0.1, 700)), ("cosine", optax.cosine_decay_schedule(1.0, 700, 0.1))],
)
def test_schedule_is_that_of_optax_up_to_rounding(name, theirs):
    steps = jnp.arange(800)
    assert_allclose(schedule_factor(name, steps, 700, 0.1), theirs(steps), atol=2e-7)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_starts_at_one_and_ends_where_told(name):
    first, last, later = (float(schedule_factor(name, jnp.int32(s), 50, 0.25)) for s in (0, 50, 5000))
    assert first == 1
    assert last == later == (1 if name == "constant" else 0.25)


def test_schedule_cosine_is_half_way_in_the_middle():
    assert_allclose(schedule_factor("cosine", jnp.int32(25), 50, 0.0), 0.5, atol=1e-6)
    assert_allclose(schedule_factor("cosine", jnp.int32(10), 40, 0.0), (1 + np.cos(np.pi / 4)) / 2, rtol=1e-6)


def test_lazy_adam_goes_and_forgets_as_much_in_k_steps():
    plain = hyper()
    for k in (1, 4, 16):
        lazy = lazy_adam(plain, k)
        assert_allclose(lazy.learning_rate * (k + 1), plain.learning_rate * k, rtol=1e-5)
        assert_allclose(lazy.b1 ** (k + 1), plain.b1**k, rtol=1e-5)
        assert_allclose(lazy.b2 ** (k + 1), plain.b2**k, rtol=1e-5)
        assert (lazy.eps, lazy.eps_root) == (plain.eps, plain.eps_root)
