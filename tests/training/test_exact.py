"""From the command line: a run that is killed and started again equals one that was not, bit for bit."""

import signal
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from numpy.testing import assert_array_equal

import jaxgan
from jaxgan.monitor.curves import read_metrics

pytestmark = pytest.mark.slow

COMMON = ["--config.train.num_steps=40", "--config.train.log_every=1", "--config.train.checkpoint_every=10"]
SCORES = ["--config.eval.num_samples=64", "--config.eval.num_real=256"]
SMALL = ["--config.train.batch_size=8", "--config.model.base_features=4", "--config.train.sample_every=0"]
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "mnist_unconditional.py"
SIGNALED = Path(__file__).resolve().parents[1] / "support" / "signaled.py"
GAMES = {
    "mlp": ["--config.model.architecture=mlp", "--config.data.name=digits", "--config.data.image_size=8"],
    "dcgan": ["--config.model.d_spectral_norm=True", "--config.train.d_steps_per_g_step=2"],
}


def flags(workdir: Path, game: str) -> list[str]:
    schedules = [f"--config.{net}_optim.schedule=constant" for net in "gd"]
    return [f"--config={CONFIG}", f"--workdir={workdir}", *COMMON, *SCORES, *SMALL, *GAMES[game], *schedules]


def run(workdir: Path, game: str) -> None:
    command = [sys.executable, "-m", "jaxgan.main", *flags(workdir, game)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def interrupt(workdir: Path, game: str, number: int, at_step: int) -> int:
    """The exit code of a run that gets a signal while a step is logged."""
    command = [sys.executable, SIGNALED, str(int(number)), str(at_step), *flags(workdir, game)]
    return subprocess.run(command, capture_output=True, timeout=300).returncode


@pytest.fixture(scope="module", params=GAMES)
def whole(request, tmp_path_factory):
    workdir = tmp_path_factory.mktemp(request.param)
    run(workdir, request.param)
    return request.param, workdir


def assert_same_run(a: Path, b: Path) -> None:
    one, other = jaxgan.load(a).state, jaxgan.load(b).state
    assert int(one.step) == int(other.step) == 40
    jax.tree.map(assert_array_equal, jax.device_get(one), jax.device_get(other))
    assert read_metrics(a / "metrics.jsonl") == read_metrics(b / "metrics.jsonl")


def test_exact_after_kill_9(whole, tmp_path):
    game, workdir = whole
    assert interrupt(tmp_path, game, signal.SIGKILL, at_step=23) == -signal.SIGKILL
    run(tmp_path, game)
    assert_same_run(tmp_path, workdir)


def test_exact_after_sigterm(whole, tmp_path):
    game, workdir = whole
    code = interrupt(tmp_path, game, signal.SIGTERM, at_step=13)
    assert code == 130
    assert jaxgan.load(tmp_path).step in (13, 14)  # the loop may have dispatched the next step already
    run(tmp_path, game)
    assert_same_run(tmp_path, workdir)
