"""Turns signs into findings, of a whole history at once or step by step as it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from jaxgan.monitor.doctor.advice import ADVICE
from jaxgan.monitor.doctor.curve import History, rows_of
from jaxgan.monitor.doctor.findings import Finding, worse
from jaxgan.monitor.doctor.history import Run
from jaxgan.monitor.doctor.rules import RULES


def diagnose(history: History, loss: str | None = None, num_classes: int = 0) -> list[Finding]:
    """Finds what is wrong with a run by its recorded curves; a pure function, the same as a `Doctor` fed all of them.

    Args:
      history: name -> f[N], with the steps as i[N]: those of a curve `a/b` are `a/b/step` if there, else those of its
        group `a/step` (such as `eval/step`), else `step`. In any order; of a step that comes twice, as after a resume,
        the last value counts.
      loss: name of the adversarial loss, a key of `losses.LOSSES`. None: unknown; it is taken for one without a lower
        bound if D's loss is ever negative.
      num_classes: number of classes that G is conditioned on; 0: none.

    Returns:
      One finding for each kind that was ever seen, by the step of its first report.

    Raises:
      ValueError: curves without steps, or of another length.

    >>> import numpy as np
    >>> steps = np.arange(0, 5000, 50)
    >>> [found] = diagnose({"step": steps, "loss/d": np.where(steps < 1000, 1.0, 1e-4)})
    >>> found.kind, found.severity, found.step
    ('d_loss_near_zero', 'problem', 1000)
    """
    doctor = Doctor(loss, num_classes)
    for step, scalars in rows_of(history):
        doctor.feed(step, scalars)
    return doctor.findings


class Doctor:
    """Watches a run. Its findings are a pure function of what it was fed, so a resumed run feeds it the log again."""

    def __init__(self, loss: str | None = None, num_classes: int = 0):
        """Starts without curves; arguments as for `diagnose`."""
        self._run = Run(loss, num_classes)
        self._found: dict[str, Finding] = {}
        self._since: dict[str, tuple[int, int]] = {}  # of what is seen until now: first seen, and begun

    def feed(self, step: int, scalars: Mapping[str, float]) -> list[Finding]:
        """Takes all scalars of a step; returns new findings, and findings that became more severe.

        Raises:
          ValueError: a step that is not later than the last one.
        """
        if step <= self._run.now:
            raise ValueError(f"step {step} after step {self._run.now}: feed later steps, each with all of its scalars.")
        last = self._run.now
        self._run.record(step, scalars)
        return [found for kind in RULES if (found := self._look(kind, last)) is not None]

    @property
    def findings(self) -> list[Finding]:
        """Returns all findings so far, each with its highest severity, ordered by the step of its first report."""
        return list(self._found.values())

    def _look(self, kind: str, last: int) -> Finding | None:
        now, before = self._run.now, self._found.get(kind)
        sign = RULES[kind].check(self._run, now - self._since[kind][0] if kind in self._since else 0)
        if sign is None:
            if self._since.pop(kind, None):
                self._found[kind] = dataclasses.replace(self._found[kind], until=last)
            return None
        _, step = self._since.setdefault(kind, (now, int(sign.step)))
        if before is None or worse(sign.severity, before.severity):
            words = RULES[kind].explanation.format(**sign.evidence)
            self._found[kind] = Finding(kind, sign.severity, step, now, None, sign.evidence, words, ADVICE[kind])
            return self._found[kind]
        self._found[kind] = dataclasses.replace(before, until=None)
        return None
