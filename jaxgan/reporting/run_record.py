"""Reads what a run's directory holds, as far as it can be read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.metrics.scores import Score
from jaxgan.monitor.curves import read_metrics
from jaxgan.monitor.directions import direction
from jaxgan.monitor.doctor import Finding, diagnose, span, words
from jaxgan.monitor.doctor.thresholds import PATIENCE
from jaxgan.monitor.panels import best, curve
from jaxgan.monitor.panels import history as curves_of
from jaxgan.monitor.preflight import Remark
from jaxgan.runs import directory as workdirs
from jaxgan.runs import outcome, rollback, score_log
from jaxgan.training import preflight


@dataclasses.dataclass(frozen=True)
class Run:
    """A run, finished or not.

    Attributes:
      workdir: its directory.
      name: name of the directory, or more of its path where several runs have to be told apart.
      config, example, environment, intervention: the contents of its `config.json`; `intervention` exists for a run
        that goes on where another was rolled back.
      rows: rows of its `metrics.jsonl`.
      scores: scores of its `evaluation.jsonl`, in order; of several records of a step the last one counts.
      findings: what the doctor found in its curves.
      remarks: what was said before the first step.
      running: whether a process is training it now.
      damage: sentences about files and lines that cannot be read and were passed over; more are added as the page is
        made.
    """

    workdir: Path
    name: str
    config: Config
    example: Mapping[str, Any]
    environment: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    scores: Sequence[Score]
    findings: Sequence[Finding]
    remarks: Sequence[Remark]
    running: bool
    intervention: Mapping[str, Any]
    damage: list[str]

    @property
    def step(self) -> int:
        """The last recorded step."""
        return self.rows[-1]["step"] if self.rows else 0

    @property
    def names(self) -> list[str]:
        """Names of the recorded scalars."""
        return sorted({name for row in self.rows for name in row} - {"step"})


def read(workdir: str | os.PathLike, name: str = "") -> Run:
    """Reads a run and lets the doctor look at it. Only `config.json` must exist.

    Raises:
      UserError: the directory holds no run, or `config.json` is damaged.
    """
    workdir = Path(workdir)
    record = workdirs.read(workdir)
    damage: list[str] = []
    rows = read_metrics(workdir / "metrics.jsonl", damage)
    latest: dict[Any, Score] = {}
    for by, score in score_log.recorded(workdir / score_log.FILE, damage):
        key = (by, score.name, score.protocol)
        latest.pop(key, None)
        latest[key] = score
    config, example = record["config"], record["example"]
    return Run(
        workdir,
        name or os.path.basename(os.path.realpath(workdir)),
        config,
        example,
        record["environment"],
        rows,
        list(latest.values()),
        diagnose(curves_of(rows), config.loss.name, len(example.get("classes", []))),
        preflight.recorded(workdir, damage),
        workdirs.is_locked(workdir),
        record.get(workdirs.INTERVENTION, {}),
        damage,
    )


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The page's first sentence, the severity that colors it, and the facts shown beside it."""

    severity: str
    text: str
    facts: tuple[str, ...]


def verdict(run: Run) -> Verdict:
    """Judges a run: its findings in one sentence, how far it came, and its best score."""
    origin = [rollback.sentence(run.intervention)] if run.intervention else []
    data = preflight.recorded_summary(run.workdir)
    facts = (*origin, _progress(run), *_quality(run), *([f"Data: {data}."] if data else []))
    for severity, opening in (("problem", "Something is wrong"), ("warning", "Keep an eye on it")):
        kinds = [f"{words(f.kind)} {span(f)}" for f in run.findings if f.severity == severity]
        if kinds:
            return Verdict(severity, f"{opening}: {'; '.join(kinds)}.", facts)
    if not run.rows:
        return Verdict("info", "Nothing was recorded yet.", facts)
    if run.step < PATIENCE:
        return Verdict("info", "Too early for a verdict: the first few hundred steps say little.", facts)
    return Verdict("good", "No problem found.", facts)


def _progress(run: Run) -> str:
    done, total = run.step, run.config.train.num_steps
    try:
        child = rollback.child_of(run.workdir)
    except UserError as error:  # the directory where the run goes on is damaged
        child = None
        run.damage.append(str(error))
    if child:
        return f"Rolled back at step {done:,} of {total:,}: the run goes on in {child.relative_to(run.workdir)}."
    if run.running:
        return f"Running: step {done:,} of {total:,}."
    why = outcome.recorded(run.workdir)
    if why and why.kind != outcome.COMPLETE:
        by = {outcome.PROBLEM: " (monitor.on_finding)"}.get(why.kind, "")
        verb = "Interrupted" if why.kind == outcome.INTERRUPTED else "Ended early"
        return f"{verb} at step {why.step:,} of {total:,}{by}{f': {why.reason}' if why.reason else ''}."
    if done >= total:
        return f"Complete: {total:,} steps."
    return f"Not finished: the last record is of step {done:,} of {total:,}."


def _quality(run: Run) -> list[str]:
    """Gives the best and last value of the score that picks the best checkpoint, or else of the first two scores."""
    known = [name for name in run.names if direction(name)]
    scores = score_log.training_scores(run.workdir / score_log.FILE, run.config.eval.best_metric)
    found = []
    for name in [scores[-1].tag] if scores and scores[-1].tag in known else known[:2]:
        steps, values = curve(run.rows, name)
        i = best(steps, values, direction(name))
        if i is not None:
            last = "" if i == len(values) - 1 else f", {values[-1]:.4g} at the end"
            label = name.removeprefix("eval/")
            found.append(f"Best {label}: {values[i]:.4g} at step {steps[i]:,}{last} ({direction(name)} is better).")
    return found
