"""Opens data sets by the name of their source: `load` is the one way in."""

import dataclasses
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from absl import logging

from jaxgan.data import source as source_module
from jaxgan.data.arrays import formed, from_arrays, npz
from jaxgan.data.embedded import EMBEDDED
from jaxgan.data.folder import folder
from jaxgan.data.images import Form, as_color, as_size
from jaxgan.data.layout import LABELS
from jaxgan.data.source import Request, Source, Stacked, Streamed, permutation
from jaxgan.data.tfds import prepared
from jaxgan.errors import UserError, listed, shown, suggest

SPLIT_SEED = 0  # of the embedded sets' division into train and test; changing it would leak test images
NUM_POINTS = 100_000
NUM_STACKED = {"train": 128_000, "test": 26_000}  # PacGAN trains on so many, and counts modes in so many
IMAGES = ("embedded", "folder", "npz", "tfds")  # sources whose images can be given another form


def load(
    source: str,
    *,
    name: str = "",
    split: str = "train",
    data_dir: str = "",
    image_size: int | Sequence[int] = 0,
    classes: Sequence[int | str] = (),
    max_examples: int = 0,
    on_bad_image: str = "error",
    fit: str = "crop",
    background: Any = "white",
    channels: int = 0,
    max_value: float = 0,
    labels: str = "auto",
) -> Source:
    """Opens a data set.

    Args:
      source: a key of `SOURCES`.
      name: the set within the source: "mnist" or "digits" (embedded, stacked), "ring" or "grid" (synthetic), TFDS'
        name (tfds); not used by folder and npz.
      split: "train", "test", or what the source has; of a folder, the name of a sub-folder, or "" for all of it. An
        .npz file is one split, whatever it is called.
      data_dir: TFDS' directory, the folder or .zip of images, or the path of the .npz file.
      image_size: side in pixels, or height and width, to which images are resampled; 0 keeps the source's own size.
        Not used by synthetic.
      classes: keep these classes only, by number or name; their labels stay the same numbers.
      max_examples: keep only this many of what is left, evenly spread over it; 0 keeps all.
      on_bad_image: "error" or "skip", for broken, tiny or unlabelled files in a folder.
      fit: how images of other proportions get that size: "crop" around the center, "pad" with the background, or
        "stretch".
      background: color behind transparent pixels and around padded images: a name, "r,g,b", or three numbers.
      channels: 1 (gray), 3 (RGB) or 4 (RGB and opacity); 0: as the data, without opacity.
      max_value: the pixel value that is white; 0: for 8 bits 255, else by `images.white_of`.
      labels: where those of a folder come from: "file" (dataset.json or labels.csv), "folders" (the sub-folders),
        "auto" (the file if there is one, else the sub-folders), or "none".

    Raises:
      UserError: for anything that cannot be had, in one sentence.
    """
    if source not in SOURCES:
        raise suggest("The data source", source, SOURCES)
    if on_bad_image not in ("error", "skip"):
        raise suggest("The value of on_bad_image", on_bad_image, ("error", "skip"))
    if labels not in LABELS:
        raise suggest("The value of labels", labels, LABELS)
    if max_examples < 0:
        raise UserError(f"max_examples is {max_examples}, but must be 0 or more.")
    form = Form(as_size(image_size), fit, as_color(background), channels, max_value)
    check_form(source, form)
    whole = SOURCES[source](Request(name, split, data_dir, form, on_bad_image, labels))
    chosen = choose(whole, classes, max_examples)
    if isinstance(chosen.examples, Streamed) and chosen.examples.nbytes <= source_module.MEMORY_LIMIT:
        return dataclasses.replace(chosen, examples=chosen.examples.in_memory())
    return chosen


def check_form(source: str, form: Form) -> None:
    """Refuses a form that a source cannot give its examples.

    Raises:
      UserError: naming the key.
    """
    if source in IMAGES:
        if form.max_value and source not in ("folder", "npz"):
            raise UserError(
                f"data.max_value is {form.max_value:g}, but data.source {source!r} knows its own white: set it to 0."
            )
        return
    if form.channels:
        raise UserError(f"data.channels is {form.channels}, but data.source {source!r} has its own: set it to 0.")
    if form.max_value:
        raise UserError(f"data.max_value is {form.max_value:g}, but data.source {source!r} has its own: set it to 0.")


def choose(source: Source, classes: Sequence[int | str], max_examples: int) -> Source:
    """Picks the examples of these classes (none: of all), and of those `max_examples`, evenly spread (0: all).

    Raises:
      UserError: a class that the source does not have, or no example is left.
    """
    if isinstance(classes, str):
        raise UserError(f"classes is the text {classes!r}, but must be a list of class numbers or names.")
    if len(classes):
        wanted = [_class_number(source, c) for c in classes]
        source = source.take(np.flatnonzero(np.isin(source.labels, wanted)), "of other classes")
    if not len(source):
        raise UserError(
            f"No example of {source.name} is left, with classes {listed(map(shown, classes))}: set data.classes "
            "to classes that have some."
        )
    if max_examples > len(source):
        logging.info("max_examples is %d, but %s has %d: all are used", max_examples, source.name, len(source))
    return source.spread(max_examples or len(source))


def _class_number(source: Source, wanted: int | str) -> int:
    if not source.labelled:
        raise UserError(
            f"{source.name} has no labels, so that classes cannot be chosen: leave data.classes empty, or give labels "
            "(a sub-folder for each class, labels.csv, or the array 'label' of an .npz file)."
        )
    if isinstance(wanted, Integral):
        if 0 <= wanted < len(source.class_names):
            return int(wanted)
    elif wanted in source.class_names:
        return source.class_names.index(wanted)
    raise suggest(f"The class of {source.name}", wanted, source.class_names)


def _only_train_or_test(request: Request, name: str) -> None:
    if request.split not in ("train", "test"):
        raise suggest(f"The split of {name}", request.split, ("train", "test"))


def _embedded(request: Request) -> Source:
    """Reads real digits inside installed packages: "mnist" (5,000 of 28x28) and "digits" (1,797 of 8x8)."""
    if request.name not in EMBEDDED:
        raise suggest("The embedded data set", request.name, EMBEDDED)
    name = f"embedded/{request.name}"
    _only_train_or_test(request, name)
    read, num_train = EMBEDDED[request.name]
    images, labels = read()
    order = permutation(len(images), SPLIT_SEED)  # both sets come in an order: mnist is sorted by class
    part = order[:num_train] if request.split == "train" else order[num_train:]
    class_names = tuple(str(digit) for digit in range(10))
    return formed(from_arrays(images[part], labels[part], class_names, name), request.form)


def _stacked(request: Request) -> Source:
    """Stacks three random digits of an embedded set's split in three channels: class 100 a + 10 b + c of 1,000."""
    digits = _embedded(request)
    assert isinstance(digits.examples, np.ndarray)
    # RandomState, because its stream is frozen: the stacks are the same under every NumPy.
    rng = np.random.RandomState(0 if request.split == "train" else 1)
    parts = rng.randint(0, len(digits), (NUM_STACKED[request.split], 3))
    labels = digits.labels[parts] @ np.array([100, 10, 1], np.int32)
    names = tuple(f"{number:03}" for number in range(1000))
    return Source(f"stacked/{request.name}", labels, names, Stacked(digits.examples[..., 0], parts))


def synthetic_modes(name: str) -> tuple[np.ndarray, float]:
    """Computes the mixture's centers, float64 `[K, 2]`, and the standard deviation of each Gaussian.

    >>> centers, sigma = synthetic_modes("ring")
    >>> centers.shape, sigma
    ((8, 2), 0.01)
    """
    if name == "ring":
        angles = 2 * np.pi * np.arange(8) / 8
        return np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.01
    if name == "grid":
        ticks = np.arange(-4.0, 5.0, 2.0)
        return np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2), 0.05
    raise suggest("The synthetic data set", name, ("ring", "grid"))


def _synthetic(request: Request) -> Source:
    """Draws a mixture of Gaussians in the plane; the label is the mode. All modes have equally many points."""
    centers, sigma = synthetic_modes(request.name)
    name = f"synthetic/{request.name}"
    _only_train_or_test(request, name)
    labels = np.arange(NUM_POINTS) % len(centers)
    # RandomState, because its stream is frozen: the points are the same under every NumPy.
    noise = np.random.RandomState(0 if request.split == "train" else 1).standard_normal((NUM_POINTS, 2))
    return from_arrays(centers[labels] + sigma * noise, labels, name=name)


SOURCES: dict[str, Callable[[Request], Source]] = {
    "embedded": _embedded,
    "folder": folder,
    "npz": npz,
    "stacked": _stacked,
    "synthetic": _synthetic,
    "tfds": prepared,
}
