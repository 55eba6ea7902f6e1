"""What every metric takes and gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jaxgan.metrics.frechet import Statistics, statistics

DAMAGES = ("blur", "noise", "dropped_modes")


@dataclasses.dataclass(frozen=True, eq=False)
class Extracted:
    """What an extractor made of a set of images; what several metrics share of it is computed once.

    Attributes:
      features: f[N, F].
      logits: f[N, K], or None.
      labels: i[N], or None: the classes of real images, or those that generated ones were made for.
    """

    features: np.ndarray
    logits: np.ndarray | None = None
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def statistics(self) -> Statistics:
        """Mean and covariance of the features."""
        return statistics(self.features)


class Measured(NamedTuple):
    """A value, its 95 % interval where there is one, and what a protocol must say of how it was measured."""

    value: float
    interval: tuple[float, float] | None = None
    details: str = ""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A score of a generated set against a real one.

    Attributes:
      compute: `(real, fake, seed) -> Measured`; the seed is for what the metric draws itself.
      better: "lower" or "higher".
      ideal: the value of a generator that equals the data; None where it depends on the data.
      needs: which fields of `Extracted` it reads.
      sees: the kinds of `DAMAGES` that make it worse, by `tests/test_metrics.py` and `docs/scores_damage.md`.
    """

    compute: Callable[[Extracted, Extracted, int], Measured]
    better: str
    ideal: float | None = None
    needs: frozenset[str] = frozenset({"features"})
    sees: frozenset[str] = frozenset(DAMAGES)
