"""Image folders: what they give, and that no bad file passes unnoticed."""

import numpy as np
import pytest
from PIL import Image

from jaxgan.data import load
from jaxgan.data import source as source_module
from jaxgan.errors import UserError


def pixels(seed, height=12, width=12, channels=3):
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(path, **options)


@pytest.fixture
def classes_folder(tmp_path):
    """Two classes of three color images."""
    for i in range(6):
        save(tmp_path / ("cat" if i < 3 else "dog") / f"{i}.png", pixels(i))
    return tmp_path


def test_folder_classes_are_the_sorted_sub_directories(classes_folder):
    source = load("folder", data_dir=str(classes_folder), image_size=12)
    assert (source.class_names, source.labels.tolist()) == (("cat", "dog"), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(source.read([4])[0], pixels(4))


def test_folder_without_sub_directories_is_unlabelled(tmp_path):
    save(tmp_path / "a.png", pixels(0))
    source = load("folder", data_dir=str(tmp_path), image_size=12)
    assert (source.labelled, source.labels.tolist()) == (False, [0])


def test_folder_split_is_a_sub_directory_if_there_is_one(tmp_path):
    for i, split in enumerate(("train", "test", "test")):
        save(tmp_path / split / "cat" / f"{i}.png", pixels(i))
    assert len(load("folder", data_dir=str(tmp_path), image_size=12, split="test")) == 2


def test_folder_refuses_a_split_that_is_not_among_its_splits(tmp_path):
    save(tmp_path / "train" / "a.png", pixels(0))
    with pytest.raises(UserError, match="no directory for the split 'test': there are train"):
        load("folder", data_dir=str(tmp_path), image_size=12, split="test")


def test_folder_refuses_a_part_of_a_split(classes_folder):
    with pytest.raises(UserError, match="use max_examples"):
        load("folder", data_dir=str(classes_folder), image_size=12, split="train[:10%]")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_folder_reads_lossless_formats_exactly(tmp_path, suffix):
    save(tmp_path / f"a.{suffix}", pixels(0), **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(load("folder", data_dir=str(tmp_path), image_size=12).read([0])[0], pixels(0))


def test_folder_reads_jpeg_closely(tmp_path):
    smooth = np.broadcast_to(np.arange(0, 240, 20, dtype=np.uint8)[:, None, None], (12, 12, 3))
    save(tmp_path / "a.JPEG", smooth, quality=95)
    image = load("folder", data_dir=str(tmp_path), image_size=12).read([0])[0]
    assert np.abs(image.astype(int) - smooth).max() <= 4


def test_folder_reads_the_first_frame_of_a_gif(tmp_path):
    frames = [Image.new("L", (12, 12), shade) for shade in (50, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert set(load("folder", data_dir=str(tmp_path), image_size=12).read([0]).ravel()) == {50}


def test_folder_has_one_channel_if_every_image_is_gray(tmp_path):
    save(tmp_path / "a.png", pixels(0, channels=1))
    Image.new("I;16", (12, 12), 65535).save(tmp_path / "b.png")
    assert load("folder", data_dir=str(tmp_path), image_size=12).shape == (12, 12, 1)


def test_folder_has_three_channels_if_any_image_has_color(tmp_path):
    save(tmp_path / "a.png", pixels(0, channels=1))
    save(tmp_path / "b.png", pixels(1))
    source = load("folder", data_dir=str(tmp_path), image_size=12)
    np.testing.assert_array_equal(source.read([0])[0], np.repeat(pixels(0, channels=1), 3, axis=-1))


def test_folder_applies_the_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    save(tmp_path / "a.png", pixels(0), exif=exif)
    image = load("folder", data_dir=str(tmp_path), image_size=12).read([0])[0]
    np.testing.assert_array_equal(image, pixels(0)[::-1, ::-1])


@pytest.mark.parametrize("gray", [False, True])
def test_folder_streamed_equals_in_memory(tmp_path, monkeypatch, gray):
    for i in range(7):
        save(tmp_path / f"{i}.png", pixels(i, 20 + i, 30, 1 if gray or i % 2 else 3))
    memory = load("folder", data_dir=str(tmp_path), image_size=16)
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 100)
    streamed = load("folder", data_dir=str(tmp_path), image_size=16)
    assert isinstance(streamed.examples, source_module.Streamed)
    np.testing.assert_array_equal(streamed.read([5, 0, 5, 3]), memory.read([5, 0, 5, 3]))


def bad_files(folder):
    save(folder / "good.png", pixels(0))
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("not an image at all")
    save(folder / "whole.png", pixels(0, 64, 64))
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:3000])
    save(folder / "whole.jpg", pixels(0, 64, 64))
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:1000])
    save(folder / "tiny.png", pixels(0, 5, 40))
    return {
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "empty.png": "empty file",
        "text.jpg": "not an image",
        "tiny.png": "40x5 pixels",
    }


def test_folder_names_every_bad_file_at_once(tmp_path):
    listed = ".*".join(rf"{name} \([^)]*{why}" for name, why in bad_files(tmp_path).items())
    with pytest.raises(UserError, match=f"^5 of the 8 images .*{listed}"):
        load("folder", data_dir=str(tmp_path), image_size=12)


def test_folder_names_the_first_five_bad_files_and_counts_the_rest(tmp_path):
    save(tmp_path / "good.png", pixels(0))
    for i in range(23):
        (tmp_path / f"{i:02}.png").touch()
    with pytest.raises(UserError, match=r"04.png \(empty file\) and 18 others. .*--config.data.on_bad_image=skip"):
        load("folder", data_dir=str(tmp_path), image_size=12)


def test_folder_skip_leaves_out_the_bad_files_only(tmp_path):
    bad_files(tmp_path)
    assert len(load("folder", data_dir=str(tmp_path), image_size=12, on_bad_image="skip")) == 3


def test_folder_skip_lists_the_bad_files_in_the_log(tmp_path, caplog):
    names = bad_files(tmp_path)
    with caplog.at_level("WARNING", logger="absl"):
        load("folder", data_dir=str(tmp_path), image_size=12, on_bad_image="skip")
    assert all(name in caplog.text for name in names)


def test_folder_skip_keeps_labels_with_their_images(classes_folder):
    (classes_folder / "cat" / "1.png").write_bytes(b"")
    source = load("folder", data_dir=str(classes_folder), image_size=12, on_bad_image="skip")
    np.testing.assert_array_equal(source.read([2])[0], pixels(3))
    assert source.labels.tolist() == [0, 0, 1, 1, 1]


def test_folder_skip_streamed_keeps_classes_with_their_images(classes_folder, monkeypatch):
    (classes_folder / "cat" / "1.png").write_bytes(b"")
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 100)
    source = load("folder", data_dir=str(classes_folder), image_size=12, on_bad_image="skip", classes=("dog",))
    np.testing.assert_array_equal(source.read([1])[0], pixels(4))


def test_folder_skip_refuses_when_nothing_is_left(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match="None of the 1 images"):
        load("folder", data_dir=str(tmp_path), image_size=12, on_bad_image="skip")


def test_folder_refuses_a_decompression_bomb_by_name(tmp_path, monkeypatch):
    save(tmp_path / "bomb.png", pixels(0, 40, 40))
    save(tmp_path / "good.png", pixels(0))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"bomb.png \(too many pixels"):
        load("folder", data_dir=str(tmp_path), image_size=12)


def test_folder_streamed_says_when_a_file_vanished(tmp_path, monkeypatch):
    save(tmp_path / "a.png", pixels(0))
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 100)
    source = load("folder", data_dir=str(tmp_path), image_size=12)
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"a.png' was readable before"):
        source.read([0])


def test_folder_refuses_a_mix_of_images_and_classes(classes_folder):
    save(classes_folder / "stray.png", pixels(0))
    with pytest.raises(UserError, match="both 1 images and sub-directories of images"):
        load("folder", data_dir=str(classes_folder), image_size=12)


def test_folder_refuses_a_class_without_images(classes_folder):
    (classes_folder / "owl").mkdir()
    with pytest.raises(UserError, match="no images in: owl"):
        load("folder", data_dir=str(classes_folder), image_size=12)


def test_folder_needs_an_image_size(classes_folder):
    with pytest.raises(UserError, match=r"needs a data\.image_size above 0"):
        load("folder", data_dir=str(classes_folder))


def test_folder_refuses_a_directory_without_images(tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(UserError, match="No images are in"):
        load("folder", data_dir=str(tmp_path), image_size=12)
