"""Applies the doctor to runs whose end is known.

`python -m benchmarks.doctor.report [--directory=D] [--published=P]` prints Markdown tables.
D holds the curves that `benchmarks.doctor.runs` made, P the losses and FIDs of published runs. Thresholds are fitted on
the halves that are called fitting; what is reported is the other halves', and that of the runs of
`benchmarks.doctor.unseen`. `--details` prints every run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.doctor.rows import BROKEN, HEALTHY, halves
from benchmarks.doctor.unseen import UNSEEN_BROKEN, UNSEEN_HEALTHY
from jaxgan.monitor.doctor import Finding, diagnose
from jaxgan.monitor.doctor.curve import History

DEGRADED = 1.5  # last FID over the best: a run that ended badly
LOSSES = {"least_square": "least_squares", "vanilla": "non_saturating", "logistic": "non_saturating"}
Runs = dict[str, dict[str, Any]]


def read_published(path: Path) -> Runs:
    """Reads runs of at least 8 evaluations: `fid` rows [step, FID], `loss` rows [step, G's, D's], and `adv`."""
    with gzip.open(path, "rt") as file:
        runs = json.load(file)
    return {name: run for name, run in runs.items() if "fid" in run and len(run["fid"]) >= 8}


def published_halves(runs: Runs) -> dict[str, str]:
    """ "fitting" or "reporting" by configuration, the name before the date, and apart for those that ended badly."""
    groups: dict[bool, set[str]] = {True: set(), False: set()}
    ended_badly = {_configuration(name) for name, run in runs.items() if degraded(run)}
    for name in runs:
        groups[_configuration(name) in ended_badly].add(_configuration(name))
    half = halves(groups[True]) | halves(groups[False])
    return {name: half[_configuration(name)] for name in runs}


def _configuration(name: str) -> str:
    return name.split("-train-")[0]


def degraded(run: dict[str, Any]) -> bool:
    """Whether a run ended at 1.5 times its best FID or worse."""
    fid = np.array(run["fid"], float)[:, 1]
    return bool(fid[-1] >= DEGRADED * fid.min())


def history(run: dict[str, Any], fid: bool, losses: bool) -> History:
    """Gives the curves of a published run that are asked for."""
    curves = {}
    if fid:
        curves["eval/step"], curves["eval/fid"] = np.array(run["fid"], float).T
    if losses and run["loss"]:
        curves["step"], curves["loss/g"], curves["loss/d"] = np.array(run["loss"], float).T
    return curves


def first_problem(findings: Sequence[Finding]) -> Finding | None:
    """Finds the problem that a running job would have been told first."""
    return min((f for f in findings if f.severity == "problem"), key=lambda f: f.reported, default=None)


def in_time(run: dict[str, Any], step: int | None) -> bool:
    """Whether an alarm came at or after the best evaluation and with a quarter of them still to come."""
    fid = np.array(run["fid"], float)
    best = fid[fid[:, 1].argmin(), 0]
    return step is not None and bool(step >= best and np.sum(fid[:, 0] > step) >= len(fid) / 4)


def three_in_a_row(run: dict[str, Any]) -> int | None:
    """Finds the step at which FID is above 1.25 times its best for the third time in a row, the rule to beat."""
    fid = np.array(run["fid"], float)
    above = fid[:, 1] > 1.25 * np.minimum.accumulate(fid[:, 1])
    return next((int(fid[i, 0]) for i in range(2, len(fid)) if above[i - 2 : i + 1].all()), None)


def report_published(runs: Runs, details: bool) -> None:
    """Prints, for each half and each choice of curves, alarms in time and false ones."""
    half = published_halves(runs)
    ways: dict[str, tuple[bool, bool]] = {"FID and losses": (True, True), "losses": (False, True), "FID": (True, False)}
    print(
        "| half | curves | ended badly | alarm in time | others | false alarms |\n| --- | --- | --- | --- | --- | --- |"
    )
    for part in ("fitting", "reporting"):
        own = {name: run for name, run in runs.items() if half[name] == part}
        for title, (fid, losses) in ways.items():
            alarms: dict[str, int | None] = {}
            for name, run in own.items():
                findings = diagnose(history(run, fid, losses), LOSSES.get(run["adv"], run["adv"]))
                alarm = first_problem(findings)
                alarms[name] = alarm.reported if alarm else None
                if details and (alarm or degraded(run)):
                    print(f"{name}: {'bad' if degraded(run) else 'good'}, {alarm and (alarm.kind, alarm.reported)}")
            _line(part, title, own, alarms)
        _line(part, "three-line rule", own, {name: three_in_a_row(run) for name, run in own.items()})


def _line(part: str, title: str, runs: Runs, alarms: dict[str, int | None]) -> None:
    bad = [name for name, run in runs.items() if degraded(run)]
    right = sum(in_time(runs[name], alarms[name]) for name in bad)
    false = sum(alarms[name] is not None for name in runs if name not in bad)
    print(f"| {part} | {title} | {len(bad)} | {right} | {len(runs) - len(bad)} | {false} |", flush=True)


def report_runs(directory: Path, details: bool) -> None:
    """Prints, for each half, how many broken runs are found and named, and how many healthy ones are accused."""
    unseen = UNSEEN_BROKEN | UNSEEN_HEALTHY
    half = halves(BROKEN) | halves(HEALTHY) | dict.fromkeys(unseen, "unseen")
    print("| half | broken | warned or worse | problem | right kind | of problems | healthy | problem | warned |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for part in ("fitting", "reporting", "unseen"):
        counts = dict.fromkeys(
            ("broken", "found", "problem", "named", "named problem", "healthy", "false", "warned"), 0
        )
        for name, row in (BROKEN | HEALTHY | unseen).items():
            for path in sorted(directory.glob(f"{name}_[0-9].npz")) if half[name] == part else ():
                with np.load(path) as curves:
                    config = row.config(0)
                    classes = 10 if config.model.g_conditioning != "none" else 0
                    findings = [f for f in diagnose(curves, config.loss.name, classes) if f.severity != "info"]
                problems = {f.kind for f in findings if f.severity == "problem"}
                if details:
                    print(f"{path.stem}: {', '.join(f'{f.kind} {f.severity} {f.reported}' for f in findings) or '-'}")
                if row.kinds:
                    counts["broken"] += 1
                    counts["found"] += bool(findings)
                    counts["problem"] += bool(problems)
                    counts["named"] += bool({f.kind for f in findings} & set(row.kinds))
                    counts["named problem"] += bool(problems & set(row.kinds))
                else:
                    counts["healthy"] += 1
                    counts["false"] += bool(problems)
                    counts["warned"] += bool(findings)
        print(f"| {part} | {' | '.join(map(str, counts.values()))} |", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Reports on all runs and published curves that exist."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", default="", help="of the curves")
    parser.add_argument("--published", default="", help="the file of published runs")
    parser.add_argument("--details", action="store_true", help="print every run")
    flags = parser.parse_args(argv)
    if flags.published:
        report_published(read_published(Path(flags.published)), flags.details)
    if flags.directory:
        report_runs(Path(flags.directory), flags.details)
    return 0


if __name__ == "__main__":
    sys.exit(main())
