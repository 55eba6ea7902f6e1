"""Size, fit, background and channels of images."""

import numpy as np
import pytest
from PIL import Image
from support.pictures import pixels, save

from jaxgan.config.config import Config
from jaxgan.data import load
from jaxgan.data import source as source_module
from jaxgan.data.images import as_color, as_size, resize, with_channels
from jaxgan.errors import UserError


def read(root, **options):
    return load("folder", data_dir=str(root), **{"image_size": 12, **options})


@pytest.mark.parametrize(
    ("given", "size"),
    [(0, None), (28, (28, 28)), ((64, 128), (64, 128)), ([8, 4], (8, 4)), ((5,), (5, 5)), ((0, 0), None)],
)
def test_sizes(given, size):
    assert as_size(given) == size


@pytest.mark.parametrize("given", [-1, (8, -1), (8, 0), (1, 2, 3), (), "8", 8.0, True, None])
def test_sizes_that_are_none_are_refused(given):
    with pytest.raises(UserError, match=r"data\.image_size is .*: one number of pixels, or height and width"):
        as_size(given)


@pytest.mark.parametrize(
    ("given", "color"),
    [
        ("white", (255,) * 3),
        ("#ff0080", (255, 0, 128)),
        ("1, 2,3", (1, 2, 3)),
        ("(9,8,7)", (9, 8, 7)),
        ([0, 0, 255], (0, 0, 255)),
    ],
)
def test_colors(given, color):
    assert as_color(given) == color


@pytest.mark.parametrize("given", ["whitish", "1,2", "1,2,300", "1,2,-3", (1, 2), (1.5, 2, 3), 5, None, ""])
def test_colors_that_are_none_are_refused(given):
    with pytest.raises(UserError, match=r"data\.background is .*the name of a color"):
        as_color(given)


@pytest.mark.parametrize(
    ("size", "box"), [((10, 10), (0, 10, 5, 15)), ((10, 5), (0, 10, 7, 12)), ((5, 10), (0, 10, 0, 20))]
)
def test_crop_takes_the_largest_box_around_the_center(size, box):
    image, (top, bottom, left, right) = pixels(0, 10, 20), box
    expected = Image.fromarray(image[top:bottom, left:right]).resize(size[::-1], Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(resize(image, size), np.asarray(expected))


def test_pad_keeps_all_of_the_image_and_adds_the_background():
    image = pixels(0, 6, 12)
    padded = resize(image, (12, 12), "pad", (1, 2, 3))
    np.testing.assert_array_equal(padded[3:9], image)
    assert (padded[:3] == (1, 2, 3)).all() and (padded[9:] == (1, 2, 3)).all()


def test_stretch_keeps_all_of_the_image():
    image = np.repeat(np.array([[0, 255]], np.uint8), 8, axis=0).repeat([8, 24], axis=1)[..., None]
    assert (resize(image, (8, 8), "stretch")[:, :, 0].mean(axis=0) > 127).tolist() == [False] * 2 + [True] * 6


def test_floats_cannot_be_padded():
    with pytest.raises(UserError, match=r"data\.fit is 'pad', but the images are floats"):
        resize(np.zeros((4, 8, 1), np.float32), (8, 8), "pad")


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(8, 16), (16, 8)])
def test_a_folder_in_memory_equals_the_folder_streamed_and_the_same_arrays(tmp_path, monkeypatch, fit, size):
    for i in range(3):
        save(tmp_path / f"{i}.png", pixels(i, 20, 30))
    np.savez(tmp_path / "a.npz", image=np.stack([pixels(i, 20, 30) for i in range(3)]))
    options = {"image_size": size, "fit": fit, "background": "red"}
    whole, arrays = read(tmp_path, **options), load("npz", data_dir=str(tmp_path / "a.npz"), **options)
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 100)
    assert whole.shape == (*size, 3)
    np.testing.assert_array_equal(whole.examples, arrays.examples)
    np.testing.assert_array_equal(read(tmp_path, **options).read(range(3)), whole.examples)


def test_other_forms_of_streamed_images_are_other_contents(tmp_path, monkeypatch):
    save(tmp_path / "a.png", pixels(0, 20, 30))
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 100)
    forms = (
        {},
        {"fit": "pad"},
        {"fit": "pad", "background": "red"},
        {"fit": "stretch"},
        {"channels": 4},
        {"channels": 1},
    )
    assert len({read(tmp_path, **form).examples.identity for form in forms}) == len(forms)


@pytest.mark.parametrize(
    ("background", "expected"), [("white", [255, 255, 255]), ("black", [0, 0, 0]), ("255,0,0", [255, 0, 0])]
)
def test_transparent_pixels_show_the_background(tmp_path, background, expected):
    Image.new("RGBA", (12, 12), (9, 9, 9, 0)).save(tmp_path / "a.png")
    assert read(tmp_path, background=background).examples[0, 0, 0].tolist() == expected


@pytest.mark.parametrize(("background", "channels"), [("white", 1), ("gray", 1), ("red", 3)])
def test_gray_images_stay_gray_on_gray_only(tmp_path, background, channels):
    Image.new("LA", (12, 12), (9, 0)).save(tmp_path / "a.png")
    assert read(tmp_path, background=background).shape[-1] == channels


def test_four_channels_are_colors_and_opacity(tmp_path):
    Image.new("RGBA", (12, 12), (10, 20, 30, 40)).save(tmp_path / "a.png")
    Image.new("RGB", (12, 12), (10, 20, 30)).save(tmp_path / "b.png")
    Image.new("L", (12, 12), 7).save(tmp_path / "c.png")
    Image.new("RGBA", (12, 12), (1, 2, 3, 0)).save(tmp_path / "d.png")
    corners = read(tmp_path, channels=4).examples[:, 0, 0].tolist()
    assert corners == [[10, 20, 30, 40], [10, 20, 30, 255], [7, 7, 7, 255], [255, 255, 255, 0]]


def test_invisible_colors_do_not_show_where_four_channels_are_resampled(tmp_path):
    picture = np.full((24, 24, 4), (255, 0, 0, 255), np.uint8)
    picture[:, 12:] = (0, 255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    small = read(tmp_path, channels=4, image_size=9).examples[0]
    assert small[small[..., 3] > 0][:, 1].max() <= 2  # no green


@pytest.mark.parametrize(("channels", "expected"), [(1, [76]), (3, [255, 0, 0])])
def test_channels_convert_colors(tmp_path, channels, expected):
    Image.new("RGB", (12, 12), "red").save(tmp_path / "a.png")
    assert read(tmp_path, channels=channels).examples[0, 0, 0].tolist() == expected


def test_channels_of_other_sources():
    assert load("embedded", name="digits", channels=3).shape == (8, 8, 3)
    with pytest.raises(UserError, match=r"data\.channels is 3, but data\.source 'stacked' has its own"):
        load("stacked", name="digits", channels=3)


def test_opacity_is_laid_over_the_background_where_it_is_not_wanted():
    pixel = np.array([[[100, 0, 0, 255], [100, 0, 0, 0]]], np.uint8)
    assert with_channels(pixel, 3, (0, 0, 9)).tolist() == [[[100, 0, 0], [0, 0, 9]]]


@pytest.mark.parametrize(
    ("key", "value", "same"),
    [
        ("image_size", (28, 28), 28),
        ("image_size", [28], 28),
        ("background", (1, 2, 3), (1, 2, 3)),
        ("max_value", 0, 0.0),
    ],
)
def test_keys_of_the_form_mean_the_same_however_they_are_written(key, value, same):
    config = Config.from_dict({"data": {key: value}})
    assert getattr(config.data, key) == same
    assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"fit": "squeeze"}, "'squeeze' is not known: allowed are crop, pad, stretch"),
        ({"labels": "yes"}, "'yes' is not known: allowed are auto, file, folders, none"),
        ({"channels": 2}, r"data\.channels"),
        ({"background": "whitish"}, r"data\.background"),
        ({"image_size": (28, 28, 3)}, r"data\.image_size"),
        ({"image_size": "28x28"}, r"data\.image_size"),
        ({"max_value": 4095}, r"data\.max_value is 4095, but data\.source 'embedded' knows its own white"),
        ({"source": "folder", "data_dir": "x", "image_size": 0}, r"data\.image_size is 0, but the images of a folder"),
    ],
)
def test_keys_of_the_form_are_checked(values, sentence):
    with pytest.raises(UserError, match=sentence):
        Config.from_dict({"data": values})
