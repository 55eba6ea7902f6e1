"""Labels from a file beside the images."""

import json

import numpy as np
import pytest
from support.pictures import tree

from jaxgan.data import load
from jaxgan.errors import UserError

IMAGES = ("00000/a.png", "00000/b.png", "00001/c.png")


def read(root, **options):
    return load("folder", data_dir=str(root), **{"image_size": 12, **options})


def with_csv(root, text):
    (tree(root, *IMAGES) / "labels.csv").write_text(text)
    return root


def with_json(root, content):
    (tree(root, *IMAGES) / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def test_dataset_json_in_the_layout_of_stylegans_tools(tmp_path):
    source = read(with_json(tmp_path, {"labels": [["00001/c.png", 0], ["00000/a.png", 2], ["00000/b.png", 0]]}))
    assert (source.labels.tolist(), source.class_names) == ([2, 0, 0], ("0", "1", "2"))
    assert "1 with the labels" in source.summary and "labels from dataset.json" in source.summary


@pytest.mark.parametrize(
    "labels",
    [
        {"00000/a.png": 1, "00000/b.png": 0, "00001/c.png": 1},
        [["00000/a.png", [0, 1]], ["00000/b.png", [1, 0]], ["00001/c.png", [0, 1]]],
        [["00000\\a.png", 1], ["./00000/b.png", 0], ["00001/c.png", "1"]],
    ],
)
def test_other_ways_to_write_the_same_labels(tmp_path, labels):
    assert read(with_json(tmp_path, {"labels": labels})).labels.tolist() == [1, 0, 1]


def test_labels_that_are_null_mean_none(tmp_path):
    assert not read(with_json(tmp_path, {"labels": None})).labelled


@pytest.mark.parametrize(
    "text",
    [
        "00000/a.png,dog\n00000/b.png,cat\n00001/c.png,dog\n",
        "file,class\n00000/a.png,dog\n00000/b.png,cat\n00001/c.png,dog\n",
        "\ufeffid;filename;label\n1;00000/a.png;dog\n2;00000/b.png;cat\n3;00001/c.png;dog\n",
        "00000/a.png\tdog\r\n00000/b.png\tcat\r\n\r\n00001/c.png\tdog",
    ],
)
def test_labels_csv_with_names_of_classes(tmp_path, text):
    source = read(with_csv(tmp_path, text))
    assert (source.labels.tolist(), source.class_names) == ([1, 0, 1], ("cat", "dog"))


def test_labels_csv_with_numbers(tmp_path):
    source = read(with_csv(tmp_path, "00000/a.png,0\n00000/b.png,10\n00001/c.png,2\n"))
    assert (source.labels.tolist(), len(source.class_names)) == ([0, 10, 2], 11)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("00000/a.png,0\n00000/b.png,1\n", "no label for some images: 00001/c.png. .*on_bad_image=skip"),
        ("00000/a.png,0\n00000/b.png,1\n00001/c.png,1\nd.png,1\n", "files that are not there: d.png"),
        ("00000/a.png,0\n00000/a.png,1\n", "two labels, '0' and '1'"),
        ("00000/a.png,-1\n00000/b.png,0\n00001/c.png,0\n", r"lie in -1\.\.0"),
        ("00000/a.png,\n00000/b.png,0\n", "entries without a class: 1"),
        ("x.png,0\n", "names none of the 3 images .*, such as '00000/a.png', but x.png: paths count"),
        ("a,b,c\n1,2,3\n", "must have two columns, file and class, but has 3"),
        ("", "is empty"),
        ("00000/a.png,99999999999999999999999\n", "must lie in 0"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        read(with_csv(tmp_path, text))


@pytest.mark.parametrize(
    "content",
    [
        "not json", "[" * 100_000, {"labels": []}, {"labels": 3}, {"labels": [["00000/a.png"]]}, {"labels": [[1, 2]]},
        {"labels": [["00000/a.png", 1.5]]}, {"labels": [["00000/a.png", [1, 1]]]}, {"labels": [["00000/a.png", True]]},
        {"images": []}, [],
    ],
)  # fmt: skip
def test_json_of_another_layout_is_refused(tmp_path, content):
    with pytest.raises(UserError, match=r"must hold \{\"labels\""):
        read(with_json(tmp_path, content))


def test_images_without_labels_and_missing_files_are_skipped_on_request_and_counted(tmp_path):
    source = read(with_csv(tmp_path, "00000/a.png,0\n00001/c.png,1\nd.png,1\n"), on_bad_image="skip")
    assert source.labels.tolist() == [0, 1]
    assert "1 without a label in labels.csv" in source.summary
    assert "1 files named in labels.csv are not there" in source.summary


def test_labels_of_a_split_have_the_classes_of_all(tmp_path):
    tree(tmp_path, "train/a.png", "train/b.png", "test/c.png")
    (tmp_path / "labels.csv").write_text("train/a.png,cat\ntrain/b.png,owl\ntest/c.png,dog\n")
    for split, labels in (("train", [0, 2]), ("test", [1])):
        source = read(tmp_path, split=split)
        assert (source.class_names, source.labels.tolist()) == (("cat", "dog", "owl"), labels)


def test_two_label_files_are_refused_and_folders_can_be_asked_for(tmp_path):
    with_csv(with_json(tmp_path, {"labels": [["00000/a.png", 1]]}), "00000/a.png,1\n")
    with pytest.raises(UserError, match=r"labels in both dataset\.json and labels\.csv"):
        read(tmp_path)
    assert read(tmp_path, labels="folders").class_names == ("00000", "00001")


def test_a_label_file_that_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(UserError, match=r"data\.labels is 'file', but .* has no dataset\.json or labels\.csv"):
        read(tree(tmp_path, *IMAGES), labels="file")


def test_mixed_images_and_folders_are_read_with_a_label_file(tmp_path):
    tree(tmp_path, "a.png", "x/b.png")
    (tmp_path / "labels.csv").write_text("a.png,cat\nx/b.png,dog\n")
    assert np.array_equal(read(tmp_path).labels, [0, 1])
