"""Strict settings, and a tiny game that the tests share so that it is compiled once."""

import atexit
import gc
import os
import shutil
import sys
import tempfile

# Four devices on any machine; `devices.cpu.use_cpu_devices` says why they need that many threads.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["PJRT_NPROC"] = "32"
# What one test has compiled serves all others, in the workers and in the processes that tests start too.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jaxgan_compiled_")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

from pathlib import Path

import jax
import numpy as np
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
# These programs run for milliseconds; compiling them is what costs. `make test-optimized` compiles as users do.
if os.environ.get("JAXGAN_TEST_OPTIMIZED") != "1":
    jax.config.update("jax_disable_most_optimizations", True)

MOST_MAPS = 15_000
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="module", autouse=True)
def programs_that_fit():
    """Drops compiled programs in time: their memory maps add up, and at 65,530, Linux' limit, XLA aborts."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


@pytest.fixture(scope="session")
def tiny_digits() -> tuple[np.ndarray, np.ndarray]:
    """The 8x8 digits with their labels, as bytes."""
    from jaxgan.data import load

    source = load("embedded", name="digits", image_size=8)
    return source.read(np.arange(len(source))), source.labels


@pytest.fixture
def float64():
    """The test computes in float64."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def command(monkeypatch, capfd, root, tmp_path):
    """Runs a command line in this process, with the workdir `tmp_path/run`: (exit code, stdout, stderr)."""
    from absl.testing import flagsaver

    from jaxgan import main

    monkeypatch.chdir(root)
    monkeypatch.setattr(sys.modules["__main__"], "__doc__", None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # as it is put back afterwards
    monkeypatch.setattr("jaxgan.devices.cpu.use_cpu_devices", lambda *arguments: None)  # JAX runs already

    def run(*arguments: str):
        argv = ["jaxgan", f"--workdir={tmp_path / 'run'}", *arguments]
        monkeypatch.setattr(sys, "argv", argv)  # where config_flags looks for overrides
        with flagsaver.flagsaver():
            try:
                main.console()
            except SystemExit as end:
                code = end.code
            finally:
                for name in [name for name in main.FLAGS if name.startswith("config.")]:
                    delattr(main.FLAGS, name)
        return code, *capfd.readouterr()

    return run
