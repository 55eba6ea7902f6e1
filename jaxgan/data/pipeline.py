"""Makes batches from a source: which examples, in which order, as which floats. All are pure functions of numbers."""

import functools
import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import numpy as np

from jaxgan.data.source import Source, permutation
from jaxgan.errors import UserError, suggest

OUTPUTS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "linear": (-np.inf, np.inf)}  # what images may lie in
RANGE_TOLERANCE = 1e-3
ORDER, FLIP = 0, 1  # separate streams of randomness, so that flips do not depend on the order

T = TypeVar("T")


def batch_indices(seed: int, index: int, batch_size: int, num_examples: int) -> np.ndarray:
    """Chooses the examples of global batch number `index`: int64 `[batch_size]` in 0..num_examples-1.

    All epochs, each a fresh permutation, are laid end to end and cut into batches: nothing is left out,
    and no example comes twice within an epoch. A batch may reach over the end of an epoch.

    >>> sorted(np.concatenate([batch_indices(0, i, 4, 8) for i in (0, 1)]).tolist())
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    if batch_size < 1 or num_examples < 1 or index < 0 or seed < 0:
        raise UserError(
            f"A batch needs batch_size and num_examples of 1 or more, index and seed of 0 or more: "
            f"they are {batch_size}, {num_examples}, {index} and {seed}."
        )
    position, stop, parts = index * batch_size, (index + 1) * batch_size, []
    while position < stop:
        epoch, offset = divmod(position, num_examples)
        parts.append(_epoch_order(seed, epoch, num_examples)[offset : offset + stop - position])
        position += len(parts[-1])
    return np.concatenate(parts)


@functools.lru_cache(maxsize=4)  # two epochs that a batch straddles, of a training and an evaluation set
def _epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    order = permutation(num_examples, seed, ORDER, epoch)
    order.flags.writeable = False
    return order


def make_batch(
    source: Source,
    index: int,
    *,
    seed: int,
    batch_size: int,
    output: str,
    horizontal_flip: bool = False,
    process_index: int = 0,
    process_count: int = 1,
) -> dict[str, np.ndarray]:
    """Makes this process's contiguous part of global batch number `index`.

    Args:
      batch_size: of the global batch; a multiple of `process_count`.
      output: the generator's output, "tanh" or "linear" (uint8 goes to [-1, 1]) or "sigmoid" ([0, 1]).
        Float sources pass unscaled.
      horizontal_flip: mirrors each image with probability 1/2, by its position in the global batch.

    Returns:
      "image", float32 `[batch_size / process_count, H, W, C]` (or `[..., D]`), and "label", int32.

    Raises:
      UserError: for an unknown output, a batch that does not divide, or flips of what are not images.
    """
    if output not in OUTPUTS:
        raise suggest("The output", output, OUTPUTS)
    if batch_size % process_count:
        raise UserError(
            f"batch_size {batch_size} cannot be shared equally by {process_count} processes: choose a multiple of that."
        )
    if horizontal_flip and len(source.shape) != 3:
        raise UserError(
            f"horizontal_flip mirrors images, but {source.name} has examples of shape {source.shape}: set it to False."
        )
    local = batch_size // process_count
    part = slice(process_index * local, (process_index + 1) * local)
    indices = batch_indices(seed, index, batch_size, len(source))[part]
    images = source.read(indices)
    if horizontal_flip:
        words = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(FLIP, index))).random_raw(batch_size)
        flipped = (words >> np.uint64(63)).astype(bool)[part]
        images[flipped] = images[flipped, :, ::-1]
    return {"image": to_floats(images, output), "label": source.labels[indices]}


def to_floats(images: np.ndarray, output: str) -> np.ndarray:
    """Scales uint8 to float32 in the output's range; floats stay as they are."""
    if images.dtype != np.uint8:
        return images
    if output == "sigmoid":
        return np.divide(images, np.float32(255), dtype=np.float32)
    scaled = np.divide(images, np.float32(127.5), dtype=np.float32)
    return np.subtract(scaled, np.float32(1), out=scaled)


def check_range(source: Source, output: str) -> None:
    """Refuses a float source whose values the generator's output cannot reach.

    Raises:
      UserError: if values lie outside [-1, 1] ("tanh") or [0, 1] ("sigmoid") by more than 1e-3.
    """
    if output not in OUTPUTS:
        raise suggest("The output", output, OUTPUTS)
    if not isinstance(source.examples, np.ndarray) or source.dtype == np.uint8:
        return  # uint8 is scaled to the range
    low, high = OUTPUTS[output]
    found_low, found_high = float(source.examples.min()), float(source.examples.max())
    if found_low < low - RANGE_TOLERANCE or found_high > high + RANGE_TOLERANCE:
        more = ", or store them as uint8" if len(source.shape) == 3 else ", or choose output 'linear'"
        raise UserError(
            f"The values of {source.name} lie in [{found_low:.4g}, {found_high:.4g}], but output {output!r} "
            f"reaches [{low:g}, {high:g}] only: scale them{more}."
        )


def prefetch(make: Callable[[int], T], start: int, stop: int, depth: int = 2) -> Generator[T, None, None]:
    """Yields `make(i)` for i in range(start, stop), in order, up to `depth` computed ahead in one thread.

    The thread starts at the first item asked for. What `make` raises is raised here, at its place. Closing
    or dropping the generator stops the thread as soon as the item it works on is done.

    >>> list(prefetch(lambda i: i * i, 2, 5))
    [4, 9, 16]
    """
    if depth < 1:
        raise UserError(f"The prefetch depth is {depth}, but must be 1 or more.")
    ready: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    room, closed = threading.Semaphore(depth), threading.Event()

    def work() -> None:
        for i in range(start, stop):
            room.acquire()
            if closed.is_set():
                return
            try:
                ready.put((make(i), None))
            except BaseException as error:  # handed to the consumer, whatever it is
                ready.put((None, error))
                return

    # A daemon: a program that ends in the middle of a batch does not wait for it.
    threading.Thread(target=work, name="jaxgan-prefetch", daemon=True).start()
    try:
        for _ in range(start, stop):
            item, error = ready.get()
            if error is not None:
                raise error
            room.release()
            yield item
    finally:
        closed.set()
        room.release()
