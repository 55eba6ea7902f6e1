"""The files of weights and features in the cache."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxgan.metrics.weights import load, recall, save

TREE = {"a": {"kernel": np.arange(12, dtype=np.float32).reshape(3, 4)}, "b": {"scale": np.float64(3)}}


def npy(header: dict, numbers: bytes) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + numbers


def test_what_is_saved_is_read_back(tmp_path):
    by_columns = np.asfortranarray(np.arange(6).reshape(2, 3))
    save(tmp_path / "w.npz", {**TREE, "c": {"x": by_columns, "none": np.zeros((0, 3))}}, {"key": "k", "n": 3})
    tree, meta = load(tmp_path / "w.npz")
    assert meta == {"key": "k", "n": 3}
    np.testing.assert_array_equal(tree["a"]["kernel"], TREE["a"]["kernel"], strict=True)
    np.testing.assert_array_equal(tree["b"]["scale"], np.float64(3), strict=True)
    np.testing.assert_array_equal(tree["c"]["x"], by_columns, strict=True)
    assert tree["c"]["none"].shape == (0, 3)


def bomb(path, kind: str) -> None:
    """A small file that NumPy would take 256 MB and more for."""
    compression = zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED
    declared = {"descr": "<f8", "fortran_order": False, "shape": (2**25,)}
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/b.npy", npy(declared, bytes(2**28) if kind == "compressed" else bytes(8)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["compressed", "declared"])
def test_a_file_that_declares_more_than_it_holds_takes_no_memory(tmp_path, kind):
    path = tmp_path / "w.npz"
    bomb(path, kind)
    assert path.stat().st_size < 500_000
    tracemalloc.start()
    assert recall(path, "k") is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_objects_are_not_unpickled(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, **{"a/b": np.array([{"an": "object"}], object)}, allow_pickle=True)
    assert recall(path, "k") is None


def test_a_pipe_in_the_cache_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "w.npz")
    assert recall(tmp_path / "w.npz", "k") is None
