"""Records why a run ended, so that nobody has to find it out again from its logs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from jaxgan.files import DAMAGES, read_json, write_json

FILE = "outcome.json"
COMPLETE, SCORES, PROBLEM, NON_FINITE, INTERRUPTED = KINDS = (
    "complete",  # all steps are done
    "scores",  # early stopping: eval.plateau_patience or eval.stop_ratio
    "problem",  # monitor.on_finding
    "non_finite",  # a scalar became NaN or infinite
    "interrupted",  # by SIGTERM or Ctrl-C
)


class WhyEnded(NamedTuple):
    """Why a run ended.

    Attributes:
      kind: one of `KINDS`.
      step: the step it had reached.
      reason: the rest of a sentence, such as "d loss near zero since step 40"; empty where the kind says it all.
    """

    kind: str
    step: int
    reason: str = ""


def record(workdir: Path, why: WhyEnded) -> None:
    """Writes `outcome.json`, unless it says the same already."""
    if recorded(workdir) != why:
        write_json(workdir / FILE, why._asdict())


def recorded(workdir: Path) -> WhyEnded | None:
    """Reads why a run ended; None: it has not ended, was killed, or the record is damaged."""
    try:
        row = read_json(workdir / FILE)
        kind, step, reason = row["kind"], row["step"], row["reason"]
    except (OSError, *DAMAGES):
        return None
    if kind not in KINDS or type(step) is not int or not isinstance(reason, str):
        return None
    return WhyEnded(kind, step, reason)


def forget(workdir: Path) -> None:
    """Deletes the record, because the run goes on."""
    (workdir / FILE).unlink(missing_ok=True)
