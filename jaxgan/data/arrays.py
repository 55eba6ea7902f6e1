"""Makes a source of what a caller gives in Python: arrays, lists, tensors, Pillow images, .npz files."""

import dataclasses
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from jaxgan.data.files import printable
from jaxgan.data.images import Form, flatten, lost_by_cropping, resize_all, to_bytes, white_of, with_channels
from jaxgan.data.labels import checked
from jaxgan.data.source import Request, Source, first_line
from jaxgan.errors import UserError, listed

IMAGE_KEYS, LABEL_KEYS = ("image", "images", "x"), ("label", "labels", "y")
BOMB = 200, 256 * 2**20  # how many times an array may be larger than its part of an .npz file, from how many bytes on


def as_source(given: Any) -> Source:
    """Makes a source of the images, or images and labels, that a caller gives; a source stays as it is.

    Images are what `from_arrays` takes. With labels they are a pair `(images, labels)`, a list of such pairs, one for
    each image, or a dictionary with the keys "image" and "label".

    Raises:
      UserError: it is none of these, or could mean more than one thing.
    """
    if isinstance(given, Source):
        return given
    if isinstance(given, Mapping):
        image_key, label_key = (next((k for k in keys if k in given), None) for keys in (IMAGE_KEYS, LABEL_KEYS))
        if image_key is None:
            raise UserError(f"The data are a dictionary without the key 'image': it has {listed(given)}.")
        return from_arrays(given[image_key], None if label_key is None else given[label_key])
    if isinstance(given, (str, os.PathLike)):
        raise UserError(
            f"The data are the path {printable(given)[:80]!r}: leave source out and set data.source to "
            "'folder' or 'npz' and data.data_dir to the path."
        )
    if isinstance(given, tuple):
        if not 1 <= len(given) <= 3:
            raise UserError(
                f"The data are a tuple of {len(given)}: give (images, labels), or all images as a list or one array."
            )
        return from_arrays(*given)
    if isinstance(given, list) and given:
        if all(isinstance(each, (tuple, list)) and len(each) == 2 and _is_pair(*each) for each in given):
            return from_arrays([image for image, _ in given], [_label(label) for _, label in given])
        if len(given) == 2 and _is_batch(*given):
            return from_arrays(*given)
    return from_arrays(given)


def _is_pair(image: Any, label: Any) -> bool:
    """Whether this is an image and its label."""
    return _depth(image) >= 2 and _depth(label) == 0


def _is_batch(images: Any, labels: Any) -> bool:
    """Whether this is all images and all labels rather than two images."""
    depth, flat = _depth(images), _depth(labels)
    return (depth in (3, 4) and flat in (1, 2) and depth - flat > 1) or (depth == 2 and flat == 1)


def _depth(value: Any) -> int:
    """Counts the axes of an array, tensor, image or nested list."""
    if _is_pillow(value):
        return 2
    if hasattr(value, "ndim"):
        return int(value.ndim)
    return 1 + (_depth(value[0]) if len(value) else 0) if isinstance(value, (list, tuple)) else 0


def _label(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _is_pillow(value: Any) -> bool:
    return hasattr(value, "getbands") and hasattr(value, "mode")


def _as_array(given: Any, what: str) -> np.ndarray:
    """Makes a NumPy array of a tensor of another library, a list or Pillow images; `what` is for messages.

    Nothing of PyTorch is imported: its tensors are told by their methods.
    """
    if _is_pillow(given):
        raise UserError(f"The {what} are a single image: give a list of images.")
    if isinstance(given, (str, bytes)):
        raise UserError(f"The {what} are the text {str(given)[:40]!r}: they must be an array or a list.")
    try:
        if isinstance(given, (list, tuple)):
            return _stacked(given, what)
        if hasattr(given, "detach") and hasattr(given, "cpu"):  # PyTorch
            given = given.detach().cpu()
            given = given.float() if str(given.dtype) in ("torch.bfloat16", "torch.float16") else given
            given = given.resolve_conj().resolve_neg().numpy()
        elif hasattr(given, "numpy") and not isinstance(given, np.ndarray):  # TensorFlow
            given = given.numpy()
        if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
            raise UserError(f"The {what} are an array with masked values: fill them first, by its method filled().")
        array = np.asarray(given)
    except UserError:
        raise
    except Exception as error:  # whatever another library raises
        raise UserError(f"The {what} cannot be made an array: {first_line(error)[:200]}.") from None
    if array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        return array.astype(np.float32)
    if array.ndim == 0:
        raise UserError(
            f"The {what} are of type {type(given).__name__}: give an array, a list of arrays or images, or a pair "
            "(images, labels)."
        )
    return array


def _stacked(given: Sequence[Any], what: str) -> np.ndarray:
    """Makes one array of a list of arrays, images, or nested lists of numbers."""
    if not given:
        raise UserError(f"The {what} are an empty list: there is nothing in them.")
    if all(isinstance(each, (str, bytes)) for each in given):
        return np.array([v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else v for v in given])
    if any(isinstance(each, (str, bytes)) or each is None for each in given):
        raise UserError(f"The {what} mix {listed(sorted({type(each).__name__ for each in given}))}: give one kind.")
    parts = [_pixels(each, what) if _is_pillow(each) else each for each in given]
    if not all(isinstance(each, (list, tuple, int, float, np.number, np.bool_)) for each in parts):
        parts = [_entry(each, what) for each in parts]
        shapes = list(dict.fromkeys(part.shape for part in parts))
        if len(shapes) > 1:
            raise UserError(
                f"The {what} are a list of arrays of {len(shapes)} shapes, {listed(shapes)}: bring them "
                "to one size and number of channels, or save them as files and read those by data.source='folder', "
                "which resizes."
            )
        types = {part.dtype for part in parts}
        if len(types) > 1 and np.dtype(np.uint8) in types:
            raise UserError(f"The {what} mix the types {listed(sorted(map(str, types)))}: give one type.")
        return np.stack(parts)
    try:
        array = np.array(parts)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype == object:
        raise UserError(f"The {what} are lists of unequal lengths: they must form one array, with one size for all.")
    return array


def _entry(each: Any, what: str) -> np.ndarray:
    """Makes an array of one entry of a list; a number becomes one without axes."""
    if _depth(each) == 0:
        return np.asarray(each.item() if hasattr(each, "item") else each)
    return each if isinstance(each, np.ndarray) else _as_array(each, what)


def _pixels(image: Any, what: str) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        raise UserError(
            f"The {what} are Pillow images of mode {image.mode!r}, whose white is not known: convert them to arrays "
            "of uint8 in 0..255, or save them as files and read those by data.source='folder'."
        )
    return flatten(image)


def from_arrays(images: Any, labels: Any = None, class_names: Sequence[str] = (), name: str = "arrays") -> Source:
    """Makes a source of arrays in memory, which are not copied unless their type has to change.

    Args:
      images: uint8 0..255 or float, `[N, H, W, C]` with 1 to 4 channels or `[N, H, W]`; or float points
        `[N, D]`. Floats become float32 and are passed on unscaled. Tensors, lists of arrays and lists of 8-bit Pillow
        images are made such arrays.
      labels: integers from 0 on, `[N]` or `[N, 1]`; or one-hot rows `[N, K]`; or names of classes, which are numbered
        in the order of `class_names`, else of the alphabet.
      class_names: in the labels' order; "0", "1", ... if not given.

    Raises:
      UserError: for another shape or type, non-finite values, or labels that do not fit.

    >>> from_arrays(np.zeros((6, 8, 8), np.uint8), labels=np.arange(6) % 2).shape
    (8, 8, 1)
    """
    images = _checked_images(_as_array(images, f"images of {name}"), name)
    if labels is None:
        if class_names:
            raise UserError(f"{name} has class_names but no labels: give labels, one per image.")
        return Source(name, np.zeros(len(images), np.int32), (), images)
    found, names = checked(_as_array(labels, f"labels of {name}"), len(images), tuple(class_names), name)
    return Source(name, found, names, images)


def _checked_images(images: np.ndarray, name: str) -> np.ndarray:
    floating = np.issubdtype(images.dtype, np.floating)
    if not floating and images.dtype != np.uint8:
        way = ""
        if images.dtype == bool:
            way = "; np.uint8(255) * images makes True white"
        elif np.issubdtype(images.dtype, np.integer):
            way = "; images.astype(np.uint8) converts values in 0..255"
        raise UserError(f"The images of {name} have type {images.dtype}: they must be uint8 in 0..255 or float{way}.")
    if images.ndim not in ((2, 3, 4) if floating else (3, 4)):
        raise UserError(
            f"The images of {name} have shape {images.shape}: they must be [N, H, W, C] or [N, H, W], "
            "or float points [N, D]."
        )
    if 0 in images.shape:
        raise UserError(f"The images of {name} have shape {images.shape}: there is nothing in them.")
    if images.ndim == 3 and images.shape[-1] in (3, 4) and images.shape[1] > 4:
        raise UserError(
            f"The images of {name} have shape {images.shape}, which reads like one image with channels: images[None] "
            "makes it a set of one, images[..., None] makes it gray images."
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[-1] > 4:
        first = images.shape[1] in (1, 3, 4)
        way = ": np.moveaxis(images, 1, -1) moves the channels there" if first else ""
        raise UserError(f"The images of {name} have shape {images.shape}: the last axis must be 1 to 4 channels{way}.")
    if floating:
        with np.errstate(over="ignore"):  # reported below
            images = images.astype(np.float32, copy=False)
        if not np.isfinite(images).all():
            raise UserError(f"The images of {name} have values that are not finite in float32: replace them.")
    return images


def npz(request: Request) -> Source:
    """Reads the arrays `image` (or `images`, `x`) and, if there, `label` (or `labels`, `y`) of one .npz file."""
    if not request.data_dir:
        raise UserError("The data source 'npz' needs data.data_dir, the path of the .npz file.")
    path = Path(request.data_dir).expanduser()
    if path.is_dir():
        raise UserError(
            f"{str(path)!r} is a directory: the data source 'npz' needs the path of one .npz file; "
            "data.source='folder' reads a directory of images."
        )
    if not path.exists():
        raise UserError(f"The file {str(path)!r} of the data source 'npz' does not exist: correct data.data_dir.")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise UserError(f"{str(path)!r} is not an .npz file: np.savez writes one.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            image_key = next((k for k in IMAGE_KEYS if k in archive.files), None)
            label_key = next((k for k in LABEL_KEYS if k in archive.files), None)
            if image_key is None:
                there = listed(archive.files) or "nothing"
                raise UserError(f"{str(path)!r} has no array 'image' (nor 'images', 'x'): it holds {there}.")
            for key in filter(None, (image_key, label_key)):
                _check_size(archive.zip, key, str(path))
            images = archive[image_key]
            labels = archive[label_key] if label_key else None
    except UserError:
        raise
    except Exception as error:  # NumPy, zipfile and zlib each have their own for damaged or pickled data
        raise UserError(f"{str(path)!r} cannot be read as plain arrays: {first_line(error)}.") from None
    images, notes = _scaled(images, request.form.max_value, str(path))
    whole = dataclasses.replace(from_arrays(images, labels, name=f"npz/{path.name}"), notes=notes)
    if request.split != "train":
        logging.warning("%s has no splits: all of its examples stand for %s", path, request.split)
    return formed(whole, request.form)


def _scaled(images: np.ndarray, max_value: float, path: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scales images of integers to uint8, by the rule of `images.white_of` or by `data.max_value`; says what it did."""
    integers = np.issubdtype(images.dtype, np.integer) and images.ndim in (3, 4) and images.size
    if not integers or (images.dtype == np.uint8 and not max_value):
        return images, ()
    low, high = int(images.min()), int(images.max())
    if low < 0:
        raise UserError(f"The images of {path!r} have values in {low}..{high}: integers must be 0 or more.")
    white = max_value or white_of(high)
    scaled = np.empty(images.shape, np.uint8)
    for i, each in enumerate(images):
        scaled[i] = to_bytes(each[..., None], white)[..., 0]
    return scaled, (f"integers up to {high}, of which {white:g} is white (data.max_value sets another)",)


def _check_size(archive: zipfile.ZipFile, key: str, path: str) -> None:
    """Refuses an array that would take more memory than the file stands for, before any is taken.

    Raises:
      UserError, ValueError: the array's header promises other bytes than there are, or they are a decompression bomb.
    """
    info = archive.getinfo(key if key in archive.namelist() else f"{key}.npy")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"version {version} of the .npy format is for tables")
        shape, _, dtype = read(file)
    if dtype.hasobject:
        return  # NumPy refuses it with a sentence
    promised = dtype.itemsize
    for length in shape:
        promised *= int(length)
    ratio, allowed = BOMB
    if promised > info.file_size:
        raise ValueError(f"the array {key!r} promises {promised} bytes, but {info.file_size} are stored")
    if promised > max(allowed, ratio * info.compress_size):
        raise UserError(
            f"The array {key!r} of {path!r} unpacks to {promised} bytes from {info.compress_size}, which reads like a "
            "decompression bomb: if it is none, write it by np.savez, uncompressed."
        )


def formed(whole: Source, form: Form) -> Source:
    """Brings arrays of images to a form: see `Form`.

    Raises:
      UserError: they are points, or floats whose channels would have to change.
    """
    images = whole.examples
    assert isinstance(images, np.ndarray)
    if form.max_value and images.dtype != np.uint8:
        raise UserError(f"data.max_value is {form.max_value:g}, but {whole.name} holds floats: scale them yourself.")
    if images.ndim != 4:
        if form.size or form.channels:
            raise UserError(
                f"{whole.name} holds points of shape {whole.shape}, which image_size cannot resize: set "
                "data.image_size and data.channels to 0."
            )
        return whole
    height, width, channels = whole.shape
    changed = resize_all(images, form)
    if form.channels not in (0, channels):
        if images.dtype != np.uint8 or channels == 2:
            raise UserError(
                f"data.channels is {form.channels}, but {whole.name} has {channels} channels of type {images.dtype}: "
                "only uint8 images of 1, 3 or 4 channels can be converted. Set it to 0."
            )
        changed = with_channels(changed, form.channels, form.background)
    if form.size in (None, (height, width)):
        return dataclasses.replace(whole, examples=changed)
    every, size = np.ones(len(whole), bool), form.size
    assert size is not None
    lost = lost_by_cropping(every * height, every * width, size) if form.fit == "crop" else None
    return dataclasses.replace(whole, examples=changed, cropped=lost, resized=every)
