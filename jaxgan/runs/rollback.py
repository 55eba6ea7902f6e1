"""Rolls a run back after a problem: it goes on from its best checkpoint, in a directory inside of its own."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.files import read_json, write_json
from jaxgan.monitor.doctor import Finding, words
from jaxgan.runs import directory as workdirs
from jaxgan.runs import score_log
from jaxgan.runs.checkpoints import Checkpoints, reaches_back
from jaxgan.runs.directory import INTERVENTION

# The keys that are changed after each kind of finding: learning rates are halved, eps is raised to EPS. docs/doctor.md
# says on whose advice. None of them changes the structure of the state, or needs the step compiled again. Kinds that
# are missing here are never problems, or come from the data or from a fault, which no learning rate cures.
BOTH = ("g_optim.learning_rate", "d_optim.learning_rate")
CHANGES: dict[str, tuple[str, ...]] = {
    "non_finite": (*BOTH, "g_optim.eps", "d_optim.eps"),
    "discriminator_too_strong": ("d_optim.learning_rate",),
    "generator_too_strong": ("g_optim.learning_rate",),
    "vanishing_gradient": ("d_optim.learning_rate",),
    "d_loss_near_zero": ("d_optim.learning_rate",),
    "exploding_loss": (*BOTH, "g_optim.eps", "d_optim.eps"),
    "mode_collapse": ("g_optim.learning_rate",),
    "runaway_samples": ("g_optim.learning_rate",),
    "imbalance": ("d_optim.learning_rate",),
    "late_degradation": BOTH,
}
EPS = 1e-6


class Attempt(NamedTuple):
    """One attempt at a run: the run as the user asked for it, or one that goes on where that was rolled back.

    Attributes:
      workdir: the directory of this attempt.
      config: the configuration of this attempt.
      number: number of rollbacks before it; its randomness and the order of its data depend on it.
    """

    workdir: Path
    config: Config
    number: int


def newest(workdir: Path, config: Config) -> Attempt:
    """Finds the attempt with which a run goes on.

    Args:
      workdir: the directory of the run as the user asked for it.
      config: the configuration of that run; later attempts have their own changes besides.
    """
    number = _number(workdir)
    while (child := child_of(workdir)) is not None:
        changes = workdirs.read(child)[INTERVENTION]["changes"]
        config = _changed(config, {key: new for key, (_, new) in changes.items()})
        workdir, number = child, number + 1
    return Attempt(workdir, config, number)


def child_of(workdir: Path) -> Path | None:
    """Finds the directory where a run goes on that was rolled back; None: it was not."""
    number = _number(workdir) + 1
    child = _place(workdir, number)
    return child if child.is_dir() and _number(child) == number else None


def went_on(workdir: Path) -> str:
    """Says in a sentence where a run goes on that was rolled back; empty: it was not."""
    place = workdir
    while (child := child_of(place)) is not None:
        place = child
    return f"{workdir} was rolled back, and the run goes on in {place}." if place != workdir else ""


def intervention(workdir: Path) -> dict[str, Any]:
    """Reads what was changed in a run that goes on where another was rolled back; empty for any other run."""
    if not (workdir / "config.json").exists():
        return {}
    return workdirs.read(workdir).get(INTERVENTION, {})


def why_not(attempt: Attempt, problem: Finding) -> str:
    """Says what the user can do where a problem ends a run; empty: the run is rolled back.

    Returns:
      The end of a sentence, such as "set monitor.on_finding to 'warn' to go on".
    """
    monitor = attempt.config.monitor
    # Numbers that are not finite stay so: going on as it is is no way out.
    ignore = "" if problem.kind == "non_finite" else "set monitor.on_finding to 'warn' to go on"
    if problem.kind not in CHANGES:
        return f"no learning rate cures that, so {ignore}"
    if monitor.on_finding != "roll_back":
        way = "set monitor.on_finding to 'roll_back' to go on from an earlier checkpoint with a changed optimizer"
        return f"{way}, or {ignore} as it is" if ignore else way
    if attempt.number >= monitor.max_attempts:
        last = f"this was the last of {monitor.max_attempts} attempts, so raise monitor.max_attempts"
        return f"{last}, or {ignore}" if ignore else f"{last} to go on"
    return ""


def rank(attempt: Attempt) -> tuple[str, str] | None:
    """Finds the score by which an attempt's checkpoints are compared.

    An attempt without evaluations of its own has its first checkpoint from an earlier attempt, and with it that score.

    Returns:
      The key of the score and which direction is better; None: nothing was evaluated so far.
    """
    place = attempt.workdir
    for _ in range(attempt.number + 1):
        if found := score_log.rank(place / score_log.FILE, attempt.config.eval.best_metric):
            return found
        place = place.parent
    return None


def roll_back(attempt: Attempt, problem: Finding, rank: tuple[str, str] | None, target: Any) -> Attempt:
    """Makes the next attempt: its directory, with a changed configuration and the checkpoint that it starts from.

    The directory appears whole or not at all, so that a run that is killed meanwhile is rolled back when it is resumed.

    Args:
      attempt: the one with the problem; no process writes to its directory.
      problem: the finding that decides what is changed and which checkpoints are too late.
      rank: as for `Checkpoints`: the score by which the best checkpoint is found.
      target: as for `Checkpoints.restore`.

    Raises:
      UserError: the new directory is taken, or the disk is full.
    """
    changes = _changes(attempt.config, problem.kind)
    config = _changed(attempt.config, {key: new for key, (_, new) in changes.items()})
    step, number = _origin(attempt, problem, rank, target), attempt.number + 1
    place = _place(attempt.workdir, number)
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    record = read_json(attempt.workdir / "config.json")
    record |= {
        "config": config.to_dict(),
        INTERVENTION: {
            "attempt": number,
            "kind": problem.kind,
            "step": problem.step,
            "reported": problem.reported,
            "from_step": step or 0,
            "changes": changes,
        },
    }
    write_json(partial / "config.json", record)
    if step is not None:
        _copy(attempt.workdir / "checkpoints" / str(step), partial / "checkpoints" / str(step))
    try:
        os.replace(partial, place)
    except OSError:
        if not place.exists():  # then it is the disk that fails
            raise
        raise UserError(f"{place} is not an attempt of this run and stands in the way: move it elsewhere.") from None
    return Attempt(place, config, number)


def spread(config: Config) -> int:
    """Gives the number of steps between the checkpoints of which some stay to roll back to; 0: none stay."""
    return (config.train.checkpoint_every or config.eval.every) if config.monitor.on_finding == "roll_back" else 0


def sentence(record: Mapping[str, Any]) -> str:
    """Writes an intervention as a sentence."""
    changes = ", ".join(f"{key} {new:g} in place of {old:g}" for key, (old, new) in record["changes"].items())
    return (
        f"Attempt {record['attempt']}: from step {record['from_step']} on with another order of the data"
        f"{f' and {changes}' if changes else ''}, because of {words(record['kind'])} since step {record['step']}."
    )


def _origin(attempt: Attempt, problem: Finding, rank: tuple[str, str] | None, target: Any) -> int | None:
    """Finds the step of the best checkpoint, or of the newest one before the problem; None: none of them is whole."""
    checkpoints = Checkpoints(attempt.workdir)
    try:
        best, steps = checkpoints.best(*rank) if rank else None, checkpoints.steps()
        # Checkpoints that an interruption left do not count, because an uninterrupted run does not have them.
        every = spread(attempt.config)
        before = [step for step in steps if step < problem.step and reaches_back(step, steps[-1], every)]
        for step in [*([] if best is None else [best]), *reversed(before)]:
            try:
                checkpoints.restore(target, only=step)
            except UserError:  # damaged
                continue
            return step
        return None
    finally:
        checkpoints.close()


def _copy(checkpoint: Path, place: Path) -> None:
    try:
        shutil.copytree(checkpoint, place)
    except shutil.Error as error:  # it lists the files that failed
        shutil.rmtree(place, ignore_errors=True)
        raise UserError(f"{checkpoint} cannot be copied to {place}: {error.args[0][0][2]}.") from None


def _changes(config: Config, kind: str) -> dict[str, list[float]]:
    """Decides the changes after a kind of problem: by key, the value before and after."""
    changes = {}
    for key in CHANGES[kind]:
        section, name = key.split(".")
        old = getattr(getattr(config, section), name)
        new = old / 2 if name == "learning_rate" else max(old, EPS)
        if new != old:
            changes[key] = [old, new]
    return changes


def _changed(config: Config, values: Mapping[str, float]) -> Config:
    for key, value in values.items():
        section, name = key.split(".")
        config = dataclasses.replace(
            config, **{section: dataclasses.replace(getattr(config, section), **{name: value})}
        )
    return config


def _number(workdir: Path) -> int:
    return intervention(workdir).get("attempt", 0)


def _place(workdir: Path, number: int) -> Path:
    return workdir / f"attempt_{number}"
