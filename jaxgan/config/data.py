"""The keys of the section `data`: where examples come from."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import Names, check_fields, key
from jaxgan.errors import UserError

ON_BAD_IMAGE = ("error", "skip")


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from, and what is done to them before training."""

    source: str = key(
        "embedded",
        "Where examples come from: data inside installed packages (embedded), a folder of images, one .npz file, "
        "three digits stacked as color channels, points in the plane (synthetic), or prepared TensorFlow Datasets.",
        allowed=Names("jaxgan.data.sources", "SOURCES"),
    )
    name: str = key("mnist", "Name of the data set within the source; ignored for folder and npz.")
    split: str = key("train", "Part of the data set that is trained on.")
    data_dir: str = key(
        "", "Folder of images, path of the .npz file, or directory of the prepared TensorFlow Datasets."
    )
    image_size: int = key(
        28,
        "Height and width of the images in pixels, after resizing and center cropping; 0 keeps the source's.",
        least=0,
    )
    classes: tuple[int | str, ...] = key((), "Classes to keep, by number or name; empty keeps all.")
    max_examples: int = key(0, "Number of examples to keep, evenly spread over the data; 0 keeps all.", least=0)
    horizontal_flip: bool = key(False, "Whether each image is mirrored with probability 1/2.")
    on_bad_image: str = key(
        "error",
        "What a damaged or tiny file in a folder does: stop with an error, or be skipped.",
        allowed=ON_BAD_IMAGE,
    )

    def __post_init__(self):
        check_fields(self, "data")
        if not self.name and self.source not in ("folder", "npz"):
            raise UserError(
                f"data.name is empty, but data.source {self.source!r} holds several data sets: set data.name to one."
            )
        if self.source in ("folder", "npz") and not self.data_dir:
            raise UserError(f"data.source {self.source!r} needs a path to read from: set data.data_dir.")
        if self.horizontal_flip and self.source == "synthetic":
            raise UserError("data.horizontal_flip mirrors images, but synthetic data are points: set it to False.")
