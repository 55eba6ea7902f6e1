import itertools

import numpy as np
import pytest

from jaxgan.metrics.conditional import best_assignment_accuracy, class_accuracy, diversity, within_class_diversity
from jaxgan.metrics.features import random_network


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def mean_distance(x):
    return np.mean([np.sqrt(np.sum((a - b) ** 2)) for a, b in itertools.combinations(x.astype(np.float64), 2)])


@pytest.mark.parametrize("rows", [2, 3, 8, 512])
def test_diversity_is_the_mean_distance_of_pairs(rng, monkeypatch, rows):
    monkeypatch.setattr("jaxgan.metrics.conditional.ROWS", rows)
    x = rng.randn(17, 5).astype(np.float32)
    np.testing.assert_allclose(diversity(x), mean_distance(x), rtol=1e-13)


def test_diversity_of_a_normal_has_its_closed_form(rng):
    # The difference of two normal vectors of 3 dimensions is sqrt(2) times a chi of 3 degrees, of mean 2 sqrt(2/pi).
    expected = np.sqrt(2) * 2 * np.sqrt(2 / np.pi)
    assert abs(diversity(rng.randn(1500, 3)) - expected) < 0.05


def test_diversity_of_equal_rows_is_zero(rng):
    assert diversity(np.tile(1e6 + rng.randn(1, 64), (600, 1))) == 0


@pytest.mark.parametrize("x", [np.zeros((1, 3)), np.zeros(3), np.array([[0.0], [np.nan]])])
def test_diversity_refuses_what_has_none(x):
    with pytest.raises(ValueError, match="features"):
        diversity(x)


def test_within_class_diversity_is_the_ratio_per_class(rng):
    real, fake = rng.randn(40, 4), rng.randn(30, 4)
    real_labels, fake_labels = np.arange(40) % 3, np.arange(30) % 3
    result = within_class_diversity(fake, fake_labels, real, real_labels)
    expected = [mean_distance(fake[fake_labels == c]) / mean_distance(real[real_labels == c]) for c in range(3)]
    np.testing.assert_allclose(list(result.per_class.values()), expected, rtol=1e-13)
    np.testing.assert_allclose(result[:2], [np.mean(expected), np.min(expected)], rtol=1e-13)


def test_within_class_diversity_shows_one_collapsed_class(rng):
    real, labels = rng.randn(40, 4), np.arange(40) % 2
    fake = real.copy()
    fake[labels == 1] = 5.0
    assert within_class_diversity(fake, labels, real, labels) == (0.5, 0.0, {0: 1.0, 1: 0.0})


def test_within_class_diversity_refuses_an_absent_class(rng):
    x = rng.randn(6, 2)
    with pytest.raises(ValueError, match="class 1 has 0 generated and 3 real"):
        within_class_diversity(x, np.zeros(6, int), x, np.arange(6) % 2)


def test_within_class_diversity_refuses_equal_real_examples(rng):
    with pytest.raises(ValueError, match="all the same"):
        within_class_diversity(rng.randn(4, 2), np.zeros(4, int), np.ones((4, 2)), np.zeros(4, int))


@pytest.mark.slow
def test_class_accuracy_counts_predicted_labels(rng):
    network = random_network((8, 8, 1))
    images = rng.uniform(-1, 1, (50, 8, 8, 1)).astype(np.float32)
    predicted = np.argmax(network.apply(network.variables, images)[1], axis=1)
    labels = np.array(predicted)
    labels[:10] = (labels[:10] + 1) % 10
    result = class_accuracy(network, images, labels)
    assert result.overall == 0.8
    assert result.per_class == {c: np.mean(predicted[labels == c] == c) for c in set(labels.tolist())}


@pytest.mark.parametrize(("codes", "classes"), [(4, 4), (5, 3), (3, 5)])
def test_best_assignment_is_the_best_of_all(rng, codes, classes):
    for _ in range(10):
        c, predicted = rng.randint(codes, size=60), rng.randint(classes, size=60)
        size = max(codes, classes)
        best = max(np.mean(np.array(a)[c] == predicted) for a in itertools.permutations(range(size)))
        result = best_assignment_accuracy(c, predicted)
        np.testing.assert_allclose(result.accuracy, best, rtol=1e-13)
        assert len(set(result.classes.values())) == len(result.classes)
        assert (
            np.mean([result.classes.get(i) == k for i, k in zip(c.tolist(), predicted.tolist(), strict=True)]) == best
        )


def test_best_assignment_undoes_a_relabeling(rng):
    predicted = rng.randint(10, size=200)
    relabeled = rng.permutation(10)
    result = best_assignment_accuracy(relabeled[predicted], predicted)
    assert result == (1.0, {int(relabeled[k]): k for k in range(10)})


def test_best_assignment_does_not_reward_codes_that_share_a_class():
    assert best_assignment_accuracy(np.arange(100) % 10, np.zeros(100, int)).accuracy == 0.1


@pytest.mark.parametrize("codes", [np.array([0.0, 1.0]), np.array([0, -1]), np.array([0]), np.array([], int)])
def test_best_assignment_refuses_other_codes(codes):
    with pytest.raises(ValueError, match="integers"):
        best_assignment_accuracy(codes, np.arange(len(codes)) if not len(codes) else np.array([0, 1]))
