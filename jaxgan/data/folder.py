"""Reads a folder or .zip archive of image files; decodes each once before training, so that none fails later."""

import hashlib
import math
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from absl import logging

from jaxgan.data import source
from jaxgan.data.files import Files, open_files, printable
from jaxgan.data.images import (
    Form,
    deep_values,
    flatten,
    lost_by_cropping,
    open_image,
    resize,
    to_bytes,
    upright,
    white_of,
    with_channels,
)
from jaxgan.data.layout import read_layout
from jaxgan.data.source import CHUNK, Request, Source, Streamed, decoding_threads, first_line
from jaxgan.errors import UserError, listed

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

DAMAGED, SMALL = "skipped as damaged", "skipped as too small"


def folder(request: Request) -> Source:
    """Reads the images of a folder or a .zip archive, with the classes that its sub-folders or a file of labels give.

    * **Files.** What is an image is told by its content where the suffix does not say. Links are followed. Hidden files
      and what is no regular file are never opened. `Source.summary` accounts for every file.
    * **Splits.** A sub-folder is read as a split where `split` names it; by the name "train", the default, only where
      all sub-folders are named like splits. With `split` empty no sub-folder is one.
    * **Levels.** A folder that holds nothing but one folder of images stands for that folder.
    * **Classes.** From `dataset.json` or `labels.csv`, see `labels.from_file`; else the sub-folders, sorted by name and
      searched to any depth, are classes. Images directly in the folder have none. What can be read in two ways is
      refused, and `labels` decides: "file", "folders" or "none".
    * **Pixels.** The EXIF orientation is applied. Images of more than 8 bits are scaled by one white for the whole set,
      `max_value` or that of `images.white_of` for the set's largest value. One channel if all images are gray, else
      three, or as many as `channels`.

    Raises:
      UserError: there is nothing to read, it can be read in two ways, or (unless `on_bad_image` is "skip") any image is
        broken or so small that it would be enlarged more than twice; it names them.
    """
    form = request.form
    if not request.data_dir:
        raise UserError("The data source 'folder' needs data.data_dir, the directory of the images or a .zip of them.")
    if form.size is None:
        raise UserError(
            "The data source 'folder' needs a data.image_size above 0, for its images may differ in size: set it to a "
            "number of pixels, or to height and width such as 64,128."
        )
    path = Path(request.data_dir).expanduser()
    files = open_files(path)
    layout = read_layout(files, request)
    names = list(layout.names)
    found = _inspect(files, names, form)
    left_out = list(layout.left_out)
    bad = {i: one.problem for i, one in enumerate(found.looks) if one.problem}
    if bad:
        _report(files.root, [f"{printable(names[i])} ({why})" for i, (_, why) in bad.items()], len(names), request)
        kinds = Counter(kind for kind, _ in bad.values())
        left_out += [(number, kind) for kind, number in sorted(kinds.items())]
    good = np.array([i for i in range(len(names)) if i not in bad], np.int64)
    looks = [found.looks[i] for i in good]

    gray = all(one.channels == 1 for one in looks)
    shape = (*form.size, form.channels or (1 if gray else 3))
    if found.tiles:
        decoded = np.empty((len(good), *shape), np.uint8)
        for row, i in enumerate(good):
            decoded[row] = with_channels(found.tiles[i], shape[-1])
        stored: np.ndarray | Streamed = decoded
    else:
        stored = Streamed(
            fetch=lambda numbers: [names[i] for i in numbers],
            decode=lambda name: with_channels(_read(files, name, form, found.white), shape[-1]),
            indices=good,
            example_shape=shape,
            origin=found.origin,
        )
    height, width = (np.array([one.size[axis] for one in looks], np.int64) for axis in (0, 1))
    return Source(
        name=f"folder/{printable(path.resolve().name)}",
        labels=layout.labels[good],
        class_names=layout.class_names,
        examples=stored,
        left_out=tuple(left_out),
        notes=(*layout.notes, *found.notes),
        unit="files",
        cropped=lost_by_cropping(height, width, form.size) if form.fit == "crop" else None,
        resized=(height != form.size[0]) | (width != form.size[1]),
    )


class _Look(NamedTuple):
    """Holds what one pass over a file found; a problem is its kind and the reason, None if there is none."""

    problem: tuple[str, str] | None
    digest: bytes  # SHA-256 of the file's content
    size: tuple[int, int] = (0, 0)  # height and width
    channels: int = 3
    largest: float | None = None  # pixel value, of images of more than 8 bits
    kind: str = ""  # type of these values


class _Found(NamedTuple):
    """Holds what a pass over all files found; no tiles if they would not fit in memory."""

    looks: list[_Look]
    tiles: list[np.ndarray]
    white: float
    origin: str
    notes: tuple[str, ...]


def _inspect(files: Files, names: list[str], form: Form) -> _Found:
    """Decodes every file, and those of more than 8 bits again once the largest value of all is known."""
    assert form.size is not None
    fits = len(names) * math.prod(form.size) * max(3, form.channels) <= source.MEMORY_LIMIT
    looks: list[_Look] = []
    tiles: list[np.ndarray] = []
    contents = hashlib.sha256()
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        for look, tile in decoding_threads().map(partial(_look, files, form=form), chunk):
            contents.update(look.digest)
            looks.append(look)
            if fits:
                tiles.append(tile)
        logging.log_every_n_seconds(logging.INFO, "checked %d of %d images", 10, len(looks), len(names))
    deep = [i for i, look in enumerate(looks) if look.largest is not None and not look.problem]
    largest = max((looks[i].largest or 0 for i in deep), default=0)
    white, notes = form.max_value, []
    if deep:
        white = white or white_of(largest)
        kinds = " and ".join(sorted({{"f": "float"}.get(looks[i].kind, "more than 8-bit") for i in deep}))
        count = "all" if len(deep) == sum(not look.problem for look in looks) else f"{len(deep):,}"
        chosen = "data.max_value" if form.max_value else "data.max_value sets another"
        clipped = ", larger ones too" if largest > white else ""
        notes.append(
            f"{count} of {kinds} pixels up to {largest:.6g}, of which {white:.6g} is white{clipped} ({chosen})"
        )
    if form.max_value and 0 < len(deep) < sum(not look.problem for look in looks):
        raise UserError(
            f"data.max_value is {form.max_value:g}, but {files.root!r} holds {len(deep)} images of more than 8 bits "
            f"among others of 8 bits, whose white is 255: convert them to one depth, or set data.max_value to 0."
        )
    if fits:
        for i, tile in zip(
            deep, decoding_threads().map(lambda i: _read(files, names[i], form, white), deep), strict=True
        ):
            tiles[i] = tile
    settings = repr((form, white)) if deep or form != Form(form.size) else ""
    contents.update(settings.encode())
    return _Found(looks, tiles, white, contents.hexdigest(), tuple(notes))


def _look(files: Files, name: str, form: Form) -> tuple[_Look, np.ndarray]:
    """Looks at a file and decodes its pixels; returns none if it has a problem or more than 8 bits."""
    digest, none = b"", np.empty((0, 0, 0), np.uint8)
    try:
        encoded = files.read(name)
        digest = hashlib.sha256(encoded).digest()
        image = open_image(encoded)
        values = deep_values(image, encoded)
        pixels = _eight_bits(image, form) if values is None else values
        height, width, channels = pixels.shape
        if problem := _too_small(height, width, form):
            return _Look((SMALL, problem), digest), none
        if values is None:
            return _Look(None, digest, (height, width), channels), _fitted(pixels, form)
        largest, kind = values[..., :3].max().item(), values.dtype.kind
        return _Look(None, digest, (height, width), channels, largest, kind), none
    except Exception as error:  # Pillow's decoders raise nearly anything on broken data
        return _Look((DAMAGED, first_line(error)), digest), none


def _too_small(height: int, width: int, form: Form) -> str:
    assert form.size is not None
    reach = (height / form.size[0], width / form.size[1])
    # Padding enlarges until one side fits, the other ways until both do.
    if 2 * (max if form.fit == "pad" else min)(reach) >= 1:
        return ""
    return f"{width}x{height} pixels, under half of image_size {' x '.join(map(str, dict.fromkeys(form.size)))}"


def _eight_bits(image: "PILImage", form: Form) -> np.ndarray:
    """Decodes the pixels of an image of 8 bits, `[H, W, 1, 3 or 4]`."""
    pixels = flatten(upright(image), form.background, opacity=form.channels == 4)
    return to_bytes(pixels, form.max_value) if form.max_value not in (0, 255) else pixels


def _fitted(pixels: np.ndarray, form: Form) -> np.ndarray:
    assert form.size is not None
    return resize(pixels, form.size, form.fit, form.background)


def _read(files: Files, name: str, form: Form, white: float) -> np.ndarray:
    """Decodes a file that was looked at before to uint8 of the set's size."""
    try:
        encoded = files.read(name)
        image = open_image(encoded)
        values = deep_values(image, encoded)
        if values is None:
            return _fitted(_eight_bits(image, form), form)
        pixels = to_bytes(values, white)
        if pixels.shape[-1] == 4 and form.channels != 4:
            pixels = with_channels(pixels, 3, form.background)
        return _fitted(pixels, form)
    except Exception as error:
        raise UserError(
            f"The image {printable(files.root + '/' + name)!r} was readable before, but is not any more: "
            f"{first_line(error)}."
        ) from None


def _report(root: str, bad: list[str], total: int, request: Request) -> None:
    """Raises or logs the list of bad files; raises as well if no good one is left."""
    if len(bad) == total:
        raise UserError(f"None of the {total} images in {root!r} can be used: {listed(bad)}.")
    if request.on_bad_image == "error":
        raise UserError(
            f"{len(bad)} of the {total} images in {root!r} cannot be used: {listed(bad)}. Mend or remove them, or "
            "leave them out by --config.data.on_bad_image=skip."
        )
    logging.warning("skipped %d of the %d images in %s: %s", len(bad), total, root, ", ".join(bad))
