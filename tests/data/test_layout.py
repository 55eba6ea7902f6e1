"""Which images of a messy folder are read and as which classes; what is ambiguous is refused with both readings."""

import numpy as np
import pytest
from support.pictures import pixels, save, tree

from jaxgan.data import load
from jaxgan.errors import UnknownSplitError, UserError


def read(root, **options):
    return load("folder", data_dir=str(root), **{"image_size": 12, **options})


def counts(source):
    return dict(zip(source.class_names, np.bincount(source.labels).tolist(), strict=True)) if source.labelled else None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.png", "b.png"], None),
        (["cat/a.png", "dog/a.png"], {"cat": 1, "dog": 1}),
        (["cat/deep/er/a.png", "cat/b.png", "dog/a.png"], {"cat": 2, "dog": 1}),
        # one or two levels too deep
        (["images/cat/a.png", "images/dog/a.png", "images/owl/a.png"], {"cat": 1, "dog": 1, "owl": 1}),
        (["data/images/cat/a.png", "data/images/dog/a.png"], {"cat": 1, "dog": 1}),
        (["images/cat/a.png", "images/dog/a.png", "README.md", "annotations/a.xml"], {"cat": 1, "dog": 1}),
        (["images/a.png", "images/b.png"], None),
        # classes named like splits
        (["bus/a.png", "car/a.png", "train/a.png"], {"bus": 1, "car": 1, "train": 1}),
        (["cat/a.png", "dog/a.png", "test/a.png"], {"cat": 1, "dog": 1, "test": 1}),
        (["cat/a.png", "val/a.png"], {"cat": 1, "val": 1}),
        (["images/bus/a.png", "images/train/a.png"], {"bus": 1, "train": 1}),
        # splits
        (["train/cat/a.png", "train/dog/a.png", "test/cat/a.png"], {"cat": 1, "dog": 1}),
        (["train/a.png", "test/a.png", "test/b.png"], None),
        (["Train/cat/a.png", "Train/dog/a.png", "Validation/cat/a.png"], {"cat": 1, "dog": 1}),
        (["training/cat/a.png", "training/dog/a.png", "testing/cat/a.png"], {"cat": 1, "dog": 1}),
        (["set/train/cat/a.png", "set/train/dog/a.png", "set/test/cat/a.png"], {"cat": 1, "dog": 1}),
        (["train/images/cat/a.png", "train/images/dog/a.png", "val/images/cat/a.png"], {"cat": 1, "dog": 1}),
        # what is not looked at
        (["cat/a.png", "dog/a.png", ".cache/a.png", "__MACOSX/cat/._a.png"], {"cat": 1, "dog": 1}),
    ],
)
def test_classes_of_a_messy_folder(tmp_path, names, expected):
    assert counts(read(tree(tmp_path, *names))) == expected


@pytest.mark.parametrize(
    ("names", "split", "expected"),
    [
        (["bus/a.png", "car/a.png", "train/a.png"], "", {"bus": 1, "car": 1, "train": 1}),
        (["train/a.png", "test/a.png"], "", {"test": 1, "train": 1}),
        (["train/a.png", "val/a.png", "val/b.png"], "val", 2),
        (["train/a.png", "valid/a.png", "valid/b.png"], "validation", 2),
        (["cat/a.png", "cat/b.png", "dog/a.png"], "cat", 2),
        (["photos/train/a.png", "photos/test/a.png", "photos/test/b.png"], "test", 2),
    ],
)
def test_a_split_is_what_is_asked_for(tmp_path, names, split, expected):
    source = read(tree(tmp_path, *names), split=split)
    assert (len(source) if isinstance(expected, int) else counts(source)) == expected


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (
            ["a.png", "cat/a.png"],
            ["1 images and sub-directories of images \\(cat\\)", "data.labels=none", "labels.csv"],
        ),
        (["images/a.png", "images/cat/a.png"], ["images' holds both", "data.labels=none"]),
        (
            ["train/cat/a.png", "train/dog/a.png", "extra/a.png"],
            [
                "data.split='' reads it as 2 classes \\(extra, train\\)",
                "data_dir=.*/train' reads the split train alone",
            ],
        ),
        (["train/a.png", "test/a.png", "bus/a.png"], ["as 3 classes \\(bus, test, train\\)", "data_dir=.*/train'"]),
        (["test/a.png", "val/a.png"], ["data.split=test reads that one", "data.split='' reads it as 2 classes"]),
        (["test/a.png"], ["no directory for the split 'train': there are test", "data.split=test"]),
        (
            ["x/cat/a.png", "x/dog/a.png", "y/cat/a.png", "y/dog/a.png"],
            ["classes x, y or as the classes cat, dog", "data.labels=folders"],
        ),
        (["cat/a.png", "dog/a.png", "owl/"], ["no images in: owl", "data.labels=none"]),
        (["cat/a.png", "owl/"], ["no images in: owl"]),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_both(tmp_path, names, readings):
    with pytest.raises(UserError, match=".*".join(readings)):
        read(tree(tmp_path, *names))


def test_a_split_that_is_asked_for_but_not_there_is_an_unknown_split(tmp_path):
    with pytest.raises(UnknownSplitError, match="no directory for the split 'val': there are test, train"):
        read(tree(tmp_path, "train/a.png", "test/a.png"), split="val")


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (["a.png", "cat/a.png", "dog/x/a.png"], "none", 3),
        (["train/a.png", "test/a.png"], "none", 1),
        (["x/cat/a.png", "x/dog/a.png", "y/cat/a.png", "y/dog/a.png"], "folders", {"x": 2, "y": 2}),
        (["images/cat/a.png", "images/dog/a.png"], "folders", {"images": 2}),
        (["cat/a.png", "dog/a.png", "owl/"], "none", 2),
    ],
)
def test_labels_decide_between_two_readings(tmp_path, names, labels, expected):
    source = read(tree(tmp_path, *names), labels=labels)
    assert (len(source) if isinstance(expected, int) else counts(source)) == expected


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["images/cat/a.png", "images/dog/a.png"], "read from images/, the only folder of images there"),
        (["cat/a.png"], "one folder is no class, so there are no labels"),
        (["bus/a.png", "train/a.png"], "train taken as a class, not as a split, because of bus beside it"),
        (["train/a.png", "test/a.png"], "split train/, beside test"),
    ],
)
def test_what_was_decided_is_said(tmp_path, names, said):
    assert said in read(tree(tmp_path, *names)).summary


def test_images_are_told_by_content_and_the_others_are_counted(tmp_path):
    formats = {
        "a.png": "PNG", "b.JPG": "JPEG", "c.TIFF": "TIFF", "d.jfif": "JPEG", "e.ppm": "PPM", "f.jp2": "JPEG2000",
        "g": "PNG", "h.dat": "PNG", "i.txt": "BMP", "j.qoi": "QOI", "k.webp": "WEBP", "l.pgm": "PPM",
    }  # fmt: skip
    for seed, (name, kind) in enumerate(formats.items()):
        save(tmp_path / name, pixels(seed), format=kind)
    tree(tmp_path, "notes.txt", "more.txt", "PKG", "BMW.csv", "P1.md")
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "y.dng").write_bytes((tmp_path / "c.TIFF").read_bytes())  # a camera's raw file has a TIFF preview
    source = read(tmp_path)
    assert len(source) == len(formats)
    assert "19 files seen, 12 used: 7 not images (.txt 2, " in source.summary
    assert ".heic: the package pillow-heif reads them" in source.summary
    assert ".dng: camera raw files, which the package rawpy" in source.summary


def test_avif_is_read_where_pillow_can(tmp_path):
    from PIL import features

    if not features.check("avif"):
        pytest.skip("this Pillow cannot write AVIF")
    save(tmp_path / "a.avif", pixels(0))
    assert len(read(tmp_path)) == 1


def test_a_folder_without_images_names_what_it_holds_and_what_reads_it(tmp_path):
    tree(tmp_path, "a.txt", "b.svg", "c.svg")
    with pytest.raises(UserError, match=r"3 files seen, not images: \.svg 2, \.txt 1; \.svg: the package cairosvg"):
        read(tmp_path)


def test_the_summary_accounts_for_every_file(tmp_path):
    tree(tmp_path, *(f"cat/{i}.png" for i in range(7)), *(f"dog/{i}.png" for i in range(5)), "owl/0.png", "owl/1.png")
    tree(tmp_path, "notes.txt", "cat/a.txt", "dog/.DS_Store")
    (tmp_path / "cat" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    save(tmp_path / "dog" / "tiny.png", pixels(0, 4, 4))
    source = read(tmp_path, on_bad_image="skip")
    assert source.summary == (
        "19 files seen, 14 used: 2 not images (.txt 2), 1 hidden, 1 skipped as damaged, 1 skipped as too small; "
        "3 classes: cat 7, dog 5, owl 2"
    )
    few = read(tmp_path, on_bad_image="skip", classes=("cat", "owl"), max_examples=3)
    assert few.summary.startswith("19 files seen, 3 used: ")
    assert "5 of other classes, 6 more than the 3 asked for; 1 of 3 classes: cat 3" in few.summary
    assert sum(number for number, _ in few.left_out) + len(few) == 19


def test_the_summary_names_five_classes_and_counts_the_others():
    assert load("embedded", name="digits").summary == (
        "1,437 examples seen, 1,437 used; 10 classes: 0 143, 1 146, 2 152, 3 150, 4 147, and 5 others"
    )


def test_cropping_is_said_with_how_much_is_lost(tmp_path):
    save(tmp_path / "square.png", pixels(0, 20, 20))
    save(tmp_path / "wide.png", pixels(1, 20, 40))
    save(tmp_path / "high.png", pixels(2, 80, 20))
    assert "2 cropped to 12x12's proportions, which loses 62% of their pixels on average" in read(tmp_path).summary
    assert "loses" not in read(tmp_path, fit="pad").summary
