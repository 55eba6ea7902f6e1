"""Reads data sets that TFDS has prepared on disk as array_record, without TensorFlow and without downloading."""

import dataclasses
import difflib
import hashlib
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from jaxgan.data.images import (
    Form,
    deep_values,
    flatten,
    lost_by_cropping,
    open_image,
    resize,
    to_bytes,
    white_of,
    with_channels,
)
from jaxgan.data.source import CHUNK, Request, Source, Streamed, first_line
from jaxgan.errors import UnknownSplitError, UserError, listed

SOME = 256  # examples that stand for a set whose examples are not all read


def prepared(request: Request) -> Source:
    """Reads a split of a prepared image data set, such as `train` or `train[:10%]`.

    `data_dir` is TFDS' directory (empty for its default). The feature `image` is read, and `label` if it
    is a class label. Pixels are as stored: unlike in a folder, EXIF orientation is not applied.

    Raises:
      UserError: for an unknown or unprepared data set, another file format than array_record, an unknown
        split, no `image` of 8 or 16 bits, damaged files, or images of unlike size with `image_size` 0.
    """
    builder = _builder(request)
    image, label = _features(builder, request.name)
    name, form = f"tfds/{request.name}", request.form
    reader = _Reader(builder, request)
    channels = form.channels or (1 if image.shape[-1] == 1 else 3)
    height, width = image.shape[:2]
    measure = height is None or width is None
    deep = np.dtype(image.np_dtype) != np.uint8
    class_names = tuple(label.names) if label else ()
    labels, sizes = np.zeros(len(reader), np.int32), np.tile(np.array([height or 0, width or 0]), (len(reader), 1))
    largest = 0.0
    contents = hashlib.sha256()
    look = bool(label) or (measure and form.size is None) or deep
    if not look:  # then not all is read here: the sizes of the files and some examples stand for all
        contents.update(reader.files().encode())
        for example in reader.fetch(
            (np.arange(min(SOME, len(reader))) * len(reader) // min(SOME, len(reader))).tolist()
        ):
            contents.update(hashlib.sha256(example["image"]).digest())
    # One pass over the encoded examples; only pixels of 16 bits are decoded, for the largest of all.
    for start in range(0, len(reader) if look else 0, CHUNK):
        batch = reader.fetch(list(range(start, min(start + CHUNK, len(reader)))))
        for i, example in enumerate(batch, start):
            contents.update(hashlib.sha256(example["image"]).digest())
            if measure:
                sizes[i] = open_image(example["image"]).size[::-1]
            if deep:
                largest = max(largest, _largest(example["image"]))
        if label:
            labels[start : start + CHUNK] = [example["label"] for example in batch]
        logging.log_every_n_seconds(logging.INFO, "read %d of %d labels", 10, start, len(reader))
    if form.size is None:
        if len(different := np.unique(sizes, axis=0)) > 1:
            raise UserError(f"The images of {name} come in {len(different)} sizes: set a data.image_size above 0.")
        height, width = sizes[0].tolist()
        form = dataclasses.replace(form, size=(height, width))
    size, white = form.size, white_of(largest)
    assert size is not None
    if (labels < 0).any():  # TFDS marks withheld labels by -1
        logging.warning("%s %s has examples without a label: treated as unlabelled", name, request.split)
        labels, class_names = np.zeros(len(reader), np.int32), ()

    def decode(example: dict[str, Any]) -> np.ndarray:
        try:
            image = open_image(example["image"])
            values = deep_values(image, example["image"], turned=False)
            pixels = flatten(image, form.background, channels == 4) if values is None else to_bytes(values, white)
        except Exception as error:  # Pillow's decoders raise nearly anything on broken data
            raise UserError(
                f"An image of {name} cannot be decoded ({first_line(error)}); {_remedy(request)}."
            ) from None
        return with_channels(resize(pixels, size, form.fit, form.background), channels, form.background)

    if form != Form(size) or deep:
        contents.update(repr((form, white)).encode())
    streamed = Streamed(reader.fetch, decode, np.arange(len(reader)), (*size, channels), contents.hexdigest())
    known = bool((sizes > 0).all())
    return Source(
        name,
        labels,
        class_names,
        streamed,
        notes=(f"16-bit pixels up to {largest:g}, of which {white:g} is white",) if deep else (),
        cropped=lost_by_cropping(sizes[:, 0], sizes[:, 1], size) if known and form.fit == "crop" else None,
        resized=(sizes != size).any(axis=1) if known else None,
    )


def _largest(encoded: bytes) -> float:
    try:
        values = deep_values(open_image(encoded), encoded, turned=False)
    except Exception:  # said once it is decoded to be used
        return 0.0
    return 0.0 if values is None else float(values[..., :3].max())


class _Reader:
    """Reads the encoded examples of one split by number, from any thread."""

    def __init__(self, builder: Any, request: Request):
        import tensorflow_datasets as tfds

        self._request = request
        self._lock = threading.Lock()  # a prefetching thread and an evaluation may read at once
        name, split = f"tfds/{request.name}", request.split
        try:
            promised = builder.info.splits[split].num_examples
        except (KeyError, ValueError) as error:
            known = listed(builder.info.splits)
            raise UnknownSplitError(
                f"{name} cannot give the split {split!r}, it has {known} ({first_line(error)})."
            ) from None
        if promised == 0:
            raise UserError(f"The split {split!r} of {name} is empty.")
        self._builder = builder
        self._stored = builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
        if len(self._stored) != promised:
            raise UserError(
                f"The split {split!r} of {name} should have {promised} examples, but {len(self._stored)} are stored; "
                f"{_remedy(request)}."
            )

    def __len__(self) -> int:
        return len(self._stored)

    def files(self) -> str:
        """Describes the files of the split by name and size; a copy of them is described alike."""
        split = self._request.split
        paths = [Path(path) for path in self._builder.info.splits[split].filepaths]
        stored = [(path.name, path.stat().st_size) for path in paths]
        return repr((self._builder.info.full_name, split, stored))

    def fetch(self, numbers: list[int]) -> list[dict[str, Any]]:
        """Reads the examples of these numbers; `image` stays encoded."""
        try:
            with self._lock:
                return list(self._stored.__getitems__(numbers))
        except (RuntimeError, OSError, IndexError) as error:
            name = f"tfds/{self._request.name}"
            raise UserError(
                f"The files of {name} cannot be read ({first_line(error)}); {_remedy(self._request)}."
            ) from None


def _builder(request: Request) -> Any:
    """Finds TFDS' builder of a data set that is prepared as array_record."""
    import tensorflow_datasets as tfds

    name, data_dir = request.name, str(Path(request.data_dir).expanduser()) if request.data_dir else None
    # TFDS would fetch what a namespace ("huggingface:mnist") stands for.
    if not re.fullmatch(r"[A-Za-z]\w*(/[^:]+)?(:[\d.*]+)?", name):
        raise UserError(
            f"{name!r} is no name of a TFDS data set: it reads like 'fashion_mnist' or 'name/config:1.0.0'."
        )
    present = _present(data_dir or tfds.core.constants.DATA_DIR)
    there = f"prepared in {data_dir or 'the default data_dir'}: {listed(present) or 'nothing'}"
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        names = [path.split(":")[0] for path in present] + tfds.list_builders(with_community_datasets=False)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(f"TFDS knows no data set {name!r} ({there}).{hint}") from None
    except Exception as error:  # whatever a data set's own code raises, such as AssertionError for a version
        raise UserError(f"TFDS cannot give the data set {name!r}: {first_line(error)} ({there}).") from None
    # Not builder.info, which TFDS can fill in from its bucket too.
    if not (builder.data_path / "dataset_info.json").exists():
        raise UserError(f"The data set {name!r} is not prepared; {_remedy(request)} ({there}).")
    file_format = builder.info.file_format.value
    if file_format != "array_record":
        raise UserError(f"The data set {name!r} is stored as {file_format}, not array_record; {_remedy(request)}.")
    return builder


def _features(builder: Any, name: str) -> tuple[Any, Any]:
    """Finds the `image` feature, and the `label` feature or None."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    found = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = found.get("image"), found.get("label")
    if not isinstance(image, tfds.features.Image):
        raise UserError(f"The data set {name!r} has no feature 'image' that is one: it has {listed(found) or 'none'}.")
    if len(image.shape) != 3 or np.dtype(image.np_dtype) not in (np.uint8, np.uint16):
        raise UserError(
            f"The images of {name!r} have shape {image.shape} and type {np.dtype(image.np_dtype)}: "
            "they must be [H, W, C] with 8 or 16 bits."
        )
    return image, label if isinstance(label, tfds.features.ClassLabel) else None


def _present(data_dir: str) -> list[str]:
    """Lists what is prepared in TFDS' directory, such as "fashion_mnist:3.0.1"."""
    root = Path(data_dir).expanduser()
    found = [p.parent.relative_to(root) for depth in ("*/*", "*/*/*") for p in root.glob(f"{depth}/dataset_info.json")]
    return sorted(f"{path.parent.as_posix()}:{path.name}" for path in found)


def _remedy(request: Request) -> str:
    where = f" --data_dir={request.data_dir}" if request.data_dir else ""
    return f"prepare it with `tfds build {request.name}{where} --file_format=array_record`"
