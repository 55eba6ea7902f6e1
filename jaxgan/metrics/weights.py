"""Weights of feature extractors: their hash, a file of them that shows damage, and the cache of such files."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from flax import traverse_util

ABANDONED = 3600  # seconds after which nobody is writing a file any more
META = "meta"  # beside the weights, whose names all have a slash


def fingerprint(variables: dict[str, Any], *notes: str) -> str:
    """The first 16 hex digits of the SHA-256 of a tree's names, types, shapes and bytes, and of `notes`.

    >>> fingerprint({"a": {"b": np.zeros(2)}}) == fingerprint({"a": {"b": np.ones(2)}})
    False
    """
    digest = hashlib.sha256(repr(notes).encode())
    for name, leaf in sorted(_flat(variables).items()):
        digest.update(f"{name} {leaf.dtype.str} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def save(path: Path, variables: dict[str, Any], meta: dict[str, Any]) -> None:
    """Writes `variables` and what JSON can say of them to an .npz; a reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):  # by a process that was killed
        with contextlib.suppress(OSError):  # another process may have removed it
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
    text = json.dumps(meta, sort_keys=True)
    record = json.dumps({"meta": text, "checksum": fingerprint(variables, text)})
    arrays: dict[str, Any] = {**_flat(variables), META: np.array(record)}
    # A name of its own, since two processes may write the same weights at once.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "xb") as file:
            np.savez(file, **arrays)  # NumPy < 2.2 would take allow_pickle for the name of one more
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `save` wrote, as `(variables, meta)`.

    Raises:
      ValueError: the checksum does not match the contents.
      Exception: whatever NumPy, zipfile, zlib and json raise for damaged files; OSError if it cannot be opened.
    """
    # Opened here, since NumPy leaves a file open that is no archive.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    record = json.loads(str(arrays.pop(META)))
    variables = traverse_util.unflatten_dict(arrays, sep="/")
    if record["checksum"] != fingerprint(variables, record["meta"]):
        raise ValueError("its checksum does not match its contents")
    return variables, json.loads(record["meta"])


def cache_path(file_name: str, cache_dir: str | os.PathLike | None = None) -> Path:
    """Where a file is cached: in `cache_dir`, else `$JAXGAN_CACHE`, else `~/.cache/jaxgan`.

    A user without a home, as in some containers, has a directory among the temporary ones.
    """
    place = Path(cache_dir or os.environ.get("JAXGAN_CACHE") or "~/.cache/jaxgan")
    try:
        return place.expanduser() / file_name
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"jaxgan-{os.getuid()}" / file_name


def recall(path: Path, key: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What `remember` cached by that key; None if there is nothing, or, after a sentence, if it is damaged."""
    try:
        variables, meta = load(path)
        if meta["key"] != key:
            raise ValueError("they are others")
        return variables, meta
    except FileNotFoundError:
        return None
    except Exception as error:  # NumPy, zipfile, zlib and json each have their own for damaged data
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        logging.warning("The cached weights %s cannot be used (%s): they are made anew.", path, reason)
        return None


def remember(path: Path, variables: dict[str, Any], key: str, **meta: Any) -> None:
    """Caches `variables`; where that cannot be, a sentence says so."""
    try:
        save(path, variables, {"key": key, **meta})
    except OSError as error:
        logging.warning("The weights cannot be cached in %s (%s).", path, error.strerror)


def _flat(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    return traverse_util.flatten_dict(jax.tree.map(np.asarray, variables), sep="/")
