"""Keeps the record of a run's scores, and decides by it whether the run should end before its last step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxgan.files import append_line, read_lines
from jaxgan.metrics.scores import Score
from jaxgan.monitor.directions import HIGHER, LOWER, merit

FILE = "evaluation.jsonl"

GAIN = 0.01  # smaller relative gains do not count
IN_A_ROW = 3  # number of evaluations in a row that have to be worse than the best by the factor `ratio`


def better(a: float, b: float, direction: str, gain: float = 0.0) -> bool:
    """Says whether score `a` is better than `b` by more than the share `gain` of |b|.

    >>> better(0.98, 1.0, "lower", 0.01), better(0.995, 1.0, "lower", 0.01)
    (True, False)
    """
    return bool(merit(a, direction) - merit(b, direction) > gain * abs(b))


def why_stop(
    history: Sequence[tuple[int, float]], direction: str, patience: int = 0, ratio: float = 0.0
) -> tuple[int, str] | None:
    """Finds the first step at which a run should have ended, and why; None: it should go on.

    Args:
      history: (step, score) of each evaluation, in order.
      direction: which values are better: "lower", "higher", or "closer to 1".
      patience: number of evaluations in a row after which a run ends if none of them is better by at least 1 % than the
        best before them; 0: never.
      ratio: factor by which 3 evaluations in a row have to be worse than the best before them for a run to end; 0:
        never. Where lower is better, a worse score is above ratio x best; where higher is better, it is below
        best / ratio; where 1 is best, its own factor max(x, 1 / x) is above ratio times that of the best. For positive
        scores.

    >>> why_stop([(1, 4.0), (2, 5.0), (3, 7.0), (4, 7.0), (5, 7.0)], "lower", ratio=1.5)[0]
    5
    """
    if not history:
        return None
    best_step, best = counted_step, counted = history[0]  # `counted` moves by gains of 1 % or more only
    waited = worse = 0
    for step, score in history[1:]:
        waited, worse = waited + 1, worse + 1
        if better(score, counted, direction, GAIN):
            counted_step, counted, waited = step, score, 0
        if not ratio or not _worse(score, best, direction, ratio):
            worse = 0
        if better(score, best, direction):
            best_step, best = step, score
        if patience and waited >= patience:
            return step, f"{patience} evaluations since step {counted_step}'s {counted:.4g} gained less than 1 %"
        if ratio and worse >= IN_A_ROW:
            return (
                step,
                f"{IN_A_ROW} evaluations in a row were {ratio:g} times worse than step {best_step}'s {best:.4g}",
            )
    return None


def _worse(score: float, best: float, direction: str, ratio: float) -> bool:
    """Says whether a score is more than `ratio` times worse than the best one."""
    if direction == LOWER:
        return score > best * ratio
    if direction == HIGHER:
        return score < best / ratio
    off, least = (max(x, 1 / x) if x > 0 else math.inf for x in (score, best))
    return off > least * ratio


def record(path: Path, by: str, scores: Iterable[Score]) -> None:
    """Appends one line with scores and their protocols; `by` says which mode computed them."""
    append_line(path, {"by": by, "scores": [score.to_dict() for score in scores]})


def recorded(path: Path, damage: list[str] | None = None) -> list[tuple[str, Score]]:
    """Reads all scores on record with the mode that computed each, in the order of the file.

    Lines that cannot be read are passed over; a sentence about them is added to `damage`, or logged.
    """

    def convert(row: Any) -> list[tuple[str, Score]]:
        if not isinstance(row["by"], str):
            raise TypeError("by is of another type")
        return [(row["by"], Score.from_dict(score)) for score in row["scores"]]

    return [each for row in read_lines(path, convert, damage) for each in row]


def training_scores(path: Path, name: str, last: int | None = None) -> list[Score]:
    """Lists the scores of this name that training recorded up to a step, in order.

    Of a step that a resumed run repeated, the last record counts. Scores whose protocol forbids a comparison with the
    newest score are left out.
    """
    found: dict[int, Score] = {}
    for by, score in recorded(path):
        step = score.protocol.step
        if by == "train" and score.name == name and step is not None and (last is None or step <= last):
            found.pop(step, None)  # the newest comes last
            found[step] = score
    newest = next(reversed(found.values()), None)
    alike = [s for s in found.values() if newest and not s.protocol.differences(newest.protocol)]
    return sorted(alike, key=lambda s: s.protocol.step or 0)


def rank(path: Path, name: str) -> tuple[str, str] | None:
    """Finds the key and the direction of the score of this name that training recorded last; None: there is none."""
    scores = training_scores(path, name)
    return (scores[-1].key, scores[-1].better) if scores else None


def why_ended(path: Path, config, last: int) -> tuple[int, str] | None:
    """Applies `why_stop` to a run's record up to a step, by its configuration's section `eval`."""
    if not (config.plateau_patience or config.stop_ratio):
        return None
    scores = training_scores(path, config.best_metric, last)
    values = [(score.protocol.step or 0, score.value) for score in scores]
    return why_stop(values, scores[0].better, config.plateau_patience, config.stop_ratio) if scores else None
