"""Data sets prepared by TFDS, read without TensorFlow."""

import io
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.pictures import deep_png

from jaxgan.config.config import Config, DataConfig
from jaxgan.data import load
from jaxgan.data import source as source_module
from jaxgan.errors import UserError
from jaxgan.evaluation.run_data import RunData

FASHION = Path(__file__).parents[2] / ".." / "shared" / "tfds"


def pixels(seed, height=12, width=12, channels=3):
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(buffer, "PNG")
    return buffer.getvalue()


def write_tfds(
    data_dir, images, labels=None, *, name="tiny", shape=(None, None, 3), file_format="array_record", dtype=np.uint8
):
    """Prepares a data set under `data_dir` as anyone's own TFDS builder would."""
    import tensorflow_datasets as tfds

    features = {"image": tfds.features.Image(shape=shape, dtype=dtype)} if shape else {"text": tfds.features.Text()}
    if labels is not None:
        features["label"] = tfds.features.ClassLabel(names=["cat", "dog", "owl"])

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i, image in enumerate(images):
                example = (
                    {"image": png(image) if dtype == np.uint8 else deep_png(image)}
                    if shape
                    else {"text": "nothing to see"}
                )
                yield i, example | ({} if labels is None else {"label": int(labels[i])})

    Tiny.name = name
    Tiny(data_dir=data_dir, file_format=file_format).download_and_prepare()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Nine labelled color images of one size, prepared as array_record."""
    data_dir = tmp_path_factory.mktemp("tfds")
    write_tfds(data_dir, [pixels(i) for i in range(9)], np.arange(9) % 3)
    return str(data_dir)


def stored(source):
    """The examples as a set, for TFDS shuffles what it prepares."""
    return {
        (image.tobytes(), int(label))
        for image, label in zip(source.read(range(len(source))), source.labels, strict=True)
    }


def test_tfds_gives_every_example_with_its_label(tiny):
    source = load("tfds", name="tiny", data_dir=tiny)
    assert stored(source) == {(pixels(i).tobytes(), i % 3) for i in range(9)}
    assert (source.shape, source.class_names) == ((12, 12, 3), ("cat", "dog", "owl"))


def test_tfds_parts_of_a_split_make_up_the_whole(tiny):
    head, tail = (load("tfds", name="tiny", data_dir=tiny, split=s) for s in ("train[:4]", "train[4:]"))
    assert (len(head), len(stored(head) | stored(tail))) == (4, 9)


def test_tfds_streamed_equals_in_memory(tiny, monkeypatch):
    memory = load("tfds", name="tiny", data_dir=tiny, classes=("dog", 2), image_size=10)
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 100)
    streamed = load("tfds", name="tiny", data_dir=tiny, classes=("dog", 2), image_size=10)
    assert isinstance(streamed.examples, source_module.Streamed)
    np.testing.assert_array_equal(streamed.read([5, 0, 5]), memory.read([5, 0, 5]))


def test_tfds_label_is_optional(tmp_path):
    write_tfds(tmp_path, [pixels(0)])
    assert not load("tfds", name="tiny", data_dir=str(tmp_path)).labelled


def test_tfds_refuses_unlike_sizes_without_an_image_size(tmp_path):
    write_tfds(tmp_path, [pixels(0), pixels(1, 20, 20)])
    with pytest.raises(UserError, match=r"come in 2 sizes: set a data\.image_size"):
        load("tfds", name="tiny", data_dir=str(tmp_path))


def test_tfds_resizes_unlike_sizes(tmp_path):
    write_tfds(tmp_path, [pixels(0), pixels(1, 20, 20)])
    assert load("tfds", name="tiny", data_dir=str(tmp_path), image_size=8).read([0, 1]).shape == (2, 8, 8, 3)


def test_tfds_repeats_gray_files_where_color_is_declared(tmp_path):
    write_tfds(tmp_path, [pixels(0, channels=1)])
    image = load("tfds", name="tiny", data_dir=str(tmp_path)).read([0])[0]
    np.testing.assert_array_equal(image, np.repeat(pixels(0, channels=1), 3, axis=-1))


def test_tfds_takes_the_luma_of_color_files_where_gray_is_declared(tmp_path):
    write_tfds(tmp_path, [pixels(0)], shape=(12, 12, 1))
    image = load("tfds", name="tiny", data_dir=str(tmp_path)).read([0])[0]
    assert np.abs(image[..., 0] - pixels(0) @ [0.299, 0.587, 0.114]).max() < 1


def test_tfds_unknown_split_names_the_known_ones(tiny):
    with pytest.raises(UserError, match="cannot give the split 'test', it has train"):
        load("tfds", name="tiny", data_dir=tiny, split="test")


def test_tfds_set_without_a_test_split_has_examples_held_out_from_the_classifier(tiny):
    config = Config(data=DataConfig(source="tfds", name="tiny", data_dir=tiny, image_size=28))
    train, test = RunData(config).labelled_splits()
    assert (len(train), len(test)) == (6, 3) and len(stored(train) | stored(test)) == 9


def test_tfds_empty_part_is_refused(tiny):
    with pytest.raises(UserError, match=r"'train\[:0\]' of tfds/tiny is empty"):
        load("tfds", name="tiny", data_dir=tiny, split="train[:0]")


def test_tfds_unprepared_set_names_the_command(tmp_path):
    command = f"`tfds build cifar10 --data_dir={tmp_path} --file_format=array_record`"
    with pytest.raises(UserError, match=f"'cifar10' is not prepared; prepare it with {command}"):
        load("tfds", name="cifar10", data_dir=str(tmp_path))


def test_tfds_unknown_name_suggests_a_near_one(tiny):
    with pytest.raises(UserError, match=r"no data set 'tiyn' \(prepared in .*: tiny:1.0.0\). Did you mean 'tiny'"):
        load("tfds", name="tiyn", data_dir=tiny)


@pytest.mark.parametrize("name", ["", "huggingface:mnist", "../mnist"])
def test_tfds_refuses_names_that_would_be_downloaded(name):
    with pytest.raises(UserError, match="is no name of a TFDS data set"):
        load("tfds", name=name)


def test_tfds_refuses_a_format_that_loses_examples(tmp_path):
    info = tmp_path / "tiny" / "1.0.0" / "dataset_info.json"
    write_tfds(tmp_path, [pixels(0)])
    info.write_text(info.read_text().replace("array_record", "parquet"))
    with pytest.raises(UserError, match="stored as parquet, not array_record"):
        load("tfds", name="tiny", data_dir=str(tmp_path))


def test_tfds_refuses_a_set_without_images(tmp_path):
    write_tfds(tmp_path, [None], shape=None)
    with pytest.raises(UserError, match="no feature 'image' that is one: it has text"):
        load("tfds", name="tiny", data_dir=str(tmp_path))


def test_tfds_refuses_a_damaged_file(tmp_path):
    write_tfds(tmp_path, [pixels(i) for i in range(9)], np.arange(9) % 3)
    (record,) = (tmp_path / "tiny" / "1.0.0").glob("*.array_record*")
    record.write_bytes(record.read_bytes()[:-200])
    with pytest.raises(UserError, match="files of tfds/tiny cannot be read"):
        load("tfds", name="tiny", data_dir=str(tmp_path))


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the prepared Fashion-MNIST beside the repository")
def test_tfds_reads_the_real_fashion_mnist():
    source = load("tfds", name="fashion_mnist", split="test[:200]", data_dir=str(FASHION))
    assert (source.shape, len(source), source.class_names[9]) == ((28, 28, 1), 200, "Ankle boot")


@pytest.mark.parametrize("labels", [None, np.arange(9) % 3], ids=["unlabelled", "labelled"])
def test_tfds_streamed_is_told_apart_by_its_contents(tmp_path, monkeypatch, labels):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 100)
    for i, name in enumerate(("a", "b")):
        write_tfds(str(tmp_path / name), [pixels(10 * i + j) for j in range(9)], labels)
    for file in shutil.copytree(tmp_path / "a", tmp_path / "copy").rglob("*"):
        os.utime(file, (0, 0))
    a, again, b, copy = (
        load("tfds", name="tiny", data_dir=str(tmp_path / name), image_size=10).examples.identity
        for name in ("a", "a", "b", "copy")
    )
    assert a == again == copy != b


@pytest.mark.parametrize("channels", [1, 3])
def test_tfds_of_16_bits_has_the_depth_of_its_largest_value(tmp_path, channels):
    drawn = [np.full((12, 12, channels), value, np.uint16) for value in (0, 1000, 4095)]
    write_tfds(tmp_path, drawn, shape=(12, 12, channels), dtype=np.uint16)
    source = load("tfds", name="tiny", data_dir=str(tmp_path))
    assert sorted(np.unique(source.examples).tolist()) == [0, 62, 255]
    assert "16-bit pixels up to 4095, of which 4095 is white" in source.summary


def test_tfds_takes_the_form_that_is_asked_for(tmp_path):
    write_tfds(tmp_path, [pixels(i, 12, 24) for i in range(2)], [0, 1], shape=(12, 24, 3))
    load_as = partial(load, "tfds", name="tiny", data_dir=str(tmp_path))
    assert load_as(image_size=(12, 24)).shape == (12, 24, 3)
    assert "all cropped to 12x12's proportions, which loses 50%" in load_as(image_size=12).summary
    assert "loses" not in load_as(image_size=12, fit="stretch").summary
    assert load_as(channels=1).shape == (12, 24, 1)
