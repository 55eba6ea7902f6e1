"""How many modes of a known mixture a generator covers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ModeCount(NamedTuple):
    """`modes` covered, `high_quality` share of the samples near a mode, and each mode's share of those."""

    modes: int
    high_quality: float
    shares: np.ndarray  # f64[K], sums to 1 unless no sample is of high quality


def count_modes(samples: np.ndarray, centers: np.ndarray, sigma: float, min_share: float = 0.0) -> ModeCount:
    """Counts the modes of a mixture of Gaussians that samples reach.

    A sample is of high quality if it lies within 3 sigma of its nearest mode; a mode counts if at least one
    high-quality sample, and at least the share `min_share` of all high-quality samples, is nearest to it.
    The published protocol draws 2,500 samples with `min_share` 0 (Lin et al. 2018, https://arxiv.org/abs/1712.04086);
    the share is part of the protocol, so name it beside the count.

    Args:
      samples: f[N, D], finite.
      centers: f[K, D].
      sigma: standard deviation of each mode, in the units of the samples.
      min_share: from 0 to 1.

    Raises:
      ValueError: arrays of the wrong shape, no samples, non-finite samples, or `sigma` or `min_share` out of range.

    >>> count_modes(np.array([[0.0], [0.01], [5.0]]), np.array([[0.0], [1.0]]), sigma=0.1)[:2]
    (1, 0.6666666666666666)
    """
    samples, centers = np.asarray(samples, np.float64), np.asarray(centers, np.float64)
    if samples.ndim != 2 or centers.ndim != 2 or samples.shape[1] != centers.shape[1] or not len(centers):
        raise ValueError(f"samples {samples.shape} and centers {centers.shape} must be [N, D] and [K, D] with K > 0.")
    if not len(samples):
        raise ValueError("samples are empty: a count needs at least one.")
    if not np.isfinite(samples).all():
        raise ValueError("samples hold values that are not finite.")
    if not sigma > 0 or not 0 <= min_share <= 1:
        raise ValueError(f"sigma is {sigma} and min_share {min_share}: they must be > 0 and within [0, 1].")
    distances = np.linalg.norm(samples[:, None] - centers[None], axis=-1)  # [N, K]
    nearest = distances.argmin(axis=1)
    good = distances[np.arange(len(samples)), nearest] <= 3 * sigma
    counts = np.bincount(nearest[good], minlength=len(centers))
    shares = counts / max(counts.sum(), 1)
    return ModeCount(int(((counts > 0) & (shares >= min_share)).sum()), float(good.mean()), shares)


def reverse_kl(shares: np.ndarray) -> float:
    """KL(p || u) = sum_k p_k log(K p_k), in nats, of the modes' shares p from the uniform distribution u: 0 is best.

    Lin et al. 2018, https://arxiv.org/abs/1712.04086, section 4.1, take it over the same modes.

    Args:
      shares: f[K], nonnegative, of which at least one is positive; need not sum to 1.

    Raises:
      ValueError: no positive share, or a negative one.

    >>> reverse_kl(np.array([0.5, 0.5])), round(reverse_kl(np.array([1.0, 0.0])), 4)
    (0.0, 0.6931)
    """
    shares = np.asarray(shares, np.float64)
    if shares.ndim != 1 or (shares < 0).any() or not shares.sum() > 0:
        raise ValueError(f"shares are {shares}: they must be one number of 0 or more for each mode, not all 0.")
    p = shares[shares > 0] / shares.sum()
    return float(np.sum(p * np.log(p * len(shares))))
