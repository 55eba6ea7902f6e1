"""Holds what the rules look at: a run's curves so far, and what is known of its game."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxgan.monitor.directions import HIGHER, LOWER, direction
from jaxgan.monitor.doctor import thresholds as t
from jaxgan.monitor.doctor.curve import Curve

NO_QUALITY = ("class_accuracy", "downstream")  # scores that say whether G obeys or is useful, not whether it is good
# Where logits have no zero, D's scores say nothing, and a loss of 0 is nothing special.
WITHOUT_LEVEL = ("wasserstein",)
RELATIVISTIC = ("relativistic_paired", "relativistic_average")


class Sign(NamedTuple):
    """Holds what a rule sees at the latest step."""

    severity: str
    step: float  # where it began, as far as the curves say
    evidence: dict[str, float]


class Run:
    """Holds the curves up to the step `now`, and reads them for the rules."""

    def __init__(self, loss: str | None = None, num_classes: int = 0):
        self.loss, self.num_classes = loss, num_classes
        self.now = -1
        self.bad: tuple[str, ...] = ()  # names of what is not finite at this step
        self._curves: dict[str, Curve] = {}
        self._medians: dict[str, float | None] = {}  # of this step, since several rules ask for them
        self._negative = False  # whether D's loss ever was

    def record(self, step: int, scalars: Mapping[str, float]) -> None:
        """Takes what was recorded at a step; of values that are not finite only the names are kept, in `bad`."""
        self.now, self._medians = step, {}
        self.bad = tuple(sorted(name for name, value in scalars.items() if not np.isfinite(value)))
        for name, value in scalars.items():
            if np.isfinite(value):
                self._curves.setdefault(name, Curve()).append(step, float(value))
        self._negative |= scalars.get(self.d_loss, 0) < 0

    @property
    def names(self) -> list[str]:
        """Returns the names of the curves that were recorded."""
        return sorted(self._curves)

    @property
    def window(self) -> float:
        """Number of steps that count as lately: it grows with the run, so that a long run is not judged by a moment."""
        return max(t.WINDOW, t.WINDOW_SHARE * self.now)

    def lately(self, name: str) -> np.ndarray | None:
        """Returns the values in the window, or None where they are too few or it is too early for a verdict."""
        curve = self._curves.get(name)
        if curve is None or len(curve) < t.WINDOW_POINTS or self.now < t.PATIENCE:
            return None
        values = curve.since(self.now - self.window, t.WINDOW_POINTS)
        # A curve that is recorded no more says nothing of now.
        return values if curve.steps[-1] > self.now - self.window else None

    def median(self, name: str) -> float | None:
        """Returns the median of the values in the window."""
        if name not in self._medians:
            values = self.lately(name)
            self._medians[name] = None if values is None else float(np.median(values))
        return self._medians[name]

    @property
    def began(self) -> float:
        """Estimates when something began that the median shows first now: in the middle of the window."""
        return self.now - self.window / 2

    def at_first(self, name: str) -> float | None:
        """Returns the median size of the values in the first steps."""
        curve = self._curves.get(name)
        if curve is None:
            return None
        early = int(np.searchsorted(curve.steps, max(t.PATIENCE, curve.steps[0]), side="right"))
        return float(np.median(np.abs(curve.values[:early])))

    def curve(self, name: str) -> Curve | None:
        """Returns a whole curve."""
        return self._curves.get(name)

    @property
    def has_level(self) -> bool:
        """Tells whether the adversarial loss is bounded below by 0; if unknown, whether D's was never negative."""
        if self.loss is not None:
            return self.loss not in WITHOUT_LEVEL
        return not self._negative

    @property
    def d_loss(self) -> str:
        """Names D's loss: the adversarial terms alone if they are recorded."""
        return "loss/d_adversarial" if "loss/d_adversarial" in self._curves else "loss/d"

    def evaluations(self) -> dict[str, tuple[Curve, int]]:
        """Returns the scores of quality, with 1 where lower is better and -1 where higher is.

        Distances between distributions if there are any, because they see every fault; else all others. Scores that
        are best at 1 have rules of their own.
        """
        lower, higher = {}, {}
        for name, curve in self._curves.items():
            better = direction(name)
            if better == LOWER:
                lower[name] = (curve, 1)
            elif better == HIGHER and not name.removeprefix("eval/").startswith(NO_QUALITY):
                higher[name] = (curve, -1)
        return lower or higher

    def stuck(self) -> bool:
        """Tells whether there are evaluations and none was ever much better than the first."""
        curves = self.evaluations().values()
        return bool(curves) and all(
            len(curve) >= t.FEW_EVALUATIONS
            and (curve.values * sign).min() >= curve.values[0] * sign - t.PROGRESS * abs(curve.values[0])
            for curve, sign in curves
        )

    def spared(self) -> bool:
        """Tells whether evaluations contradict what looks like a failure by losses and D's scores.

        They do while there are few of them, or if one in the last half of the run was better than all in the first.
        """
        for curve, sign in self.evaluations().values():
            old = int(np.searchsorted(curve.steps, self.now / 2))
            before, after = curve.values[:old] * sign, curve.values[old:] * sign
            if len(curve) < t.FEW_EVALUATIONS or not old:
                return True
            if len(after) and after.min() < before.min() - t.IMPROVEMENT * abs(before.min()):
                return True
        return False
