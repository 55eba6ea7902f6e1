"""Weights of feature extractors: their hash, and a file of them that shows damage."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

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
    text = json.dumps(meta, sort_keys=True)
    record = json.dumps({"meta": text, "checksum": fingerprint(variables, text)})
    # A name of its own, since two processes may write the same weights at once.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "xb") as file:
            np.savez(file, allow_pickle=False, **_flat(variables), **{META: np.array(record)})
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


def _flat(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    return traverse_util.flatten_dict(jax.tree.map(np.asarray, variables), sep="/")
