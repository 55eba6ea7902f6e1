"""What follows a problem: a run that is stopped, or one that goes on from an earlier checkpoint in a new directory."""

import contextlib
import dataclasses
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from provoked import Interrupt, game, haste, run

import jaxgan
from jaxgan import attempts
from jaxgan import workdir as workdirs
from jaxgan.actions import NonFiniteError
from jaxgan.attempts import CHANGES, Attempt, newest, roll_back, why_stopped
from jaxgan.checkpoint import Checkpoints, reaches_back
from jaxgan.config import Config
from jaxgan.draws import seed_keys
from jaxgan.errors import UserError
from jaxgan.monitor.curves import read_metrics
from jaxgan.monitor.doctor import RULES, Finding, first_problem
from jaxgan.report import reading
from jaxgan.train import is_complete
from jaxgan.watch import FILE


@pytest.fixture
def hasty(monkeypatch):
    haste(monkeypatch)


def make(workdir, config: Config) -> SimpleNamespace:
    """An uninterrupted run: its state at the end, its directory, what it printed."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out):
        haste(patched)
        state = run(config, workdir)
    return SimpleNamespace(state=state, workdir=workdir, out=out.getvalue())


@pytest.fixture(scope="module")
def warned(tmp_path_factory):
    return make(tmp_path_factory.mktemp("warned"), game())


@pytest.fixture(scope="module")
def rolled(tmp_path_factory):
    return make(tmp_path_factory.mktemp("rolled"), game("roll_back", attempts=1))


def assert_same_state(a, b):
    jax.tree.map(assert_array_equal, jax.device_get(a), jax.device_get(b))


def assert_same_record(a: Path, b: Path):
    assert read_metrics(a / "metrics.jsonl") == read_metrics(b / "metrics.jsonl")
    assert (a / FILE).read_bytes() == (b / FILE).read_bytes()


def finding(kind: str = "d_loss_near_zero", step: int = 25) -> Finding:
    return Finding(kind, "problem", step, step + 20, None, {}, "Words.", ())


# Stopping.


def test_a_problem_stops_a_run_that_says_so_again_and_goes_on_where_asked(hasty, warned, tmp_path, capsys):
    state = run(game("stop"), tmp_path)
    step = int(state.step)
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ended early: ")]
    why = f"step {step} of 60, since at step {step} there was a problem, d loss near zero since step "
    assert line.startswith(f"ended early: {why}") and line.endswith(": set monitor.on_finding to 'warn' to go on.")
    assert 20 < step < 60 and (tmp_path / "checkpoints" / str(step)).is_dir()

    before = (tmp_path / "metrics.jsonl").read_bytes()
    assert_same_state(run(game("stop"), tmp_path), state)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    sentence = line.removeprefix("ended early: ")
    assert f"{tmp_path} is complete: {sentence}\n" in capsys.readouterr().out
    assert is_complete(game("stop"), tmp_path, step) == sentence
    assert is_complete(game(), tmp_path, step) == ""
    said = reading.verdict(reading.read(tmp_path)).facts[0]
    assert said.startswith(f"Ended early at step {step} of 60 (monitor.on_finding): d loss near zero since step ")

    assert_same_state(run(game(), tmp_path), warned.state)
    assert_same_record(tmp_path, warned.workdir)


def test_a_warned_run_goes_on_to_its_end(warned):
    assert int(warned.state.step) == 60
    assert "problem at step" in warned.out and "ended early" not in warned.out


# Rolling back.


def test_a_problem_rolls_a_run_back_into_a_directory_of_its_own(hasty, rolled):
    child = rolled.workdir / "attempt_1"
    record, parent = workdirs.read(child), workdirs.read(rolled.workdir)
    found = reading.read(rolled.workdir).findings[0]
    assert record["intervention"] == {
        "attempt": 1,
        "kind": "d_loss_near_zero",
        "step": found.step,
        "reported": found.reported,
        "from_step": (found.step - 1) // 10 * 10,  # the newest checkpoint from before it began
        "changes": {"d_optim.learning_rate": [0.03, 0.015]},
    }
    assert "intervention" not in parent
    unlike = jaxgan.config.difference(parent["config"].to_dict(), record["config"].to_dict())
    assert unlike == ["d_optim.learning_rate: 0.03 -> 0.015"]
    first = read_metrics(child / "metrics.jsonl")[0]
    assert first["step"] == record["intervention"]["from_step"] + 5
    assert_same_state(jaxgan.load(child).state, rolled.state)
    assert f"rolled back into {child}. Attempt 1: from step" in rolled.out


def test_the_last_attempt_stops(hasty, rolled, capsys):
    end = "in the last of 1 attempts: raise monitor.max_attempts, or set monitor.on_finding to 'warn', to go on."
    assert end in rolled.out
    assert_same_state(run(game("roll_back", attempts=1), rolled.workdir), rolled.state)
    assert f"{rolled.workdir / 'attempt_1'} is complete: step {int(rolled.state.step)} of 60" in capsys.readouterr().out
    assert end in is_complete(game("roll_back", attempts=1), rolled.workdir, int(rolled.state.step))


def test_a_run_that_was_rolled_back_says_where_it_goes_on(rolled):
    child = rolled.workdir / "attempt_1"
    assert attempts.went_on(rolled.workdir) == f"{rolled.workdir} was rolled back, and the run goes on in {child}."
    assert attempts.went_on(child) == ""
    facts = reading.verdict(reading.read(rolled.workdir)).facts
    assert (
        facts[0] == f"Rolled back at step {read_metrics(rolled.workdir / 'metrics.jsonl')[-1]['step']} of 60: the "
        "run goes on in attempt_1."
    )
    told = reading.verdict(reading.read(child)).facts[0]
    assert told.startswith("Attempt 1: from step ") and "d_optim.learning_rate 0.015 in place of 0.03" in told


@pytest.mark.parametrize("attempt", [0, 1])
def test_an_attempt_that_was_interrupted_ends_the_same(attempt, hasty, rolled, tmp_path):
    config = game("roll_back", attempts=1)
    with pytest.raises(Interrupt):
        run(config, tmp_path, writers=[Interrupt(30, attempt)])
    assert (tmp_path / "attempt_1").is_dir() == bool(attempt)
    assert_same_state(run(config, tmp_path), rolled.state)
    for place in ("", "attempt_1"):
        assert_same_record(tmp_path / place, rolled.workdir / place)


@pytest.mark.parametrize("at", [15, 25])
def test_a_run_that_was_stopped_between_checkpoints_is_rolled_back_to_the_same(at, hasty, rolled, tmp_path):
    class Stop(Interrupt):
        def write_scalars(self, step, scalars):
            if step == at and not self.left:
                self.left = 1
                signal.raise_signal(signal.SIGTERM)

    config = game("roll_back", attempts=1)
    assert int(run(config, tmp_path, writers=[Stop(at)]).step) == at
    assert_same_state(run(config, tmp_path), rolled.state)
    assert attempts.intervention(tmp_path / "attempt_1") == attempts.intervention(rolled.workdir / "attempt_1")


def test_a_run_that_was_killed_while_it_was_rolled_back_is_rolled_back(hasty, rolled, tmp_path, monkeypatch):
    real = os.replace

    def replace(source, target):
        if Path(target).name == "attempt_1":
            raise Interrupt(0)
        real(source, target)

    config = game("roll_back", attempts=1)
    with monkeypatch.context() as patched, pytest.raises(Interrupt):
        patched.setattr(os, "replace", replace)
        run(config, tmp_path)
    assert (tmp_path / ".attempt_1.partial" / "config.json").exists()
    assert newest(tmp_path, config).workdir == tmp_path
    assert_same_state(run(config, tmp_path), rolled.state)
    assert sorted(p.name for p in tmp_path.glob("*attempt*")) == ["attempt_1"]


def test_a_run_that_was_rolled_back_refuses_another_configuration(rolled):
    with pytest.raises(UserError, match=r"loss.name: 'non_saturating' -> 'hinge'"):
        run(game("roll_back", loss={"name": "hinge"}), rolled.workdir)


def test_what_is_not_finite_is_rolled_back_too(tmp_path):
    config = game("roll_back", attempts=1, g_optim={"learning_rate": 1e38})
    with pytest.raises(NonFiniteError, match="training stopped at step"):
        run(config, tmp_path)
    record = workdirs.read(tmp_path / "attempt_1")["intervention"]
    assert record["kind"] == "non_finite" and record["from_step"] == 0
    assert record["changes"] == {
        "g_optim.learning_rate": [1e38, 5e37],
        "d_optim.learning_rate": [0.03, 0.015],
        "g_optim.eps": [1e-8, 1e-6],
        "d_optim.eps": [1e-8, 1e-6],
    }
    assert not (tmp_path / "attempt_1" / "attempt_2").exists()


# Where an attempt begins.


def recorded(path: Path, scores: dict[int, float | None], rank) -> Attempt:
    """A run with checkpoints of these scores."""
    path.mkdir()
    record = {"format": 1, "config": game().to_dict(), "example": {}, "environment": {}}
    (path / "config.json").write_text(json.dumps(record))
    checkpoints = Checkpoints(path, keep=9, rank=rank)
    for step, value in scores.items():
        checkpoints.save(step, {"w": np.float32([step])}, None if value is None else {"eval/fd": value})
    checkpoints.close()
    return Attempt(path, game("roll_back"), 0)


TARGET = {"w": jax.ShapeDtypeStruct((1,), np.float32, sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0]))}
FALLING = {10: 9.0, 20: 3.0, 30: 5.0, 40: 6.0}


@pytest.mark.parametrize(
    ("scores", "rank", "damaged", "origin"),
    [
        (FALLING, ("eval/fd", "lower"), [], 20),
        (FALLING, ("eval/fd", "higher"), [], 10),
        (FALLING, ("eval/fd", "lower"), [20], 10),  # else as without scores
        (dict.fromkeys(FALLING), None, [], 20),  # the problem began at step 25
        (dict.fromkeys(FALLING), ("eval/fd", "lower"), [], 20),
        (dict.fromkeys(FALLING), None, [20], 10),
        ({30: None, 40: None}, None, [], 0),
        ({10: None, 20: None, 22: None, 40: None}, None, [], 20),  # 22 was left by an interruption
        ({}, None, [], 0),
    ],
)
def test_an_attempt_begins_at_the_best_checkpoint_or_before_the_problem(scores, rank, damaged, origin, tmp_path):
    attempt = recorded(tmp_path / "run", scores, rank)
    for step in damaged:
        for file in (attempt.workdir / "checkpoints" / str(step) / "state").rglob("*"):
            if file.is_file():
                file.write_bytes(b"")
    child = roll_back(attempt, finding(), rank, TARGET)
    assert (child.workdir, child.number) == (tmp_path / "run" / "attempt_1", 1)
    assert attempts.intervention(child.workdir)["from_step"] == origin
    checkpoints = Checkpoints(child.workdir, keep=1)
    restored = checkpoints.restore(TARGET)
    checkpoints.close()
    assert (restored is None) == (origin == 0)
    assert restored is None or (restored[0], restored[1]["w"].tolist()) == (origin, [origin])


def test_a_checkpoint_that_was_being_deleted_is_passed_over(tmp_path):
    attempt = recorded(tmp_path / "run", FALLING, ("eval/fd", "lower"))
    (attempt.workdir / "checkpoints" / "20" / "meta" / "metadata").unlink()
    child = roll_back(attempt, finding(), ("eval/fd", "lower"), TARGET)
    assert attempts.intervention(child.workdir)["from_step"] == 30  # the best of those that have a score


def test_a_full_disk_leaves_no_attempt(tmp_path, monkeypatch):
    attempt = recorded(tmp_path / "run", {10: None}, None)

    def full(source, target, **_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(UserError, match=r"cannot be copied to .*No space left"):
        patched.setattr(attempts.shutil, "copyfile", full)
        roll_back(attempt, finding(), None, TARGET)
    assert not list(attempt.workdir.rglob(".attempt_1.partial/checkpoints/10"))
    assert newest(attempt.workdir, attempt.config) == attempt
    assert roll_back(attempt, finding(), None, TARGET).number == 1


def test_a_directory_that_is_no_attempt_is_none_and_is_not_overwritten(tmp_path):
    attempt = recorded(tmp_path / "run", {10: None}, None)
    recorded(attempt.workdir / "attempt_1", {}, None)
    assert newest(attempt.workdir, attempt.config) == attempt
    with pytest.raises(UserError, match="attempt_1 is no attempt of this run and stands in the way"):
        roll_back(attempt, finding(), None, TARGET)
    assert "intervention" not in json.loads((attempt.workdir / "attempt_1" / "config.json").read_bytes())


def test_attempts_follow_each_other(tmp_path):
    attempt = recorded(tmp_path / "run", {10: None}, None)
    for _ in range(3):
        attempt = roll_back(attempt, finding(), None, TARGET)
    assert attempt.workdir == tmp_path / "run" / "attempt_1" / "attempt_2" / "attempt_3"
    assert attempt.config.d_optim.learning_rate == 0.03 / 8
    again = newest(tmp_path / "run", game("roll_back", num_steps=90))
    assert again == attempt._replace(config=again.config)
    assert again.config.d_optim.learning_rate == 0.03 / 8 and again.config.train.num_steps == 90
    assert newest(attempt.workdir, attempt.config) == attempt  # as does a command that names it
    assert why_stopped(attempt, finding()) and not why_stopped(attempt._replace(number=2), finding())


def test_another_attempt_draws_anew_but_shows_the_same_latents():
    one, other = (jax.tree.map(jax.random.key_data, seed_keys(3, attempt)) for attempt in (0, 1))
    assert (one.init != other.init).any() and (one.train != other.train).any()
    assert_array_equal(one.sample, other.sample)


def test_the_first_problem_is_what_counts_and_a_warning_is_none():
    late, early = finding(step=50), finding("imbalance", step=40)
    warning = dataclasses.replace(finding(step=10), severity="warning")
    assert first_problem([warning]) is None
    assert first_problem([warning, late, early]) is early


# What is changed.


@pytest.mark.parametrize("kind", RULES)
def test_each_kind_changes_learning_rates_and_eps_or_stops(kind):
    attempt = Attempt(Path("run"), game("roll_back"), 0)
    if kind not in CHANGES:
        assert kind in ("memorization", "ignored_condition", "mode_hopping")
        assert "no learning rate cures" in why_stopped(attempt, finding(kind))
        return
    assert why_stopped(attempt, finding(kind)) == ""
    changes = attempts._changes(Config(), kind)
    assert changes.keys() == set(CHANGES[kind])
    for key, (old, new) in changes.items():
        assert new == (old / 2 if key.endswith("learning_rate") else 1e-6)
    assert attempts._changes(attempts._changed(Config(), {k: new for k, (_, new) in changes.items()}), kind).keys() == {
        key for key in CHANGES[kind] if not key.endswith("eps")
    }


def test_checkpoints_that_are_spread_reach_back_as_far_as_needed():
    kept: list[int] = []
    for newest_step in range(0, 100_001, 500):
        kept = [step for step in (*kept, newest_step) if reaches_back(step, newest_step, 500)]
        assert kept == [step for step in range(0, newest_step + 1, 500) if reaches_back(step, newest_step, 500)]
        assert kept == [step for step in range(newest_step + 500) if reaches_back(step, newest_step + 499, 500)]
        ages = [newest_step - step for step in kept]
        for age in range(500, newest_step + 1, 500):
            assert any(age <= a <= 2 * age for a in ages)
    assert kept[0] == 0 and kept[-1] == 100_000 and 8 <= len(kept) <= 18


def test_a_run_that_may_be_rolled_back_keeps_checkpoints_that_are_spread(rolled):
    steps = [int(path.name) for path in (rolled.workdir / "checkpoints").iterdir() if path.name.isdigit()]
    newest_step = max(steps)
    assert {s for s in range(10, newest_step + 1, 10) if reaches_back(s, newest_step, 10)} <= set(steps)


# From the command line, with the thresholds that there are.

COMMAND = """
from jaxgan import defaults

def get_config():
    config = defaults()
    config.data.source, config.data.name, config.data.max_examples = "synthetic", "ring", 64
    m = config.model
    m.architecture, m.output, m.z_dim, m.base_features = "mlp", "linear", 2, 8
    m.g_batch_norm, m.d_spectral_norm = False, False
    config.g_optim.learning_rate, config.d_optim.learning_rate = 0.0, 0.02
    t = config.train
    t.num_steps, t.batch_size, t.steps_per_call = 6000, 8, 50
    t.log_every, t.sample_every, t.checkpoint_every = 50, 0, 200
    config.monitor.on_finding, config.monitor.max_attempts = "roll_back", 1
    return config
"""


def start(workdir: Path) -> subprocess.Popen:
    file = workdir.parent / "game.py"
    file.write_text(COMMAND)
    argv = [sys.executable, "-m", "jaxgan.main", f"--config={file}", f"--workdir={workdir}"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_exact_after_kill_9_in_an_attempt(tmp_path):
    processes = {name: start(tmp_path / name) for name in ("whole", "killed")}
    log = tmp_path / "killed" / "attempt_1" / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while not log.exists() or log.read_bytes().count(b"\n") < 10:  # with checkpoints of its own
        assert processes["killed"].poll() is None and time.monotonic() < deadline, processes["killed"].communicate()[1]
        time.sleep(0.002)
    processes["killed"].send_signal(signal.SIGKILL)
    processes["killed"].communicate()
    assert processes["killed"].returncode == -signal.SIGKILL
    processes["again"] = start(tmp_path / "killed")
    for name in ("whole", "again"):
        out, error = processes[name].communicate(timeout=300)
        assert processes[name].returncode == 0, error
        assert "ended early: " in out
    assert f"resuming {tmp_path / 'killed' / 'attempt_1'} from step" in out
    one, other = (jaxgan.load(tmp_path / name / "attempt_1").state for name in ("whole", "killed"))
    assert 0 < int(one.step) < 6000
    assert_same_state(one, other)
    for place in ("", "attempt_1"):
        assert_same_record(tmp_path / "whole" / place, tmp_path / "killed" / place)
