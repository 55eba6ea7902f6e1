"""Runs rounds of turns: every side in its own process, one at a time, in an order that changes from round to round."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.games import BATCH_SIZE, GAMES, SHAPES, config_of
from benchmarks.speed.side import LOOP_STEPS
from benchmarks.speed.sides import SIDES
from benchmarks.speed.summary import LARGEST
from benchmarks.speed.worker import SideError, Worker

EXTRAS = ("batch_sizes", "loop")
GROUPS = (*GAMES, *EXTRAS)
GAME_OF_EXTRAS = "dcgan28"
BATCH_SIZES = (16, BATCH_SIZE, LARGEST)
TURN_SECONDS, FEWEST_STEPS = 1.5, 3
MAY_FAIL = "torch_compile"  # it needs a C++ compiler


class Entry(NamedTuple):
    """One side, as a group measures it."""

    side: str
    game: str
    batch_size: int


def processes(group: str, with_torch: bool) -> list[list[Entry]]:
    """Lists the sides of a group by process; jaxgan's own process comes first."""
    if group == "loop":  # in one process, so that nothing but the loop differs
        return [[Entry(side, GAME_OF_EXTRAS, BATCH_SIZE) for side in ("jaxgan", "loop")]]
    names = {"jaxgan": True, "torch": with_torch, "torch_compile": with_torch, "torch_tuned": with_torch}
    names["flax"] = group != "resnet32"  # of which one step takes several seconds
    there = [name for name, is_there in names.items() if is_there]
    if group == "batch_sizes":
        there = [name for name in there if name in ("jaxgan", "torch")]
        return [[Entry(side, GAME_OF_EXTRAS, size)] for size in BATCH_SIZES for side in there]
    return [[Entry(side, group, BATCH_SIZE)] for side in there]


def order(count: int, number: int) -> list[int]:
    """Gives the order of a round: over the rounds each side is first equally often, with changing neighbors.

    >>> [order(3, i) for i in range(4)]
    [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]]
    """
    first = number // 2 % count
    turn = [(first + i) % count for i in range(count)]
    return turn[::-1] if number % 2 else turn


def turn_steps(step_seconds: float) -> int:
    """Chooses the number of steps of a turn, equal for all sides, by the time of jaxgan's step.

    >>> turn_steps(0.1), turn_steps(2.0)
    (15, 3)
    """
    return max(FEWEST_STEPS, round(TURN_SECONDS / step_seconds))


def measure(
    group: str, plan: Sequence[Sequence[Entry]], rounds: int, directory: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measures a group.

    Args:
      group: its name in the rows.
      plan: as `processes` returns it.
      rounds: how many.
      directory: for what the processes print.

    Returns:
      One row for each turn, and one for each side, with its time to the first step and its memory or its error.

    Raises:
      SideError: a side that must not fail did.
    """
    failed: list[dict[str, Any]] = []
    runners: list[tuple[Entry, Worker]] = []
    with ExitStack() as stack:
        for entries in plan:
            makers = {e.side: partial(SIDES[e.side], config_of(e.game, e.batch_size), SHAPES[e.game]) for e in entries}
            label = f"{group} {entries[0].side} batch {entries[0].batch_size}"
            print(f"{label}: getting ready ...", flush=True)
            try:
                worker = stack.enter_context(Worker(makers, directory / f"{label.replace(' ', '_')}.log"))
            except SideError as error:
                if entries[0].side != MAY_FAIL:
                    raise SideError(f"{label}: {error}") from None
                print(f"{label}: left out: {error}", flush=True)
                failed.append(_named(group, entries[0]) | {"error": str(error)})
                continue
            runners += [(entry, worker) for entry in entries]
        steps = {
            entry.batch_size: LOOP_STEPS if group == "loop" else turn_steps(worker.info["jaxgan"]["step_seconds"])
            for entry, worker in runners
            if entry.side == "jaxgan"
        }
        rows = [row for number in range(rounds) for row in _round(group, runners, number, steps)]
        sides = [_named(group, entry) | worker.info[entry.side] for entry, worker in runners]
    return rows, sides + failed


def _round(
    group: str, runners: Sequence[tuple[Entry, Worker]], number: int, steps: dict[int, int]
) -> list[dict[str, Any]]:
    rows = []
    for i in order(len(runners), number):
        entry, worker = runners[i]
        count = steps[entry.batch_size]
        seconds = worker.turn(entry.side, count)
        rows.append(_named(group, entry) | {"round": number, "steps": count, "seconds": round(seconds, 5)})
    shown = {r["side"] + (f"@{r['batch_size']}" if group == "batch_sizes" else ""): r for r in rows}
    parts = (f"{name} {1000 * r['seconds'] / r['steps']:.4g}" for name, r in sorted(shown.items()))
    print(f"{group} round {number + 1}, ms per step: {', '.join(parts)}", flush=True)
    return rows


def _named(group: str, entry: Entry) -> dict[str, Any]:
    return {"group": group, "side": entry.side, "batch_size": entry.batch_size}
