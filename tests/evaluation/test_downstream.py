"""What samples are worth as training data."""

import shutil

import numpy as np
import pytest
from PIL import Image
from support.scored import tiny

from jaxgan.data import from_arrays, to_floats
from jaxgan.errors import UserError
from jaxgan.evaluation import evaluate as evaluation
from jaxgan.evaluation.evaluate import evaluate, score_folder
from jaxgan.evaluation.run_data import RunData
from jaxgan.metrics.downstream import Downstream
from jaxgan.runs.score_log import recorded
from jaxgan.sampling.sampler import load

pytestmark = pytest.mark.slow


def test_evaluation_says_what_samples_are_worth_as_training_data(run, monkeypatch):
    seen = []

    def stand_in(images, labels, train, test, *, output):
        seen.append((images, labels, len(train), len(test), output))
        return Downstream(0.9, 0.5, 0.95, "by a classifier")

    monkeypatch.setattr(evaluation, "downstream_accuracy", stand_in)
    found = evaluate(run[0], config=tiny(eval__every=0, eval__metrics=["downstream"]))
    assert {name: score.value for name, score in found.items()} == {"downstream": 0.5, "downstream_with_real": 0.95}
    assert "labels by a classifier, tested on 360 held out" in found["downstream"].protocol.details
    ((images, labels, *rest),) = seen
    np.testing.assert_allclose(images, to_floats(load(run[0]).images(24), "tanh"), atol=1e-6)
    assert (labels, rest) == (None, [1437, 360, "tanh"])


def test_evaluation_says_what_a_folder_is_worth_as_training_data(tmp_path, monkeypatch, tiny_digits):
    for i, image in enumerate(tiny_digits[0][:12]):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{i:02d}.png")
    seen = []

    def stand_in(images, labels, train, test, *, output):
        seen.append((images, labels, len(train), len(test), output))
        return Downstream(0.9, 0.5, 0.95, "by a classifier")

    monkeypatch.setattr(evaluation, "downstream_accuracy", stand_in)
    found = score_folder(tmp_path, tiny(eval__every=0, eval__metrics=["downstream"]))
    assert {name: score.value for name, score in found.items()} == {"downstream": 0.5, "downstream_with_real": 0.95}
    protocol = found["downstream"].protocol
    assert (protocol.n_fake, protocol.weights, protocol.checkpoint) == (12, "folder", str(tmp_path))
    ((images, labels, *rest),) = seen
    np.testing.assert_array_equal(images, to_floats(tiny_digits[0][:12], "tanh"))
    assert (labels, rest) == (None, [1437, 360, "tanh"])


@pytest.mark.parametrize("classes", [[], [3, 5]])
def test_downstream_is_of_the_run_s_classes(classes):
    """Of all their examples, whatever `data.max_examples` keeps from the run."""
    for split, real in zip(("train", "test"), RunData(tiny(data__classes=classes)).downstream_splits(), strict=True):
        whole = RunData(tiny(data__max_examples=0)).split(split).labels
        assert real.labels.tolist() == [x for x in whole if not classes or x in classes]


@pytest.mark.parametrize(
    ("change", "given", "sentence"),
    [
        ({}, True, "but examples given by the caller have no held-out split"),
        (
            {"data__source": "npz", "data__data_dir": "x.npz"},
            False,
            "but data.source 'npz' has no held-out split, as embedded and tfds have",
        ),
        ({"data__split": "test"}, False, "but data.split is 'test', so that the run is trained on them"),
        ({"data__split": "train+test"}, False, "but data.split is 'train.test', so that the run is trained on them"),
        ({"data__classes": [3]}, False, "but embedded/digits has no labelled images of two classes or more here"),
    ],
)
def test_downstream_needs_examples_held_out_from_the_generator(change, given, sentence):
    source = from_arrays(np.zeros((4, 8, 8, 1), np.uint8), np.arange(4) % 2) if given else None
    with pytest.raises(UserError, match=f"eval.metrics has 'downstream', .*{sentence}: leave it out"):
        RunData(tiny(**change), source).downstream_splits()


def test_scores_stay_on_record_when_the_classifiers_refuse(run, tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise UserError("generated digits has examples of class 0 only.")

    shutil.copytree(run[0], tmp_path / "run")
    monkeypatch.setattr(evaluation, "downstream_accuracy", refuse)
    config = tiny(eval__every=0, eval__metrics=["fd", "downstream"])
    with pytest.raises(UserError, match="class 0 only"):
        evaluate(tmp_path / "run", config=config)
    by, score = recorded(tmp_path / "run" / "evaluation.jsonl")[-1]
    assert (by, score.name) == ("evaluate", "fd")
