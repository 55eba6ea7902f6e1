import os

import numpy as np
import pytest
from PIL import Image

from jaxgan.sampling.grid import GAP, as_image, grid, read_png, save_png, to_uint8


def numbered(n: int, height: int, width: int, channels: int) -> np.ndarray:
    """Images of which no two pixels are equal by accident of position."""
    return np.random.default_rng(0).integers(0, 255, (n, height, width, channels), np.uint8)


@pytest.mark.parametrize("n, rows", [(1, 1), (8, 1), (9, 2), (64, 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_grid_puts_each_image_in_its_cell(n, rows, channels):
    images = numbered(n, 5, 3, channels)
    picture = grid(images)
    assert GAP == 2
    assert picture.shape == (rows * 7 + 2, 8 * 5 + 2, channels) and picture.dtype == np.uint8
    white = np.ones(picture.shape, bool)
    for i, image in enumerate(images):
        cell = np.s_[2 + 7 * (i // 8) : 7 + 7 * (i // 8), 2 + 5 * (i % 8) : 5 + 5 * (i % 8)]
        np.testing.assert_array_equal(picture[cell], image)
        white[cell] = False
    assert (picture[white] == 255).all()


def test_grid_takes_any_number_of_columns():
    assert grid(numbered(6, 4, 4, 1), columns=3).shape == (2 * 6 + 2, 3 * 6 + 2, 1)


@pytest.mark.parametrize("output, low, high", [("tanh", -1.0, 1.0), ("sigmoid", 0.0, 1.0)])
def test_to_uint8_rounds_to_the_nearest_byte_and_clips(output, low, high):
    every = low + (high - low) * np.arange(256) / 255
    tick = (high - low) / 255
    for shift in (-0.49, 0.0, 0.49):
        for kind in (np.float32, np.float64):
            found = to_uint8((every + shift * tick).astype(kind), output)
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, np.arange(256))
    assert to_uint8(np.float32([low - 1, low, high, high + 1]), output).tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_save_png_is_read_back(channels, tmp_path):
    image = numbered(1, 4, 6, channels)[0]
    save_png(tmp_path / "new" / "x.png", image)
    save_png(tmp_path / "new" / "x.png", image)  # over an earlier one
    with Image.open(tmp_path / "new" / "x.png") as found:
        np.testing.assert_array_equal(np.asarray(found).reshape(image.shape), image)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x.png"]


def test_save_png_keeps_the_old_picture_when_it_fails(tmp_path, monkeypatch):
    old, new = numbered(2, 4, 4, 1)
    save_png(tmp_path / "x.png", old)

    def half(self, file, kind):
        file.write(b"half a picture")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", half)
        with pytest.raises(OSError, match="disk full"):
            save_png(tmp_path / "x.png", new)
    with Image.open(tmp_path / "x.png") as found:
        np.testing.assert_array_equal(np.asarray(found), old[..., 0])
    save_png(tmp_path / "x.png", new)
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("channels", [1, 3])
def test_read_png_gives_what_was_saved(channels, tmp_path):
    image = numbered(1, 4, 6, channels)[0]
    save_png(tmp_path / "x.png", image)
    np.testing.assert_array_equal(read_png(tmp_path / "x.png"), image)


def cut(path):
    path.write_bytes(path.read_bytes()[:60])


def pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [cut, pipe, lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_read_png_names_what_is_damaged(damage, tmp_path):
    save_png(tmp_path / "x.png", numbered(1, 40, 60, 3)[0])
    damage(tmp_path / "x.png")
    with pytest.raises(ValueError, match=f"{tmp_path / 'x.png'} is not a PNG that can be read"):
        read_png(tmp_path / "x.png")


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_as_image_repeats_each_pixel(channels, mode):
    picture = numbered(1, 3, 2, channels)[0]
    image = as_image(picture, zoom=4)
    assert (image.mode, image.size) == (mode, (8, 12))
    np.testing.assert_array_equal(np.asarray(image).reshape(12, 8, channels)[1::4, 2::4], picture)
