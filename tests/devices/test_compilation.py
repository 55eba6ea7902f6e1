"""The cache of compiled programs: where it is, that it changes no result, and what damage does to it."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest

from jaxgan.devices import compilation

CODE = """
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import jax, numpy as np
jax.config.update("jax_disable_most_optimizations", True)
import jaxgan
from jaxgan.runs.checkpoints import digest
images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
model = {"architecture": "mlp", "base_features": 8, "z_dim": 4}
train = {"num_steps": 3, "batch_size": 8, "sample_every": 0}
state = jaxgan.train({"model": model, "train": train, "monitor": {"preflight": False}}, sys.argv[1], source=images)
print("digest", digest(jax.device_get(state)), jax.config.jax_compilation_cache_dir)
"""


def start(workdir: Path, **environment: str) -> subprocess.Popen:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMP", "JAX_PERS", "JAXGAN", "PJRT"))}
    env = {**kept, "PYTHONWARNINGS": "error::UserWarning", "JAXGAN_CACHE": str(workdir.parent / "cache")}
    env |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", **environment}  # all programs
    command = [sys.executable, "-c", CODE, str(workdir)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(workdir: Path, **environment: str) -> tuple[str, str, str]:
    """Trains for three steps: (the state's digest, where programs are kept, what was printed)."""
    process = start(workdir, **environment)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    _, digest, place = out.splitlines()[-1].split()
    return digest, place, out


def entries(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.rglob("*-cache")}


def test_programs_are_kept_and_change_no_result_even_damaged(tmp_path):
    plain, place, _ = run(tmp_path / "plain", JAXGAN_COMPILATION_CACHE="off")
    assert place == "None" and not (tmp_path / "cache").exists()

    processes = [start(tmp_path / str(i)) for i in range(2)]  # at once
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0 and f"digest {plain} " in out, error
        assert "Traceback" not in error
    cache = tmp_path / "cache" / "programs"
    found = entries(cache)
    assert found and f"kept in {cache}" in out

    again, place, _ = run(tmp_path / "warm")
    assert again == plain and Path(place).parent == cache and entries(cache) == found

    for i, path in enumerate(sorted(cache.rglob("*-cache"))):
        content = path.read_bytes()
        flipped = bytes([*content[:50], content[50] ^ 255, *content[51:]])
        path.write_bytes((b"", content[: len(content) // 2], flipped)[i % 3])
    damaged = entries(cache)
    mended, _, out = run(tmp_path / "damaged")
    assert mended == plain
    assert out.count("in the cache of programs") >= 1 and "it is compiled again" in out
    assert entries(cache).keys() == found.keys()
    assert all(entries(cache)[name] != damaged[name] for name in found if name.startswith("pmap"))


@pytest.fixture
def settings():
    """JAX's settings of the cache are as before afterwards."""
    names = (
        "jax_compilation_cache_dir",
        "jax_compilation_cache_max_size",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_enable_compilation_cache",
    )
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation._forget_that_there_was_none()


def test_a_place_that_the_user_chose_stays(settings, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    assert compilation.use_cache() == tmp_path / "mine"
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine")
    jax.config.update("jax_enable_compilation_cache", False)
    assert compilation.use_cache() is None


def test_the_cache_is_bounded_and_of_one_kind_of_machine(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path))
    places = []
    for threads in ("2", "4"):
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv("PJRT_NPROC", threads)
        places.append(compilation.use_cache())
    assert len({*places}) == 2 and all(place.parent == tmp_path / "programs" for place in places)
    assert jax.config.jax_compilation_cache_max_size == 2 * 2**30


def test_a_place_that_cannot_be_written_is_none(settings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path / "file"))
    jax.config.update("jax_compilation_cache_dir", None)
    assert compilation.use_cache() is None and jax.config.jax_compilation_cache_dir is None


def test_other_warnings_are_left_alone(tmp_path, recwarn, capsys):
    with compilation.mending(tmp_path):
        warnings.warn("something else", stacklevel=1)
        (tmp_path / "jit_f-123-cache").write_text("")
        (tmp_path / "jit_g-123-cache").write_text("")
        warnings.warn("Error reading persistent compilation cache entry for 'jit_f': zlib: bad", stacklevel=1)
    assert [str(w.message) for w in recwarn] == ["something else"]
    assert [path.name for path in tmp_path.iterdir()] == ["jit_g-123-cache"]
    assert "reading jit_f in the cache of programs" in capsys.readouterr().out
