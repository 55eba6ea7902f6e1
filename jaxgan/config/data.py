"""Where examples come from."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import at_least, check_types, one_of
from jaxgan.errors import UserError


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from."""

    source: str = "embedded"  # embedded | folder | npz | stacked | synthetic | tfds
    name: str = "mnist"  # the data set within the source; empty for folder and npz
    split: str = "train"
    data_dir: str = ""  # TFDS' directory, the folder of images, or the .npz file
    image_size: int = 28  # height = width in pixels after resize and center crop; 0: the source's own
    classes: tuple[int | str, ...] = ()  # keep only these, by number or name; empty: all
    max_examples: int = 0  # keep only n, evenly spread; 0: all
    horizontal_flip: bool = False  # mirror each image with probability 1/2
    on_bad_image: str = "error"  # error | skip: what a corrupt or tiny file in a folder does

    def __post_init__(self):
        from jaxgan.data import SOURCES

        check_types(self, "data")
        one_of("data.source", self.source, SOURCES)
        one_of("data.on_bad_image", self.on_bad_image, ("error", "skip"))
        at_least("data.image_size", self.image_size, 0)
        at_least("data.max_examples", self.max_examples, 0)
        if not self.name and self.source not in ("folder", "npz"):
            raise UserError(f"data.name is empty, but data.source {self.source!r} needs the name of a data set.")
        if self.source in ("folder", "npz") and not self.data_dir:
            raise UserError(f"data.source {self.source!r} needs data.data_dir, the path to read from.")
        if self.horizontal_flip and self.source == "synthetic":
            raise UserError("data.horizontal_flip mirrors images, but synthetic data are points; set it to False.")
