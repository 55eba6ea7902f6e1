"""Checkpoints: the whole state, saved by Orbax with a checksum of its own."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from jaxgan.errors import MACHINE, UserError, listed
from jaxgan.files import DAMAGES, check_regular, read_json, write_json
from jaxgan.monitor.directions import merit

SAVED = ".saved"  # in the workdir: the step of the last checkpoint that was saved, also after all were deleted
UNFINISHED = ".orbax-checkpoint-tmp"  # in the name of a directory that an interrupted save or deletion left
PATTERN = "*?["  # characters that Orbax takes for a pattern in the path of a checkpoint

Layout = dict[str, tuple[tuple[int, ...], str]]  # shape and type of each array, by its path in the state


class OtherNetworksError(UserError):
    """Says that a checkpoint is whole, but of other networks or optimizers than those that are to be restored."""


def digest(state: Any) -> int:
    """Computes the CRC-32 of a tree of arrays: their types, shapes and bytes, in the tree's order."""
    crc = 0
    for leaf in jax.tree.leaves(state):
        array = np.ascontiguousarray(leaf)
        crc = zlib.crc32(f"{array.dtype} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return crc


def reaches_back(step: int, newest: int, every: int) -> bool:
    """Says whether a checkpoint stays because of its age: the older they get, the fewer stay.

    For any age A there is one whose age lies between A and 2 A. About 2 log2(n) stay of n steps that are multiples of
    `every`. The answer depends on nothing else that was saved or deleted, and once it is no it stays no, so that an
    interrupted run keeps the same checkpoints as any other.

    >>> [step for step in range(0, 201, 10) if reaches_back(step, 200, 10)]
    [0, 80, 120, 140, 160, 170, 180, 190, 200]
    """
    if not every or step % every:
        return False
    age = (newest - step) // every
    return (step // every) % (1 << max(age.bit_length() - 2, 0)) == 0


def saved_steps(workdir: str | os.PathLike) -> list[int]:
    """Lists the steps of the finished checkpoints in a workdir, oldest first."""
    directory = Path(workdir) / "checkpoints"
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal() and path.is_dir())


def last_saved(workdir: str | os.PathLike) -> int | None:
    """Reads which checkpoint a run saved last, whether it is still there or not; None: no record of one."""
    try:
        return int(read_json(Path(workdir) / SAVED)["step"])
    except (OSError, *DAMAGES):
        return None


class Checkpoints:
    """Saves and restores the checkpoints of one run, in `workdir/checkpoints/<step>`. Saving goes on in the background.

    Orbax writes and reads the arrays. Which checkpoints there are and which stay is decided here, since Orbax's own
    manager fails on all of them where the notes that it keeps on one are damaged.

    Args:
      workdir: the directory of the run.
      keep: number of the newest checkpoints that stay; None: nothing is written, so that a run in progress is not
        disturbed.
      rank: key of the score whose best checkpoint stays too, and which direction is better; None: no score counts.
      spread: some of the checkpoints at multiples of this step stay too, see `reaches_back`; 0: none.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        keep: int | None = None,
        rank: tuple[str, str] | None = None,
        spread: int = 0,
    ):
        import orbax.checkpoint as ocp

        self.directory = Path(workdir).absolute() / "checkpoints"
        self._keep, self._rank, self._spread = keep, rank, spread
        self._pending: tuple[int, Layout] | None = None  # the save in progress
        self._closing = contextlib.ExitStack()
        self._saver: Any = None
        if keep is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            for left in self.directory.glob(f"*{UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
            # Made in the background, a directory that cannot be made leaves threads that keep the process from ending.
            options = ocp.AsyncOptions(create_directories_asynchronously=False)
            self._saver = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler("state", "meta"), async_options=options)
            self._closing.callback(self._saver.close)
        self._place = self._plain_path()
        # A run without a rank has no use for the scores.
        self._scores = self._recorded() if rank else {}

    def _plain_path(self) -> Path:
        """Finds a path to the directory that Orbax does not take for a pattern."""
        if not set(PATTERN) & set(os.fspath(self.directory)):
            return self.directory
        link = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="jaxgan-"))) / "checkpoints"
        link.symlink_to(self.directory)
        return link

    def steps(self) -> list[int]:
        """Lists the steps of the finished checkpoints, oldest first."""
        self.wait()
        return saved_steps(self.directory.parent)

    def best(self, key: str, direction: str) -> int | None:
        """Finds the checkpoint with the best score of this key, the latest of equals; None: none has such a score."""
        return _best(self._recorded(), key, direction)

    def rank_by(self, rank: tuple[str, str]) -> None:
        """Keeps the checkpoint with the best score of this key from now on; `rank` as for the class."""
        if self._rank is None:
            self._scores = self._recorded()
        self._rank = rank

    def _recorded(self) -> dict[int, dict[str, float]]:
        """Reads the scores that checkpoints have, by step; a checkpoint whose scores cannot be read has none."""
        found = {}
        for step in self.steps():
            try:
                scores = self._meta(step)["scores"]
                found[step] = {str(key): float(value) for key, value in scores.items()}
            except (OSError, *DAMAGES) as error:  # damaged, or half deleted when the run was killed
                _raise_of_machine(error)
                logging.warning("The checkpoint %s has no scores that can be read.", self.directory / str(step))
        return found

    def _meta(self, step: int) -> Any:
        return read_json(self.directory / str(step) / "meta" / "metadata")

    def save(self, step: int, state: Any, scores: dict[str, float] | None = None) -> None:
        """Saves the state after `step` steps with its scores, if it has any, unless that step is saved already.

        Raises:
          OSError: this save cannot be begun, or the one before it failed.
        """
        import orbax.checkpoint as ocp

        if step in self.steps():
            return
        if scores:
            self._scores[step] = scores
        # A copy on the host: the next step is given the device's buffers while the file is still being written.
        host = jax.tree.map(np.array, jax.device_get(state))
        meta = {"step": step, "crc32": digest(host), "scores": scores or {}}
        with self._telling(step):
            self._saver.save(
                self._place / str(step),
                args=ocp.args.Composite(state=ocp.args.StandardSave(host), meta=ocp.args.JsonSave(meta)),
            )
        self._pending = step, _layout(host)

    def _finish(self, step: int, saved: Layout) -> None:
        """Reads back the index of a checkpoint that was saved, and deletes those that need not stay."""
        place = self.directory / str(step)
        try:
            whole = self._meta(step)["step"] == step and self._index(step) == saved
            reason = "its index is of other arrays"
        except Exception as error:  # any of a dozen types, by what is missing
            _raise_of_machine(error)
            whole, reason = False, _reason(error)
        if not whole:
            text = f"the checkpoint cannot be read back after it was saved ({reason}): choose a workdir on another disk"
            raise OSError(errno.EIO, text, os.fspath(place))
        write_json(self.directory.parent / SAVED, {"step": step})
        steps = saved_steps(self.directory.parent)
        for other in set(steps) - self._staying(steps):
            path = self.directory / str(other)
            going = path.with_name(f"{other}{UNFINISHED}")  # a kill half-way must not leave a damaged checkpoint
            os.replace(path, going)
            shutil.rmtree(going, ignore_errors=True)

    def _staying(self, steps: list[int]) -> set[int]:
        stay = set(steps[-self._keep :] if self._keep else steps)
        stay |= {step for step in steps if reaches_back(step, steps[-1], self._spread)}
        if self._rank:
            scores = {step: self._scores[step] for step in steps if step in self._scores}
            stay |= {step for step in [_best(scores, *self._rank)] if step is not None}
        return stay

    def restore(self, target: Any, *, repair: bool = False, only: int | None = None) -> tuple[int, Any] | None:
        """Restores the newest checkpoint that is whole, as `(step, state)`; None where there is none at all.

        Args:
          target: the state as `ShapeDtypeStruct`s, with the shardings to restore to.
          only: the step of the one checkpoint that is wanted, which must be there.
          repair: move damaged checkpoints newer than the one used to `workdir/damaged`, so that their steps can be
            saved anew.

        Raises:
          OtherNetworksError: the newest that can be read has other arrays than `target`; nothing is moved then.
          UserError: there are checkpoints but none of them can be read; nothing is moved then.
        """
        failed: dict[int, str] = {}
        others: OtherNetworksError | None = None
        for step in reversed(self.steps() if only is None else [only]):
            try:
                state = self._restore(step, target)
            except Exception as error:  # any of a dozen types, by what is damaged
                _raise_of_machine(error)
                if isinstance(error, OtherNetworksError):
                    others = others or error
                failed[step] = _reason(error)
                continue
            for bad, reason in failed.items():
                logging.warning("The checkpoint %s is damaged (%s).", self.directory / str(bad), reason)
            if repair:
                self._set_aside(list(failed))
            return step, state
        if others:
            raise others
        if failed:
            reasons = listed((f"step {step}: {reason}" for step, reason in failed.items()), between="; ")
            which = "The checkpoint" if only is not None else "None of the checkpoints"
            way_on = "name another checkpoint" if only is not None else "bring back a copy of one, or train anew"
            can = "cannot" if only is not None else "can"
            raise UserError(f"{which} in {self.directory} {can} be restored ({reasons}): {way_on}.")
        return None

    def _restore(self, step: int, target: Any) -> Any:
        import orbax.checkpoint as ocp

        for path in (self.directory / str(step)).rglob("*"):
            if not path.is_dir():
                check_regular(path)  # the libraries would wait for ever at a pipe
        crc = self._meta(step)["crc32"]
        if there := _difference(self._index(step), _layout(target)):
            raise OtherNetworksError(
                f"The checkpoint of step {step} in {self.directory} is of other networks: {there}. If the run was "
                "trained with your own modules, pass generator= and discriminator=, or on the command line "
                "--generator=package.module:Class and --discriminator=package.module:Class. If an earlier jaxgan "
                "trained it, CHANGELOG.md says which networks have changed since."
            )
        with contextlib.closing(ocp.Checkpointer(ocp.StandardCheckpointHandler())) as reader:
            state = reader.restore(self._place / str(step) / "state", args=ocp.args.StandardRestore(target))
        if crc != digest(jax.device_get(state)):
            raise ValueError("its checksum does not match its contents")
        return state

    def _index(self, step: int) -> Layout:
        """Reads which arrays a checkpoint holds, without reading the arrays."""
        import orbax.checkpoint as ocp

        found = ocp.StandardCheckpointHandler().metadata(self._place / str(step) / "state")
        return _flat(getattr(found, "tree", found))

    def _set_aside(self, steps: Iterable[int]) -> None:
        for step in steps:
            place = self.directory.parent / "damaged" / str(step)
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(exist_ok=True)
            shutil.move(self.directory / str(step), place)
            logging.warning("Moved the damaged checkpoint of step %d to %s.", step, place)

    def wait(self) -> None:
        """Returns when every save is on disk and was read back; raises what went wrong with one."""
        if self._pending:
            (step, saved), self._pending = self._pending, None
            with self._telling(step):
                self._saver.wait_until_finished()
                self._finish(step, saved)

    @contextlib.contextmanager
    def _telling(self, step: int) -> Iterator[None]:
        """Raises the error of a full disk, of which the library has others, with the place of the checkpoint."""
        try:
            yield
        except Exception as error:
            if "RESOURCE_EXHAUSTED" in str(error) or "No space left on device" in str(error):
                place = os.fspath(self.directory / str(step))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place) from None
            raise

    def close(self) -> None:
        """Waits as `wait` does, then lets go."""
        with self._closing:
            self.wait()


def _layout(state: Any) -> Layout:
    import orbax.checkpoint as ocp

    return _flat(ocp.tree.serialize_tree(state, keep_empty_nodes=True))


def _flat(tree: Any) -> Layout:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda leaf: hasattr(leaf, "shape"))
    return {
        ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path): (
            tuple(int(side) for side in leaf.shape),
            str(np.dtype(leaf.dtype)),
        )
        for path, leaf in leaves
    }


def _difference(there: Layout, here: Layout) -> str:
    """Says in what a checkpoint differs from the state that is to be restored; empty: in nothing."""
    names = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
    names.sort(key=lambda name: "opt_state" in name)  # the networks say more than their optimizers do

    def told(layout: Layout, name: str) -> str:
        if name not in layout:
            return "absent"
        shape, kind = layout[name]
        return f"{kind}[{', '.join(map(str, shape))}]"

    return listed((f"{name} is {told(there, name)} there and {told(here, name)} here" for name in names), most=2)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _best(scores: dict[int, dict[str, float]], key: str, direction: str) -> int | None:
    merits = {step: merit(each[key], direction) for step, each in scores.items() if key in each}
    return max(merits, key=lambda step: (merits[step], step), default=None)


def _raise_of_machine(error: Exception) -> None:
    """Raises an error of the machine, which is no fault of the checkpoint."""
    if isinstance(error, OSError) and error.errno in MACHINE:
        raise error
