import numpy as np
import pytest

from jaxgan import metrics
from jaxgan.metrics import Extracted, Protocol, kernel, measure
from jaxgan.metrics.bootstrap import centered_interval
from jaxgan.metrics.kernel import kernel_distance, resampled_discrepancies, squared_discrepancy


def sets(n, m, d, shift=0.3):
    rng = np.random.RandomState(n)
    return rng.randn(n, d).astype(np.float32), (shift + rng.randn(m, d)).astype(np.float32)


def plain(x, y):
    """The definition, pair by pair."""

    def k(a, b):
        return (sum(float(p) * float(q) for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(z):
        return np.mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j])

    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


@pytest.mark.parametrize(("n", "m", "d"), [(2, 3, 1), (12, 9, 4), (20, 30, 8)])
def test_discrepancy_equals_the_definition(n, m, d):
    x, y = sets(n, m, d)
    np.testing.assert_allclose(
        squared_discrepancy(x.astype(float), y.astype(float)), plain(x, y), rtol=1e-12, atol=1e-14
    )


def test_one_subset_of_all_is_the_whole():
    x, y = sets(12, 12, 4)
    found = kernel_distance(x, y, subsets=3, size=12)
    np.testing.assert_allclose(found, (plain(x, y), 0, 3, 12), rtol=1e-12, atol=1e-14)


def test_distance_is_mean_and_deviation_of_subsets(monkeypatch):
    values = iter([1.0, 2.0, 6.0])
    monkeypatch.setattr(kernel, "squared_discrepancy", lambda x, y, _: next(values) if len(x) == len(y) == 5 else None)
    np.testing.assert_allclose(kernel_distance(*sets(9, 8, 2), subsets=3, size=5)[:2], (3, np.sqrt(14 / 3)))


def test_subsets_hold_no_example_twice(monkeypatch):
    seen = []
    record = lambda x, y, _: seen.append((len(set(x[:, 0])), len(set(y[:, 0]))))  # noqa: E731
    monkeypatch.setattr(kernel, "squared_discrepancy", record)
    with pytest.raises(TypeError):
        kernel_distance(*sets(9, 8, 2), subsets=3, size=8)
    assert seen == [(8, 8)] * 3


def test_subsets_are_those_of_the_seed():
    first, same, other = (kernel_distance(*sets(40, 40, 4), subsets=5, size=10, seed=s) for s in (0, 0, 1))
    assert first == same != other


def test_distance_of_one_distribution_is_zero_on_average():
    values = [squared_discrepancy(*(np.random.RandomState((i, j)).randn(30, 4) for j in (0, 1))) for i in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_distance_of_a_shift_has_its_closed_form():
    # One feature, x of N(0, 1/4) and y of N(1, 1/4): E (xy + 1)^3 = E x^3 E y^3 + 3 E x^2 E y^2 + 3 E x E y + 1 with
    # the moments (0, 1/4, 0) and (1, 5/4, 7/4) gives 19/16 within x, 47/4 within y and 31/16 across.
    pairs = np.random.RandomState(0).randn(100, 2, 200, 1) / 2
    values = [squared_discrepancy(x, y + 1) for x, y in pairs]
    assert abs(np.mean(values) - (19 / 16 + 47 / 4 - 31 / 8)) < 3 * np.std(values) / np.sqrt(100) < 0.5


def test_resamples_have_the_value_as_their_mean():
    x, y = (z.astype(float) for z in sets(12, 9, 3))
    k = (x @ x.T / 3 + 1) ** 3
    left_out = (k.sum() - np.trace(k)) / (12 * 11)
    found = resampled_discrepancies(x, y, resamples=20_000, seed=0) + left_out
    assert abs(found.mean() - squared_discrepancy(x, y)) < 4 * found.std() / np.sqrt(20_000)


def test_resamples_do_not_depend_on_the_block(monkeypatch):
    x, y = sets(20, 33, 4)
    expected = resampled_discrepancies(x, y, 5, 0)
    monkeypatch.setattr(kernel, "ROWS", 10)
    np.testing.assert_allclose(resampled_discrepancies(x, y, 5, 0), expected, rtol=1e-12)


@pytest.mark.slow
def test_interval_covers_the_expectation():
    """95 % of intervals should hold the mean over draws; 88 % is 4.5 standard errors of 200 sets below that."""
    rng = np.random.RandomState(0)
    real = rng.randn(200, 4)
    draws = [0.4 + rng.randn(100, 4) for _ in range(200)]
    values = [squared_discrepancy(real, fake) for fake in draws]
    intervals = [
        centered_interval(v, resampled_discrepancies(real, f, 100, 0)) for v, f in zip(values, draws, strict=True)
    ]
    assert 0.88 < np.mean([low < np.mean(values) < high for low, high in intervals]) <= 1


@pytest.mark.parametrize(
    ("real", "fake", "size", "sentence"),
    [
        (np.zeros((9, 2)), np.zeros((8, 2)), 9, "100 subsets of 9 cannot be drawn from 9 real and 8 generated"),
        (np.zeros((9, 2)), np.zeros((9, 2)), 1, "subsets of 1"),
        (np.zeros((9, 2)), np.zeros((9, 3)), 5, "must be"),
        (np.zeros(9), np.zeros(9), 5, "must be"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), 5, "not finite"),
    ],
)
def test_distance_refuses_what_does_not_fit(real, fake, size, sentence):
    with pytest.raises(ValueError, match=sentence):
        kernel_distance(real, fake, size=size)


@pytest.mark.parametrize("size", [12, 10], ids=["all pairs", "subsets"])
def test_the_term_of_real_examples_is_computed_once(monkeypatch, size):
    """However many sets are compared with them, and to the same bits."""
    monkeypatch.setattr(metrics, "SUBSET", size)
    rng, squares = np.random.RandomState(0), []
    real, *fakes = (rng.normal(size=(12, 3)) for _ in range(3))
    computed = kernel._kernel

    def count(x, y):
        squares.append(x is y and np.isin(x, real).all())
        return computed(x, y)

    monkeypatch.setattr(kernel, "_kernel", count)
    extracted, protocol = Extracted(real), Protocol("f", "0", "data", "train", 12, 12)
    found = [measure("kid", extracted, Extracted(fake), protocol, resamples=0).value for fake in fakes]
    assert sum(squares) == (1 if size == 12 else metrics.SUBSETS)
    for fake, value in zip(fakes, found, strict=True):
        alone = squared_discrepancy(real, fake) if size == 12 else kernel_distance(real, fake, metrics.SUBSETS, 10).mean
        assert value == alone
