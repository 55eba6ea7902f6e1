"""Puts many images into one picture, and writes pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxgan.files import open_regular, replacing

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 2  # pixels between the cells and around them


def to_uint8(images: np.ndarray, output: str) -> np.ndarray:
    """Converts a generator's output to bytes: from [-1, 1] for `tanh`, [0, 1] for `sigmoid`; clipped, then rounded.

    >>> to_uint8(np.array([-1.0, 0.0, 1.0]), "tanh").tolist()
    [0, 128, 255]
    """
    unit = (np.asarray(images, np.float64) + 1) / 2 if output == "tanh" else np.asarray(images, np.float64)
    return (np.clip(unit, 0, 1) * 255 + 0.5).astype(np.uint8)


def drawable(shape: Sequence[int]) -> bool:
    """Tells whether examples of this shape are images that a PNG can show: gray, RGB, or RGB and opacity."""
    return len(shape) == 3 and shape[-1] in (1, 3, 4)


def grid(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """Puts images u8[N, H, W, C] into one picture, row by row, with `GAP` white pixels between and around them.

    Returns:
      u8[rows (H + GAP) + GAP, columns (W + GAP) + GAP, C]; cells left over are white.
    """
    n, height, width, channels = images.shape
    rows = -(-n // columns)
    picture = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + GAP) + GAP, (i % columns) * (width + GAP) + GAP
        picture[top : top + height, left : left + width] = image
    return picture


def cells(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Takes a `grid` apart into its images, u8[rows, columns, height, width, C].

    Raises:
      ValueError: it is no grid of images of that size.
    """
    (rows, below), (columns, right) = divmod(picture.shape[0], height + GAP), divmod(picture.shape[1], width + GAP)
    if (below, right) != (GAP, GAP):
        raise ValueError(f"a picture of {picture.shape[:2]} pixels is no grid of images of {height} x {width}.")
    parts = picture[GAP:, GAP:].reshape(rows, height + GAP, columns, width + GAP, -1)
    return parts.swapaxes(1, 2)[:, :, :height, :width]


def as_image(picture: np.ndarray, zoom: int = 1) -> Image:
    """Makes an image that a notebook shows of u8[H, W, 1 or 3 or 4], each pixel `zoom` times as wide and high.

    >>> as_image(np.zeros((4, 6, 1), np.uint8), zoom=3).size
    (18, 12)
    """
    from PIL.Image import fromarray

    large = np.repeat(np.repeat(picture, zoom, axis=0), zoom, axis=1)
    return fromarray(large[..., 0] if large.shape[-1] == 1 else large)


def save_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes u8[H, W, 1 or 3 or 4] to a PNG, whole or not at all."""
    with replacing(path) as file:
        as_image(image).save(file, "PNG")


def read_png(path: str | os.PathLike) -> np.ndarray:
    """Reads a PNG as u8[H, W, 1] where it is gray, else as u8[H, W, 3].

    Raises:
      ValueError: the file is damaged, or not a PNG.
    """
    from PIL import Image

    try:
        with open_regular(path) as file, Image.open(file, formats=("PNG",)) as image:
            pixels = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
    except Exception as error:  # Pillow's decoder raises nearly anything on broken data
        raise ValueError(f"{path} is not a PNG that can be read ({error}).") from None
    return pixels.reshape(*pixels.shape[:2], -1)
