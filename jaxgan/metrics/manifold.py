"""Computes precision, recall, density and coverage: whether two sets lie in each other's neighborhoods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ROWS = 512  # of the matrix of distances at a time: 40 MB of it for 10,000 columns
SAME = 1e-13  # squared distances below this share of the squared norms are rounding errors of equal rows
BORDER = 1e-10  # share of a squared radius within which an example counts as on the border, whatever the rounding


class Manifold(NamedTuple):
    """Holds the four scores; density may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def nearest(features: np.ndarray, k: int) -> np.ndarray:
    """Computes the squared distances f64[N, k] of each row of f[N, F] to its k nearest other rows, in order.

    Takes N^2 F operations and memory for 512 N distances.

    Raises:
      ValueError: N is k at most, or values that are not finite.

    >>> nearest(np.array([[0.0], [1.0], [3.0]]), 2)
    array([[1., 9.],
           [1., 4.],
           [4., 9.]])
    """
    features = _checked("features", features)
    if not 1 <= k < len(features):
        raise ValueError(f"k is {k} for {len(features)} examples: it must be from 1 to one less than their number.")
    features = features - features.mean(axis=0)
    found = np.empty((len(features), k))
    for start, squared in _squared_distances(features, features):
        rows = np.arange(len(squared))
        squared[rows, start + rows] = np.inf
        found[start : start + ROWS] = np.sort(np.partition(squared, k - 1, axis=1)[:, :k], axis=1)
    return found


def distances_to(examples: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Computes the distances f64[M] of each row of queries f[M, F] to the nearest row of examples f[N, F].

    Takes N M F operations and memory for 512 M distances.

    Raises:
      ValueError: other numbers of features, or values that are not finite.

    >>> distances_to(np.array([[0.0], [3.0]]), np.array([[1.0], [3.0], [9.0]]))
    array([1., 0., 6.])
    """
    examples, queries = _checked("examples", examples), _checked("queries", queries)
    if examples.shape[1] != queries.shape[1]:
        raise ValueError(
            f"examples have {examples.shape[1]} features and queries {queries.shape[1]}: they must have as many."
        )
    middle, found = examples.mean(axis=0), np.full(len(queries), np.inf)
    for _, squared in _squared_distances(examples - middle, queries - middle):
        np.minimum(found, squared.min(axis=0), out=found)
    return np.sqrt(found)


def compare(
    real: np.ndarray,
    fake: np.ndarray,
    k: int = 3,
    k_dense: int = 5,
    *,
    near_real: np.ndarray | None = None,
    near_fake: np.ndarray | None = None,
) -> Manifold:
    """Computes how much of each set lies in balls around the other's examples, out to their k-th nearest neighbor.

    With B_k(x_i) the ball around x_i that reaches to its k-th nearest other x:

    * precision: share of generated y in any B_k(x_i) of a real x_i; recall: share of real x in any B_k(y_j), with
      closed balls and k = 3 (Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991);
    * density: number of pairs with y_j in B_k_dense(x_i), divided by k_dense and the number of y; coverage: share of
      B_k_dense(x_i) with any y, with open balls and k_dense = 5 (Naeem et al. 2020, https://arxiv.org/abs/2002.09797).

    Each pair has the balls of its authors' program. Open and closed balls differ only where an example lies exactly on
    a border: where the data repeat an example k times, its ball is a point, which only a closed ball contains.

    Higher is better; of two sets of one distribution density is 1 on average, coverage near 1 - 2^-k for equal numbers.
    All depend on the numbers of examples and on k. In float64 and by blocks: memory for 512 N distances.

    Args:
      real, fake: f[N, F] and f[M, F], of the same extractor.
      near_real, near_fake: `nearest` of each for k of at least max(k, k_dense) and k, where it is known.

    Raises:
      ValueError: fewer examples than k + 1, other numbers of features, or values that are not finite.
    """
    real, fake = _checked("real", real), _checked("fake", fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"real has {real.shape[1]} features and fake {fake.shape[1]}: they must have as many.")
    near_real = nearest(real, max(k, k_dense)) if near_real is None else near_real
    near_fake = nearest(fake, k) if near_fake is None else near_fake
    sparse, theirs = ((1 + BORDER) * near[:, k - 1] for near in (near_real, near_fake))
    dense = (1 - BORDER) * near_real[:, k_dense - 1]
    middle = real.mean(axis=0)
    precise = np.zeros(len(fake), bool)
    recalled = covered = pairs = 0
    for start, squared in _squared_distances(real - middle, fake - middle):
        rows = slice(start, start + ROWS)
        precise |= (squared <= sparse[rows, None]).any(axis=0)
        recalled += int((squared <= theirs).any(axis=1).sum())
        pairs += int((squared < dense[rows, None]).sum())
        covered += int((squared.min(axis=1) < dense[rows]).sum())
    n, m = len(real), len(fake)
    return Manifold(float(precise.mean()), recalled / n, pairs / (k_dense * m), covered / n)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of rows of |a_i - b_j|^2 with the number of their first row; equal rows are at exactly 0."""
    a_norms, b_norms = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    for start in range(0, len(a), ROWS):
        squared = a[start : start + ROWS] @ (-2 * b.T)
        norms = a_norms[start : start + ROWS, None] + b_norms
        squared += norms
        norms *= SAME
        squared[squared < norms] = 0
        yield start, squared


def _checked(name: str, features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or not len(features):
        raise ValueError(f"{name} are {features.shape}: they must be [N, F] with N > 0.")
    if not np.isfinite(features).all():
        raise ValueError(f"{name} hold values that are not finite.")
    return features
