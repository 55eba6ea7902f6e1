"""Defines the rules that read evaluations."""

from __future__ import annotations

import numpy as np

from jaxgan.monitor.doctor import thresholds as t
from jaxgan.monitor.doctor.history import Run, Sign


def late_degradation(run: Run, held: int) -> Sign | None:
    """The last evaluations are all far worse than the best one, by more than their own noise."""
    signs = []
    for curve, direction in run.evaluations().values():
        n = len(curve)
        if n <= t.IN_A_ROW or run.now < t.PATIENCE:
            continue
        # Of scores that are better when higher, the inverse; a score of 0 or below has no ratio to the best.
        values = curve.values if direction > 0 else 1 / np.maximum(curve.values, 1e-9)
        if values.min() <= 0:
            continue
        logs = np.log(values)
        noise = float(np.median(np.abs(np.diff(logs))))
        # The best level rather than the best value, which is the luckiest of many.
        level = float(np.median([logs[i : n - 2 + i] for i in range(3)], axis=0).min())
        least = float(logs[-t.IN_A_ROW :].min()) - level
        if least > max(np.log(t.DEGRADED), t.NOISE * noise):
            evidence = {
                "best": float(curve.values[logs.argmin()]),
                "best_step": float(curve.steps[logs.argmin()]),
                "now": float(curve.values[-1]),
                "ratio": float(np.exp(least)),
            }
            severity = "problem" if n >= t.EVALUATIONS else "warning"
            signs.append(Sign(severity, curve.steps[-t.IN_A_ROW], evidence))
    return max(signs, key=lambda sign: sign.evidence["ratio"], default=None)


def memorization(run: Run, held: int) -> Sign | None:
    """Generated examples lie much nearer to training examples than other examples of the data do."""
    last = latest("eval/memorization", run)
    if last is None or last[1] >= t.NEAR_TRAINING:
        return None
    step, ratio = last
    return Sign("problem" if ratio < t.MEMORIZED else "warning", step, {"ratio": ratio})


def ignored_condition(run: Run, held: int) -> Sign | None:
    """Generated examples are of their class hardly more often than by chance."""
    last = latest("eval/class_accuracy", run)
    if last is None or run.num_classes < 2:
        return None
    (step, accuracy), chance = last, 1 / run.num_classes
    if accuracy >= chance + t.HEARD * (1 - chance):
        return None
    deaf = accuracy < chance + t.DEAF * (1 - chance)
    return Sign("problem" if deaf and held >= t.LASTING else "warning", step, {"accuracy": accuracy, "chance": chance})


def latest(score: str, run: Run) -> tuple[float, float] | None:
    """Returns the first step and the median of the last evaluations by a score, such as "eval/diversity".

    The names of curves go on with the protocol, as in "eval/diversity_1k_cnn_embedded_mnist".
    """
    for name in run.names:
        curve = run.curve(name)
        if name != score and not name.startswith(f"{score}_"):
            continue
        if curve is not None and len(curve) >= t.IN_A_ROW and run.now >= t.PATIENCE:
            return float(curve.steps[-t.IN_A_ROW]), float(np.median(curve.values[-t.IN_A_ROW :]))
    return None
