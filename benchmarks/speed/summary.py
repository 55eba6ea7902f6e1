"""Turns the seconds of every turn into medians, quartiles, and ratios taken pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.games import BATCH_SIZE, GAMES

Row = Mapping[str, Any]  # group, side, batch_size, round, steps, seconds
UNTUNED = ("torch", "torch_compile")  # as PyTorch comes
TORCH = (*UNTUNED, "torch_tuned")
LARGEST = 256


def step_ms(rows: Sequence[Row], group: str, side: str, batch_size: int = BATCH_SIZE) -> dict[int, float]:
    """Collects milliseconds per step by round; empty if the side did not run.

    >>> row = {"group": "ring", "side": "torch", "batch_size": 64, "round": 0, "steps": 100, "seconds": 0.25}
    >>> step_ms([row], "ring", "torch")
    {0: 2.5}
    """
    chosen = (r for r in rows if (r["group"], r["side"], r["batch_size"]) == (group, side, batch_size))
    return {r["round"]: 1000 * r["seconds"] / r["steps"] for r in chosen}


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Computes lower quartile, median and upper quartile, with linear interpolation.

    >>> quartiles([4, 1, 3, 2])
    (1.75, 2.5, 3.25)
    """
    low, middle, high = np.percentile(np.asarray(values, float), [25, 50, 75]).tolist()
    return low, middle, high


def pairwise(slow: Mapping[int, float], fast: Mapping[int, float]) -> list[float]:
    """Divides slow by fast in every round that has both, because what disturbs the machine disturbs both.

    >>> pairwise({0: 3.0, 1: 8.0}, {0: 2.0, 1: 4.0, 2: 1.0})
    [1.5, 2.0]
    """
    return [slow[i] / fast[i] for i in sorted(slow.keys() & fast.keys())]


def torch_best(rows: Sequence[Row], group: str, among: Sequence[str] = TORCH) -> str | None:
    """Finds the PyTorch side with the lowest median; None if there is none."""
    medians = {side: quartiles([*ms.values()])[1] for side in among if (ms := step_ms(rows, group, side))}
    return min(medians, key=medians.__getitem__, default=None)


def summarize(rows: Sequence[Row], sides: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarizes the turns of a benchmark.

    Args:
      rows: one for each turn.
      sides: one for each side of each group, with `peak_bytes` unless it failed.

    Returns:
      `medians`: of every side, with quartiles, in ms per step. `ratios`: by game the median of PyTorch's best side /
      jaxgan, with `ratio_quartiles` and `torch_best`; `untuned_ratios`, of those sides that leave malloc alone, and
      `stock_flax_ratios` likewise. `growth`: by side, time per image at batch 256 / at 64. `peak_bytes`: by side, at
      batch 256. `loop_ratio`: images/s of `jaxgan.train` / of its step.
    """
    keys = dict.fromkeys((r["group"], r["side"], r["batch_size"]) for r in rows)
    names = ("q1_ms", "median_ms", "q3_ms")
    summary: dict[str, Any] = {
        "medians": [
            {"group": g, "side": s, "batch_size": b}
            | {n: round(x, 4) for n, x in zip(names, quartiles([*step_ms(rows, g, s, b).values()]), strict=True)}
            for g, s, b in keys
        ]
    }
    best, untuned, flax = (
        {game: side for game in GAMES if (side := torch_best(rows, game, among))}
        for among in (TORCH, UNTUNED, ["flax"])
    )
    against_torch, against_untuned, against_flax = (
        {game: _over_jaxgan(rows, game, side) for game, side in sides_of.items()} for sides_of in (best, untuned, flax)
    )
    growth = {}
    for side in ("jaxgan", "torch"):
        large, usual = (step_ms(rows, "batch_sizes", side, size) for size in (LARGEST, BATCH_SIZE))
        if large:
            growth[side] = [x * BATCH_SIZE / LARGEST for x in pairwise(large, usual)]
    at_largest = [s for s in sides if s["group"] == "batch_sizes" and s["batch_size"] == LARGEST]
    loop = pairwise(step_ms(rows, "loop", "jaxgan"), step_ms(rows, "loop", "loop"))
    return summary | {
        "torch_best": best,
        "ratios": _medians(against_torch),
        "ratio_quartiles": {k: [round(x, 3) for x in quartiles(v)[::2]] for k, v in against_torch.items()},
        "untuned_ratios": _medians(against_untuned),
        "stock_flax_ratios": _medians(against_flax),
        "growth": _medians(growth),
        "peak_bytes": {s["side"]: s["peak_bytes"] for s in at_largest},
        "loop_ratio": _medians({"loop": loop})["loop"] if loop else None,
    }


def _over_jaxgan(rows: Sequence[Row], game: str, side: str) -> list[float]:
    return pairwise(step_ms(rows, game, side), step_ms(rows, game, "jaxgan"))


def _medians(lists: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: round(quartiles(values)[1], 3) for name, values in lists.items()}
