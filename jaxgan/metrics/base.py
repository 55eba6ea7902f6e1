"""Defines what every metric takes and returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jaxgan.metrics import kernel
from jaxgan.metrics.frechet import Statistics, statistics
from jaxgan.metrics.manifold import distances_to, nearest

DAMAGES = ("blur", "noise", "dropped_modes")
NEIGHBORS = 5  # the largest k of any metric


@dataclasses.dataclass(frozen=True, eq=False)
class Extracted:
    """Holds what an extractor made of a set of images, and computes once what several metrics need of it.

    Attributes:
      features: f[N, F].
      logits: f[N, K], or None.
      labels: i[N], or None: classes of real images, or classes that generated images were made for.
      held_out: f[M, F], or None: features of real images that the generator was not trained on.
    """

    features: np.ndarray
    logits: np.ndarray | None = None
    labels: np.ndarray | None = None
    held_out: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def statistics(self) -> Statistics:
        """Mean and covariance of the features."""
        return statistics(self.features)

    @cached_property
    def kernel_term(self) -> float:
        """The kernel's mean over all pairs of different examples, of the kernel distance."""
        return kernel.within(self.features)

    def kernel_terms(self, others: int, subsets: int, size: int, seed: int) -> list[float]:
        """The same for each subset that is drawn to be compared with a number of other examples."""
        key = (others, subsets, size, seed)
        if key not in self._kernel_terms:
            self._kernel_terms[key] = kernel.subset_terms(np.asarray(self.features, np.float64), *key)
        return self._kernel_terms[key]

    @cached_property
    def _kernel_terms(self) -> dict[tuple[int, int, int, int], list[float]]:
        return {}

    @cached_property
    def near(self) -> np.ndarray:
        """Squared distances f64[N, 5] of each example to its nearest others."""
        return nearest(self.features, NEIGHBORS)

    @cached_property
    def held_out_distance(self) -> float:
        """The median distance of held-out examples to the nearest of these."""
        assert self.held_out is not None
        return float(np.median(distances_to(self.features, self.held_out)))


class Measured(NamedTuple):
    """Holds a value, and what its protocol must say about how it was measured."""

    value: float
    details: str = ""


@dataclasses.dataclass(frozen=True)
class Metric:
    """Describes a score of generated examples against real ones.

    Attributes:
      compute: `(real, fake, seed) -> Measured`; the seed decides what the metric draws itself.
      better: which values are better: "lower", "higher", or "closer to 1".
      ideal: the value of a set that equals the real one; None where it depends on the data, or copies are no merit.
      fewest: least number of examples on each side.
      needs: fields of the generated `Extracted` that it reads.
      needs_real: fields of the real `Extracted` that it reads.
      sees: kinds of `DAMAGES` that make it worse, and the worse the stronger they are; it may reward the others.
      resample: `(real, fake, resamples, seed)` to that many values, for `centered_interval`; or to None where it would
        take too long.
    """

    compute: Callable[[Extracted, Extracted, int], Measured]
    better: str
    ideal: float | None = None
    fewest: int = 2
    needs: frozenset[str] = frozenset({"features"})
    needs_real: frozenset[str] = frozenset({"features"})
    sees: frozenset[str] = frozenset(DAMAGES)
    resample: Callable[[Extracted, Extracted, int, int], np.ndarray | None] | None = None
