"""Measures whether a generator obeys its labels or codes, and how varied it is, by the features of a classifier."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from jaxgan.metrics.features import Features

ROWS = 512  # of the matrix of distances at a time


class ClassAccuracy(NamedTuple):
    """Holds the share of images whose predicted class is their label: `overall`, and `per_class` that has images."""

    overall: float
    per_class: dict[int, float]


class WithinClassDiversity(NamedTuple):
    """Holds the diversity of the classes relative to the data's: the mean, the minimum, and each."""

    mean: float
    minimum: float
    per_class: dict[int, float]


class Assignment(NamedTuple):
    """Holds the `accuracy` under the best one-to-one assignment, and the class of each code that got one."""

    accuracy: float
    classes: dict[int, int]


def class_accuracy(features: Features, images: np.ndarray, labels: np.ndarray) -> ClassAccuracy:
    """Computes the share of images f[N, H, W, C] that the classifier puts into the class i[N] they were made for.

    Higher is better. The classifier errs too: state `features.accuracy` beside it. With one that was trained on real
    images this is the GAN-test of Shmelkov et al. 2018, https://arxiv.org/abs/1807.09499.

    Raises:
      ValueError: arrays that do not fit, as in `Features`.
    """
    labels = _integers("labels", labels, len(images))
    right = features(images)[1].argmax(axis=1) == labels
    return ClassAccuracy(float(right.mean()), {int(c): float(right[labels == c].mean()) for c in np.unique(labels)})


def diversity(features: np.ndarray) -> float:
    """Computes the mean distance of two different rows of f[N, F]: 2 / (N (N - 1)) sum_{i<j} |f_i - f_j|.

    Distances are Euclidean, in float64 and from differences, so that equal rows give exactly 0. Takes N^2 F operations
    and memory for 512 N distances. The result has the unit of the features, so compare it with the data's only.

    Raises:
      ValueError: fewer than two rows, or values that are not finite.

    >>> diversity(np.array([[0.0], [1.0], [3.0]]))
    2.0
    """
    features = np.asarray(features, np.float64)
    n = len(features)
    if features.ndim != 2 or n < 2:
        raise ValueError(f"features are {features.shape}: they must be [N, F] with N of 2 or more.")
    if not np.isfinite(features).all():
        raise ValueError("features hold values that are not finite.")
    total = 0.0
    for start in range(0, n, ROWS):
        rows = features[start : start + ROWS]
        # Pairs within the block come twice, those with later rows once.
        total += cdist(rows, rows).sum() / 2 + cdist(rows, features[start + ROWS :]).sum()
    return float(total) / (n * (n - 1) / 2)


def within_class_diversity(
    fake: np.ndarray, fake_labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray
) -> WithinClassDiversity:
    """Computes, for each class, the `diversity` of the generated features over that of the real ones.

    1 is the data's own. A generator that makes one image per class has 0, however well it obeys its labels.

    Args:
      fake, real: f[N, F] and f[M, F], of the same extractor.
      fake_labels, real_labels: i[N] and i[M].

    Raises:
      ValueError: a class with fewer than two examples on either side, or of equal real ones; arrays that do not fit.
    """
    fake_labels = _integers("fake_labels", fake_labels, len(fake))
    real_labels = _integers("real_labels", real_labels, len(real))
    ratios = {}
    for label in np.unique(real_labels):
        ours, theirs = fake[fake_labels == label], real[real_labels == label]
        if min(len(ours), len(theirs)) < 2:
            raise ValueError(
                f"class {label} has {len(ours)} generated and {len(theirs)} real examples: it must have two of each."
            )
        reference = diversity(theirs)
        if reference == 0:
            raise ValueError(f"the real examples of class {label} are all the same: there is nothing to compare with.")
        ratios[int(label)] = diversity(ours) / reference
    values = list(ratios.values())
    return WithinClassDiversity(float(np.mean(values)), min(values), ratios)


def best_assignment_accuracy(codes: np.ndarray, predicted: np.ndarray) -> Assignment:
    """Computes the share of samples whose predicted class is assigned to their code, by the best one-to-one assignment.

    This is max over injective a of 1/N sum_n [a(codes_n) = predicted_n], by the Hungarian method. If there are more
    codes than classes, those left over count as wrong. Codes without meaning give somewhat more than 1/K, because the
    best assignment is chosen.

    Args:
      codes: i[N] from 0 on, the value of a categorical code that each sample was generated from.
      predicted: i[N] from 0 on, the class that a classifier sees in it.

    Raises:
      ValueError: arrays of other shapes or types, or without samples.

    >>> best_assignment_accuracy(np.array([0, 0, 1, 1]), np.array([7, 7, 3, 7]))
    Assignment(accuracy=0.75, classes={0: 7, 1: 3})
    """
    codes = _integers("codes", codes, len(predicted))
    predicted = _integers("predicted", predicted, len(codes))
    counts = np.zeros((codes.max() + 1, predicted.max() + 1), np.int64)
    np.add.at(counts, (codes, predicted), 1)
    # What is left to the last codes may be a class that they never gave: no assignment at all.
    pairs = [(int(c), int(k)) for c, k in zip(*linear_sum_assignment(counts, maximize=True), strict=True)]
    classes = {c: k for c, k in pairs if counts[c, k]}
    return Assignment(int(sum(counts[c, k] for c, k in pairs)) / len(codes), classes)


def _integers(name: str, values: np.ndarray, n: int) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (n,) or not n or not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
        raise ValueError(f"{name} are {values.dtype}{values.shape}: they must be {n} > 0 integers of 0 or more.")
    return values
