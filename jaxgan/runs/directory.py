"""What a run's directory says about itself: `config.json`, and a lock against a second run."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.config.config import Config, difference
from jaxgan.data import Source
from jaxgan.errors import UserError

FORMAT = 1
INTERVENTION = "intervention"  # in `config.json` of a run that goes on where another was rolled back
PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Holds the workdir for this process; the operating system lets go of it even after kill -9.

    Raises:
      UserError: another run holds it, or it cannot be made or written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / ".lock", "a")  # noqa: SIM115  closed below
    except OSError as error:
        raise UserError(f"--workdir {workdir} cannot be used: {error.strerror}.") from None
    with lock:
        for last in (False, False, True):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if last:
                    text = f"another run is using {workdir}: wait for it, or choose another --workdir."
                    raise UserError(text) from None
                time.sleep(0.1)  # it may be `is_locked` that looks in this very moment
            except OSError as error:
                raise UserError(f"--workdir {workdir} cannot be locked ({error.strerror}): choose another.") from None
        yield


def is_locked(workdir: Path) -> bool:
    """Whether a run is going on in the workdir; nothing in it is changed."""
    try:
        with open(workdir / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no lock, or none that can be asked
        return False
    return False


def read(workdir: str | os.PathLike) -> dict[str, Any]:
    """The contents of a run's `config.json`, with the `Config` under `config`.

    Raises:
      UserError: it is missing, damaged, or of a newer format.
    """
    path = Path(workdir) / "config.json"
    damaged = UserError(f"{path} is damaged: it must be the JSON that training wrote.")
    try:
        record = json.loads(path.read_bytes())
        found = record["format"]
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{workdir} holds no run: there is no config.json in it.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise damaged from None
    if found != FORMAT:
        raise UserError(f"{path} has format {found!r}; this version of jaxgan reads format {FORMAT}.")
    if not all(isinstance(record.get(part), dict) for part in ("config", "example", "environment")):
        raise damaged
    if not isinstance(record["environment"].get("versions", {}), dict):
        raise damaged
    try:
        config = Config.from_dict(record["config"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    try:
        changes = record.get(INTERVENTION, {"attempt": 1, "changes": {}})
        for key, (_, new) in changes["changes"].items():
            section, name = key.split(".")
            float(getattr(getattr(config, section), name) + new)
        int(changes["attempt"])
    except (TypeError, ValueError, KeyError, AttributeError):
        raise damaged from None
    return {**record, "config": config}


def open_run(workdir: Path, config: Config, example: dict[str, Any], devices: str) -> str | None:
    """Records a new run, or checks that this one continues the recorded one.

    Args:
      workdir: held by `locked`.
      config: of this run.
      example: what the data are: source, shape, number of examples, checksum of the labels.
      devices: how many devices of what kind take part, such as "4 x cpu, 16 threads".

    Returns:
      A sentence where the resumed run cannot be bit-identical (other devices or versions), else None.

    Raises:
      UserError: the recorded run has another configuration or other data, named field by field.
    """
    environment = {
        "devices": devices,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": _versions(),
    }
    path = workdir / "config.json"
    note = None
    kept = {}
    if path.exists():
        old = read(workdir)
        kept = {INTERVENTION: old[INTERVENTION]} if INTERVENTION in old else {}
        changes = difference(old["config"].to_dict(), config.to_dict())
        changes += _unlike(old["example"], example)
        if changes:
            listed = "".join(f"\n  {change}" for change in changes)
            saved = any(p.name.isdigit() for p in (workdir / "checkpoints").glob("*"))
            advice = "resume it with that" if saved else "nothing was saved of it yet, so you may delete it"
            raise UserError(
                f"{workdir} holds a run of another configuration; {advice}, or choose another --workdir:{listed}"
            )
        before, now = (_flat(e) for e in (old["environment"], environment))
        unlike = [f"{k} {before.get(k)} -> {now.get(k)}" for k in {**now, **before} if before.get(k) != now.get(k)]
        if unlike:
            note = f"resuming in another environment, equal up to rounding but not bit for bit: {'; '.join(unlike)}"
    elif (workdir / "checkpoints").exists():
        raise UserError(
            f"{workdir} has checkpoints but no config.json, so it cannot be resumed: choose another --workdir."
        )
    record = {"format": FORMAT, "config": config.to_dict(), "example": example, "environment": environment, **kept}
    partial = path.with_name(".config.json.partial")
    partial.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(partial, path)
    return note


def _unlike(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [f"data {k}: {old.get(k)!r} -> {v!r}" for k, v in new.items() if old.get(k) != v]


def check_example(workdir: Path, source: Source, conditioned: bool) -> None:
    """Refuses examples other than those that the run was trained on.

    Raises:
      UserError: naming what differs.
    """
    if changes := _unlike(read(workdir)["example"], describe(source, conditioned)):
        raise UserError(
            f"{workdir} was trained on other examples ({'; '.join(changes)}): those that the caller gave it must be "
            "given again."
        )


def describe(source: Source, conditioned: bool) -> dict[str, Any]:
    """What a resume must find again: the same examples, as far as can be told without reading them all from disk.

    Where files lie does not matter, so the name of a folder or an archive is not part of it.
    """
    crc = zlib.crc32(source.labels.tobytes())
    if isinstance(source.examples, np.ndarray):
        crc = zlib.crc32(np.ascontiguousarray(source.examples).data, crc)
    kind = source.name.partition("/")[0]
    name = kind if kind in ("folder", "npz") else source.name
    found = {"source": name, "shape": list(source.shape), "num_examples": len(source), "crc32": crc}
    if conditioned:  # on classes, of which some may have no example
        found |= {"classes": list(source.class_names), "present": np.unique(source.labels).tolist()}
    return found


def _flat(environment: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in environment.items() if k != "versions"} | environment.get("versions", {})


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # jaxgan itself, run from a checkout
            versions[name] = importlib.metadata.version(name)
    return versions
