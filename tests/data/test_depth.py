"""Pixel depth: taken from the values of the whole set, never from the file's type alone."""

import io

import numpy as np
import pytest
from PIL import Image
from support.pictures import deep_png, deep_tiff, pixels, save

from jaxgan.data import load
from jaxgan.data import source as source_module
from jaxgan.data.images import white_of
from jaxgan.errors import UserError


def read(root, **options):
    return load("folder", data_dir=str(root), **{"image_size": 12, **options})


def values(seed, most, channels=1):
    """Whole numbers [12, 12, C] from 0 to `most`, both included."""
    drawn = np.random.RandomState(seed).randint(0, most + 1, (12, 12, channels))
    drawn[0, 0], drawn[0, 1] = 0, most
    return drawn


def scaled(drawn, white):
    return np.floor(drawn * 255 / white + 0.5)


@pytest.mark.parametrize(
    ("most", "white"),
    [
        (1, 1),
        (200, 255),
        (255, 255),
        (900, 1023),
        (1023, 1023),
        (4095, 4095),
        (16383, 16383),
        (60000, 65535),
        (65535, 65535),
    ],
)
@pytest.mark.parametrize("kind", ["png16", "tiff16", "tiff32", "float", "npz"])
def test_the_depth_is_that_of_the_largest_value_of_the_set(tmp_path, kind, most, white):
    """8, 10, 12, 14 and 16 bits, in every container that can hold them."""
    drawn = [values(seed, most) for seed in range(2)]
    drawn[0] //= 2  # whose own largest value says something else
    if kind == "npz":
        np.savez(tmp_path / "a.npz", image=np.array(drawn).astype(np.uint16))
        source = load("npz", data_dir=str(tmp_path / "a.npz"))
    else:
        for i, each in enumerate(drawn):
            dtype = {"png16": np.uint16, "tiff16": np.uint16, "tiff32": np.int32, "float": np.float32}[kind]
            Image.fromarray(each[..., 0].astype(dtype)).save(tmp_path / f"{i}.{'png' if kind == 'png16' else 'tif'}")
        source = read(tmp_path)
    for image, each in zip(source.read([0, 1]), drawn, strict=True):
        assert np.abs(image - scaled(each, white)).max() <= 1  # halves are rounded either way
    assert f"of which {white:.6g} is white" in source.summary


def test_fractions_up_to_1_are_white_at_1(tmp_path):
    Image.fromarray(np.linspace(0, 0.8, 144, dtype=np.float32).reshape(12, 12)).save(tmp_path / "a.tif")
    assert (read(tmp_path).examples.min(), read(tmp_path).examples.max()) == (0, 204)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("most", [4095, 65535])
def test_colors_of_16_bits_keep_all_their_levels(tmp_path, channels, most):
    drawn = values(0, most, channels)
    if channels != 3:
        drawn[..., -1] = 65535  # opaque
    (tmp_path / "a.png").write_bytes(deep_png(drawn.astype(np.uint16)))
    image = read(tmp_path).read([0])[0]
    colors = drawn[..., :3] if channels > 2 else np.repeat(drawn[..., :1], 3, -1)
    assert image.shape == (12, 12, 3)
    assert np.abs(image - scaled(colors, most)).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_colors_of_a_16_bit_tiff_keep_all_their_levels(tmp_path, order, compressed):
    drawn = values(0, 4095, 3)
    (tmp_path / "a.tif").write_bytes(deep_tiff(drawn.astype(np.uint16), order, compressed))
    assert np.abs(read(tmp_path).examples[0] - scaled(drawn, 4095)).max() <= 1


def test_the_depth_does_not_depend_on_memory(tmp_path, monkeypatch):
    for i in range(5):
        Image.fromarray(values(i, 1000 * (i + 1))[..., 0].astype(np.uint16)).resize((20, 14)).save(
            tmp_path / f"{i}.png"
        )
    whole = read(tmp_path)
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 100)
    streamed = read(tmp_path)
    assert isinstance(streamed.examples, source_module.Streamed)
    np.testing.assert_array_equal(streamed.read(range(5)), whole.examples)
    assert streamed.summary == whole.summary


def test_max_value_decides(tmp_path):
    drawn = values(0, 3000)
    Image.fromarray(drawn[..., 0].astype(np.uint16)).save(tmp_path / "a.png")
    source = read(tmp_path, max_value=2000)
    assert np.abs(source.examples[0] - np.minimum(scaled(drawn, 2000), 255)).max() <= 1
    assert "2000 is white, larger ones too (data.max_value)" in source.summary


def test_max_value_holds_for_8_bits_too(tmp_path):
    drawn = values(0, 15)
    save(tmp_path / "a.png", drawn.astype(np.uint8))
    assert np.abs(read(tmp_path, max_value=15).examples[0] - scaled(drawn, 15)).max() == 0
    np.savez(tmp_path / "a.npz", image=drawn.astype(np.uint8)[None])
    assert load("npz", data_dir=str(tmp_path / "a.npz"), max_value=15).examples.max() == 255


def test_max_value_of_mixed_depths_is_refused(tmp_path):
    save(tmp_path / "a.png", pixels(0, channels=1))
    Image.fromarray(values(0, 4095)[..., 0].astype(np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match="1 images of more than 8 bits among others of 8 bits"):
        read(tmp_path, max_value=4095)
    assert read(tmp_path).examples[1].max() == 255


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.full((12, 12), 10**6, np.int32), "up to 1000000, more than 16 bits hold: set data.max_value"),
        (np.full((12, 12), 1.1, np.float32), "fractional pixel values up to 1.1: set data.max_value"),
        (np.full((12, 12), -1, np.int32), "pixel values below 0"),
        (np.full((12, 12), np.nan, np.float32), "not finite"),
    ],
)
def test_values_without_a_meaning_are_refused(tmp_path, image, sentence):
    Image.fromarray(image).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=sentence):
        read(tmp_path)


def test_values_beyond_16_bits_are_read_with_max_value(tmp_path):
    Image.fromarray(np.full((12, 12), 10**6, np.int32)).save(tmp_path / "a.tif")
    assert read(tmp_path, max_value=10**6).examples.max() == 255


@pytest.mark.parametrize(("largest", "white"), [(0, 1), (0.5, 1), (2, 255), (256, 1023), (1024, 4095), (4096.5, 16383)])
def test_white_is_the_first_depth_that_reaches_the_largest_value(largest, white):
    assert white_of(largest) == white


def test_wide_png_of_8_bit_pictures_equal_the_pictures(tmp_path):
    picture = pixels(0, channels=1)
    picture[0, 0] = 255
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0].astype(np.int32)).save(buffer, "TIFF")
    (tmp_path / "a.tif").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read(tmp_path).examples[0], picture)
