"""Loading by name, and the sources that need no files of their own format."""

import numpy as np
import pytest
from PIL import Image

from jaxgan.data import SOURCES, embedded, from_arrays, load, synthetic_modes
from jaxgan.errors import UserError

FIRST_DIGITS = [0, 4, 6, 9, 2, 0, 3, 5, 7, 1, 1, 5]  # a new order would mix train and test images of old runs
FIRST_STACKS = [812, 992, 972, 347, 681, 527]


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


def test_sources_all_refuse_an_unknown_set():
    for source in SOURCES:
        with pytest.raises(UserError):
            load(source, name="no such set", data_dir="/no/such/path", image_size=8)


@pytest.mark.parametrize(("source", "what"), [("folder", "The directory"), ("npz", "The file")])
def test_missing_path_is_refused(tmp_path, source, what):
    with pytest.raises(UserError, match=f"{what} .*nowhere' .* does not exist"):
        load(source, data_dir=str(tmp_path / "nowhere"), image_size=12)


def test_path_of_another_kind_is_refused(tmp_path):
    save(tmp_path / "a.png", pixels(0))
    with pytest.raises(UserError, match=r"a\.png' is a file: .* needs a directory of images"):
        load("folder", data_dir=str(tmp_path / "a.png"), image_size=12)
    with pytest.raises(UserError, match=r"is a directory: .* needs the path of one .npz file"):
        load("npz", data_dir=str(tmp_path))


@pytest.mark.parametrize(("split", "told"), [("train", False), ("test", True)])
def test_file_without_splits_says_so(tmp_path, caplog, split, told):
    np.savez(tmp_path / "a.npz", image=np.zeros((4, 8, 8), np.uint8))
    assert len(load("npz", data_dir=str(tmp_path / "a.npz"), split=split)) == 4
    assert ("has no splits: all of its examples stand for test" in caplog.text) == told


# --- load


def test_load_unknown_source_names_the_known_ones():
    with pytest.raises(
        UserError, match="'foldr' is not known: allowed are embedded, folder, npz, stacked, synthetic, tfds"
    ):
        load("foldr")


@pytest.mark.parametrize("field", ["image_size", "max_examples"])
def test_load_refuses_negative_sizes(field):
    with pytest.raises(UserError, match=f"{field} is -1"):
        load("embedded", name="digits", **{field: -1})


def test_load_refuses_an_unknown_on_bad_image():
    with pytest.raises(UserError, match="on_bad_image 'ignore' is not known: allowed are error, skip"):
        load("embedded", name="digits", on_bad_image="ignore")


def test_load_classes_keep_their_numbers():
    assert set(load("embedded", name="digits", classes=(7, "3")).labels) == {3, 7}


def test_load_classes_unknown_name_lists_the_classes(classes_folder):
    with pytest.raises(UserError, match="'cow' is not known: allowed are cat, dog"):
        load("folder", data_dir=str(classes_folder), image_size=12, classes=("cow",))


def test_load_classes_refuses_a_number_out_of_range():
    with pytest.raises(UserError, match="'10' is not known: allowed are 0, 1"):
        load("embedded", name="digits", classes=(10,))


def test_load_classes_refuses_plain_text():
    with pytest.raises(UserError, match="classes is the text '12'"):
        load("embedded", name="digits", classes="12")


def test_load_classes_refuses_an_unlabelled_source(tmp_path):
    save(tmp_path / "a.png", pixels(0))
    with pytest.raises(UserError, match="has no labels"):
        load("folder", data_dir=str(tmp_path), image_size=12, classes=(0,))


def test_load_max_examples_counts_after_the_class_filter():
    everything = load("embedded", name="digits", classes=(4,))
    few = load("embedded", name="digits", classes=(4,), max_examples=5)
    np.testing.assert_array_equal(few.read(range(5)), everything.read([k * len(everything) // 5 for k in range(5)]))
    assert len(few) == 5


def test_load_max_examples_of_a_folder_keeps_all_its_classes(classes_folder):
    few = load("folder", data_dir=str(classes_folder), image_size=12, max_examples=2)
    assert few.labels.tolist() == [0, 1]


def test_load_max_examples_beyond_the_source_gives_all():
    assert len(load("embedded", name="digits", split="test", max_examples=10**6)) == 360


def test_load_refuses_a_class_without_examples(tmp_path):
    np.savez(tmp_path / "a.npz", image=np.zeros((2, 4, 4), np.uint8), label=np.array([0, 2]))
    with pytest.raises(UserError, match=r"No example of npz/a.npz is left, with classes 1: set data.classes"):
        load("npz", data_dir=str(tmp_path / "a.npz"), classes=(1,))


# --- embedded, synthetic


@pytest.mark.parametrize(
    ("name", "split", "count", "shape"),
    [
        ("mnist", "train", 4000, (28, 28, 1)),
        ("mnist", "test", 1000, (28, 28, 1)),
        ("digits", "train", 1437, (8, 8, 1)),
        ("digits", "test", 360, (8, 8, 1)),
    ],
)
def test_embedded_has_the_promised_count_and_shape(name, split, count, shape):
    source = load("embedded", name=name, split=split)
    assert (len(source), source.shape, source.dtype) == (count, shape, np.uint8)


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_embedded_splits_share_no_image(name):
    train, test = (load("embedded", name=name, split=s) for s in ("train", "test"))
    seen = {image.tobytes() for image in train.read(range(len(train)))}
    assert not seen & {image.tobytes() for image in test.read(range(len(test)))}


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_embedded_splits_hold_every_class_about_equally(name):
    for split in ("train", "test"):
        counts = np.bincount(load("embedded", name=name, split=split).labels, minlength=10)
        assert counts.min() > counts.mean() / 2


def test_embedded_split_is_the_same_for_ever():
    assert load("embedded", name="digits").labels[:12].tolist() == FIRST_DIGITS


def test_embedded_digits_use_the_whole_range():
    images = load("embedded", name="digits").examples
    assert (images.min(), images.max()) == (0, 255)


def test_embedded_labels_belong_to_their_images():
    train, test = (load("embedded", name="digits", split=s) for s in ("train", "test"))
    x, y = (s.read(range(len(s))).reshape(len(s), -1).astype(float) for s in (train, test))
    nearest = train.labels[np.argmin((x**2).sum(1) - 2 * y @ x.T, axis=1)]
    assert (nearest == test.labels).mean() > 0.95


@pytest.mark.parametrize(("source", "name"), [("embedded", "digits"), ("stacked", "digits"), ("synthetic", "ring")])
def test_split_other_than_train_and_test_is_refused(source, name):
    with pytest.raises(UserError, match="'validation' is not known: allowed are train, test"):
        load(source, name=name, split="validation")


@pytest.mark.parametrize("source", ["embedded", "stacked", "synthetic"])
def test_unknown_name_is_refused(source):
    with pytest.raises(UserError, match="'mnits' is not known"):
        load(source, name="mnits")


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_synthetic_points_lie_around_their_modes(name, modes):
    source, (centers, sigma) = load("synthetic", name=name), synthetic_modes(name)
    offset = source.examples - centers[source.labels]
    assert (len(source), source.shape, len(source.class_names)) == (100_000, (2,), modes)
    np.testing.assert_allclose(offset.std(axis=0), sigma, rtol=0.02)


def test_synthetic_train_and_test_differ():
    train, test = (load("synthetic", name="grid", split=s) for s in ("train", "test"))
    assert not {point.tobytes() for point in train.examples} & {point.tobytes() for point in test.examples}


# --- stacked


@pytest.mark.parametrize(("split", "count"), [("train", 128_000), ("test", 26_000)])
def test_stacked_has_the_promised_count_and_shape(split, count):
    source = load("stacked", name="digits", split=split)
    assert (len(source), source.shape, source.dtype, len(source.class_names)) == (count, (8, 8, 3), np.uint8, 1000)


@pytest.mark.parametrize("split", ["train", "test"])
def test_stacked_channels_are_digits_of_the_split_and_of_the_label(split):
    digits, source = (load(name, name="digits", split=split) for name in ("embedded", "stacked"))
    label_of = {image.tobytes(): label for image, label in zip(digits.examples, digits.labels, strict=True)}
    for image, label in zip(source.read(range(200)), source.labels, strict=False):
        assert "".join(str(label_of[image[..., c].tobytes()]) for c in range(3)) == source.class_names[label]


def test_stacked_covers_all_thousand_modes_about_equally():
    counts = np.bincount(load("stacked", name="digits").labels, minlength=1000)
    assert len(counts) == 1000 and counts.min() > 64 and counts.max() < 256  # 128 on average


def test_stacked_is_the_same_for_ever():
    source = load("stacked", name="digits")
    assert source.labels[:6].tolist() == FIRST_STACKS
    np.testing.assert_array_equal(source.read([3, 7, 3]), source.read(range(8))[[3, 7, 3]])


def test_stacked_keeps_to_classes_and_few_examples():
    everything = load("stacked", name="digits", classes=("007", 42))
    few = load("stacked", name="digits", classes=("007", 42), max_examples=5)
    assert set(everything.labels) == {7, 42} and len(few) == 5
    np.testing.assert_array_equal(few.read(range(5)), everything.read([k * len(everything) // 5 for k in range(5)]))


def test_stacked_takes_the_memory_of_its_parts():
    source = load("stacked", name="digits", image_size=28)
    assert source.shape == (28, 28, 3)
    held = source.examples.images.nbytes + source.examples.parts.nbytes
    assert held < 0.02 * len(source) * np.prod(source.shape)


# --- arrays and npz


def test_from_arrays_does_not_copy_what_fits():
    images, labels = np.zeros((3, 4, 4, 1), np.uint8), np.zeros(3, np.int32)
    source = from_arrays(images, labels)
    assert source.examples is images and source.labels is labels


def test_from_arrays_passes_floats_unscaled_as_float32():
    points = np.array([[-3.0, 7.5]])
    source = from_arrays(points)
    assert source.dtype == np.float32 and source.read([0]).tolist() == points.tolist()


def test_from_arrays_read_gives_a_new_array():
    images = np.zeros((3, 4, 4, 1), np.uint8)
    from_arrays(images).read([0])[:] = 9
    assert not images.any()


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.zeros((2, 4, 4), np.int64), "have type int64"),
        (np.zeros((2, 4), np.uint8), r"have shape \(2, 4\): they must be"),
        (np.zeros((2, 3, 32, 32), np.uint8), "the last axis must be 1 to 4 channels"),
        (np.zeros((0, 4, 4), np.uint8), "nothing in them"),
        (np.full((2, 2), np.nan), "not finite"),
        (np.full((2, 2), 1e300), "not finite"),
    ],
)
def test_from_arrays_refuses_what_are_no_images(images, sentence):
    with pytest.raises(UserError, match=sentence):
        from_arrays(images)


@pytest.mark.parametrize(
    ("labels", "names", "sentence"),
    [
        (np.zeros(3, int), (), r"shape \(3,\) and type int64: they must be integers of shape \(2,\)"),
        (np.zeros(2), (), "type float64"),
        (np.array([0, -1]), (), r"lie in -1\.\.0"),
        (np.array([0, 2]), ("cat", "dog"), r"lie in 0\.\.2: they must lie in 0\.\.1"),
        (None, ("cat", "dog"), "class_names but no labels"),
    ],
)
def test_from_arrays_refuses_labels_that_do_not_fit(labels, names, sentence):
    with pytest.raises(UserError, match=sentence):
        from_arrays(np.zeros((2, 4, 4), np.uint8), labels, names)


@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("images", "labels"), ("x", "y")])
def test_npz_reads_images_and_labels(tmp_path, image, label):
    np.savez(tmp_path / "a.npz", **{image: pixels(0)[None].repeat(3, 0), label: np.array([0, 1, 1])})
    source = load("npz", data_dir=str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(source.read([2])[0], pixels(0))
    assert (source.labels.tolist(), source.class_names) == ([0, 1, 1], ("0", "1"))


def test_npz_images_are_resized_like_a_folders(tmp_path):
    save(tmp_path / "a.png", pixels(0, 20, 30))
    np.savez(tmp_path / "a.npz", image=pixels(0, 20, 30)[None])
    from_npz = load("npz", data_dir=str(tmp_path / "a.npz"), image_size=9)
    from_folder = load("folder", data_dir=str(tmp_path), image_size=9)
    np.testing.assert_array_equal(from_npz.read([0]), from_folder.read([0]))


def test_npz_without_images_names_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", photos=np.zeros(1))
    with pytest.raises(UserError, match=r"has no array 'image' .* it holds photos"):
        load("npz", data_dir=str(tmp_path / "a.npz"))


def test_npz_refuses_pickled_objects(tmp_path):
    np.savez(tmp_path / "a.npz", image=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="cannot be read as plain arrays"):
        load("npz", data_dir=str(tmp_path / "a.npz"))


def test_npz_refuses_another_kind_of_file(tmp_path):
    (tmp_path / "a.npz").write_text("hello")
    with pytest.raises(UserError, match=r"is not an \.npz file"):
        load("npz", data_dir=str(tmp_path / "a.npz"))


# --- the cache of embedded digits


@pytest.fixture
def no_memory(monkeypatch, tmp_path):
    """An empty cache on disk, and none in memory; gives the folder."""
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path / "cache"))
    embedded._cached.cache_clear()
    yield tmp_path / "cache"
    embedded._cached.cache_clear()


def test_embedded_digits_come_from_the_cache_the_second_time(no_memory, monkeypatch):
    first = load("embedded", name="digits").examples
    embedded._cached.cache_clear()
    monkeypatch.setattr("sklearn.datasets.load_digits", None)  # would be called
    np.testing.assert_array_equal(load("embedded", name="digits").examples, first)


@pytest.mark.parametrize("content", [b"", b"torn", None])
def test_embedded_digits_of_a_damaged_cache_are_made_anew(no_memory, content):
    first = load("embedded", name="digits").examples
    (file,) = no_memory.iterdir()
    if content is None:
        np.savez_compressed(file, images=np.zeros((1797, 8, 8, 1), np.uint8), labels=np.zeros(1797, np.int32))
    else:
        file.write_bytes(content)
    embedded._cached.cache_clear()
    np.testing.assert_array_equal(load("embedded", name="digits").examples, first)


def test_embedded_digits_need_no_cache(no_memory):
    no_memory.write_text("no folder")
    assert len(load("embedded", name="digits")) == 1437
