"""Which step each update of a training step belongs to, and ADA's minibatches."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support.games import batches, game, same, small

from jaxgan.steps import d_step, g_step, info_step, train_step
from jaxgan.steps.randomness import stream

SCHEDULED = {
    "g_optim__schedule": "linear",
    "g_optim__schedule_steps": 10,
    "d_optim__schedule": "linear",
    "d_optim__schedule_steps": 5,
    "targets__instance_noise": 0.5,
    "targets__instance_noise_steps": 8,
    "infogan__categorical": (3,),
}


@pytest.mark.slow
@pytest.mark.parametrize("order", ["d_first", "g_first"])
def test_all_updates_of_a_step_belong_to_the_step_it_starts_from(order):
    """Their learning rates, instance noise and random numbers are those of that step, whichever network comes first."""
    gan, state, hyper = game(small(train__order=order, train__d_steps_per_g_step=2, **SCHEDULED))
    state = dataclasses.replace(state, step=jnp.int32(3))
    data, key = batches(2), jax.random.key(5)
    found, _ = jax.jit(partial(train_step, gan))(state, data, key, hyper)

    def at(step, state, i):
        batch = jax.tree.map(lambda x: x[i], data)
        start = dataclasses.replace(state, step=jnp.int32(3))
        return jax.jit(partial(step, gan))(start, batch, stream(key, 3, i), hyper)[0]

    numbers = [(g_step, 0), (d_step, 0), (d_step, 1)] if order == "g_first" else [(d_step, 0), (d_step, 1), (g_step, 1)]
    expected = state
    for step, i in [*numbers, (info_step, 1)]:
        expected = at(step, expected, i)
    expected = dataclasses.replace(expected, step=jnp.int32(4))
    jax.tree.map(partial(assert_allclose, rtol=1e-5, atol=1e-7), found, expected)


ADA = {"augment__policy": ("cutout",), "augment__ada": True, "augment__p": 0.5, "augment__ada_kimg": 1.0}


@pytest.mark.slow
def test_ada_moves_every_interval_by_the_sign_of_all_minibatches_since(key):
    """Against the rule in NumPy, on the signs that the steps report."""
    gan, state, hyper = game(small(augment__ada_interval=3, augment__ada_target=0.0, **ADA))
    step = jax.jit(partial(d_step, gan))
    batch = jax.tree.map(lambda x: x[0], batches(1))
    p, signs, changes = 0.5, [], 0
    for i in range(7):
        state, metrics = step(state, batch, jax.random.fold_in(key, i), hyper)
        signs.append(float(metrics["ada/sign"]))
        if len(signs) == 3:
            p = np.clip(p + np.sign(np.mean(signs)) * 3 * 8 / 1000, 0, 1)
            changes, signs = changes + 1, []
        assert_allclose(state.aux["ada_p"], p, rtol=1e-5)
        assert_allclose(metrics["ada/p"], p, rtol=1e-5)
        assert int(state.aux["ada_signs"].minibatches) == len(signs)
    assert changes == 2 and p != 0.5


@pytest.mark.slow
def test_ada_counts_the_minibatches_of_all_updates_of_a_step():
    gan, state, hyper = game(small(augment__ada_interval=3, train__d_steps_per_g_step=2, **ADA))
    step = jax.jit(partial(train_step, gan))
    found = []
    for i in range(3):
        state, _ = step(state, batches(2, seed=i), jax.random.key(0), hyper)
        found.append((int(state.aux["ada_signs"].minibatches), abs(float(state.aux["ada_p"]) - 0.5) > 1e-6))
    assert found[0] == (2, False) and found[1][0] == 1 and found[2][0] == 0 and found[1][1]


@pytest.mark.slow
def test_ada_of_every_minibatch_keeps_the_state_of_before():
    gan, state, hyper = game(small(augment__ada_interval=1, **ADA))
    assert state.aux.keys() == {"ada_p"}
    new, metrics = jax.jit(partial(train_step, gan))(state, batches(1), jax.random.key(0), hyper)
    expected = 0.5 + np.sign(float(metrics["ada/sign"]) - 0.6) * 8 / 1000
    assert_allclose(new.aux["ada_p"], expected, rtol=1e-5)
    assert same(new.aux["ada_p"], metrics["ada/p"])
