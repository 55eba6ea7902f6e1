"""Inception Score: are the classes of generated images sure, and all there?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp

SLOPE, INTERCEPT = 0.773, 2.337  # TensorFlow's score from PyTorch's


class InceptionScore(NamedTuple):
    """Mean and deviation over `splits` parts of the images."""

    mean: float
    deviation: float
    splits: int


def inception_score(logits: np.ndarray, splits: int = 10) -> InceptionScore:
    """exp(E_x KL(p(y|x) || p(y))), with p(y) = E_x p(y|x): from 1 to the number of classes K, higher is better.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498; published figures are of 50,000 images in 10 splits, one
    after the other. Small splits are biased downwards. It does not look at real images: one good image of each class
    is perfect.

    Args:
      logits: f[N, K], of the classifier, before its softmax.
      splits: parts, as equal as can be, whose scores are averaged. The deviation is the root of their mean squared
        difference from that average, as in published figures; of one part it is 0.

    Raises:
      ValueError: fewer images than splits, or values that are not finite.

    >>> inception_score(np.array([[50.0, 0.0], [0.0, 50.0]]), splits=1).mean
    2.0
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or not 1 <= splits <= len(logits):
        raise ValueError(f"logits are {logits.shape}, splits {splits}: they must be [N, K] and from 1 to N.")
    if not np.isfinite(logits).all():
        raise ValueError("logits hold values that are not finite.")
    log_p = log_softmax(logits, axis=1)
    scores = [_score(part) for part in np.array_split(log_p, splits)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), splits)


def _score(log_p: np.ndarray) -> float:
    log_marginal = logsumexp(log_p, axis=0) - np.log(len(log_p))
    return float(np.exp(np.mean(np.sum(np.exp(log_p) * (log_p - log_marginal), axis=1))))


def tensorflow_score_of_pytorch(score: float) -> float:
    """0.773 s + 2.337: what TensorFlow's Inception is likely to give where PyTorch's gives `score`; an estimate only.

    Least squares over 17 models that were scored by both, with scores of 6.25 to 7.18 by PyTorch's weights, r = 0.89
    (C. Beckham 2021, https://beckham.nz/2021/06/28/training-gans.html, appendix). Not for scores outside that range,
    nor to compare by: scores by unlike weights are of unlike protocol.

    >>> round(tensorflow_score_of_pytorch(6.8), 2)
    7.59
    """
    return SLOPE * score + INTERCEPT
