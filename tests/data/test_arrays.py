"""Array-likes given in Python: what has one meaning is used, all else is refused in a sentence."""

import subprocess
import sys
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from support.pictures import pixels

from jaxgan.data import arrays, as_source, from_arrays, load
from jaxgan.errors import UserError

IMAGES = np.stack([pixels(i, 8, 8) for i in range(4)])
LABELS = np.array([0, 2, 1, 2])


class Tensor:
    """Has the methods of PyTorch's tensor that are used, and as little of NumPy's as one that needs gradients."""

    def __init__(self, values, dtype="torch.uint8", gradients=False):
        self.values, self.dtype, self.gradients, self.ndim = np.asarray(values), dtype, gradients, np.ndim(values)
        self.shape = self.values.shape

    def detach(self):
        return Tensor(self.values, self.dtype)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.values.astype(np.float32), "torch.float32")

    def resolve_conj(self):
        return self

    def resolve_neg(self):
        return self

    def item(self):
        return self.values.item()

    def numpy(self):
        if self.gradients:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values

    def __array__(self, *args, **kwargs):
        return self.numpy()


def pictures():
    return [Image.fromarray(image) for image in IMAGES]


@pytest.mark.parametrize(
    "given",
    [
        (IMAGES, LABELS),
        [IMAGES, LABELS],
        (list(IMAGES), LABELS.tolist()),
        [(image, int(label)) for image, label in zip(IMAGES, LABELS, strict=True)],
        [[image, label] for image, label in zip(IMAGES, LABELS, strict=True)],
        list(zip(pictures(), LABELS, strict=True)),
        (pictures(), LABELS),
        (IMAGES, LABELS[:, None]),
        (IMAGES, np.eye(3)[LABELS]),
        (IMAGES, np.eye(3, dtype=bool)[LABELS]),
        (IMAGES, LABELS.astype(np.uint8)),
        (IMAGES, jnp.asarray(LABELS)),
        (jnp.asarray(IMAGES), LABELS),
        (Tensor(IMAGES, gradients=True), Tensor(LABELS, "torch.int64")),
        [(Tensor(image), Tensor(label)) for image, label in zip(IMAGES, LABELS, strict=True)],
        {"image": IMAGES, "label": LABELS},
        {"x": IMAGES, "y": LABELS, "split": "train"},
        from_arrays(IMAGES, LABELS),
    ],
)
def test_images_and_labels_however_they_are_given(given):
    source = as_source(given)
    np.testing.assert_array_equal(source.examples, IMAGES)
    assert (source.labels.tolist(), source.labels.dtype, source.class_names) == (
        [0, 2, 1, 2],
        np.int32,
        ("0", "1", "2"),
    )


@pytest.mark.parametrize(
    "given", [IMAGES, list(IMAGES), pictures(), (IMAGES,), Tensor(IMAGES), {"images": IMAGES}, [IMAGES[0], *IMAGES[1:]]]
)
def test_images_without_labels_however_they_are_given(given):
    source = as_source(given)
    np.testing.assert_array_equal(source.examples, IMAGES)
    assert not source.labelled


def test_two_images_are_no_images_with_labels():
    assert len(as_source([IMAGES[0], IMAGES[1]])) == 2
    assert as_source([IMAGES[0, ..., 0], IMAGES[1, ..., 0]]).shape == (8, 8, 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_floats_of_every_width(dtype):
    numbers = np.linspace(-1, 1, 4 * 8 * 8, dtype=np.float32).reshape(4, 8, 8)
    values = numbers.astype(dtype) if dtype == "float64" else jnp.asarray(numbers).astype(dtype)
    source = as_source(values)
    assert source.dtype == np.float32
    np.testing.assert_array_equal(source.examples[..., 0], np.asarray(values.astype("float32")))
    assert as_source(Tensor(np.asarray(values.astype("float32")), "torch.bfloat16", gradients=True)).shape == (8, 8, 1)


def test_torch_tensors_with_gradients_and_of_bfloat16():
    torch = pytest.importorskip("torch")
    floats = torch.linspace(-1, 1, 4 * 64).reshape(4, 8, 8).requires_grad_()
    np.testing.assert_array_equal(as_source(floats).examples[..., 0], floats.detach().numpy())
    assert as_source(floats.to(torch.bfloat16)).dtype == np.float32
    pairs = [(torch.tensor(image), torch.tensor(label)) for image, label in zip(IMAGES, LABELS, strict=True)]
    assert as_source(pairs).labels.tolist() == LABELS.tolist()


def test_torch_is_not_imported():
    code = "import numpy as np, sys; from jaxgan.data import as_source; as_source(np.zeros((2, 8, 8), np.uint8)); "
    assert (
        subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], timeout=60).returncode == 0
    )


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (["dog", "cat", "dog", "owl"], (), ([1, 0, 1, 2], ("cat", "dog", "owl"))),
        (np.array(["dog", "cat", "dog", "owl"], object), (), ([1, 0, 1, 2], ("cat", "dog", "owl"))),
        ([b"dog", b"cat", b"dog", b"owl"], (), ([1, 0, 1, 2], ("cat", "dog", "owl"))),
        (["dog", "cat", "dog", "owl"], ("owl", "dog", "cat"), ([1, 2, 1, 0], ("owl", "dog", "cat"))),
        (["3", "0", "1", "1"], (), ([3, 0, 1, 1], ("0", "1", "2", "3"))),
        (np.array([True, False, True, True]), (), ([1, 0, 1, 1], ("0", "1"))),
        (np.array([1, 0, 1, 1], object), (), ([1, 0, 1, 1], ("0", "1"))),
        (np.eye(4)[[1, 0, 1, 1]], (), ([1, 0, 1, 1], ("0", "1", "2", "3"))),
    ],
)
def test_labels_with_one_meaning(labels, names, expected):
    source = from_arrays(IMAGES, labels, names)
    assert (source.labels.tolist(), source.class_names) == expected


@pytest.mark.parametrize(
    ("labels", "names", "sentence"),
    [
        (["dog", "cat", "dog"], (), r"shape \(3,\)"),
        (["dog", "cat", "dog", "emu"], ("dog", "cat"), "not in class_names: emu"),
        (["dog", None, "dog", "cat"], (), "mix NoneType, str"),
        ([0, 1, [1], 2], (), "lists of unequal lengths"),
        (np.array([0.0, 1, 2, 1]), (), r"labels\.astype\(int\) makes them so"),
        (np.array([[0, 1], [1, 1], [1, 0], [0, 1]]), (), r"shape \(4, 2\)"),
        (np.full((4, 3), 1 / 3), (), "or one-hot rows"),
        (np.array([0, 1, None, 2], object), (), "names of classes, not None"),
        (3, (), "of type int"),
        ("cats", (), "are the text 'cats'"),
        (np.array([0, 1, 2, 3], "datetime64[s]"), (), "type datetime64"),
    ],
)
def test_labels_with_another_meaning_are_refused(labels, names, sentence):
    with pytest.raises(UserError, match=sentence):
        from_arrays(IMAGES, labels, names)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (np.moveaxis(IMAGES, -1, 1), r"np\.moveaxis\(images, 1, -1\) moves the channels there"),
        (Tensor(np.moveaxis(IMAGES, -1, 1)), r"np\.moveaxis"),
        (IMAGES[0], r"reads like one image with channels: images\[None\]"),
        ([pixels(0, 8, 8), pixels(1, 9, 8)], r"arrays of 2 shapes, \(8, 8, 3\), \(9, 8, 3\): bring them to one size"),
        ([Image.new("RGB", (8, 8)), Image.new("L", (8, 8))], "arrays of 2 shapes"),
        ([Image.new("I;16", (8, 8))], "Pillow images of mode 'I;16'"),
        (Image.new("RGB", (8, 8)), "a single image: give a list"),
        ([[1, 2], [1]], "lists of unequal lengths"),
        ([[[1, 2], [1]], [[1, 2], [1, 2]]], "lists of unequal lengths"),
        (IMAGES.tolist(), r"type int64: .*images\.astype\(np\.uint8\)"),
        (IMAGES > 3, r"type bool: .*np\.uint8\(255\) \* images"),
        (IMAGES.astype(np.uint16), r"images\.astype\(np\.uint8\)"),
        (IMAGES.astype(complex), "type complex128"),
        (IMAGES.astype(object), "type object"),
        ([], "empty list"),
        ((), "a tuple of 0"),
        ((IMAGES, LABELS, (), "name", 5), "a tuple of 5"),
        ("photos/", r"are the path 'photos/': .*data\.data_dir"),
        (None, "of type NoneType"),
        (3.5, "of type float"),
        (iter(IMAGES), "of type"),
        ({"pixels": IMAGES}, "without the key 'image': it has pixels"),
        ([IMAGES[0], None, IMAGES[1], IMAGES[2]], "mix NoneType, ndarray"),
        ([IMAGES[0], IMAGES[1].astype(np.float32) / 255], "mix the types float32, uint8"),
        (np.ma.masked_equal(IMAGES, 0), r"masked values: fill them first"),
        (np.zeros((2, 3, 4, 5, 6), np.uint8), r"shape \(2, 3, 4, 5, 6\)"),
        (np.zeros((2, 8, 8), np.dtype([("r", np.uint8)])), "type"),
        ([IMAGES, LABELS[:2]], r"shape \(2,\)"),
    ],
)
def test_what_can_mean_several_things_is_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        as_source(given)


class Hostile:
    """Fails in ways of its own."""

    ndim = 4

    def __array__(self, *args, **kwargs):
        raise ZeroDivisionError("never an array")


def test_errors_of_other_libraries_become_a_sentence():
    with pytest.raises(UserError, match="images of arrays cannot be made an array: never an array"):
        as_source(Hostile())


# --- .npz files


def test_an_array_that_promises_more_than_is_stored_takes_no_memory(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28, 28), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("image.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(UserError, match="promises 784000000000000 bytes, but 128 are stored"):
        load("npz", data_dir=str(tmp_path / "a.npz"))


def test_an_array_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "BOMB", (200, 10**5))
    np.savez_compressed(tmp_path / "a.npz", image=np.zeros((2000, 28, 28), np.uint8))
    with pytest.raises(UserError, match=r"reads like a decompression bomb: if it is none, write it by np\.savez"):
        load("npz", data_dir=str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", image=np.zeros((2000, 28, 28), np.uint8))
    assert len(load("npz", data_dir=str(tmp_path / "b.npz"))) == 2000


def test_npz_labels_may_be_names_and_one_hot(tmp_path):
    np.savez(tmp_path / "a.npz", image=IMAGES, label=np.array(["dog", "cat", "dog", "cat"]))
    assert load("npz", data_dir=str(tmp_path / "a.npz")).class_names == ("cat", "dog")
    np.savez(tmp_path / "b.npz", image=IMAGES, label=np.eye(3)[LABELS])
    assert load("npz", data_dir=str(tmp_path / "b.npz")).labels.tolist() == LABELS.tolist()
