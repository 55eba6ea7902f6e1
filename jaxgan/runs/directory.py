"""Reads and writes a run's `config.json`, and holds its directory against a second run."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.metadata
import os
import platform
import stat
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.config.config import BEFORE, Config, as_begun, difference, younger_keys
from jaxgan.data import Source
from jaxgan.errors import UserError, listed, shown
from jaxgan.files import DAMAGES, check_regular, open_regular, read_json, write_json
from jaxgan.runs import named_modules
from jaxgan.runs.checkpoints import SAVED, last_saved, saved_steps

FORMAT = 1
INTERVENTION = "intervention"  # in `config.json` of a run that goes on where another was rolled back
CONTENTS = "contents"  # in the description of data: a hash of examples that are not in memory
NEXT_LINE = "\n  "
MODULES = "modules"  # in `config.json`: the names of the user's own networks
PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


# What a run writes in its directory.
FILES = (
    "config.json",
    "metrics.jsonl",
    "evaluation.jsonl",
    "findings.jsonl",
    "preflight.json",
    "outcome.json",
    "curves.png",
    ".lock",
    SAVED,
)
DIRECTORIES = ("checkpoints", "samples")


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Holds the workdir for this process; the operating system lets go of it even after kill -9.

    Raises:
      UserError: another run holds it, or it cannot be made or written, or something in it stands in the way.
    """
    _check_path(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            check_regular(workdir / name)
        for name in DIRECTORIES:
            if os.path.lexists(workdir / name) and not stat.S_ISDIR((workdir / name).stat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "it must be a directory", os.fspath(workdir / name))
        lock = open(workdir / ".lock", "a")  # noqa: SIM115  closed below
    except OSError as error:
        inside = error.filename and Path(error.filename) != workdir and Path(error.filename).parent == workdir
        where = f"{Path(error.filename).name}: " if inside else ""
        raise UserError(
            f"--workdir {workdir} cannot be used: {where}{error.strerror}. Choose another"
            f"{', or move what stands in the way' if inside else ''}."
        ) from None
    with lock:
        for last in (False, False, True):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if last:
                    text = f"another run is using {workdir}: wait for it, or choose another --workdir."
                    raise UserError(text) from None
                time.sleep(0.1)  # `is_locked` may be looking at this very moment
            except OSError as error:
                raise UserError(f"--workdir {workdir} cannot be locked ({error.strerror}): choose another.") from None
        yield


def _check_path(workdir: Path) -> None:
    """Refuses a path that TensorBoard, JSON or the checkpoint library cannot write down, or that leads nowhere."""
    name = os.fsencode(workdir).decode("utf-8", "replace")
    if name != os.fspath(workdir) or not name.isprintable():
        raise UserError(f"--workdir {shown(name)} has characters that cannot be printed or are not UTF-8: rename it.")
    try:
        workdir.stat()
    except FileNotFoundError:
        if workdir.is_symlink():
            raise UserError(f"--workdir {workdir} is a link that leads nowhere: mend or remove it.") from None
    except OSError as error:
        raise UserError(f"--workdir {workdir} cannot be used: {error.strerror}. Choose another.") from None


def is_locked(workdir: Path) -> bool:
    """Says whether a run is going on in the workdir; nothing in it is changed."""
    try:
        with open_regular(workdir / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no lock, or none that can be asked
        return False
    return False


def read(workdir: str | os.PathLike) -> dict[str, Any]:
    """Reads a run's `config.json`; the `Config` is under `config`, keys younger than the run under `younger`.

    Raises:
      UserError: it is missing, damaged, or of a newer format.
    """
    path = Path(workdir) / "config.json"
    try:
        record = read_json(path)
        if not isinstance(record, dict) or "format" not in record:
            raise ValueError("the format is missing")
        if record["format"] != FORMAT:
            raise UserError(
                f"{path} has format {shown(record['format'])}; this version of jaxgan reads format {FORMAT}: install "
                "the version that wrote it."
            )
        younger = younger_keys(record["config"]) if isinstance(record.get("config"), dict) else ()
        return {**record, "config": as_begun(_checked(record), younger), "younger": younger}
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{workdir} holds no run: there is no config.json in it. Name the directory of a run."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except UserError:
        raise
    except DAMAGES as error:
        reason = f" ({error})" if isinstance(error, ValueError) and str(error) else ""
        raise UserError(
            f"{path} is damaged{reason}: it must be the JSON that training wrote. Bring back a copy of it."
        ) from None


def _checked(record: dict[str, Any]) -> Config:
    """Checks everything in a record that is used later; raises any of `DAMAGES` where something is off."""
    for part in ("config", "example", "environment"):
        _demand(isinstance(record.get(part), dict), part)
    _demand(isinstance(record["environment"].get("versions", {}), dict), "environment.versions")
    example = record["example"]
    _demand(isinstance(example.get("source"), str), "example.source")
    shape = example.get("shape")
    _demand(isinstance(shape, list) and 1 <= len(shape) <= 3 and all(_whole(n, 1) for n in shape), "example.shape")
    _demand(_whole(example.get("num_examples"), 1), "example.num_examples")
    classes, present = example.get("classes", []), example.get("present", [])
    _demand(isinstance(classes, list) and all(isinstance(name, str) for name in classes), "example.classes")
    _demand(isinstance(present, list) and all(_whole(n, 0) and n < len(classes) for n in present), "example.present")
    modules = record.get(MODULES, {})
    _demand(isinstance(modules, dict) and all(isinstance(x, str) for x in modules.values()), MODULES)
    try:
        config = Config.from_dict(record["config"])
    except UserError as error:
        raise UserError(f"config.json: {error}") from None
    if INTERVENTION in record:
        change = record[INTERVENTION]
        _demand(isinstance(change, dict) and isinstance(change.get("changes"), dict), INTERVENTION)
        _demand(isinstance(change.get("kind"), str), f"{INTERVENTION}.kind")
        for name, least in (("attempt", 1), ("step", 0), ("from_step", 0)):
            _demand(_whole(change.get(name), least), f"{INTERVENTION}.{name}")
        for key, (old, new) in change["changes"].items():
            section, name = key.split(".")
            float(getattr(getattr(config, section), name) + old + new)
    return config


def _demand(holds: bool, part: str) -> None:
    if not holds:
        raise ValueError(f"{part} is not as training writes it")


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def continued(workdir: Path, config: Config) -> tuple[Config, str | None]:
    """Returns the configuration by which a run goes on as it began, and a sentence where that is not the one given.

    A key that did not exist yet when the run began, and that is left at its default, gets the value that stands for
    what the run did without it.

    Raises:
      UserError: `config.json` cannot be read.
    """
    if not (workdir / "config.json").exists():
        return config, None
    begun = as_begun(config, read(workdir)["younger"])
    kept = [change.partition(":")[0] for change in difference(config.to_dict(), begun.to_dict())]
    values = ", ".join(f"{key}={BEFORE[key]}" for key in kept)
    return begun, f"this run began before these keys existed and goes on as it was: {values}." if kept else None


def open_run(
    workdir: Path,
    config: Config,
    example: dict[str, Any],
    devices: str,
    modules: Mapping[str, str] | None = None,
) -> str | None:
    """Records a new run, or checks that this one continues the recorded one.

    Args:
      workdir: held by `locked`.
      config: of this run.
      example: what `describe` says of the data.
      devices: number and kind of the devices that take part, such as "4 x cpu, 16 threads".
      modules: `named_modules.names` of the networks that the user brought.

    Returns:
      Sentences to be printed where the run is not continued bit for bit: on other devices or versions, or from its
      beginning since nothing was saved; else None.

    Raises:
      UserError: the recorded run has another configuration, other data or other networks, named field by field; or its
        checkpoints were deleted.
    """
    environment = {
        "devices": devices,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": _versions(),
    }
    modules, path, notes, kept = dict(modules or {}), workdir / "config.json", [], {}
    values = config.to_dict()
    if path.exists():
        old = read(workdir)
        for section, _, name in (key.partition(".") for key in old["younger"]):
            del values[section][name]  # it stays recorded that the run began before this key existed
        kept = {INTERVENTION: old[INTERVENTION]} if INTERVENTION in old else {}
        _check_same_run(workdir, old, config, example)
        named_modules.check_given(workdir, old.get(MODULES), modules)
        notes = [*_other_environment(old["environment"], environment), *_start_anew(workdir)]
    elif (workdir / "checkpoints").exists():
        raise UserError(
            f"{workdir} has checkpoints but no config.json, so it cannot be resumed: choose another --workdir."
        )
    record = {
        "format": FORMAT,
        "config": values,
        "example": example,
        "environment": environment,
        MODULES: modules,
        **kept,
    }
    write_json(path, record)
    return " ".join(notes) or None


def _check_same_run(workdir: Path, old: dict[str, Any], config: Config, example: dict[str, Any]) -> None:
    changes = difference(old["config"].to_dict(), config.to_dict()) + _unlike(old["example"], example)
    if changes:
        saved = bool(saved_steps(workdir))
        advice = "resume it with that" if saved else "nothing was saved of it yet, so you may delete it"
        raise UserError(
            f"{workdir} holds a run of another configuration; {advice}, choose another --workdir, or start from its "
            f"weights by train.init_from:\n  {listed(changes, between=NEXT_LINE)}"
        )


def _other_environment(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    a, b = _flat(before), _flat(now)
    unlike = [f"{key} {a.get(key)} -> {b.get(key)}" for key in {**b, **a} if a.get(key) != b.get(key)]
    if not unlike:
        return []
    text = listed(unlike, len(PACKAGES), between="; ")
    return [f"resuming in another environment, equal up to rounding but not bit for bit: {text}"]


def _start_anew(workdir: Path) -> list[str]:
    """Refuses to begin a run again whose checkpoints were deleted; says so where none was ever saved."""
    if saved_steps(workdir):
        return []
    if last := last_saved(workdir):
        raise UserError(
            f"{workdir} has no checkpoint any more, though that of step {last} was saved: bring back the directory "
            f"checkpoints. To train from step 0 again, delete {workdir} or choose another --workdir."
        )
    log = workdir / "metrics.jsonl"
    if log.exists() and log.stat().st_size:
        return [f"{workdir} has a log but no checkpoint: training starts again from step 0."]
    return []


def _unlike(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names what differs between two descriptions of data; an older one does not have the hash of the contents."""
    return [
        f"data {key}: {shown(old.get(key))} -> {shown(value)}"
        for key, value in new.items()
        if old.get(key) != value and (key in old or key != CONTENTS)
    ]


def check_example(workdir: Path, source: Source, conditioned: bool) -> None:
    """Refuses examples other than those that the run was trained on.

    Raises:
      UserError: naming what differs.
    """
    if changes := _unlike(read(workdir)["example"], describe(source, conditioned)):
        raise UserError(
            f"{workdir} was trained on other examples ({listed(changes, between='; ')}): give it the same again, by "
            "data.data_dir or as the argument source."
        )


def describe(source: Source, conditioned: bool) -> dict[str, Any]:
    """Describes the data that a resume must find again, by a checksum of examples and labels.

    Examples that are not in memory are described by the hash that their source has of them. Where files lie does not
    matter, so the name of a folder or an archive is left out.
    """
    crc = zlib.crc32(source.labels.tobytes())
    kind = source.name.partition("/")[0]
    name = kind if kind in ("folder", "npz") else source.name
    found = {"source": name, "shape": list(source.shape), "num_examples": len(source)}
    if isinstance(source.examples, np.ndarray):
        crc = zlib.crc32(np.ascontiguousarray(source.examples).data, crc)
    else:
        found[CONTENTS] = source.examples.identity
    found["crc32"] = crc
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
