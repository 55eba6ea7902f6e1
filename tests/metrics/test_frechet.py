import logging

import numpy as np
import pytest
from scipy.linalg import sqrtm

from jaxgan.metrics import frechet
from jaxgan.metrics.bootstrap import centered_interval
from jaxgan.metrics.frechet import Statistics, frechet_distance, resampled_distances, statistics

SIZES = [(50, 4), (300, 32), (500, 128)]


def mixed(seed, n, d):
    """Features whose variances differ by four orders of magnitude, with any correlations."""
    rng = np.random.RandomState(seed)
    return rng.randn(n, d) * np.geomspace(0.01, 1, d) @ rng.randn(d, d) + rng.randn(d)


@pytest.fixture(autouse=True)
def no_warning_yet():
    frechet._warn_of_rank.cache_clear()


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_statistics_are_those_of_numpy(n, d):
    x = mixed(0, n, d) + 1000
    found = statistics(x)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance, np.cov(x, rowvar=False), rtol=1e-9, atol=1e-12)


def test_statistics_do_not_depend_on_the_block(monkeypatch):
    x = mixed(0, 100, 4).astype(np.float32)
    expected = statistics(x)
    monkeypatch.setattr(frechet, "ROWS", 7)
    np.testing.assert_allclose(statistics(x).covariance, expected.covariance, rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_distance_equals_the_formula_of_a_matrix_root(n, d):
    a, b = statistics(mixed(0, n, d)), statistics(mixed(1, n, d))
    cross = sqrtm(a.covariance @ b.covariance).real
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance - 2 * cross)
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-6)


@pytest.mark.parametrize("d", [1, 5, 64])
def test_distance_of_commuting_covariances_has_its_closed_form(d):
    # With common eigenvectors: |m_a - m_b|^2 + sum (sqrt(l_a) - sqrt(l_b))^2.
    rng = np.random.RandomState(d)
    basis = np.linalg.qr(rng.randn(d, d))[0]
    (ours, theirs), (m, k) = rng.exponential(size=(2, d)), rng.randn(2, d)
    a, b = (Statistics(mean, (basis * values) @ basis.T, 1000) for mean, values in ((m, ours), (k, theirs)))
    expected = np.sum((m - k) ** 2) + np.sum((np.sqrt(ours) - np.sqrt(theirs)) ** 2)
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(10, 40), (50, 128), (100, 200)])
def test_distance_of_fewer_examples_than_features_has_its_closed_form(n, d):
    # tr (S_a S_b)^1/2 is the sum of the singular values of A B', with A and B the centered features over sqrt(n - 1).
    x, y = mixed(0, n, d), mixed(1, n, d)
    a, b = statistics(x), statistics(y)
    values = np.linalg.svd((x - a.mean) @ (y - b.mean).T / (n - 1), compute_uv=False)
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance) - 2 * values.sum()
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [1e-4, 1e-2])
@pytest.mark.parametrize(("n", "d"), [(2, 256), (50, 256)])
def test_distance_of_few_examples_close_together_is_not_rounded_away(n, d, apart):
    rng = np.random.RandomState(n)
    x = rng.randn(n, d)
    y = x + apart * rng.randn(n, d)
    a, b = statistics(x), statistics(y)
    values = np.linalg.svd((x - a.mean) @ (y - b.mean).T / (n - 1), compute_uv=False)
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance) - 2 * values.sum()
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(50, 4), (20, 64)])
def test_distance_to_itself_is_exactly_zero(n, d):
    x = mixed(0, n, d)
    assert frechet_distance(statistics(x), statistics(x.copy())) == 0.0


@pytest.mark.parametrize(("n", "d"), [(50, 4), (20, 64), (200, 64)])
def test_distance_of_near_ones_is_never_negative(n, d):
    x = mixed(0, n, d)
    found = [frechet_distance(statistics(x), statistics(x + e * mixed(1, n, d))) for e in (1e-12, 1e-9, 1e-6)]
    assert all(0 <= f < 1e-6 * np.trace(statistics(x).covariance) for f in found)


def test_distance_is_symmetric():
    a, b = statistics(mixed(0, 100, 8)), statistics(mixed(1, 100, 8))
    np.testing.assert_allclose(frechet_distance(a, b), frechet_distance(b, a), rtol=1e-10)


@pytest.mark.parametrize(("n", "told"), [(64, 0), (63, 1)])
def test_fewer_examples_than_features_are_told_of_once(n, told, caplog):
    a, b = statistics(mixed(0, 100, 64)), statistics(mixed(1, n, 64))
    with caplog.at_level(logging.WARNING, "absl"):
        for _ in range(3):
            frechet_distance(a, b)
    assert [f"64 features is fitted to {n} examples" in r.getMessage() for r in caplog.records] == [True] * told


def test_resamples_are_distances_of_drawn_rows():
    a, x = statistics(mixed(0, 100, 4)), mixed(1, 30, 4)
    rng = np.random.RandomState(7)
    expected = [frechet_distance(a, statistics(x[rng.randint(0, 30, 30)])) for _ in range(5)]
    np.testing.assert_allclose(resampled_distances(a, x, 5, seed=7), expected, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.93, 1.0), (0.3, 0.88, 0.99)])
def test_interval_covers_the_expectation(shift, low, high):
    """95 % of intervals should hold the mean over draws, more where nothing but bias is measured."""
    rng = np.random.RandomState(0)
    real = statistics(rng.randn(500, 8))
    draws = [shift + rng.randn(200, 8) for _ in range(150)]
    values = [frechet_distance(real, statistics(fake)) for fake in draws]
    intervals = [centered_interval(v, resampled_distances(real, f, 60, 0)) for v, f in zip(values, draws, strict=True)]
    assert low <= np.mean([a < np.mean(values) < b for a, b in intervals]) <= high


def test_interval_holds_its_value_however_skewed():
    assert centered_interval(1.0, np.array([0.0] * 99 + [1000.0])) == (-9.0, 1.0)


@pytest.mark.parametrize(
    ("features", "sentence"),
    [(np.zeros((1, 3)), "N of 2"), (np.zeros(4), "N of 2"), (np.array([[0.0], [np.nan]]), "not finite")],
)
def test_statistics_refuse_what_has_none(features, sentence):
    with pytest.raises(ValueError, match=sentence):
        statistics(features)


def test_distance_refuses_other_features():
    with pytest.raises(ValueError, match="of 3 and 4 features"):
        frechet_distance(statistics(np.eye(3)), statistics(np.eye(4)))
