import dataclasses
import hashlib
import io
import logging
import os
import shutil
from collections import OrderedDict
from functools import cache, partial

import jax
import numpy as np
import pytest
from flax import traverse_util
from support.torch_files import contiguous, write

from jaxgan.config.evaluation import EvalConfig
from jaxgan.errors import UserError
from jaxgan.metrics import inception
from jaxgan.metrics.inception import LEAVES, SIDE, Inception, _prepare, convert, load_inception
from jaxgan.metrics.torch_file import read_state_dict
from jaxgan.metrics.weights import fingerprint
from jaxgan.sampling.grid import to_uint8

pytestmark = pytest.mark.slow

SHAPE = (32, 32, 3)
TOLERANCE = 1e-4  # of values up to 2.3; 2.4e-5 was measured


def patches(n: int, side: int) -> np.ndarray:
    """Images in [-1, 1] of 4x4 patches: networks of random weights see little difference between those of noise."""
    index = np.arange(side) * 4 // side
    return np.random.RandomState(side).uniform(-1, 1, (n, 4, 4, 3)).astype(np.float32)[:, index][:, :, index]


BYTES = np.round(127.5 * (patches(2, 32) + 1))


@pytest.mark.parametrize("output", ["tanh", "sigmoid"])
def test_images_get_the_levels_that_a_file_of_them_would_hold(output):
    """Against the bytes of a saved image, halves above all, at the network's own size, where nothing is resized."""
    values = np.concatenate([np.arange(255) + 0.5, np.random.RandomState(0).uniform(0, 255, 10_000)])
    near = np.float32([values / 255 if output == "sigmoid" else values / 127.5 - 1])
    near = np.concatenate([near, np.nextafter(near, 2)]).ravel()
    found = 255 * near if output == "sigmoid" else 127.5 * (near + 1)  # as float32 has it
    exact = 255 * near.astype(float) if output == "sigmoid" else 127.5 * (near.astype(float) + 1)
    near = near[(found % 1 != 0.5) | (exact % 1 >= 0.5)]  # of others float32 cannot say that they are below a half
    images = np.resize(near, (1, SIDE, SIDE, 3))
    seen = np.asarray(_prepare(output, "tf1", images)) * 128 + 128
    np.testing.assert_array_equal(seen, to_uint8(images, output))


@cache
def shapes() -> dict[str, tuple[int, ...]]:
    """The shapes that PyTorch's file must have."""
    tree = jax.eval_shape(Inception().init, jax.random.key(0), np.zeros((1, SIDE, SIDE, 3), np.float32))
    flat = traverse_util.flatten_dict(jax.tree.map(lambda leaf: leaf.shape, tree)).items()
    return {
        ".".join((*path[1:-1], LEAVES[path[-1]])): (*s[:-3:-1], *s[:-2]) if path[-1] == "kernel" else s
        for path, s in flat
    }


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A directory that leaves nothing behind: the weights take 100 MB."""
    path = tmp_path_factory.mktemp("inception")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def file(there):
    """A small file with all the tensors, which share their numbers."""
    numbers = np.random.RandomState(0).uniform(0.01, 0.02, 1008 * 2048)
    (there / "weights.pth").write_bytes(write(contiguous(shapes()), numbers, "stream"))
    return there / "weights.pth"


@pytest.fixture(scope="module")
def load(file, there):
    return partial(load_inception, file, SHAPE, sha256="", cache_dir=there / "cache")


@pytest.fixture
def state():
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes().items()}


@pytest.fixture(scope="module")
def torch():
    """PyTorch, for the tests that compare with it."""
    return pytest.importorskip("torch", reason="parity with PyTorch needs it")


@pytest.fixture(scope="module")
def twin(torch):
    from support.torch_inception import Walk

    twin = Walk(OrderedDict())
    twin(torch.tensor(patches(2, SIDE)).permute(0, 3, 1, 2))
    return twin


@pytest.fixture(scope="module")
def ours(torch, twin, there):
    """The twin's weights by way of the older format, which the well-known file has."""
    path = there / "twin.pth"
    torch.save(twin.state, path, _use_new_zipfile_serialization=False)
    loaded = load_inception(path, SHAPE, sha256="", cache_dir=there / "twin")
    return dataclasses.replace(loaded, block=len(BYTES))


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        b = b.numpy()
        assert a.shape == b.shape
        assert b.std(axis=0).max() > 0.1 * b.std(), "all images look alike to it"
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE)


def test_network_is_pytorchs(torch, twin, ours):
    x = patches(2, SIDE)
    assert_close(jax.jit(Inception().apply)(ours.variables, x), twin(torch.tensor(x).permute(0, 3, 1, 2)))


def test_features_of_images_are_pytorchs(torch, twin, ours):
    from support.torch_inception import tf1_resize

    resized = tf1_resize(torch.tensor(BYTES).permute(0, 3, 1, 2))
    assert_close(ours(BYTES / np.float32(127.5) - 1), twin((resized - 128) / 128))


def test_both_formats_of_pytorch_give_the_same_weights(torch, twin, ours):
    file = io.BytesIO()
    torch.save(twin.state, file)
    variables = convert(read_state_dict(file.getvalue(), "zip"), "zip")
    jax.tree.map(partial(np.testing.assert_array_equal, strict=True), variables, ours.variables)


def test_names_and_shapes_are_those_of_the_twin(twin):
    assert len(twin.state) == 566  # as the well-known file
    ignored = {name for name in twin.state if name.endswith("num_batches_tracked")} | {"fc.bias"}
    assert {name: tuple(t.shape) for name, t in twin.state.items() if name not in ignored} == shapes()


@pytest.mark.parametrize(
    ("output", "images"),
    [("tanh", BYTES / 127.5 - 1), ("sigmoid", BYTES / 255), ("linear", (BYTES + 0.4) / 127.5 - 1)],
)
def test_network_sees_bytes_whatever_the_output(output, images):
    expected = _prepare("tanh", "tf1", (BYTES / 127.5 - 1).astype(np.float32))
    assert expected.shape == (2, SIDE, SIDE, 3)
    np.testing.assert_array_equal(_prepare(output, "tf1", images.astype(np.float32)), expected)
    np.testing.assert_allclose(expected[:, 0, 0], (BYTES[:, 0, 0] - 128) / 128, rtol=0, atol=1e-6)


def test_values_beyond_the_range_are_clipped():
    images = np.linspace(-3, 3, 4 * 4 * 3, dtype=np.float32).reshape(1, 4, 4, 3)
    clipped = _prepare("linear", "tf1", images.clip(-1, 1))
    np.testing.assert_array_equal(_prepare("linear", "tf1", images), clipped)


@pytest.mark.parametrize("resize", ["tf1", "clean"])
def test_grey_images_become_three_equal_channels(resize):
    grey = np.random.RandomState(0).uniform(-1, 1, (2, 28, 28, 1)).astype(np.float32)
    prepared = _prepare("tanh", resize, grey)
    np.testing.assert_array_equal(prepared, _prepare("tanh", resize, np.repeat(grey, 3, axis=-1)))


def test_name_tells_the_resize(load):
    assert load(resize="clean").name == f"{load().name}_clean"
    assert load().hash == fingerprint(load().variables)


def test_the_clipped_resize_has_another_hash_than_that_of_before(load):
    made = load(resize="clean")
    assert made.hash != fingerprint(made.variables)
    assert made.hash == load(resize="clean").hash


def test_clean_pixels_are_those_of_bytes():
    """-1 to 127 / 128, at edges too."""
    edge = np.repeat(np.array([-1, 1], np.float32), 4)[None, :, None, None] * np.ones((1, 1, 8, 1), np.float32)
    found = _prepare("tanh", "clean", edge)
    assert (float(found.min()), float(found.max())) == (-1, 127 / 128)


def test_name_is_that_of_the_papers_for_their_weights_alone(load, file, monkeypatch):
    """By all digits of their SHA-256: eight of them can be forged."""
    first = load().name.removeprefix("inception_v3_")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert first == digest[:8] and len(inception.SHA256) == 64 == len(digest)
    monkeypatch.setattr(inception, "SHA256", digest[:63] + "x")
    assert load().name == f"inception_v3_{first}"
    monkeypatch.setattr(inception, "SHA256", digest)
    assert load().name == "inception_v3"


def test_the_configuration_asks_for_the_weights_of_the_papers():
    assert EvalConfig().inception_sha256 == inception.SHA256


def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "weights.pth")
    with pytest.raises(UserError, match="not a regular file"):
        load_inception(tmp_path / "weights.pth", SHAPE, sha256="")


def test_cached_copy_has_the_same_weights(load, there):
    first = load()
    (file,) = (there / "cache").iterdir()
    before = file.stat().st_mtime_ns
    assert load().hash == first.hash
    assert file.stat().st_mtime_ns == before


def test_cached_copy_that_is_damaged_is_made_anew(load, there, caplog):
    first = load()
    (file,) = (there / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    with caplog.at_level(logging.WARNING, "absl"):
        assert load().hash == first.hash
    assert "they are made anew" in caplog.text


def test_another_file_than_that_of_the_papers_is_refused(load, file):
    sentence = r"^The SHA-256 of .*weights\.pth is \w{64}, but eval\.inception_sha256 asks for 6726825d0af5\w{52}: .*"
    with pytest.raises(UserError, match=sentence):
        load_inception(file, SHAPE)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"path": "nowhere.pth"}, r"cannot be read from nowhere\.pth \(No such file or directory\)\.$"),
        ({"shape": (32, 32, 2)}, r"1 or 3 channels, but these are of shape \(32, 32, 2\)"),
        ({"shape": (2,)}, "1 or 3 channels"),
        ({"resize": "claen"}, r"Did you mean 'clean'\?"),
        ({"output": "tahn"}, r"Did you mean 'tanh'\?"),
    ],
)
def test_wrong_arguments_are_a_sentence(file, tmp_path, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        load_inception(**{"path": file, "shape": SHAPE, "sha256": "", "cache_dir": tmp_path} | changes)


def test_a_missing_tensor_is_named(state):
    del state["Mixed_5b.branch1x1.bn.running_mean"], state["fc.weight"]
    with pytest.raises(UserError, match=r"^w\.pth .* lacks Mixed_5b\.branch1x1\.bn\.running_mean and 1 more\.$"):
        convert(state, "w.pth")


def test_an_unknown_tensor_is_named(state):
    with pytest.raises(UserError, match=r"^w\.pth .* has, beside those, Mixed_8a\.conv\.weight\.$"):
        convert(state | {"Mixed_8a.conv.weight": np.zeros(3)}, "w.pth")


def test_a_tensor_of_another_shape_is_named(state):
    state["fc.weight"] = np.zeros((1000, 2048))
    with pytest.raises(
        UserError, match=r"^fc\.weight in w\.pth has the shape \(1000, 2048\), .* needs \(1008, 2048\)\.$"
    ):
        convert(state, "w.pth")


def test_tensors_for_training_only_are_ignored(state):
    extra = ("AuxLogits.conv0.conv.weight", "Mixed_5b.branch1x1.bn.num_batches_tracked", "fc.bias")
    assert len(jax.tree.leaves(convert(state | dict.fromkeys(extra, np.zeros(3)), "w.pth"))) == len(state)
