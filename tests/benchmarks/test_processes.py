"""The benchmark's processes, by sides that take no time; the real ones run once."""

import importlib.util
import os
import pickle
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from benchmarks.speed import measure, summary, table
from benchmarks.speed.side import LOOP_STEPS
from benchmarks.speed.sides import SIDES
from benchmarks.speed.worker import SideError, Worker
from jaxgan.config.config import Config

# What the worker's process imports: sides that take no time.
STAND_IN = """
import os, sys

class Side:
    def __init__(self, config=None, shape=None, fail=""):
        if fail == "make":
            raise ValueError("no compiler\\nand more")
        self.fail = fail

    def warm_up(self):
        return 2.0, 0.25

    def run(self, steps):
        print("at work", flush=True)
        if self.fail == "die":
            os._exit(3)
        return 0.25 * steps
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "stand_in_side.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("stand_in_side").Side


def test_worker_runs_its_sides_and_is_stopped_between_turns(stand_in, tmp_path):
    worker = Worker({"a": stand_in, "b": stand_in}, tmp_path / "log")
    status = Path(f"/proc/{worker.pid}/stat")

    def stopped():
        for _ in range(1000):  # a signal takes its time
            if status.read_text().rpartition(")")[2].split()[0] == "T":
                return True
            time.sleep(0.01)

    try:
        for side, steps in (("a", 4), ("b", 8)):
            if status.exists():  # Linux
                assert stopped()
            assert worker.turn(side, steps) == steps / 4
            assert worker.info[side]["first_step_seconds"] == 2.0
            assert worker.info[side]["peak_bytes"] >= worker.info[side]["start_bytes"] // 2 > 0
    finally:
        worker.close()
    assert "at work" in (tmp_path / "log").read_text()


def test_worker_says_what_went_wrong(stand_in, tmp_path):
    with pytest.raises(SideError, match=r"^ValueError: no compiler$"):
        Worker({"a": partial(stand_in, fail="make")}, tmp_path / "log")
    worker = Worker({"a": partial(stand_in, fail="die")}, tmp_path / "log")
    with pytest.raises(SideError, match="its last words are: at work"):
        worker.turn("a", 1)
    worker.close()


def test_an_interruption_ends_a_worker_at_once(stand_in, tmp_path):
    with pytest.raises(KeyboardInterrupt), Worker({"a": stand_in}, tmp_path / "log") as worker:
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.killpg(worker.pid, 0)


@pytest.mark.slow
def test_only_torch_compile_may_fail(stand_in, tmp_path, monkeypatch, capsys):
    makers = {name: stand_in for name in ("jaxgan", "torch", "torch_tuned", "flax")}
    makers["torch_compile"] = partial(stand_in, fail="make")
    monkeypatch.setattr(measure, "SIDES", makers)
    rows, sides = measure.measure("ring", measure.processes("ring", True), 2, tmp_path)
    assert [r["side"] for r in rows] == [
        "jaxgan",
        "torch",
        "torch_tuned",
        "flax",
        "flax",
        "torch_tuned",
        "torch",
        "jaxgan",
    ]
    assert {(r["steps"], r["seconds"]) for r in rows} == {(6, 1.5)}
    assert [s["side"] for s in sides if "error" in s] == ["torch_compile"]
    assert summary.summarize(rows, sides)["ratios"] == {"ring": 1.0}
    assert "left out: ValueError: no compiler" in capsys.readouterr().out
    monkeypatch.setitem(makers, "torch", partial(stand_in, fail="make"))
    with pytest.raises(SideError, match=r"^ring torch batch 64: ValueError: no compiler$"):
        measure.measure("ring", measure.processes("ring", True), 2, tmp_path)


@pytest.mark.slow
def test_sides_run(tmp_path):
    """The real ones, in one process to save time."""
    config = Config.from_dict(
        {
            "data": {"name": "digits", "image_size": 8, "max_examples": 50},
            "model": {"architecture": "mlp", "base_features": 4, "g_batch_norm": False},
            "train": {"batch_size": 8},
        }
    )
    names = [name for name in SIDES if "torch" not in name or importlib.util.find_spec("torch")]
    names = [name for name in names if name != "torch_compile"]  # which takes long, and may fail
    worker = Worker({name: partial(SIDES[name], config, (8, 8, 1)) for name in names}, tmp_path / "log")
    try:
        assert all(worker.turn(name, LOOP_STEPS) > 0 for name in names)
    finally:
        worker.close()


@pytest.mark.slow
def test_torch_runs_without_jax():
    """Its memory would count as PyTorch's. The game comes in a pickle, as to a worker."""
    pytest.importorskip("torch")
    model = {"architecture": "mlp", "base_features": 4, "g_batch_norm": False}
    config = Config.from_dict({"data": {"image_size": 8}, "model": model})
    code = """
import pickle, sys
side = pickle.load(sys.stdin.buffer)()
side.run(1)
print([name for name in ("jax", "flax", "optax") if name in sys.modules])
"""
    make = pickle.dumps(partial(SIDES["torch_tuned"], config, (8, 8, 1)))
    done = subprocess.run([sys.executable, "-c", code], input=make, capture_output=True, cwd=table.ROOT, timeout=120)
    assert (done.returncode, done.stdout) == (0, b"[]\n"), done.stderr.decode()
