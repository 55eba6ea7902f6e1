import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support.traced import Traced

from jaxgan.techniques.label_tricks import TrickHyper, annealed, d_targets, g_targets, instance_noise, unflip
from jaxgan.techniques.losses import LOSSES, targeted_d, targeted_g

NAMES = [f.name for f in dataclasses.fields(TrickHyper)]
N = 4096


def tricks(**strengths):
    return TrickHyper(**{name: jnp.asarray(strengths.get(name, 0.0), float) for name in NAMES})


@pytest.fixture
def keys(key):
    return jax.random.split(key, N)


def test_targets_without_tricks_are_exactly_1_and_0(keys):
    real, fake = jax.jit(d_targets)(tricks(), keys)
    assert_array_equal(real, np.ones(N, np.float32))
    assert_array_equal(fake, np.zeros(N, np.float32))
    assert g_targets(tricks()) == (1, 0)


# Real targets, generated targets (constants, or the ends of a uniform distribution), and G's, by hand.
CASES = {
    "smoothing": (dict(smoothing=0.1), 0.9, 0.0, (1, 0)),
    "soft_real": (dict(soft_real=0.1), (0.9, 1.0), 0.0, (1, 0)),
    "soft_fake": (dict(soft_fake=0.2), 1.0, (0.0, 0.2), (1, 0)),
    "flip": (dict(flip=1), 0.0, 1.0, (0, 1)),
    "flip and smoothing": (dict(flip=1, smoothing=0.1), 0.1, 1.0, (0, 1)),
    "flip and soft": (dict(flip=1, soft_real=0.1, soft_fake=0.3), (0.0, 0.1), (0.7, 1.0), (0, 1)),
    "always noisy_real": (dict(noisy_real=1), 0.0, 0.0, (1, 0)),
    "always noisy_fake": (dict(noisy_fake=1, smoothing=0.1), 0.9, 0.9, (1, 0)),
    "always noisy and flip": (dict(noisy_real=1, noisy_fake=1, flip=1), 1.0, 0.0, (0, 1)),
    "instance_noise": (dict(instance_noise=0.5), 1.0, 0.0, (1, 0)),
}


def test_targets_cases_cover_every_strength():
    assert {name for strengths, *_ in CASES.values() for name in strengths} == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_targets_follow_their_definition(case, keys):
    strengths, *expected, for_g = CASES[case]
    assert_array_equal(g_targets(tricks(**strengths)), for_g)
    for found, wanted in zip(d_targets(tricks(**strengths), keys), expected, strict=True):
        if isinstance(wanted, tuple):
            low, high = wanted
            assert low - 1e-6 <= found.min() < low + 0.01 and high - 0.01 < found.max() <= high + 1e-6
            assert_allclose(np.mean(found), (low + high) / 2, atol=4 * (high - low) / np.sqrt(12 * N))
        else:
            assert_allclose(found, np.full(N, wanted), rtol=1e-6)


def test_targets_noise_has_its_frequency_for_each_kind_apart(keys):
    real, fake = d_targets(tricks(noisy_real=0.05, noisy_fake=0.2), keys)
    for swapped, p in ((real == 0, 0.05), (fake == 1, 0.2)):
        assert_allclose(np.mean(swapped), p, atol=4 * np.sqrt(p * (1 - p) / N))
    both = np.mean((real == 0) & (fake == 1))
    assert_allclose(both, 0.01, atol=4 * np.sqrt(0.01 / N))  # independent


@pytest.mark.slow
def test_targets_and_noise_do_not_depend_on_the_split_of_the_batch(keys):
    t = tricks(soft_real=0.1, soft_fake=0.1, noisy_real=0.3, noisy_fake=0.3)
    x = np.ones((8, 2, 3), np.float32)
    whole = (*d_targets(t, keys[:8]), instance_noise(x, keys[:8], jnp.float32(0.3)))
    parts = [(*d_targets(t, k), instance_noise(x[:2], k, jnp.float32(0.3))) for k in jnp.split(keys[:8], 4)]
    jax.tree.map(assert_array_equal, whole, tuple(jnp.concatenate(part) for part in zip(*parts, strict=True)))


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.term])
def test_losses_without_tricks_equal_the_plain_ones_bit_for_bit(name, keys):
    """In one compiled program whose strengths are arguments, as an ablation runs it."""
    loss = LOSSES[name]
    r, f = jnp.float32(np.random.RandomState(0).randn(2, N) * 30)

    def values(t, r, f):
        def d(r, f):
            return targeted_d(loss, r, f, *d_targets(t, keys))

        def g(r, f):
            return targeted_g(loss, f, *g_targets(t))

        return [jax.value_and_grad(one, argnums=(0, 1))(r, f) for one in (d, g)]

    traced = Traced(values)
    tricky = jax.jit(traced)
    plain = jax.jit(lambda r, f: [jax.value_and_grad(one, argnums=(0, 1))(r, f) for one in (loss.d, loss.g)])
    jax.tree.map(assert_array_equal, tricky(tricks(), r, f), plain(r, f))
    assert tricky(tricks(smoothing=0.1, flip=1), r, f)[0][0] != plain(r, f)[0][0]
    assert traced.times == 1


def test_unflip_restores_a_score_and_leaves_others_alone():
    scores = np.float32([0.1, 0.7, 1 / 3])
    assert_array_equal(unflip(scores, jnp.float32(0)), scores)
    assert_allclose(unflip(scores, jnp.float32(1)), 1 - scores, rtol=1e-6)


def test_instance_noise_has_its_deviation_and_each_example_its_own(keys):
    noise = instance_noise(jnp.zeros((256, 8, 8, 1)), keys[:256], jnp.float32(0.3))
    n = noise.size
    assert_allclose(np.mean(noise), 0, atol=4 * 0.3 / np.sqrt(n))
    assert_allclose(np.std(noise), 0.3, atol=4 * 0.3 / np.sqrt(2 * n))
    assert len(np.unique(np.asarray(noise)[:, 0, 0, 0])) == 256


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_instance_noise_of_zero_is_the_identity(dtype, keys):
    x = jax.random.normal(keys[0], (4, 3, 3, 2), dtype)
    found = instance_noise(x, keys[:4], jnp.float32(0))
    assert found.dtype == dtype
    assert_array_equal(found, x)


def test_annealed_keeps_float64(float64):
    assert_allclose(annealed(jnp.float64(1), jnp.int32(1), 3), 2 / 3, rtol=1e-15)
