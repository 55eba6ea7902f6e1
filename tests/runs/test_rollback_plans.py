"""Where an attempt begins, and what it changes."""

import dataclasses
import errno
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from support.provoked import game

from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.monitor.doctor import RULES, Finding, first_problem
from jaxgan.runs import rollback
from jaxgan.runs.checkpoints import Checkpoints, reaches_back
from jaxgan.runs.rollback import CHANGES, Attempt, newest, roll_back, why_not
from jaxgan.steps.randomness import seed_keys


def finding(kind: str = "d_loss_near_zero", step: int = 25) -> Finding:
    return Finding(kind, "problem", step, step + 20, None, {}, "Words.", ())


def recorded(path: Path, scores: dict[int, float | None], rank) -> Attempt:
    """A run with checkpoints of these scores."""
    path.mkdir()
    example = {"source": "synthetic/ring", "shape": [2], "num_examples": 8, "crc32": 1}
    record = {"format": 1, "config": game().to_dict(), "example": example, "environment": {}}
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
    assert rollback.intervention(child.workdir)["from_step"] == origin
    checkpoints = Checkpoints(child.workdir, keep=1)
    restored = checkpoints.restore(TARGET)
    checkpoints.close()
    assert (restored is None) == (origin == 0)
    assert restored is None or (restored[0], restored[1]["w"].tolist()) == (origin, [origin])


def test_a_checkpoint_that_was_being_deleted_is_passed_over(tmp_path):
    attempt = recorded(tmp_path / "run", FALLING, ("eval/fd", "lower"))
    (attempt.workdir / "checkpoints" / "20" / "meta" / "metadata").unlink()
    child = roll_back(attempt, finding(), ("eval/fd", "lower"), TARGET)
    assert rollback.intervention(child.workdir)["from_step"] == 30  # the best of those that have a score


def test_a_full_disk_leaves_no_attempt(tmp_path, monkeypatch):
    attempt = recorded(tmp_path / "run", {10: None}, None)

    def full(source, target, **_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(UserError, match=r"cannot be copied to .*No space left"):
        patched.setattr(rollback.shutil, "copyfile", full)
        roll_back(attempt, finding(), None, TARGET)
    assert not list(attempt.workdir.rglob(".attempt_1.partial/checkpoints/10"))
    assert newest(attempt.workdir, attempt.config) == attempt
    assert roll_back(attempt, finding(), None, TARGET).number == 1


def test_a_directory_that_is_no_attempt_is_none_and_is_not_overwritten(tmp_path):
    attempt = recorded(tmp_path / "run", {10: None}, None)
    recorded(attempt.workdir / "attempt_1", {}, None)
    assert newest(attempt.workdir, attempt.config) == attempt
    with pytest.raises(UserError, match="attempt_1 is not an attempt of this run and stands in the way"):
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
    assert why_not(attempt, finding()) and not why_not(attempt._replace(number=2), finding())


def test_another_attempt_draws_anew_but_shows_the_same_latents():
    one, other = (jax.tree.map(jax.random.key_data, seed_keys(3, attempt)) for attempt in (0, 1))
    assert (one.init != other.init).any() and (one.train != other.train).any()
    assert_array_equal(one.sample, other.sample)


def test_the_first_problem_is_what_counts_and_a_warning_is_none():
    late, early = finding(step=50), finding("imbalance", step=40)
    warning = dataclasses.replace(finding(step=10), severity="warning")
    assert first_problem([warning]) is None
    assert first_problem([warning, late, early]) is early


@pytest.mark.parametrize("kind", RULES)
def test_each_kind_changes_learning_rates_and_eps_or_stops(kind):
    attempt = Attempt(Path("run"), game("roll_back"), 0)
    if kind not in CHANGES:
        assert kind in ("memorization", "ignored_condition", "mode_hopping")
        assert "no learning rate cures" in why_not(attempt, finding(kind))
        return
    assert why_not(attempt, finding(kind)) == ""
    changes = rollback._changes(Config(), kind)
    assert changes.keys() == set(CHANGES[kind])
    for key, (old, new) in changes.items():
        assert new == (old / 2 if key.endswith("learning_rate") else 1e-6)
    assert rollback._changes(rollback._changed(Config(), {k: new for k, (_, new) in changes.items()}), kind).keys() == {
        key for key in CHANGES[kind] if not key.endswith("eps")
    }


@pytest.mark.slow
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
