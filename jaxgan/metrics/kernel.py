"""Computes the kernel distance of features; with Inception's features it is called KID."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxgan.metrics.bootstrap import resampled_counts

ROWS = 512  # of the kernel's matrix at a time


class KernelDistance(NamedTuple):
    """Holds the mean and the standard deviation over `subsets` subsets of `size` examples of each set."""

    mean: float
    deviation: float
    subsets: int
    size: int


def kernel_distance(
    real: np.ndarray,
    fake: np.ndarray,
    subsets: int = 100,
    size: int = 1000,
    seed: int = 0,
    real_terms: Sequence[float] | None = None,
) -> KernelDistance:
    """Averages the unbiased squared maximum mean discrepancy of subsets: lower is better, equal sets have 0 on average.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j), with
    k(x, y) = (x . y / F + 1)^3 (Binkowski et al. 2018, https://arxiv.org/abs/1801.01401). Unlike the Frechet distance
    it has no bias of the number of examples; it may be negative.

    Args:
      real, fake: f[N, F] and f[M, F], of the same extractor.
      subsets: number of subsets, each drawn without replacement. Their deviation shows the noise of `size` examples,
        not of all.
      size: number of examples in a subset, of N and M at most; published figures have 100 subsets of 1,000.
      seed: of the draws.
      real_terms: what `subset_terms` gives for the same arguments, if it is known.

    Raises:
      ValueError: sizes that do not fit, or values that are not finite.
    """
    real, fake = _checked(real, fake)
    if not 2 <= size <= min(len(real), len(fake)) or subsets < 1:
        raise ValueError(
            f"{subsets} subsets of {size} cannot be drawn from {len(real)} real and {len(fake)} generated examples."
        )
    terms = subset_terms(real, len(fake), subsets, size, seed) if real_terms is None else real_terms
    draws = _draws(len(real), len(fake), subsets, size, seed)
    values = [
        squared_discrepancy(real[ours], fake[theirs], term) for (ours, theirs), term in zip(draws, terms, strict=True)
    ]
    return KernelDistance(float(np.mean(values)), float(np.std(values)), subsets, size)


def subset_terms(real: np.ndarray, others: int, subsets: int, size: int, seed: int) -> list[float]:
    """Computes the terms mean_{i != j} k(x_i, x_j) of `kernel_distance`, which do not depend on the generated examples.

    Args:
      real: f[N, F].
      others: number of generated examples.
      subsets, size, seed: as for `kernel_distance`.
    """
    return [within(real[ours]) for ours, _ in _draws(len(real), others, subsets, size, seed)]


def _draws(n: int, m: int, subsets: int, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.RandomState(seed)  # its stream is frozen
    for _ in range(subsets):
        # Sorted, so that a subset of all examples gives one value to the last bit, whatever its order.
        yield np.sort(rng.permutation(n)[:size]), np.sort(rng.permutation(m)[:size])


def squared_discrepancy(x: np.ndarray, y: np.ndarray, x_term: float | None = None) -> float:
    """Computes the unbiased MMD^2 above of all rows of f[N, F] and f[M, F] at once; takes memory for N M numbers.

    Args:
      x, y: of the same extractor.
      x_term: `within(x)`, if it is known.

    Raises:
      ValueError: other numbers of features, fewer than two rows, or values that are not finite.

    >>> squared_discrepancy(np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]]))  # 1 + 8 - (1 + 1 + 8 + 8) / 2
    0.0
    """
    x, y = _checked(x, y)
    x_term = within(x) if x_term is None else x_term
    return float(x_term + within(y) - 2 * _kernel(x, y).mean())


def within(x: np.ndarray) -> float:
    """Computes mean_{i != j} k(x_i, x_j) of the rows of f[N, F], N of 2 or more; takes memory for N^2 numbers."""
    x = np.asarray(x, np.float64)
    k = _kernel(x, x)
    return float((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)))


def resampled_discrepancies(real: np.ndarray, fake: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Computes f64[resamples], `squared_discrepancy` for each resample of `fake`, up to a constant.

    For `centered_interval`.

    The term of `real` alone does not change, and is left out. Pairs of one example with itself, which a resample with
    replacement holds, are left out too, and the rest scaled up by M / (M - 1): then the mean over all resamples is the
    value itself. Takes 2 M^2 (F + resamples) + 2 M N F operations and memory for 512 M numbers.

    Raises:
      ValueError: other numbers of features, fewer than two examples, or values that are not finite.
    """
    real, fake = _checked(real, fake)
    m = len(fake)
    weights = np.stack([*resampled_counts(m, resamples, seed)], axis=1)
    within, across = np.zeros(resamples), np.empty(m)
    for start in range(0, m, ROWS):
        rows = slice(start, start + ROWS)
        kernel = _kernel(fake[rows], fake)
        kernel[np.arange(len(kernel)), start + np.arange(len(kernel))] = 0
        within += (weights[rows] * (kernel @ weights)).sum(axis=0)
        across[rows] = _kernel(fake[rows], real).mean(axis=1)
    return within / (m - 1) ** 2 - 2 * across @ weights / m


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    base = x @ y.T / x.shape[1] + 1
    return base * base * base  # a power is many times slower


def _checked(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1] or min(len(real), len(fake)) < 2:
        raise ValueError(
            f"real is {real.shape} and fake {fake.shape}: they must be [N, F] and [M, F], N and M above 1."
        )
    if not (np.isfinite(real).all() and np.isfinite(fake).all()):
        raise ValueError("features hold values that are not finite.")
    return real, fake
