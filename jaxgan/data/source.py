"""Holds the examples of a data set, in memory or on disk, and reads them by number."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from absl import logging

from jaxgan.data.images import Form

MEMORY_LIMIT = 4 * 2**30  # bytes; decoded images beyond this are read from disk batch by batch
THREADS = min(8, os.cpu_count() or 1)  # that decode images
CHUNK = 1024  # examples per read when a whole source is gone through
SHOWN_CLASSES = 5  # in a summary


@dataclasses.dataclass(frozen=True)
class Request:
    """Says what a source is asked for; each source reads the fields that concern it."""

    name: str
    split: str
    data_dir: str
    form: Form
    on_bad_image: str
    labels: str


@dataclasses.dataclass(frozen=True, eq=False)
class Streamed:
    """Holds images that stay encoded on disk; indexing reads and decodes them in a few threads.

    `fetch` turns example numbers into encoded examples (bytes or paths) and is called by the reading
    thread; `decode` turns one of them into uint8 `[H, W, C]` and is called by several threads at once.
    """

    fetch: Callable[[list[int]], Sequence[Any]]
    decode: Callable[[Any], np.ndarray]
    indices: np.ndarray  # int64 [N], the numbers `fetch` knows the examples by
    example_shape: tuple[int, ...]
    origin: str  # a hash of what is on disk, which changes with the contents
    dtype: np.dtype = dataclasses.field(default_factory=lambda: np.dtype(np.uint8))

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def identity(self) -> str:
        """Hashes what stands for the contents, without reading them again."""
        return _sha256(self.origin.encode(), self.indices)

    @property
    def nbytes(self) -> int:
        """Size of all examples once decoded, in bytes."""
        return len(self) * int(np.prod(self.example_shape))

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        encoded = self.fetch(self.indices[positions].tolist())
        out = np.empty((len(encoded), *self.example_shape), np.uint8)

        def decode_every(first: int) -> None:
            for i in range(first, len(encoded), THREADS):
                pixels = self.decode(encoded[i])
                if pixels.shape != self.example_shape:  # assignment would broadcast a wrong shape silently
                    raise ValueError(f"an image has shape {pixels.shape} instead of {self.example_shape}")
                out[i] = pixels

        list(decoding_threads().map(decode_every, range(THREADS)))
        return out

    def take(self, positions: np.ndarray) -> "Streamed":
        return dataclasses.replace(self, indices=self.indices[positions])

    def in_memory(self) -> np.ndarray:
        """Decodes all examples to uint8 `[N, H, W, C]`."""
        out = np.empty((len(self), *self.example_shape), np.uint8)
        for start in range(0, len(self), CHUNK):
            positions = np.arange(start, min(start + CHUNK, len(self)))
            out[positions] = self[positions]
            logging.log_every_n_seconds(logging.INFO, "decoded %d of %d images", 10, start, len(self))
        return out


@dataclasses.dataclass(frozen=True, eq=False)
class Stacked:
    """Makes images whose channels are gray images of a smaller set, only as they are read, so that any number fits.

    Attributes:
      images: uint8 `[M, H, W]`.
      parts: int `[N, C]`, for each example the numbers of the images in its channels.
    """

    images: np.ndarray
    parts: np.ndarray

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def identity(self) -> str:
        """Hashes what stands for the contents, without putting them together."""
        return _sha256(repr(self.images.shape).encode(), self.images, self.parts)

    @property
    def example_shape(self) -> tuple[int, ...]:
        return (*self.images.shape[1:], self.parts.shape[1])

    @property
    def dtype(self) -> np.dtype:
        return self.images.dtype

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(self.images[self.parts[positions]], 1, -1))

    def take(self, positions: np.ndarray) -> "Stacked":
        return dataclasses.replace(self, parts=self.parts[positions])


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Holds a data set, whose examples are read by number.

    Attributes:
      name: such as "embedded/mnist", for logs and score protocols.
      labels: int32 `[N]`, zeros where the source has none.
      class_names: one name per class, in the labels' order; empty where the source has no labels.
      examples: uint8 `[N, H, W, C]` or float32 `[N, ...]` in memory, or the same streamed from disk or stacked.
      left_out: numbers of files or examples that are not among these, each with the reason.
      notes: what was decided when they were read, in words.
      unit: what is counted, "files" or "examples".
      cropped: float `[N]`, the share of each image that was cut off; None if none was.
      resized: bool `[N]`, whether each image had another size; None if none had.
    """

    name: str
    labels: np.ndarray = dataclasses.field(repr=False)
    class_names: tuple[str, ...] = dataclasses.field(repr=False)
    examples: np.ndarray | Streamed | Stacked = dataclasses.field(repr=False)
    left_out: tuple[tuple[int, str], ...] = dataclasses.field(default=(), repr=False)
    notes: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    unit: str = dataclasses.field(default="examples", repr=False)
    cropped: np.ndarray | None = dataclasses.field(default=None, repr=False)
    resized: np.ndarray | None = dataclasses.field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example: `(H, W, C)` for images, `(D,)` for points."""
        if isinstance(self.examples, np.ndarray):
            return self.examples.shape[1:]
        return self.examples.example_shape

    @property
    def dtype(self) -> np.dtype:
        """uint8 for images in 0..255, float32 for values that are passed on unscaled."""
        return self.examples.dtype

    @property
    def labelled(self) -> bool:
        return bool(self.class_names)

    def read(self, indices: np.ndarray | Sequence[int]) -> np.ndarray:
        """Reads the examples of these numbers into a new array: uint8 `[B, H, W, C]` or float32 `[B, ...]`."""
        positions = np.asarray(indices, np.int64)
        if isinstance(self.examples, np.ndarray):
            return np.take(self.examples, positions, axis=0)
        return self.examples[positions]

    def take(self, positions: np.ndarray, why: str = "set aside") -> "Source":
        """Picks these examples; `why` says in the summary what became of the others."""
        stored = self.examples
        dropped = len(self) - len(positions)
        return dataclasses.replace(
            self,
            labels=self.labels[positions],
            examples=stored[positions] if isinstance(stored, np.ndarray) else stored.take(positions),
            left_out=(*self.left_out, (dropped, why)) if dropped > 0 else self.left_out,
            cropped=None if self.cropped is None else self.cropped[positions],
            resized=None if self.resized is None else self.resized[positions],
        )

    def spread(self, count: int) -> "Source":
        """Picks `count` examples at even distances, because the first ones may all be of one class."""
        if count >= len(self):
            return self
        return self.take(np.arange(count) * len(self) // count, f"more than the {count:,} asked for")

    @property
    def summary(self) -> str:
        """Accounts in one line for every file or example, with the numbers of each class and what was decided.

        Such as "1,432 files seen, 1,420 used: 9 not images (.txt 6, .heic 3), 3 skipped as damaged; 3 classes: cat 700,
        dog 500, owl 220".
        """
        seen = len(self) + sum(number for number, _ in self.left_out)
        why = ", ".join(f"{number:,} {reason}" for number, reason in self.left_out)
        line = f"{seen:,} {self.unit} seen, {len(self):,} used" + (f": {why}" if why else "")
        parts = [line, self._classes(), *self.notes]
        if self.cropped is not None and (cut := self.cropped[self.cropped > 0]).size:
            which = "all" if len(cut) == len(self) else f"{len(cut):,}"
            parts.append(
                f"{which} cropped to {self.shape[0]}x{self.shape[1]}'s proportions, which loses {cut.mean():.0%} of "
                "their pixels on average (data.fit=pad or stretch keeps them)"
            )
        return "; ".join(parts)

    def _classes(self) -> str:
        if not self.labelled:
            return "no classes"
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        present = np.flatnonzero(counts)
        each = [f"{self.class_names[i][:40]} {counts[i]:,}" for i in present[:SHOWN_CLASSES]]
        others = [f"and {len(present) - SHOWN_CLASSES:,} others"] if len(present) > SHOWN_CLASSES else []
        total = f"{len(self.class_names):,} classes" if len(self.class_names) > 1 else "1 class"
        if len(present) < len(self.class_names):
            total = f"{len(present):,} of {total}"
        return f"{total}: {', '.join([*each, *others])}"


@functools.lru_cache(maxsize=1)
def decoding_threads() -> ThreadPoolExecutor:
    """Returns the threads that decode images; they work at once, because Pillow releases the interpreter's lock."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="jaxgan-decode")


def permutation(n: int, seed: int, *purpose: int) -> np.ndarray:
    """Makes a permutation, int64 `[n]`, that depends on nothing but `n`, `seed` and `purpose`.

    It sorts Philox' raw words, which NumPy keeps the same for ever; `Generator.permutation` may
    change between its versions, and with it the order of the data of a resumed run.
    """
    words = np.random.Philox(np.random.SeedSequence(seed, spawn_key=purpose)).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def _sha256(*parts: bytes | np.ndarray) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """Makes a library's error a part of a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
