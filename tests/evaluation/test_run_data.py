"""Which examples a run has, and that they are loaded once."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from support.scored import reference, tiny

from jaxgan.data import folder as folder_module
from jaxgan.data import from_arrays
from jaxgan.data import source as source_module
from jaxgan.errors import UserError
from jaxgan.evaluation.run_data import RunData
from jaxgan.metrics.classifier import load_classifier
from jaxgan.training.loop import train


@pytest.fixture
def labelled(tmp_path):
    """A configuration of a folder with 20 images in each of three classes."""
    images = np.random.RandomState(0).randint(0, 256, (60, 8, 8), np.uint8)
    for i, image in enumerate(images):
        path = tmp_path / "images" / "abc"[i % 3] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    values = {"data__source": "folder", "data__data_dir": str(tmp_path / "images"), "data__max_examples": 0}
    return lambda **changes: tiny(**{**values, "train__num_steps": 2, "eval__features": "classifier", **changes})


@pytest.fixture
def decoded(monkeypatch):
    """How often each file was decoded."""
    counts = Counter()
    open_image = folder_module.open_image

    def count(encoded):
        counts[encoded] += 1
        return open_image(encoded)

    monkeypatch.setattr(folder_module, "open_image", count)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("change", [{}, {"data__classes": ["a", "b"]}, {"data__max_examples": 30}])
def test_a_run_with_scores_decodes_each_image_once(labelled, decoded, tmp_path, monkeypatch, change):
    monkeypatch.setattr("jaxgan.evaluation.reference.load_classifier", _quick)
    train(labelled(**change), tmp_path / "run")
    assert len(decoded) == 60 and set(decoded.values()) == {1}


def _quick(train, test, **options):
    return load_classifier(train, test, **options, steps=1)


def test_the_examples_trained_on_and_compared_with_are_the_same_array(labelled):
    data = RunData(labelled())
    assert data.real_examples()[0].examples is data.trained.examples


def test_examples_picked_from_the_whole_set_are_those_loaded_without_scores(labelled):
    config = labelled(data__classes=["a", "c"], data__max_examples=30)
    picked, loaded = (RunData(config, scored=scored).trained for scored in (True, False))
    np.testing.assert_array_equal(picked.read(np.arange(30)), loaded.read(np.arange(30)))
    np.testing.assert_array_equal(picked.labels, loaded.labels)


def test_what_is_loaded_is_forgotten_with_the_run(labelled, decoded):
    for _ in range(2):
        RunData(labelled()).trained  # noqa: B018  loads
    assert set(decoded.values()) == {2}


def test_a_tenth_of_each_class_is_held_out_from_the_classifier():
    """Rare classes too: of 60, 38 and 2 examples, 6, 3 and 1."""
    labels = np.random.RandomState(0).permutation(np.repeat([0, 1, 2], [60, 38, 2])).astype(np.int32)
    source = from_arrays(np.arange(100, dtype=np.uint8).reshape(-1, 1, 1).repeat(8, 1).repeat(8, 2), labels)
    learned, tested = RunData(tiny(), source).labelled_splits()
    assert np.bincount(tested.labels).tolist() == [6, 3, 1] and np.bincount(learned.labels).tolist() == [54, 35, 1]
    parts = [split.read(np.arange(len(split)))[:, 0, 0, 0] for split in (learned, tested)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))


def test_classes_with_one_image_each_leave_none_to_test_a_classifier_on():
    source = from_arrays(np.zeros((3, 8, 8), np.uint8), np.arange(3))
    with pytest.raises(UserError, match=r"no class of arrays has two images or more.*eval.features to 'random'"):
        reference(tiny(eval__features="classifier"), source)


def test_streamed_images_are_not_kept_in_memory(labelled, monkeypatch):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 0)
    assert isinstance(RunData(labelled()).trained.examples, source_module.Streamed)
