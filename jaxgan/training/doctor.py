"""The doctor beside a run in progress: it is fed what `metrics.jsonl` gets, and what it finds is said and kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxgan.files import append_line, read_lines
from jaxgan.monitor.curves import read_metrics
from jaxgan.monitor.doctor import DISPUTED, Doctor, Finding, diagnose, first_problem, words
from jaxgan.monitor.panels import history as curves_of
from jaxgan.runs.writers import ScalarWriter

FILE = "findings.jsonl"


class Watch(ScalarWriter):
    """Takes all scalars as a writer, and as an action after each step feeds the doctor with those of that step.

    Each new finding is printed and appended to `findings.jsonl`. What the doctor knows is a pure function of the log up
    to the checkpoint's step and of the steps since, so that a resumed run finds what an uninterrupted one does; what
    was on record then is not said again.

    Args:
      workdir: of the run.
      loss, num_classes: as for `Doctor`.
      last: the step that the run resumes from. Rows of later steps, which a killed run may have left, come again.
    """

    def __init__(self, workdir: Path, loss: str, num_classes: int, last: int):
        self._path = workdir / FILE
        self._said = {_identity(found) for found in recorded(self._path)}
        self._row: tuple[int, dict[str, float]] = (-1, {})
        self.doctor = Doctor(loss, num_classes)
        for row in _rows(workdir, last) if last > 0 else []:  # the samples of step 0 are drawn again
            self._feed(row.pop("step"), row)

    @property
    def problem(self) -> Finding | None:
        """The first finding that was a problem."""
        return first_problem(self.doctor.findings)

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Adds to the scalars of a step; those of the one before are complete now."""
        if step != self._row[0]:
            self(step)
        self._row = int(step), {**self._row[1], **{name: float(value) for name, value in scalars.items()}}

    def __call__(self, step: int, **_: Any) -> None:
        """Feeds what is there of a step, when nothing more is to come."""
        last, row = self._row
        self._row = (-1, {})
        if row:
            self._feed(last, row)

    def _feed(self, step: int, row: dict[str, float]) -> None:
        for found in self.doctor.feed(step, row):
            if _identity(found) not in self._said:
                self._said.add(_identity(found))
                append_line(self._path, found.to_dict())
                print(told(found), flush=True)


def diagnose_log(workdir: Path, loss: str, num_classes: int, last: int) -> list[Finding]:
    """What the doctor finds in a run's `metrics.jsonl`, up to a step: what `Watch` found when it was made."""
    return diagnose(curves_of(_rows(workdir, last)), loss, num_classes)


def _rows(workdir: Path, last: int) -> list[dict[str, Any]]:
    """The log up to the checkpoint of step `last`, which proves that what was not finite before did not come again."""
    log = workdir / "metrics.jsonl"
    rows = [row for row in (read_metrics(log) if log.exists() else []) if row["step"] <= last]
    return [{name: value for name, value in row.items() if math.isfinite(value)} for row in rows]


def _identity(found: Finding) -> tuple[str, str, int]:
    return found.kind, found.severity, found.reported


def told(found: Finding) -> str:
    """A finding in two lines, with the advice that is given first; in three where another source says the contrary."""
    head = f"{found.severity} at step {found.reported}: {words(found.kind)} since step {found.step} ({found.numbers})"
    shown = found.advice[: 2 if found.kind in DISPUTED else 1]
    marks = ("advice", "contra")
    return "\n".join([head, *(f"  {m}: {a.text} [{a.source}]" for m, a in zip(marks, shown, strict=False))])


def recorded(path: Path) -> list[Finding]:
    """Reads the findings of a `findings.jsonl`, each as it was when it was reported; damaged lines are passed over."""
    return read_lines(path, Finding.from_dict)
