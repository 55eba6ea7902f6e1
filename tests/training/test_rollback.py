"""What follows a problem: a run that is stopped, or one that goes on from an earlier checkpoint in a new directory."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from numpy.testing import assert_array_equal
from support.loops import Signal
from support.provoked import Interrupt, game, haste, run

import jaxgan
from jaxgan.config.config import Config, difference
from jaxgan.errors import Interrupted, NonFiniteError, UserError
from jaxgan.monitor.curves import read_metrics
from jaxgan.reporting import run_record
from jaxgan.runs import directory as workdirs
from jaxgan.runs import outcome, rollback
from jaxgan.runs.checkpoints import reaches_back
from jaxgan.runs.rollback import newest
from jaxgan.training.doctor import FILE, recorded

pytestmark = pytest.mark.slow


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


# Stopping.


def test_a_problem_stops_a_run_that_says_so_again_and_goes_on_where_asked(hasty, warned, tmp_path, capsys):
    state = run(game("stop"), tmp_path)
    step = int(state.step)
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ended early: ")]
    why = f"step {step} of 60, since at step {step} there was a problem, d loss near zero since step "
    assert line.startswith(f"ended early: {why}")
    assert line.endswith("or set monitor.on_finding to 'warn' to go on as it is.")
    assert 20 < step < 60 and (tmp_path / "checkpoints" / str(step)).is_dir()

    before = (tmp_path / "metrics.jsonl").read_bytes()
    assert_same_state(run(game("stop"), tmp_path), state)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    sentence = line.removeprefix("ended early: ")
    assert f"{tmp_path} is complete: {sentence}\n" in capsys.readouterr().out
    assert outcome.recorded(tmp_path).kind == "problem"
    said = run_record.verdict(run_record.read(tmp_path)).facts[0]
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
    found = run_record.read(rolled.workdir).findings[0]
    assert record["intervention"] == {
        "attempt": 1,
        "kind": "d_loss_near_zero",
        "step": found.step,
        "reported": found.reported,
        "from_step": (found.step - 1) // 10 * 10,  # the newest checkpoint from before it began
        "changes": {"d_optim.learning_rate": [0.03, 0.015]},
    }
    assert "intervention" not in parent
    unlike = difference(parent["config"].to_dict(), record["config"].to_dict())
    assert unlike == ["d_optim.learning_rate: 0.03 -> 0.015"]
    first = read_metrics(child / "metrics.jsonl")[0]
    assert first["step"] == record["intervention"]["from_step"] + 5
    assert_same_state(jaxgan.load(child).state, rolled.state)
    assert f"rolled back into {child}. Attempt 1: from step" in rolled.out


def test_the_last_attempt_stops(hasty, rolled, capsys):
    end = "this was the last of 1 attempts, so raise monitor.max_attempts, or set monitor.on_finding to 'warn'"
    assert end in rolled.out
    assert_same_state(run(game("roll_back", attempts=1), rolled.workdir), rolled.state)
    assert f"{rolled.workdir / 'attempt_1'} is complete: step {int(rolled.state.step)} of 60" in capsys.readouterr().out


def test_a_run_that_was_rolled_back_says_where_it_goes_on(rolled):
    child = rolled.workdir / "attempt_1"
    assert rollback.went_on(rolled.workdir) == f"{rolled.workdir} was rolled back, and the run goes on in {child}."
    assert rollback.went_on(child) == ""
    facts = run_record.verdict(run_record.read(rolled.workdir)).facts
    assert (
        facts[0] == f"Rolled back at step {read_metrics(rolled.workdir / 'metrics.jsonl')[-1]['step']} of 60: the "
        "run goes on in attempt_1."
    )
    told = run_record.verdict(run_record.read(child)).facts[0]
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
    config = game("roll_back", attempts=1)
    with pytest.raises(Interrupted) as caught:
        run(config, tmp_path, writers=[Signal(signal.SIGTERM, at)])
    assert int(caught.value.state.step) == at and not caught.value.complete
    assert_same_state(run(config, tmp_path), rolled.state)
    assert rollback.intervention(tmp_path / "attempt_1") == rollback.intervention(rolled.workdir / "attempt_1")


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


def test_a_rerun_of_an_explosion_gives_the_same_advice_and_names_the_way_on(tmp_path, capsys):
    config = game(g_optim={"learning_rate": 1e38})
    said = []
    for _ in range(2):
        with pytest.raises(NonFiniteError, match=r"Set monitor\.on_finding to 'roll_back'") as caught:
            run(config, tmp_path)
        lines = capsys.readouterr().out.splitlines()
        said.append((str(caught.value), [line for line in lines if "not finite" in line or "advice:" in line]))
    assert said[0] == said[1] and len(said[0][1]) == 2
    assert len(recorded(tmp_path / FILE)) == 1
    assert outcome.recorded(tmp_path).kind == "non_finite"
    assert " is inf" in run_record.verdict(run_record.read(tmp_path)).facts[0]
    with pytest.raises(NonFiniteError, match=r"This was the last of 1 attempts, so raise monitor\.max_att"):
        run(game("roll_back", attempts=1, g_optim={"learning_rate": 1e38}), tmp_path)
    assert (tmp_path / "attempt_1").is_dir()


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
