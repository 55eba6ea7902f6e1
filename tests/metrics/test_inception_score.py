import numpy as np
import pytest
from scipy.stats import entropy

from jaxgan.metrics.inception_score import inception_score, tensorflow_score_of_pytorch

# PyTorch's and TensorFlow's scores of 17 models, from the appendix of the article that `inception_score.py` names.
BOTH = np.array(
    [
        (6.78, 7.68), (6.82, 7.63), (6.75, 7.68), (6.73, 7.40), (6.63, 7.48), (6.85, 7.81), (6.29, 7.24), (6.92, 7.66),
        (7.03, 7.63), (6.98, 7.62), (7.18, 7.81), (6.80, 7.60), (6.79, 7.63), (7.01, 7.76), (7.03, 7.84), (6.25, 7.02),
        (6.82, 7.62),
    ]
)  # fmt: skip


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


def test_line_is_least_squares_over_the_article_s_table():
    slope, intercept = np.polyfit(BOTH[:, 0], BOTH[:, 1], 1)
    assert (round(slope, 3), round(intercept, 3)) == (0.773, 2.337)
    assert round(np.corrcoef(BOTH.T)[0, 1], 2) == 0.89
    np.testing.assert_allclose(tensorflow_score_of_pytorch(6.8), slope * 6.8 + intercept, atol=1e-2)


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
