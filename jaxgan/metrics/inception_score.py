"""Computes the Inception Score: whether the classes of generated images are sure, and all present."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp


class InceptionScore(NamedTuple):
    """Holds the mean and the standard deviation over `splits` parts of the images."""

    mean: float
    deviation: float
    splits: int


def inception_score(logits: np.ndarray, splits: int = 10) -> InceptionScore:
    """Computes exp(E_x KL(p(y|x) || p(y))), with p(y) = E_x p(y|x): higher is better, from 1 to K classes.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498; published figures are of 50,000 images in 10 splits, one
    after the other. Small splits are biased downwards. The score does not look at real images: one good image of each
    class is perfect.

    Args:
      logits: f[N, K], of the classifier, before its softmax.
      splits: number S of parts whose scores are averaged. Part i holds the images from i N // S up to (i + 1) N // S,
        as in the authors' program. The deviation is the root of the mean squared difference from that average, as in
        published figures; of one part it is 0.

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
    ends = [i * len(log_p) // splits for i in range(splits + 1)]
    scores = [_score(log_p[start:end]) for start, end in itertools.pairwise(ends)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), splits)


def _score(log_p: np.ndarray) -> float:
    log_marginal = logsumexp(log_p, axis=0) - np.log(len(log_p))
    return float(np.exp(np.mean(np.sum(np.exp(log_p) * (log_p - log_marginal), axis=1))))
