"""Lets the doctor watch a run in progress: it gets what `metrics.jsonl` gets, and its findings are said and kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxgan.files import append_line, read_lines
from jaxgan.monitor.curves import read_metrics
from jaxgan.monitor.doctor import DISPUTED, Doctor, Finding, first_problem, words

FILE = "findings.jsonl"


class Watch:
    """Feeds the doctor with the scalars of each step; prints what it finds and appends it to `findings.jsonl`.

    What the doctor knows depends only on the log up to the checkpoint's step and on the steps since, so that a resumed
    run finds what an uninterrupted one does. What was on record then is not said again.

    Args:
      workdir: of the run.
      loss, num_classes: as for `Doctor`.
      last: the step that the run resumes from. Rows of later steps, which a killed run may have left, come again.
    """

    gives = ("findings",)

    def __init__(self, workdir: Path, loss: str, num_classes: int, last: int):
        self._path = workdir / FILE
        self._recorded = {_identity(found) for found in recorded(self._path)}
        self._step = -1
        self.doctor = Doctor(loss, num_classes)
        for row in _rows(workdir, last) if last > 0 else []:  # the samples of step 0 are drawn again
            self._feed(row.pop("step"), row)

    @property
    def problem(self) -> Finding | None:
        """The first finding that was a problem."""
        return first_problem(self.doctor.findings)

    def __call__(self, step: int, scalars: Mapping[str, float]) -> dict[str, list[Finding]]:
        """Takes all scalars of a step, and gives all findings so far."""
        if scalars:
            self._feed(step, scalars)
        return {"findings": self.doctor.findings}

    def end(self, step: int, scalars: Mapping[str, float]) -> None:
        """Takes the scalars of the step that ended the run, and says what is wrong with it, even if it was said before.

        A run that is started again comes to the same end, and its user needs the same advice.
        """
        if step > self._step:  # else the log of this step was complete before the fault was seen
            self._feed(step, scalars, again=True)

    def _feed(self, step: int, scalars: Mapping[str, float], again: bool = False) -> None:
        self._step = step
        for found in self.doctor.feed(step, scalars):
            known = _identity(found) in self._recorded
            if not known:
                self._recorded.add(_identity(found))
                append_line(self._path, found.to_dict())
            if again or not known:
                print(told(found), flush=True)


def _rows(workdir: Path, last: int) -> list[dict[str, Any]]:
    """Reads the log up to the checkpoint of step `last`.

    Values that were not finite are left out: the checkpoint proves that they did not come again.
    """
    log = workdir / "metrics.jsonl"
    rows = [row for row in (read_metrics(log) if log.exists() else []) if row["step"] <= last]
    return [{name: value for name, value in row.items() if math.isfinite(value)} for row in rows]


def _identity(found: Finding) -> tuple[str, str, int]:
    return found.kind, found.severity, found.reported


def told(found: Finding) -> str:
    """Writes a finding in a line, its first advice in a second, and in a third the advice that contradicts it."""
    head = f"{found.severity} at step {found.reported}: {words(found.kind)} since step {found.step} ({found.numbers})"
    shown = found.advice[: 2 if found.kind in DISPUTED else 1]
    marks = ("advice", "contra")
    return "\n".join([head, *(f"  {m}: {a.text} [{a.source}]" for m, a in zip(marks, shown, strict=False))])


def recorded(path: Path) -> list[Finding]:
    """Reads a `findings.jsonl`: each finding as it was when it was reported. Damaged lines are passed over."""
    return read_lines(path, Finding.from_dict)
