"""Pixels: every mode of file becomes gray or RGB, and one resize serves all."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxgan.data.images import flatten, resize


def pixels(seed, height=12, width=12, channels=3):
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


def test_resize_of_a_color_image_equals_resizing_each_channel():
    image = pixels(0, 20, 31)
    channels = [resize(image[..., c : c + 1], (9, 9)) for c in range(3)]
    np.testing.assert_array_equal(resize(image, (9, 9)), np.concatenate(channels, axis=-1))


def test_resize_to_the_same_side_only_crops_the_center():
    image = pixels(0, 8, 12)
    np.testing.assert_array_equal(resize(image, (8, 8)), image[:, 2:10])


def test_resize_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (32, 16))[..., None]
    assert np.abs(resize(stripes, (8, 8)).astype(int) - 127).max() < 20  # nearest would give 0 or 255


def test_resize_of_floats_stays_in_their_range():
    step = np.repeat(np.array([0.0, 1.0], np.float32), 16)[None, :, None] * np.ones((32, 1, 1), np.float32)
    small = resize(step, (8, 8))
    assert (small.dtype, small.min(), small.max()) == (np.float32, 0.0, 1.0)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, [255]),
        ("L", 7, [7]),
        ("LA", (100, 0), [255]),
        ("RGB", (1, 2, 3), [1, 2, 3]),
        ("RGBA", (10, 20, 30, 0), [255, 255, 255]),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
        ("CMYK", (0, 0, 0, 255), [0, 0, 0]),
        ("P", 0, [0, 0, 0]),
    ],
)
def test_flatten_brings_every_mode_to_gray_or_rgb(mode, color, expected):
    assert flatten(Image.new(mode, (3, 2), color))[0, 0].tolist() == expected


def test_flatten_composites_palette_transparency_on_white():
    image = Image.new("P", (2, 2), 0)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=0)
    assert flatten(Image.open(buffer))[0, 0].tolist() == [255, 255, 255]
