"""Defines what metrics need of a labelled data set, so that they need not know its source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np

CHUNK = 1024  # examples per read when a whole set is gone through


class Labelled(Protocol):
    """A labelled data set that is read by example number, as bytes or floats; `jaxgan.data.Source` is one."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def labelled(self) -> bool: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __len__(self) -> int: ...
    def read(self, indices: np.ndarray) -> np.ndarray: ...


def content_hash(data: Labelled, output: str) -> str:
    """Computes the SHA-256 of the images, as `floats` gives them, and of the labels; not of the data set's name."""
    digest = hashlib.sha256(repr((data.shape, data.dtype.str, scale(data, output), len(data.class_names))).encode())
    digest.update(np.ascontiguousarray(data.labels, np.int64).tobytes())
    for indices in chunks(len(data)):
        digest.update(np.ascontiguousarray(data.read(indices)).tobytes())
    return digest.hexdigest()


def floats(images: np.ndarray) -> np.ndarray:
    """Turns bytes into f32 in [-1, 1]; leaves floats as they are, in the range of the generator's output."""
    return images / np.float32(127.5) - np.float32(1) if images.dtype == np.uint8 else images


def scale(data: Labelled, output: str) -> str:
    """Names the output in whose range `floats` gives the images; for bytes it does not depend on the generator's."""
    return "tanh" if data.dtype == np.uint8 else output


def chunks(n: int) -> Iterator[np.ndarray]:
    """Yields the numbers 0..n-1, `CHUNK` at a time."""
    return (np.arange(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))
