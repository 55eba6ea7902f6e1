"""The diagnosis of a run, from wherever its curves come."""

import json

import numpy as np
import pytest

import jaxgan
from jaxgan.config.config import Config
from jaxgan.data import from_arrays
from jaxgan.errors import UserError
from jaxgan.runs.directory import describe

STEPS = np.arange(0, 5000, 50)
LOSS = np.where(STEPS < 1000, 1.0, 1e-4)


@pytest.fixture
def log(tmp_path):
    rows = [{"step": int(step), "loss/d": float(loss)} for step, loss in zip(STEPS, LOSS, strict=True)]
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def configured(log, loss: str, conditioned: bool = False):
    source = from_arrays(np.zeros((10, 8, 8), np.uint8), np.arange(10))
    config = Config.from_dict({"loss": {"name": loss}})
    record = {"format": 1, "config": config.to_dict(), "environment": {}, "example": describe(source, conditioned)}
    (log.parent / "config.json").write_text(json.dumps(record))


def test_curves_a_log_and_a_directory_give_the_same(log):
    found = jaxgan.diagnose({"step": STEPS, "loss/d": LOSS})
    assert [each.kind for each in found] == ["d_loss_near_zero"]
    assert jaxgan.diagnose(log) == jaxgan.diagnose(str(log.parent)) == found


def test_the_loss_of_a_run_is_that_of_its_configuration(log):
    """The loss of a Wasserstein critic may be anywhere."""
    configured(log, "wasserstein")
    assert jaxgan.diagnose(log.parent) == jaxgan.diagnose(log) == []
    assert jaxgan.diagnose(log.parent, loss="hinge")


def test_the_classes_of_a_run_are_those_it_is_conditioned_on(log):
    with log.open("a") as file:
        file.writelines(f"{json.dumps({'step': 5000 + i, 'eval/class_accuracy': 0.11})}\n" for i in range(4))
    assert "ignored_condition" not in {found.kind for found in jaxgan.diagnose(log)}
    configured(log, "non_saturating", conditioned=True)
    assert "ignored_condition" in {found.kind for found in jaxgan.diagnose(log)}


@pytest.mark.parametrize("name", ["nowhere", "", "run/config.json/metrics.jsonl"])
def test_a_run_without_a_log_is_a_sentence(tmp_path, log, name):
    with pytest.raises(UserError, match=r"There is no log at .*: name the directory of a run"):
        jaxgan.diagnose(tmp_path / name)
