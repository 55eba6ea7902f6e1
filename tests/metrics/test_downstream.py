import dataclasses

import numpy as np
import pytest

from jaxgan.data import from_arrays
from jaxgan.errors import UserError
from jaxgan.metrics import downstream
from jaxgan.metrics.downstream import downstream_accuracy
from jaxgan.metrics.features import random_network


@pytest.fixture(scope="module")
def real():
    """Dark (1) and bright (0) images, which a few steps tell apart."""
    images = np.full((40, 8, 8, 1), 40, np.uint8)
    images[::2] = 200
    return from_arrays(images, np.arange(40) % 2, name="two")


@pytest.fixture(scope="module")
def generated():
    """Generated images of both classes in [-1, 1], and their labels."""
    labels = np.arange(30) % 2
    return np.where(labels[:, None, None, None], -0.7, 0.6) * np.ones((30, 8, 8, 1), np.float32), labels


@pytest.fixture
def trained_on(monkeypatch):
    """The sets of all trainings, none of which takes place: each accuracy is one that tells the set."""
    sets = []
    judge = dataclasses.replace(random_network((8, 8, 1)), name="cnn_two", accuracy=0.9)

    def train(data, test, **options):
        sets.append(data)
        return dataclasses.replace(judge, accuracy=len(data) / 1000)

    monkeypatch.setattr(downstream, "train_classifier", train)
    monkeypatch.setattr(downstream, "load_classifier", lambda *args, **options: judge)
    return sets


@pytest.mark.slow
def test_images_teach_their_labels(real, generated, tmp_path):
    images, labels = generated
    found = downstream_accuracy(images, 1 - labels, real, real, steps=20, cache_dir=tmp_path, report=lambda line: None)
    assert (found.real, found.generated) == (1, 0)


def test_the_sets_are_generated_and_both(real, generated, trained_on):
    images, labels = generated
    found = downstream_accuracy(images, labels, real, real)
    assert (found.real, found.generated, found.both, found.labels) == (0.9, 0.03, 0.07, "the generator's")
    alone, both = trained_on
    assert [len(alone), len(both)] == [30, 70]
    np.testing.assert_array_equal(alone.read(np.arange(2)), np.rint((images[:2] + 1) * 127.5))
    np.testing.assert_array_equal(both.labels, np.concatenate([real.labels, labels]))
    order = np.array([69, 0, 40, 39, 1])
    expected = np.concatenate([real.read(range(40)), alone.read(np.arange(30))])[order]
    np.testing.assert_array_equal(both.read(order), expected)


def test_missing_labels_are_the_classifier_s(real, generated, trained_on):
    found = downstream_accuracy(generated[0], None, dataclasses.replace(real, class_names=tuple("abcdefghij")), real)
    judge = random_network((8, 8, 1))
    np.testing.assert_array_equal(trained_on[0].labels, judge(generated[0])[1].argmax(axis=1))
    assert found.labels == f"by cnn_two {judge.hash}"


@pytest.mark.parametrize(("output", "value"), [("tanh", -0.7), ("sigmoid", 0.15), ("linear", -0.7)])
def test_images_are_bytes_whatever_the_output(real, trained_on, output, value):
    downstream_accuracy(np.full((2, 8, 8, 1), value, np.float32), np.arange(2), real, real, output=output)
    assert set(trained_on[0].read(np.arange(2)).ravel()) == {38}


def test_floats_stay_floats(generated, trained_on):
    images, labels = generated
    real = from_arrays(np.zeros((4, 8, 8, 1), np.float32), np.arange(4) % 2)
    downstream_accuracy(images, labels, real, real)
    assert trained_on[1].read(np.array([4]))[0, 0, 0, 0] == np.float32(0.6)


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (np.zeros((3, 9, 8, 1)), np.zeros(3, int), "N > 0"),
        (np.zeros((0, 8, 8, 1)), np.zeros(0, int), "N > 0"),
        (np.full((3, 8, 8, 1), np.nan), np.zeros(3, int), "finite"),
        (np.zeros((3, 8, 8, 1)), np.zeros(2, int), "3 numbers of classes, below 2"),
        (np.zeros((3, 8, 8, 1)), np.array([0, 1, 2]), "below 2"),
    ],
)
def test_downstream_refuses_what_does_not_fit(real, trained_on, images, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        downstream_accuracy(images, labels, real, real)


def test_one_class_only_is_refused_in_a_sentence(real, generated, monkeypatch):
    monkeypatch.setattr(downstream, "load_classifier", lambda *args, **options: random_network((8, 8, 1)))
    with pytest.raises(UserError, match="generated two has examples of class 0 only"):
        downstream_accuracy(generated[0], np.zeros(30, int), real, real)
