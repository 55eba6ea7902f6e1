"""Hashes, saves and caches the weights of feature extractors, in files that show damage."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from flax import traverse_util

from jaxgan.files import open_regular, replacing

META = "meta"  # beside the weights, whose names all have a slash


def fingerprint(variables: dict[str, Any], *notes: str) -> str:
    """Computes the first 16 hex digits of the SHA-256 of a tree's names, types, shapes and bytes, and of `notes`.

    >>> fingerprint({"a": {"b": np.zeros(2)}}) == fingerprint({"a": {"b": np.ones(2)}})
    False
    """
    digest = hashlib.sha256(repr(notes).encode())
    for name, leaf in sorted(_flat(variables).items()):
        digest.update(f"{name} {leaf.dtype.str} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def save(path: Path, variables: dict[str, Any], meta: dict[str, Any]) -> None:
    """Writes `variables` and the JSON values `meta` to an .npz; a reader sees the whole file or none."""
    text = json.dumps(meta, sort_keys=True)
    record = json.dumps({"meta": text, "checksum": fingerprint(variables, text)})
    arrays: dict[str, Any] = {**_flat(variables), META: np.array(record)}
    with replacing(path, durable=True, shared=True) as file:
        np.savez(file, **arrays)  # NumPy < 2.2 would take allow_pickle for the name of one more


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what `save` wrote, as `(variables, meta)`; takes no more memory than a few times the size of the file.

    Raises:
      ValueError: the file is no regular one, declares more than it holds, or does not match its checksum.
      Exception: whatever NumPy, zipfile, zlib and json raise for damaged files; OSError if it cannot be opened.
    """
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        # `save` compresses nothing: what would unpack to more than the file is no work of it.
        compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        if compressed or sum(entry.file_size for entry in entries) > os.fstat(file.fileno()).st_size:
            raise ValueError("it declares more than it holds")
        arrays = {entry.filename.removesuffix(".npy"): _parse(archive.read(entry)) for entry in entries}
    record = json.loads(str(arrays.pop(META)))
    variables = traverse_util.unflatten_dict(arrays, sep="/")
    if record["checksum"] != fingerprint(variables, record["meta"]):
        raise ValueError("its checksum does not match its contents")
    return variables, json.loads(record["meta"])


def _parse(data: bytes) -> np.ndarray:
    """The array of an .npy file. NumPy's own reader would allocate whatever shape is declared before it reads any."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(file)
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if by_columns else "C")


def cache_path(file_name: str, cache_dir: str | os.PathLike | None = None) -> Path:
    """Returns where a file is cached: in `cache_dir`, else `$JAXGAN_CACHE`, else `~/.cache/jaxgan`.

    A user without a home, as in some containers, has a directory among the temporary ones.
    """
    place = Path(cache_dir or os.environ.get("JAXGAN_CACHE") or "~/.cache/jaxgan")
    try:
        return place.expanduser() / file_name
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"jaxgan-{os.getuid()}" / file_name


def recall(path: Path, key: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Returns what `remember` cached by that key; None if there is nothing, or, after a warning, if it is damaged."""
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
    """Caches `variables`; warns where that is not possible."""
    try:
        save(path, variables, {"key": key, **meta})
    except OSError as error:
        logging.warning("The weights cannot be cached in %s (%s).", path, error.strerror)


def _flat(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    return traverse_util.flatten_dict(jax.tree.map(np.asarray, variables), sep="/")
