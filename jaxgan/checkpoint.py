"""Checkpoints: the whole state by Orbax, with a checksum of its own."""

from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from jaxgan.errors import MACHINE, UserError


def digest(state: Any) -> int:
    """CRC-32 of a tree of arrays: their types, shapes and bytes, in the tree's order."""
    crc = 0
    for leaf in jax.tree.leaves(state):
        array = np.ascontiguousarray(leaf)
        crc = zlib.crc32(f"{array.dtype} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return crc


class Checkpoints:
    """The checkpoints of one run, in `workdir/checkpoints/<step>`. Saving goes on in the background.

    Args:
      workdir: of the run.
      keep: how many of the newest stay; None: only to read, so that a run in progress is not disturbed.
    """

    def __init__(self, workdir: str | os.PathLike, keep: int | None = None):
        self.directory = Path(workdir).absolute() / "checkpoints"
        self._keep = keep
        self._manager = self._open()

    def _open(self):
        import orbax.checkpoint as ocp
        from orbax.checkpoint import checkpoint_managers

        options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.LatestN(self._keep),
            create=self._keep is not None,
            # What an interrupted save left behind; a reader would take the save of the run in progress for that.
            cleanup_tmp_directories=self._keep is not None,
            # Made in the background, a directory that cannot be made leaves threads that keep the process from ending.
            async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
        )
        return ocp.CheckpointManager(self.directory, options=options, item_names=("state", "meta"))

    def steps(self) -> list[int]:
        """Steps of the finished checkpoints, oldest first."""
        self.wait()
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any) -> None:
        """Saves the state after `step` steps, unless that step is saved already."""
        import orbax.checkpoint as ocp

        if step in self._manager.all_steps():
            return
        # A copy on the host: the next step is given the device's buffers while the file is still being written.
        host = jax.tree.map(np.array, jax.device_get(state))
        meta = {"step": step, "crc32": digest(host)}
        self._manager.save(
            step,
            args=ocp.args.Composite(state=ocp.args.StandardSave(host), meta=ocp.args.JsonSave(meta)),
            force=True,  # else a step before the newest one is left out without a word
        )

    def restore(self, target: Any, *, repair: bool = False) -> tuple[int, Any] | None:
        """The newest checkpoint that is whole, as `(step, state)`, or None where there is none at all.

        Args:
          target: the state as `ShapeDtypeStruct`s, with the shardings to restore to.
          repair: move damaged checkpoints newer than the one used to `workdir/damaged`, so that their steps can be
            saved anew.

        Raises:
          UserError: there are checkpoints but none of them can be read; nothing is moved then.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                state = self._restore(step, target)
            except Exception as error:  # any of a dozen types, by what is damaged
                if isinstance(error, OSError) and error.errno in MACHINE:  # no fault of the checkpoint
                    raise
                reason = " ".join(str(error).split())[:200]
                damaged[step] = f"{type(error).__name__}: {reason}"
                logging.warning(
                    "The checkpoint %s is damaged (%s); trying the one before it.",
                    self.directory / str(step),
                    damaged[step],
                )
                continue
            if repair and damaged:
                self._set_aside(list(damaged))
            return step, state
        if damaged:
            reasons = "; ".join(f"step {step}: {reason}" for step, reason in damaged.items())
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
