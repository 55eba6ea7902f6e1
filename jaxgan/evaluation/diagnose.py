"""Diagnoses a run by its directory, its log, or its curves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxgan.errors import UserError
from jaxgan.monitor import doctor
from jaxgan.monitor.curves import read_metrics
from jaxgan.monitor.panels import history
from jaxgan.runs import directory as workdirs

LOG = "metrics.jsonl"


def diagnose(
    run: str | os.PathLike | Mapping[str, np.ndarray], loss: str | None = None, num_classes: int | None = None
) -> list[doctor.Finding]:
    """Names what went wrong in a run, since when, by which numbers, and what the literature advises.

        for finding in jaxgan.diagnose("runs/digits"):
            print(finding.severity, finding.kind, finding.step, finding.explanation)

    An "info" is a remark, a "warning" may pass, and a "problem" has lasted. No particular curve is required: each rule
    reads those that it finds. The kinds of findings are listed in `docs/doctor.md`.

    Args:
      run: the directory of a run; or a `metrics.jsonl`; or curves of any program, name -> f[N], with their steps i[N]
        under "step", as described in `jaxgan.monitor.doctor.diagnose`.
      loss: name of the adversarial loss, such as "hinge". None: the one in the `config.json` beside the log. Where that
        is not known either, D's loss is taken to have no lower bound if it is ever negative.
      num_classes: number of classes that G is conditioned on. None: as in `config.json`, else 0.

    Returns:
      One `Finding` for each kind that was ever seen, ordered by the step of its first report.

    Raises:
      UserError: there is no log, or its `config.json` is damaged.
      ValueError: curves without steps, or of another length than their steps.

    >>> steps = np.arange(0, 5000, 50)
    >>> [found] = diagnose({"step": steps, "loss/d": np.where(steps < 1000, 1.0, 1e-4)})
    >>> found.kind, found.severity, found.step
    ('d_loss_near_zero', 'problem', 1000)
    """
    if isinstance(run, Mapping):
        return doctor.diagnose(run, loss, num_classes or 0)
    log = Path(run) / LOG if Path(run).is_dir() else Path(run)
    if not log.is_file():
        raise UserError(f"There is no log at {log}: name the directory of a run that has begun to train, or its {LOG}.")
    if (log.parent / "config.json").exists():
        record = workdirs.read(log.parent)
        loss = record["config"].loss.name if loss is None else loss
        num_classes = len(record["example"].get("classes", [])) if num_classes is None else num_classes
    return doctor.diagnose(history(read_metrics(log)), loss, num_classes or 0)
