"""A directory of image files; every file is decoded once before training, so that none fails later."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import logging

from jaxgan.data import source
from jaxgan.data.images import SUFFIXES, flatten, open_image, resize, with_channels
from jaxgan.data.source import CHUNK, Request, Source, Streamed, decoding_threads, first_line
from jaxgan.errors import UserError

LISTED = 20  # how many bad files a message names
SPLIT_NAMES = ("train", "training", "test", "testing", "val", "valid", "validation")


def folder(request: Request) -> Source:
    """The images below `data_dir/<split>` if that is a directory, else those below `data_dir`.

    Sub-directories, sorted by name, are classes and are searched to any depth; images directly in the
    directory have no labels, and a mix of both is refused, as is a class without images. Names that
    begin with a dot, and files that are not named like images, are left out. The EXIF orientation
    is applied. One channel if all images are gray, else three.

    Raises:
      UserError: if there is nothing to read, or (unless `on_bad_image` is "skip") any image is broken or
        so small that it would be enlarged more than twice; it names them.
    """
    size = request.image_size
    if not request.data_dir:
        raise UserError("The data source 'folder' needs data_dir, the directory of the images.")
    if size == 0:
        raise UserError("The data source 'folder' needs an image_size above 0, for its images may differ in size.")
    root = _split_directory(Path(request.data_dir).expanduser(), request.split)
    paths, labels, class_names = _image_files(root)
    tiles, channels, problems, resized, origin = _inspect(paths, size)
    if problems:
        _report(root, [f"{paths[i].relative_to(root)} ({why})" for i, why in problems.items()], len(paths), request)
    good = np.array([i for i in range(len(paths)) if i not in problems], np.int64)

    gray = all(channels[i] == 1 for i in good)
    shape = (size, size, 1 if gray else 3)
    if tiles:
        decoded = np.empty((len(good), *shape), np.uint8)
        for row, i in enumerate(good):
            decoded[row] = with_channels(tiles[i], shape[-1])
        stored: np.ndarray | Streamed = decoded
    else:
        stored = Streamed(
            fetch=lambda numbers: [paths[i] for i in numbers],
            decode=lambda path: with_channels(_read(path, size), shape[-1]),
            indices=good,
            example_shape=shape,
            origin=origin,
        )
    name = f"folder/{Path(request.data_dir).resolve().name}"
    return Source(name, labels[good], class_names, stored, np.array(resized)[good])


def _split_directory(root: Path, split: str) -> Path:
    if not root.is_dir():
        if root.exists():
            raise UserError(f"{str(root)!r} is a file: the data source 'folder' needs a directory of images.")
        raise UserError(f"The directory {str(root)!r} of the data source 'folder' does not exist.")
    if "[" in split or "+" in split:
        raise UserError(f"The data source 'folder' cannot take the part {split!r} of a split; use max_examples.")
    if (root / split).is_dir():
        return root / split
    others = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name.lower() in SPLIT_NAMES)
    if others:
        raise UserError(f"{str(root)!r} has no directory for the split {split!r}: there are {', '.join(others)}.")
    if split != "train":
        logging.warning("%s has no directory %s: all of its images stand for that split", root, split)
    return root


def _image_files(root: Path) -> tuple[list[Path], np.ndarray, tuple[str, ...]]:
    """The image files below `root`, sorted, with int32 labels and class names (none if it has no classes)."""
    direct = sorted(p for p in root.iterdir() if p.is_file() and _is_image(p.name))
    classes = {
        d.name: list(_images_below(d)) for d in sorted(root.iterdir()) if d.is_dir() and not d.name.startswith(".")
    }
    filled = [name for name, paths in classes.items() if paths]
    if direct and filled:
        raise UserError(
            f"{str(root)!r} holds both {len(direct)} images and sub-directories of images ({', '.join(filled[:5])}): "
            "either all images lie in one sub-directory per class, or none does."
        )
    if direct:
        return direct, np.zeros(len(direct), np.int32), ()
    if not filled:
        raise UserError(f"No images are in {str(root)!r}: looked for {', '.join(SUFFIXES)}.")
    if empty := [name for name in classes if name not in filled]:
        raise UserError(
            f"Every sub-directory of {str(root)!r} is a class, but there are no images in: {', '.join(empty)}."
        )
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(p) for p in classes.values()])
    return [p for paths in classes.values() for p in paths], labels, tuple(classes)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _images_below(directory: Path) -> Iterator[Path]:
    for here, subdirectories, files in os.walk(directory):
        subdirectories[:] = sorted(d for d in subdirectories if not d.startswith("."))
        yield from (Path(here, name) for name in sorted(files) if _is_image(name))


def _inspect(paths: list[Path], size: int) -> tuple[list[np.ndarray], list[int], dict[int, str], list[bool], str]:
    """Decodes every file.

    Returns:
      The pixels of each (none at all if they would not fit in memory), the number of its channels, what is wrong with
      the bad ones, whether each was cropped or resampled, and a hash of all contents.
    """
    fits = len(paths) * size * size * 3 <= source.MEMORY_LIMIT
    tiles: list[np.ndarray] = []
    channels: list[int] = []
    problems: dict[int, str] = {}
    resized: list[bool] = []
    contents = hashlib.sha256()
    for start in range(0, len(paths), CHUNK):
        decoded = decoding_threads().map(lambda p: _try(p, size), paths[start : start + CHUNK])
        for tile, changed, problem, content in decoded:
            contents.update(content)
            resized.append(changed)
            if problem:
                problems[len(channels)] = problem
            channels.append(tile.shape[-1])
            if fits:
                tiles.append(tile)
        logging.log_every_n_seconds(logging.INFO, "checked %d of %d images", 10, len(channels), len(paths))
    return tiles, channels, problems, resized, contents.hexdigest()


def _try(path: Path, size: int) -> tuple[np.ndarray, bool, str, bytes]:
    """The pixels, whether they were cropped or resampled, and ""; or nothing and what is wrong with the file.

    And last the SHA-256 of what the file holds.
    """
    content = b""
    try:
        encoded = path.read_bytes()
        content = hashlib.sha256(encoded).digest()
        tile, changed = _tile(encoded, size)
        return tile, changed, "", content
    except Exception as error:  # Pillow's decoders raise nearly anything on broken data
        return np.empty((0, 0, 0), np.uint8), False, first_line(error), content


def _tile(encoded: bytes, size: int) -> tuple[np.ndarray, bool]:
    """The pixels, and whether they were cropped or resampled."""
    from PIL import ImageOps

    image = open_image(encoded)
    if 2 * min(image.size) < size:
        raise ValueError(f"{image.width}x{image.height} pixels, under half of image_size {size}")
    return resize(flatten(ImageOps.exif_transpose(image)), size), image.size != (size, size)


def _read(path: Path, size: int) -> np.ndarray:
    tile, _, problem, _ = _try(path, size)
    if problem:
        raise UserError(f"The image {str(path)!r} was readable before, but is not any more: {problem}.")
    return tile


def _report(root: Path, bad: list[str], total: int, request: Request) -> None:
    """Raises or logs the list of bad files; raises as well if no good one is left."""
    names = ", ".join(bad[:LISTED]) + (f", and {len(bad) - LISTED} more" if len(bad) > LISTED else "")
    if len(bad) == total:
        raise UserError(f"None of the {total} images in {str(root)!r} can be used: {names}.")
    if request.on_bad_image == "error":
        raise UserError(
            f"{len(bad)} of the {total} images in {str(root)!r} cannot be used (mend or remove them, "
            f"or set on_bad_image to 'skip'): {names}."
        )
    logging.warning("skipped %d of the %d images in %s: %s", len(bad), total, root, ", ".join(bad))
