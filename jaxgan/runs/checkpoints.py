"""Checkpoints: the whole state by Orbax, with a checksum of its own."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from jaxgan.errors import MACHINE, UserError
from jaxgan.monitor.directions import merit


def digest(state: Any) -> int:
    """CRC-32 of a tree of arrays: their types, shapes and bytes, in the tree's order."""
    crc = 0
    for leaf in jax.tree.leaves(state):
        array = np.ascontiguousarray(leaf)
        crc = zlib.crc32(f"{array.dtype} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return crc


def reaches_back(step: int, newest: int, every: int) -> bool:
    """Whether a checkpoint stays for its age: fewer do the older, so that of any age A there is one from A to 2 A.

    Of n steps that are multiples of `every`, about 2 log2(n) stay. Nothing else counts, such as what else was saved or
    is not deleted yet, and what goes once is never wanted again: an interrupted run has the same as any other.

    >>> [step for step in range(0, 201, 10) if reaches_back(step, 200, 10)]
    [0, 80, 120, 140, 160, 170, 180, 190, 200]
    """
    if not every or step % every:
        return False
    age = (newest - step) // every
    return (step // every) % (1 << max(age.bit_length() - 2, 0)) == 0


class Checkpoints:
    """The checkpoints of one run, in `workdir/checkpoints/<step>`. Saving goes on in the background.

    Args:
      workdir: of the run.
      keep: how many of the newest stay; None: only to read, so that a run in progress is not disturbed.
      rank: the key of the score by which the best one stays too, and which direction is better; None: none does.
      spread: of its multiples those stay too that `reaches_back`; 0: none.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        keep: int | None = None,
        rank: tuple[str, str] | None = None,
        spread: int = 0,
    ):
        self.directory = Path(workdir).absolute() / "checkpoints"
        self._keep, self._rank, self._spread = keep, rank, spread
        self._manager = self._open()
        # Of those that have any, by step. A run without a rank has no use for them.
        self._scores = self._recorded() if rank else {}

    def _open(self):
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(
            preservation_policy=self,
            create=self._keep is not None,
            # What an interrupted save left behind; a reader would take the save of the run in progress for that.
            cleanup_tmp_directories=self._keep is not None,
            # Made in the background, a directory that cannot be made leaves threads that keep the process from ending.
            async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
        )
        return ocp.CheckpointManager(self.directory, options=options, item_names=("state", "meta"))

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Orbax's question which of these stay, oldest first."""
        steps = [each.step for each in checkpoints]
        stay = set(steps[-self._keep :] if self._keep else steps)
        stay |= {step for step in steps if reaches_back(step, steps[-1], self._spread)}
        if self._rank:
            stay.add(_best({step: self._scores[step] for step in steps if step in self._scores}, *self._rank))
        return [step in stay for step in steps]

    def steps(self) -> list[int]:
        """Steps of the finished checkpoints, oldest first."""
        self.wait()
        return sorted(self._manager.all_steps())

    def best(self, key: str, direction: str) -> int | None:
        """The step of the checkpoint with the best score of this key, the latest of equals; None: there is none."""
        return _best(self._recorded(), key, direction)

    def _recorded(self) -> dict[int, dict[str, float]]:
        """The scores that checkpoints have, by step; one that cannot be read has none."""
        import orbax.checkpoint as ocp

        found = {}
        for step in self.steps():
            try:
                meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())).meta
                found[step] = {str(key): float(value) for key, value in meta["scores"].items()}
            except Exception as error:  # damaged, or half deleted when the run was killed
                _raise_of_machine(error)
                logging.warning("The checkpoint %s has no scores that can be read.", self.directory / str(step))
        return found

    def save(self, step: int, state: Any, scores: dict[str, float] | None = None) -> None:
        """Saves the state after `step` steps with its scores, if it has any, unless that step is saved already."""
        import orbax.checkpoint as ocp

        if step in self._manager.all_steps():
            return
        if scores:
            self._scores[step] = scores
        # A copy on the host: the next step is given the device's buffers while the file is still being written.
        host = jax.tree.map(np.array, jax.device_get(state))
        meta = {"step": step, "crc32": digest(host), "scores": scores or {}}
        self._manager.save(
            step,
            args=ocp.args.Composite(state=ocp.args.StandardSave(host), meta=ocp.args.JsonSave(meta)),
            force=True,  # else a step before the newest one is left out without a word
        )

    def restore(self, target: Any, *, repair: bool = False, only: int | None = None) -> tuple[int, Any] | None:
        """The newest checkpoint that is whole, as `(step, state)`, or None where there is none at all.

        Args:
          target: the state as `ShapeDtypeStruct`s, with the shardings to restore to.
          only: the step of the one checkpoint that is wanted, which must be there.
          repair: move damaged checkpoints newer than the one used to `workdir/damaged`, so that their steps can be
            saved anew.

        Raises:
          UserError: there are checkpoints but none of them can be read; nothing is moved then.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self.steps() if only is None else [only]):
            try:
                state = self._restore(step, target)
            except Exception as error:  # any of a dozen types, by what is damaged
                _raise_of_machine(error)
                reason = " ".join(str(error).split())[:200]
                damaged[step] = f"{type(error).__name__}: {reason}"
                logging.warning(
                    "The checkpoint %s is damaged (%s).",
                    self.directory / str(step),
                    damaged[step],
                )
                continue
            if repair and damaged:
                self._set_aside(list(damaged))
            return step, state
        if damaged:
            reasons = "; ".join(f"step {step}: {reason}" for step, reason in damaged.items())
            if only is not None:
                raise UserError(f"The checkpoint in {self.directory} cannot be restored ({reasons}).")
            raise UserError(f"None of the checkpoints in {self.directory} can be restored ({reasons}).")
        return None

    def _restore(self, step: int, target: Any) -> Any:
        import orbax.checkpoint as ocp

        args = ocp.args.Composite(state=ocp.args.StandardRestore(target), meta=ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=args)
        if restored.meta["crc32"] != digest(jax.device_get(restored.state)):
            raise ValueError("its checksum does not match its contents")
        return restored.state

    def _set_aside(self, steps: list[int]) -> None:
        self._manager.close()
        for step in steps:
            place = self.directory.parent / "damaged" / str(step)
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(exist_ok=True)
            shutil.move(self.directory / str(step), place)
            logging.warning("Moved the damaged checkpoint of step %d to %s.", step, place)
        self._manager = self._open()

    def wait(self) -> None:
        """Returns when every save is on disk; raises what went wrong with one."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits as `wait` does, then lets go."""
        self._manager.close()


def _best(scores: dict[int, dict[str, float]], key: str, direction: str) -> int | None:
    merits = {step: merit(each[key], direction) for step, each in scores.items() if key in each}
    return max(merits, key=lambda step: (merits[step], step), default=None)


def _raise_of_machine(error: Exception) -> None:
    """Raises what is no fault of the checkpoint."""
    if isinstance(error, OSError) and error.errno in MACHINE:
        raise error
