import numpy as np
import pytest

from jaxgan.data import load, synthetic_modes
from jaxgan.metrics.modes import count_modes, reverse_kl

CENTERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def test_count_modes_counts_by_distance_and_nearest_mode():
    samples = np.array([[0.0, 0.29], [0.0, 0.31], [1.0, -0.3 + 1e-9], [0.5, 0.0]])
    modes, quality, shares = count_modes(samples, CENTERS, sigma=0.1)
    assert modes == 2
    assert quality == 0.5
    np.testing.assert_array_equal(shares, [0.5, 0.5, 0.0])


def test_count_modes_asks_for_its_share():
    samples = np.concatenate([np.zeros((99, 2)), [[1.0, 0.0]]])
    assert [count_modes(samples, CENTERS, 0.1, share).modes for share in (0.0, 0.01, 0.02)] == [2, 2, 1]


def test_count_modes_of_garbage_is_none():
    modes, quality, shares = count_modes(np.full((10, 2), 50.0), CENTERS, 0.1)
    assert (modes, quality, shares.sum()) == (0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_count_modes_of_the_data_is_all_of_them(name):
    source = load("synthetic", name=name)
    count = count_modes(source.read(np.arange(2500)), *synthetic_modes(name), min_share=0.01)
    assert count.modes == {"ring": 8, "grid": 25}[name]
    # In the plane 1 - exp(-9/2) of a Gaussian lies within 3 sigma; 4 standard errors of 2,500 draws.
    assert abs(count.high_quality - 0.98889) < 4 * (0.98889 * 0.01111 / 2500) ** 0.5


@pytest.mark.parametrize(
    ("samples", "sigma", "share", "sentence"),
    [
        (np.zeros((3, 3)), 0.1, 0, "must be"),
        (np.zeros((0, 2)), 0.1, 0, "empty"),
        (np.full((3, 2), np.nan), 0.1, 0, "not finite"),
        (np.zeros((3, 2)), 0.0, 0, "sigma"),
        (np.zeros((3, 2)), 0.1, 2, "min_share"),
    ],
)
def test_count_modes_refuses_nonsense(samples, sigma, share, sentence):
    with pytest.raises(ValueError, match=sentence):
        count_modes(samples, CENTERS, sigma, share)


def test_reverse_kl_equals_the_entropy_that_is_missing(key):
    from scipy.stats import entropy

    counts = np.array([3.0, 0.0, 5.0, 1.0, 7.0])
    np.testing.assert_allclose(reverse_kl(counts), np.log(5) - entropy(counts), rtol=1e-12)


@pytest.mark.parametrize("shares", [[0.0, 0.0], [0.5, -0.5, 1.0], [[1.0]]])
def test_reverse_kl_refuses_what_are_no_shares(shares):
    with pytest.raises(ValueError, match="must be one number of 0 or more"):
        reverse_kl(np.array(shares))
