import numpy as np
import pytest

from jaxgan.data import load, synthetic_modes
from jaxgan.metrics.modes import channel_logits, count_modes, count_stacked, reverse_kl

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


def test_reverse_kl_from_the_data_is_scipy_s():
    from scipy.stats import entropy

    counts, data = np.array([3.0, 0.0, 5.0, 1.0]), np.array([2.0, 2.0, 7.0, 4.0])
    np.testing.assert_allclose(reverse_kl(counts, data), entropy(counts, data), rtol=1e-12)


@pytest.mark.parametrize("reference", [[1.0, 0.0], [1.0, -1.0], [1.0]])
def test_reverse_kl_refuses_a_reference_that_makes_it_infinite(reference):
    with pytest.raises(ValueError, match="2 shares, positive at all modes"):
        reverse_kl(np.array([0.5, 0.5]), np.array(reference))


@pytest.mark.parametrize("shares", [[0.0, 0.0], [0.5, -0.5, 1.0], [[1.0]]])
def test_reverse_kl_refuses_what_are_no_shares(shares):
    with pytest.raises(ValueError, match="must be one number of 0 or more"):
        reverse_kl(np.array(shares))


def stacked_logits(digits, probability=0.99):
    """Logits of a classifier that gives each digit of i[N, 3] this probability, and the other nine equal ones."""
    p = np.full((*np.shape(digits), 10), (1 - probability) / 9)
    np.put_along_axis(p, np.asarray(digits)[..., None], probability, axis=-1)
    return np.log(p)


def test_count_stacked_numbers_the_modes_by_their_digits():
    modes, quality, shares = count_stacked(stacked_logits([[0, 0, 7], [0, 0, 7], [9, 4, 2], [9, 9, 9]]))
    assert (modes, quality, len(shares)) == (3, 1.0, 1000)
    assert {int(i): float(shares[i]) for i in np.flatnonzero(shares)} == {7: 0.5, 942: 0.25, 999: 0.25}


def test_count_stacked_of_every_stack_is_a_thousand():
    every = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    found = count_stacked(stacked_logits(every))
    assert (found.modes, reverse_kl(found.shares)) == (1000, 0.0)
    np.testing.assert_allclose(reverse_kl(count_stacked(stacked_logits(every[:10])).shares), np.log(100), rtol=1e-12)


def test_channels_are_judged_one_by_one():
    images = np.random.RandomState(0).randn(4, 2, 2, 3)
    found = channel_logits(lambda x: (np.zeros(4), x.reshape(4, 4)), images)
    np.testing.assert_array_equal(found, np.moveaxis(images, -1, 1).reshape(4, 3, 4))


@pytest.mark.parametrize(("confidence", "modes", "quality"), [(0.0, 3, 1.0), (0.9, 2, 2 / 3), (0.95, 1, 1 / 3)])
def test_count_stacked_asks_for_confidence_in_each_channel(confidence, modes, quality):
    logits = stacked_logits([[1, 1, 1], [2, 2, 2], [3, 3, 3]])
    logits[1, 2] = stacked_logits(2, 0.92)
    logits[2, 0] = stacked_logits(3, 0.89)
    found = count_stacked(logits, confidence)
    assert (found.modes, found.high_quality) == (modes, quality)


def test_count_stacked_of_unsure_samples_is_none():
    found = count_stacked(np.zeros((5, 3, 10)))
    assert (found.modes, found.high_quality, found.shares.sum()) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("logits", "confidence", "sentence"),
    [
        (np.zeros((5, 10)), 0.9, r"\[N, C, K\]"),
        (np.zeros((0, 3, 10)), 0.9, "N > 0"),
        (np.full((5, 3, 10), np.nan), 0.9, "finite"),
        (np.zeros((5, 3, 10)), 1.5, "min_confidence, 1.5"),
    ],
)
def test_count_stacked_refuses_nonsense(logits, confidence, sentence):
    with pytest.raises(ValueError, match=sentence):
        count_stacked(logits, confidence)
