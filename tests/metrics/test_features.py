import dataclasses
import os
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from support.traced import Traced

from jaxgan.errors import UserError
from jaxgan.metrics.features import Features, random_network
from jaxgan.metrics.weights import cache_path, fingerprint, load, save

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def network():
    return random_network(SHAPE)


@pytest.fixture
def images():
    return np.random.RandomState(0).uniform(-1, 1, (37, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("block", [5, 37, 50])
def test_features_do_not_depend_on_the_block(network, images, block):
    for ours, whole in zip(network(images, block), network.apply(network.variables, images), strict=True):
        assert ours.shape == whole.shape
        np.testing.assert_allclose(ours, whole, rtol=0, atol=1e-6 * np.abs(whole).max())


def test_features_of_any_number_of_images_compile_once(images):
    network = random_network(SHAPE)
    traced = Traced(network.apply)
    network = dataclasses.replace(network, apply=traced)
    for n in (3, 16, 37):
        network(images[:n], block=16)
    assert traced.times == 1


def test_features_run_as_many_at_a_time_as_they_say(images):
    sizes = []

    def apply(variables, block):
        sizes.append(len(block))
        return block.mean(axis=(1, 2)), block[:, 0, 0]

    features = Features("means", SHAPE, {}, apply, block=16)
    features(images)
    features(images, block=5)
    assert sizes == [16, 5]  # traced once for each


def test_features_run_inside_of_a_map(network, images):
    devices = jax.local_device_count()
    split = images[: 8 * devices].reshape(devices, 8, *SHAPE)
    features, logits = jax.pmap(network.apply, in_axes=(None, 0))(network.variables, split)
    for ours, mapped in zip(network(images[: 8 * devices]), (features, logits), strict=True):
        np.testing.assert_allclose(np.concatenate(mapped), ours, rtol=0, atol=1e-6 * np.abs(ours).max())


def test_random_network_has_the_hash_of_its_seed(network):
    assert random_network(SHAPE).hash == network.hash
    assert random_network(SHAPE, seed=1).hash != network.hash


def test_features_of_a_sigmoids_images_are_those_of_a_tanhs(network, images):
    of_unit = random_network(SHAPE, output="sigmoid")
    assert of_unit.hash == network.hash
    np.testing.assert_allclose(of_unit((images + 1) / 2)[0], network(images)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.zeros((0, *SHAPE)), "N > 0"),
        (np.zeros((2, 9, 8, 1)), "takes"),
        (np.zeros((2, *SHAPE), np.uint8), "floats"),
        (np.full((2, *SHAPE), np.nan), "not finite"),
    ],
)
def test_features_refuse_other_images(network, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        network(wrong)


def test_random_network_refuses_an_unknown_output():
    with pytest.raises(UserError, match="'tanh'"):
        random_network(SHAPE, output="tahn")


@pytest.mark.parametrize("other", [{"a": {"b": np.ones(2)}}, {"a": {"c": np.zeros(2)}}, {"a": {"b": np.zeros((2, 1))}}])
def test_fingerprint_sees_values_names_and_shapes(other):
    assert fingerprint({"a": {"b": np.zeros(2)}}) != fingerprint(other)


def test_weights_come_back_as_they_were(network, tmp_path):
    save(tmp_path / "new" / "w.npz", network.variables, {"accuracy": 0.1})
    variables, meta = load(tmp_path / "new" / "w.npz")
    jax.tree.map(np.testing.assert_array_equal, variables, network.variables)
    assert fingerprint(variables) == network.hash
    assert meta == {"accuracy": 0.1}
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["w.npz"]


def test_weights_that_were_changed_are_refused(network, tmp_path):
    save(tmp_path / "w.npz", network.variables, {})
    with np.load(tmp_path / "w.npz") as archive:
        arrays = dict(archive)
    arrays["params/Dense_0/bias"][0] += 1
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(ValueError, match="checksum"):
        load(tmp_path / "w.npz")


def test_weights_of_a_process_that_was_killed_are_cleared_away(network, tmp_path):
    old, new, other = (tmp_path / name for name in (".w.npz.0a.partial", ".w.npz.0b.partial", ".v.npz.0a.partial"))
    for path in (old, new, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (0, 0))
    save(tmp_path / "w.npz", network.variables, {})
    assert not old.exists() and new.exists() and other.exists()


def test_a_user_without_a_home_has_a_cache(monkeypatch):
    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("JAXGAN_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert cache_path("w.npz").parent.parent == Path(tempfile.gettempdir())
