"""Scores while a generator trains: when they come, what they change, and how they end a run."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from support.scored import tiny, values

from jaxgan.errors import UserError
from jaxgan.evaluation import reference as reference_module
from jaxgan.evaluation.evaluate import evaluate
from jaxgan.evaluation.scorer import Scorer
from jaxgan.monitor.curves import read_metrics
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.sampling.sampler import load
from jaxgan.training import pictures
from jaxgan.training.loop import train


def test_training_scores_at_every_interval_and_logs_them_by_their_tag(run):
    assert list(values(run[0])) == [2, 4, 6]
    rows = {row["step"]: row for row in read_metrics(run[0] / "metrics.jsonl")}
    assert {step: row["eval/fd_24_random_network_0"] for step, row in rows.items() if step in (2, 4, 6)} == values(
        run[0]
    )


@pytest.mark.slow
def test_the_best_checkpoint_stays_beside_the_newest(run):
    found = values(run[0])
    best = min(found, key=found.get)
    checkpoints = Checkpoints(run[0])
    assert set(checkpoints.steps()) == {best, 6}
    checkpoints.close()
    assert evaluate(run[0], checkpoint="best")["fd"].value == found[best]
    assert load(run[0], checkpoint="best").step == best


@pytest.mark.slow
def test_the_best_checkpoint_stays_when_a_run_goes_on_without_scores(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    train(tiny(eval__every=0, train__num_steps=8), tmp_path / "run")
    found = values(run[0])
    assert load(tmp_path / "run", checkpoint="best").step == min(found, key=found.get)


def test_pictures_do_not_wait_for_the_network_of_the_scores(tmp_path, monkeypatch):
    order = []
    real = reference_module.random_network
    monkeypatch.setattr(reference_module, "random_network", lambda *a, **k: order.append("network") or real(*a, **k))
    monkeypatch.setattr(pictures, "save_png", lambda path, image: order.append(path.name))
    train(tiny(train__sample_every=1, train__num_steps=2, eval__every=2), tmp_path)
    assert order.index("network") > order.index("step_00000001.png") > order.index("step_00000000.png")


def test_what_cannot_be_scored_is_refused_before_the_workdir_is_touched(tmp_path):
    images = np.zeros((20, 8, 8, 1), np.uint8)
    for labels, sentence in ((None, "has no labels"), (np.zeros(20, int), "of class 0 only|one class")):
        source = images if labels is None else (images, labels)
        with pytest.raises(UserError, match=sentence):
            train(tiny(eval__features="classifier"), tmp_path / "run", source=source)
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_scores_do_not_change_the_training(run, tmp_path):
    state = train(tiny(eval__every=0), tmp_path)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), jax.device_get(run[1]))


@pytest.mark.slow
def test_a_resumed_run_scores_as_if_it_had_not_stopped(run, tmp_path):
    train(tiny(train__num_steps=3), tmp_path)
    train(tiny(), tmp_path)
    assert {step: v for step, v in values(tmp_path).items() if step != 3} == values(run[0])


@pytest.mark.slow
def test_without_scores_there_is_no_best_checkpoint(tmp_path):
    train(tiny(eval__every=0, train__num_steps=2), tmp_path)
    with pytest.raises(UserError, match=r"train with eval\.every set"):
        load(tmp_path, checkpoint="best")


@pytest.mark.slow
def test_a_run_ends_early_where_asked_for_and_stays_ended(run, tmp_path, monkeypatch, capsys):
    made = iter([1.0, 1.0, 1.0, 1.0])
    shutil.copytree(run[0], tmp_path / "other")
    real = Scorer.__call__
    monkeypatch.setattr(
        Scorer, "__call__", lambda self, state: {"fd": dataclasses.replace(real(self, state)["fd"], value=next(made))}
    )
    config = tiny(eval__plateau_patience=2, train__num_steps=10)
    assert int(train(config, tmp_path / "run").step) == 6
    assert "ended early: step 6 of 10, since at step 6 2 evaluations" in capsys.readouterr().out
    assert int(train(config, tmp_path / "run").step) == 6 and "is complete" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr(reference_module, "BLOCK", 16)
    assert int(train(tiny(train__num_steps=8), tmp_path / "run").step) == 8  # without patience it goes on


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"eval__metrics": ["fid"]}, "eval.metrics"),
        ({"eval__best_metric": "kid"}, "it must be one of eval.metrics, fd"),
        ({"eval__features": "inception"}, "set eval.inception_path to where it lies"),
        ({"eval__stop_ratio": 0.9}, "greater than 1"),
        ({"eval__stop_ratio": 1.5, "eval__metrics": ["kid"], "eval__best_metric": "kid"}, "KID may be 0 or less"),
        ({"eval__metrics": ["fd", "downstream"]}, "set eval.every to 0 and use --mode=evaluate"),
        ({"eval__every": 0, "eval__plateau_patience": 3}, "need evaluations"),
        ({"eval__num_samples": 1}, "at least 2"),
        ({"eval__num_samples": 5, "eval__metrics": ["fd", "recall"]}, "num_samples is 5, but 'recall' .* needs 6"),
        ({"eval__num_real": 5, "eval__metrics": ["fd", "density"]}, "num_real is 5, but 'density' .* needs 6"),
        ({"eval__num_real": 1}, "num_real is 1, but 'fd' of eval.metrics needs 2"),
        ({"eval__weights": "recalibrated", "model__g_batch_norm": False}, "the generator has no batch norm"),
        (
            {
                "eval__metrics": ["fd", "is"],
                "data__source": "synthetic",
                "data__name": "ring",
                "model__output": "linear",
            },
            "'is', which a network reads off images, but data.source 'synthetic' is points",
        ),
        ({"train__steps_per_call": 3, "eval__every": 4}, "multiple of train.steps_per_call"),
        ({"eval__metrics": ["fd", "class_accuracy"]}, "but the generator is unconditional"),
        (
            {
                "eval__metrics": ["fd", "class_accuracy"],
                "model__g_conditioning": "concat",
                "model__d_conditioning": "concat",
            },
            "eval.features is 'random' .* it needs eval.features 'classifier' and images",
        ),
    ],
)
def test_the_eval_section_refuses_what_cannot_work(overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        tiny(**overrides)
