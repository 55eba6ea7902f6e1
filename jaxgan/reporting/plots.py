"""Prepares curves for the page's script: rounded, and thinned where there are more points than pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from jaxgan.monitor.directions import direction
from jaxgan.monitor.doctor import span, words
from jaxgan.monitor.panels import best, curve, panels
from jaxgan.reporting.run_record import Run

POINTS = 60_000  # on the whole page; a point takes about 10 bytes
FEWEST, MOST = 200, 2000  # points of one curve


def single(run: Run) -> dict[str, Any]:
    """Makes the panels of one run, with its findings and the best value of each score."""
    drawn = _Drawn([run], len(run.names))
    for panel in panels(run.names):
        layers = [name for name in panel.names if panel.net and name not in panel.bold]
        series = []
        for name in panel.names:
            style: dict[str, Any] = {"bold": name in panel.bold}
            if name in layers:
                style["depth"] = round(layers.index(name) / max(1, len(layers) - 1), 3)
            series.append(drawn.series(run, name, panel.label(name), **style))
        marks = _marks([run], panel.names[0]) if panel.better else []
        drawn.panel(panel.title, series, panel.limits, panel.log, marks)
    drawn.data["findings"] = [
        {"from": f.step, "to": f.until, "severity": f.severity, "text": f"{words(f.kind)} {span(f)}"}
        for f in run.findings
    ]
    return drawn.data


def several(runs: Sequence[Run]) -> dict[str, Any]:
    """Makes a panel for each scalar except those of layers, with a curve for each run that recorded it."""
    names = {name for run in runs for name in run.names}
    drawn = _Drawn(runs, sum(len(run.names) for run in runs))
    for panel in panels(names):
        for name in panel.names:
            if name.count("/") > 1:
                continue
            having = [run for run in runs if name in run.names]
            series = [drawn.series(run, name, run.name, run=runs.index(run)) for run in having]
            title = name if not panel.better else panel.title
            drawn.panel(title, series, panel.limits, panel.log, _marks(having, name) if panel.better else [])
    return drawn.data


def embedded(data: dict[str, Any]) -> Markup:
    """Encodes data as JSON that is safe inside a script element, whatever texts it holds."""
    return Markup(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


class _Drawn:
    """Collects what the script draws; steps that several curves share are stored once."""

    def __init__(self, runs: Sequence[Run], curves: int):
        self._most = int(np.clip(POINTS // max(1, curves), FEWEST, MOST))
        self._numbers: dict[bytes, int] = {}
        first = min((run.rows[0]["step"] for run in runs if run.rows), default=0)
        self.data: dict[str, Any] = {
            "range": [first, max(first + 1, *(run.step for run in runs))],
            "steps": [],
            "panels": [],
            "findings": [],
        }

    def series(self, of: Run, name: str, label: str, **style: Any) -> dict[str, Any]:
        steps, values = thinned(*curve(of.rows, name), self._most)
        number = self._numbers.setdefault(steps.tobytes(), len(self._numbers))
        if number == len(self.data["steps"]):
            self.data["steps"].append(steps.tolist())
        return {"label": label, "steps": number, "values": _rounded(values), **style}

    def panel(self, title: str, series: list, limits: tuple[float, float] | None, log: bool, marks: list) -> None:
        of_axis = {"limits": list(limits) if limits else None, "log": log}
        self.data["panels"].append({"title": title, "series": series, **of_axis, "marks": marks})


def thinned(steps: np.ndarray, values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Thins a curve to about `most` points: the first, the last, the lowest and highest of each stretch (so that no
    spike gets lost), and the points that are not finite.

    >>> thinned(np.arange(9), np.array([0, 1, 0, 0, 9, 0, 0, 1, 0]), 6)[0].tolist()
    [0, 1, 3, 4, 6, 7, 8]
    """
    if len(values) <= most:
        return steps, values
    finite = np.isfinite(values)
    kept = {0, len(values) - 1, *np.flatnonzero(~finite)[:most].tolist()}
    for part in np.array_split(np.flatnonzero(finite), max(1, most // 2)):
        if len(part):
            kept |= {int(part[np.argmin(values[part])]), int(part[np.argmax(values[part])])}
    chosen = sorted(kept)
    return steps[chosen], values[chosen]


def _rounded(values: np.ndarray) -> list[float | None]:
    """Rounds to five digits; None, where the curve is interrupted, stands for values that are not finite."""
    return [float(f"{x:.5g}") if np.isfinite(x) else None for x in values.tolist()]


def _marks(runs: Sequence[Run], name: str) -> list[list[float]]:
    """Gives step and value of each run's best score."""
    found = []
    for run in runs:
        steps, values = curve(run.rows, name)
        if (i := best(steps, values, direction(name))) is not None:
            found.append([int(steps[i]), float(values[i])])
    return found
