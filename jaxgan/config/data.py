"""The keys of the section `data`: where examples come from."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import Names, check_fields, key
from jaxgan.data.images import CHANNELS, FITS, Form, as_color, as_size
from jaxgan.data.layout import LABELS
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
    split: str = key(
        "train",
        "Part of the data set that is trained on. Of a folder, the name of a sub-folder; empty takes all of it, and "
        "'train' a sub-folder only where all sub-folders are named like splits.",
    )
    data_dir: str = key(
        "", "Folder or .zip of images, path of the .npz file, or directory of the prepared TensorFlow Datasets."
    )
    labels: str = key(
        "auto",
        "Where the labels of a folder come from: dataset.json or labels.csv (file), the sub-folders (folders), the "
        "file if there is one and else the sub-folders (auto), or nowhere (none).",
        allowed=LABELS,
    )
    image_size: int | tuple[int, ...] = key(
        28,
        "Height and width of the images in pixels, one number for both or a pair such as 64,128; 0 keeps the source's.",
        least=0,
    )
    fit: str = key(
        "crop",
        "How images of other proportions get that size: their center is cut out (crop), a border of the background is "
        "added (pad), or their proportions change (stretch).",
        allowed=FITS,
    )
    background: str | tuple[int, ...] = key(
        "white", "Color behind transparent pixels and of the border of padded images: a name, or red,green,blue."
    )
    channels: int = key(
        0,
        "Channels of the images: gray (1), RGB (3), or RGB and opacity (4); 0 takes the data's, without opacity.",
        allowed=CHANNELS,
    )
    max_value: float = key(
        0.0,
        "Pixel value that is white, in a folder or .npz file; 0 takes 255 for images of 8 bits, and else the largest "
        "value of as many bits (1, 8, 10, 12, 14 or 16) as the largest pixel of the whole set needs.",
        least=0,
    )
    classes: tuple[int | str, ...] = key((), "Classes to keep, by number or name; empty keeps all.")
    max_examples: int = key(0, "Number of examples to keep, evenly spread over the data; 0 keeps all.", least=0)
    horizontal_flip: bool = key(False, "Whether each image is mirrored with probability 1/2.")
    on_bad_image: str = key(
        "error",
        "What a damaged, tiny or unlabelled file in a folder does: stop with an error, or be skipped.",
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
        size = as_size(self.image_size)
        # One number wherever it says the same, so that the same sizes are the same configuration.
        object.__setattr__(self, "image_size", 0 if size is None else size[0] if size[0] == size[1] else size)
        if self.source == "folder" and size is None:
            raise UserError(
                "data.image_size is 0, but the images of a folder may differ in size: set it to a number of pixels, or "
                "to height and width such as 64,128."
            )
        from jaxgan.data.sources import check_form

        check_form(self.source, self.form)

    @property
    def form(self) -> Form:
        """What the images are brought to."""
        return Form(as_size(self.image_size), self.fit, as_color(self.background), self.channels, self.max_value)
