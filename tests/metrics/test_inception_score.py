import numpy as np
import pytest
from scipy.stats import entropy

from jaxgan.metrics.inception_score import inception_score


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_score_of_sure_and_balanced_classes_is_their_number(classes):
    logits = np.tile(800 * np.eye(classes), (3, 1))
    np.testing.assert_allclose(inception_score(logits, splits=3), (classes, 0, 3), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("logits", [np.zeros((20, 5)), np.tile([[0.0, 1.0, 30.0]], (20, 1))])
def test_score_of_equal_answers_is_one(logits):
    np.testing.assert_allclose(inception_score(logits, splits=2).mean, 1, rtol=1e-12)


def test_score_of_half_sure_answers_has_its_closed_form():
    # Each image is sure but for a share e: exp(log 2 - H(e)), as the marginal is uniform.
    e = 0.1
    logits = np.log(np.array([[1 - e, e], [e, 1 - e]] * 10))
    np.testing.assert_allclose(inception_score(logits, 1).mean, 2 * np.exp(-entropy([e, 1 - e])), rtol=1e-12)


def test_score_equals_the_entropies_definition():
    p = np.random.RandomState(0).dirichlet(np.ones(7), 40)
    expected = np.exp(np.mean([entropy(row, p.mean(axis=0)) for row in p]))
    np.testing.assert_allclose(inception_score(np.log(p) + 3.0, 1).mean, expected, rtol=1e-12)


def test_score_is_mean_and_deviation_over_parts_in_order():
    logits = np.random.RandomState(0).randn(30, 4)
    parts = [inception_score(part, 1).mean for part in (logits[:10], logits[10:20], logits[20:])]
    np.testing.assert_allclose(inception_score(logits, 3), (np.mean(parts), np.std(parts), 3), rtol=1e-12)


def test_parts_of_unequal_size_are_cut_as_the_authors_program_cuts_them():
    """Of 11 images in 4 parts: 2, 3, 3, 3."""
    logits = np.random.RandomState(0).randn(11, 4)
    parts = [inception_score(part, 1).mean for part in (logits[:2], logits[2:5], logits[5:8], logits[8:])]
    np.testing.assert_allclose(inception_score(logits, 4), (np.mean(parts), np.std(parts), 4), rtol=1e-12)


@pytest.mark.parametrize(
    ("logits", "splits", "sentence"),
    [
        (np.zeros((5, 2)), 6, "from 1 to N"),
        (np.zeros((5, 2)), 0, "from 1 to N"),
        (np.zeros(5), 1, r"\[N, K\]"),
        (np.full((5, 2), np.nan), 1, "not finite"),
    ],
)
def test_score_refuses_what_has_none(logits, splits, sentence):
    with pytest.raises(ValueError, match=sentence):
        inception_score(logits, splits)
