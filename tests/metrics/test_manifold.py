import tracemalloc

import numpy as np
import pytest
from prdc import compute_prdc

from jaxgan.metrics import manifold
from jaxgan.metrics.manifold import compare, nearest

SIZES = [(30, 20, 3), (200, 300, 16), (700, 600, 64)]


def sets(n, m, d):
    """Two clouds that overlap in part; norms far larger than distances, where products lose digits."""
    rng = np.random.RandomState(n)
    return 100 + rng.randn(n, d), 100.3 + 0.8 * rng.randn(m, d)


def plain(real, fake, k, k_dense):
    """The definitions, pair by pair."""

    def distance(a, b):
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))

    def radius(x, k):
        return np.sort(distance(x, x), axis=1)[:, k, None]

    between = distance(real, fake)
    dense = between < radius(real, k_dense)
    return (
        (between <= radius(real, k)).any(axis=0).mean(),
        (between <= radius(fake, k).T).any(axis=1).mean(),
        dense.sum(axis=0).mean() / k_dense,
        dense.any(axis=1).mean(),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_manifold_equals_the_definitions(n, m, d):
    real, fake = sets(n, m, d)
    np.testing.assert_allclose(compare(real, fake), plain(real, fake, 3, 5), rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_manifold_equals_the_authors_package(n, m, d, k):
    real, fake = sets(n, m, d)
    theirs = compute_prdc(real, fake, nearest_k=k)
    for name, ours in compare(real, fake, k, k)._asdict().items():
        assert abs(ours - theirs[name]) < 1e-6, name


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_manifold_does_not_depend_on_the_block(monkeypatch, rows):
    real, fake = sets(100, 64, 4)
    expected = compare(real, fake)
    monkeypatch.setattr(manifold, "ROWS", rows)
    assert compare(real, fake) == expected


def test_manifold_takes_neighbors_that_are_known():
    real, fake = sets(100, 64, 4)
    known = compare(real, fake, near_real=nearest(real, 9), near_fake=nearest(fake, 4))
    assert known == compare(real, fake)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_manifold_of_the_same_set_is_one(offset):
    real = np.random.RandomState(0).randn(300, 8) + offset
    assert compare(real, real.copy()) == (1, 1, 1, 1)


def test_manifold_of_sets_apart_is_zero():
    real = np.random.RandomState(0).randn(50, 8)
    assert compare(real, real + 100) == (0, 0, 0, 0)


def test_manifold_of_one_repeated_image_is_precise_and_recalls_nothing_else():
    real = np.random.RandomState(0).randn(50, 8)
    found = compare(real, np.tile(real[:1], (50, 1)))
    assert (found.precision, found.recall) == (1, 1 / 50)
    assert found.coverage < 0.5


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_precision_and_recall_have_closed_balls_density_and_coverage_open_ones(offset):
    """Of four copies of each example no ball of the third neighbor has a radius; of points on a line one is hit on its
    border only."""
    real = np.repeat(np.random.RandomState(0).randn(20, 8), 4, axis=0) + offset
    found = compare(real, real.copy(), k=3, k_dense=3)
    assert found == (1, 1, 0, 0)
    line = np.array([[0.0], [1.0], [2.0]]) + offset
    beyond = np.array([[3.0], [50.0], [90.0]]) + offset
    found = compare(line, beyond, k=1, k_dense=1)
    assert (found.precision, found.density, found.coverage) == (1 / 3, 0, 0)


def test_precision_and_recall_exchange_places_with_the_sets():
    real, fake = sets(100, 80, 4)
    there, back = compare(real, fake), compare(fake, real)
    assert (there.precision, there.recall) == (back.recall, back.precision)


def test_an_outlier_does_not_blur_the_others():
    real = np.random.RandomState(0).randn(60, 4)
    real[0] = 1e6
    np.testing.assert_allclose(
        nearest(real, 3), np.sort(((real[:, None] - real) ** 2).sum(-1), axis=1)[:, 1:4], rtol=1e-3
    )


@pytest.mark.slow
def test_manifold_of_ten_thousand_is_compared_in_little_memory():
    x = np.random.RandomState(0).randn(10_000, 2)
    tracemalloc.start()
    near = nearest(x, 1)
    compare(x, x, k=1, k_dense=1, near_real=near, near_fake=near)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6  # all distances at once are 800 MB


@pytest.mark.parametrize(
    ("real", "fake", "sentence"),
    [
        (np.zeros((5, 2)), np.zeros((9, 2)), "k is 5 for 5"),
        (np.zeros((9, 2)), np.zeros((3, 2)), "k is 3 for 3"),
        (np.zeros((9, 2)), np.zeros((9, 3)), "as many"),
        (np.zeros(9), np.zeros((9, 1)), r"must be \[N, F\]"),
        (np.zeros((9, 2)), np.full((9, 2), np.nan), "fake hold values"),
    ],
)
def test_manifold_refuses_what_it_cannot_compare(real, fake, sentence):
    with pytest.raises(ValueError, match=sentence):
        compare(real, fake)
