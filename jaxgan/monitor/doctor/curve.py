"""Keeps the curves of a run so far, in the order in which they were recorded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

History = Mapping[str, np.ndarray]


class Curve:
    """Keeps the steps and finite values of one scalar, oldest first. It grows in place, so a view costs nothing."""

    def __init__(self) -> None:
        self._data = np.empty((2, 64))
        self._size = 0

    def append(self, step: int, value: float) -> None:
        """Adds a point at a later step."""
        if self._size == self._data.shape[1]:
            self._data = np.concatenate([self._data, np.empty_like(self._data)], axis=1)
        self._data[:, self._size] = step, value
        self._size += 1

    def __len__(self) -> int:
        return self._size

    @property
    def steps(self) -> np.ndarray:
        """f64[N]"""
        return self._data[0, : self._size]

    @property
    def values(self) -> np.ndarray:
        """f64[N]"""
        return self._data[1, : self._size]

    def since(self, step: float, at_least: int) -> np.ndarray:
        """Returns the values after `step`, but at least the last `at_least` values."""
        first = int(np.searchsorted(self.steps, step, side="right"))
        return self.values[max(0, min(first, self._size - at_least)) :]


def rows_of(history: History) -> list[tuple[int, dict[str, float]]]:
    """Collects the points of all curves by step, earliest first; of points with the same step the last counts.

    The steps of a curve `a/b` are `a/b/step` if the history has it, else those of its group, `a/step`, else `step`.

    Raises:
      ValueError: a curve without steps, or of another length or shape than they, or steps that are no whole numbers.

    >>> rows_of({"step": np.array([20, 10]), "loss/d": np.array([0.5, 1.0])})
    [(10, {'loss/d': 1.0}), (20, {'loss/d': 0.5})]
    """
    rows: dict[int, dict[str, float]] = {}
    for name, given in history.items():
        if name == "step" or name.endswith("/step"):
            continue
        clock = _clock(name, history)
        steps, values = np.asarray(history[clock]), np.asarray(given, np.float64)
        if values.ndim != 1 or values.shape != steps.shape:
            raise ValueError(f"{name} is {values.shape} and {clock} {steps.shape}: they must be of one length.")
        if not np.array_equal(steps, np.floor(steps)):
            raise ValueError(f"{clock} holds {steps.dtype} values that are not steps: they must be whole numbers.")
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            rows.setdefault(int(step), {})[name] = value
    return sorted(rows.items())


def _clock(name: str, history: History) -> str:
    prefix = name
    while prefix:
        if f"{prefix}/step" in history:
            return f"{prefix}/step"
        prefix = prefix.rpartition("/")[0]
    if "step" not in history:
        raise ValueError(f"the history says no steps for {name}: it needs 'step' or '{name}/step'.")
    return "step"
