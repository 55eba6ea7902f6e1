import dataclasses
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import numpy as np
import pytest

from jaxgan.data import Source, from_arrays, load, to_floats
from jaxgan.errors import UserError
from jaxgan.metrics import classifier
from jaxgan.metrics.classifier import Classifier, load_classifier, train_classifier
from jaxgan.metrics.conditional import class_accuracy
from jaxgan.metrics.labelled import content_hash

pytestmark = pytest.mark.slow

STEPS = 100


@pytest.fixture(scope="module")
def splits():
    return tuple(load("embedded", name="digits", split=split) for split in ("train", "test"))


@pytest.fixture(scope="module")
def trained(splits):
    return train_classifier(*splits, steps=STEPS)


@pytest.fixture(scope="module")
def two_classes():
    """Dark and bright images, which a few steps tell apart."""
    images = np.full((40, 8, 8, 1), 40, np.uint8)
    images[::2] = 200
    return from_arrays(images, np.arange(40) % 2)


@pytest.fixture(scope="module")
def small(two_classes):
    return train_classifier(two_classes, two_classes, steps=2)


@pytest.fixture
def trainings(monkeypatch, small):
    """The arguments of every training, none of which takes place."""
    calls = []

    def train(*args, **kwargs):
        calls.append((args, kwargs))
        return small

    monkeypatch.setattr(classifier, "train_classifier", train)
    return calls


def test_classifier_reads_digits_it_has_not_seen(trained, splits):
    test = splits[1]
    predicted = trained(test.read(np.arange(len(test))) / np.float32(127.5) - 1)[1].argmax(axis=1)
    assert (predicted == test.labels).mean() == trained.accuracy
    assert 0.95 < trained.accuracy < 1


def test_classifier_of_shuffled_labels_is_near_chance(splits):
    train, test = splits
    shuffled = dataclasses.replace(train, labels=np.random.RandomState(0).permutation(train.labels))
    assert train_classifier(shuffled, test, steps=STEPS).accuracy < 0.25


@pytest.mark.slow
def test_classifier_is_that_of_its_seed(trained, splits):
    assert train_classifier(*splits, steps=STEPS).hash == trained.hash
    assert train_classifier(*splits, steps=STEPS, seed=1).hash != trained.hash


@pytest.mark.parametrize("shape", [(8, 8, 3), (9, 13, 1), (28, 28, 1), (32, 32, 4)])
def test_classifier_takes_any_size_and_channels(shape):
    call = partial(Classifier(num_classes=3).init_with_output, train=False)
    features, logits = jax.eval_shape(call, jax.random.key(0), np.zeros((5, *shape), np.float32))[0]
    assert (features.shape, logits.shape) == ((5, classifier.NUM_FEATURES), (5, 3))


@pytest.mark.slow
def test_classifier_learns_from_floats_of_odd_size():
    images = np.random.RandomState(0).uniform(0, 0.2, (20, 9, 13, 3)).astype(np.float32)
    labels = np.arange(20) % 2
    images[labels == 1] += 0.7
    data = from_arrays(images, labels)
    trained = train_classifier(data, data, output="sigmoid", steps=5)
    assert trained.accuracy == class_accuracy(trained, images, labels).overall > 0.9


def test_classifier_shows_progress(two_classes, monkeypatch):
    monkeypatch.setattr(classifier, "EVERY", 0)
    lines = []
    train_classifier(two_classes, two_classes, steps=3, report=lines.append)
    assert [line.partition(",")[0] for line in lines[:3]] == [
        f"classifier of arrays: step {i} of 3 or fewer" for i in (1, 2, 3)
    ]
    assert "of 40 held-out images right" in lines[3]


def ended_at(lines: list[str]) -> int:
    return int(re.search(r"after (\d+) steps", lines[-1])[1])


def test_training_ends_soon_after_the_held_out_accuracy_has_stopped_rising(two_classes):
    """The two classes are told apart at once: it warms up, looks four times, and cools down."""
    lines, plan = [], classifier._Plan.of(len(two_classes), None)
    found = train_classifier(two_classes, two_classes, report=lines.append)
    looked = -(-(plan.warm_up + 1) // plan.every) + classifier.PATIENCE
    assert ended_at(lines) == looked * plan.every + plan.cool_down < plan.steps
    assert found.accuracy == 1


def test_training_goes_on_while_the_held_out_accuracy_rises(two_classes, monkeypatch):
    rising = iter(np.linspace(0, 1, 100))
    monkeypatch.setattr(classifier, "_look", lambda *_: lambda variables: next(rising))
    lines = []
    train_classifier(two_classes, two_classes, report=lines.append)
    assert ended_at(lines) == classifier._Plan.of(len(two_classes), None).steps


@pytest.mark.parametrize(
    ("examples", "batch", "steps"), [(2, 2, 30), (40, 16, 75), (297, 37, 240), (4000, 128, 600), (10**6, 128, 600)]
)
def test_training_is_sized_by_the_number_of_images(examples, batch, steps):
    assert classifier._Plan.of(examples, None) == (steps, batch)
    assert classifier._Plan.of(examples, 7) == (7, batch)


@pytest.mark.parametrize("last", [100, 60])
def test_the_learning_rate_rises_stays_and_falls_wherever_the_end_is(last):
    plan = classifier._Plan(100, 16)
    rates = [plan.rate(i, last) for i in range(last)]
    assert 0 < rates[0] < rates[plan.warm_up - 1] < rates[plan.warm_up] == classifier.LEARNING_RATE
    assert rates[-plan.cool_down - 1] == classifier.LEARNING_RATE > rates[-plan.cool_down] > rates[-1] > 0
    assert set(rates[plan.warm_up : -plan.cool_down]) == {classifier.LEARNING_RATE}


def test_it_is_said_why_a_classifier_is_trained_and_how_to_go_without(two_classes, trainings, tmp_path):
    lines = []
    for _ in range(2):
        load_classifier(two_classes, two_classes, cache_dir=tmp_path, report=lines.append)
    (line,) = lines  # the second time it is in the cache
    assert "on 40 images" in line and "features are what the scores compare" in line and "eval.features=random" in line


def test_shift_moves_images_by_a_fourteenth_at_most(key):
    image = np.zeros((64, 28, 28, 1), np.float32)
    image[:, 14, 14] = 1
    moved = np.argwhere(np.asarray(classifier._shifted(image, key))[..., 0])[:, 1:] - 14
    assert len(moved) == 64
    assert (moved.min(), moved.max()) == (-2, 2)


def test_cache_spares_the_second_training(two_classes, trainings, small, tmp_path):
    for _ in range(2):
        loaded = load_classifier(two_classes, two_classes, cache_dir=tmp_path)
        assert (loaded.hash, loaded.accuracy, loaded.name) == (small.hash, small.accuracy, "cnn_arrays")
    assert len(trainings) == 1


def test_cache_serves_every_output(two_classes, trainings, small, tmp_path):
    images = two_classes.read(np.arange(40))
    load_classifier(two_classes, two_classes, cache_dir=tmp_path)
    unit = load_classifier(two_classes, two_classes, output="sigmoid", cache_dir=tmp_path)
    assert len(trainings) == 1
    signed = small(images / np.float32(127.5) - 1)[0]
    np.testing.assert_allclose(unit(images / np.float32(255))[0], signed, rtol=0, atol=1e-5)


def changed_pixel(data: Source) -> Source:
    images = data.read(np.arange(len(data)))
    images[0, 0, 0] += 1
    return dataclasses.replace(data, examples=images)


def changed_label(data: Source) -> Source:
    return dataclasses.replace(data, labels=np.roll(data.labels, 1))


@pytest.mark.parametrize("change", [changed_pixel, changed_label])
def test_cache_keeps_other_data_apart(two_classes, change):
    def key(train, test, **changes):
        contents = tuple(content_hash(split, "tanh") for split in (train, test))
        return classifier._key(**{"recipe": 2, "seed": 0, "steps": None, "contents": contents} | changes)

    other, same = change(two_classes), key(two_classes, two_classes)
    keys = {same, key(other, two_classes), key(two_classes, other), key(two_classes, two_classes, seed=1)}
    keys |= {key(two_classes, two_classes, steps=3), key(two_classes, two_classes, recipe=3)}
    assert len(keys) == 6
    assert key(two_classes, two_classes) == same


def damage(data: bytes) -> bytes:
    return data[:100] + bytes(100) + data[200:]


@pytest.mark.parametrize("spoil", [damage, lambda data: data[:1000], lambda data: b"", lambda data: b"not an archive"])
def test_cache_that_is_damaged_is_trained_anew(two_classes, trainings, tmp_path, caplog, spoil):
    load_classifier(two_classes, two_classes, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(spoil(file.read_bytes()))
    with caplog.at_level(logging.WARNING, "absl"):
        load_classifier(two_classes, two_classes, cache_dir=tmp_path)
    assert len(trainings) == 2
    assert "they are made anew" in caplog.text and caplog.records[0].exc_info is None
    load_classifier(two_classes, two_classes, cache_dir=tmp_path)
    assert len(trainings) == 2


def test_cache_is_whole_while_others_write_it(two_classes, trainings, small, tmp_path, caplog):
    def load_once(_):
        return load_classifier(two_classes, two_classes, cache_dir=tmp_path).hash

    with caplog.at_level(logging.WARNING, "absl"), ThreadPoolExecutor(8) as pool:
        assert set(pool.map(load_once, range(32))) == {small.hash}
    assert not caplog.records
    assert len(list(tmp_path.iterdir())) == 1


def test_cache_that_cannot_be_written_is_a_warning(two_classes, trainings, small, tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "absl"):
        loaded = load_classifier(two_classes, two_classes, cache_dir=tmp_path / "file" / "below")
    assert loaded.hash == small.hash
    assert "cannot be cached" in caplog.text


def test_cache_lies_where_the_environment_says(two_classes, trainings, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path / "cache"))
    load_classifier(two_classes, two_classes)
    assert [file.name[:11] for file in (tmp_path / "cache").iterdir()] == ["cnn_arrays-"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (from_arrays(np.zeros((4, 8, 8), np.uint8)), "arrays has no labels"),
        (from_arrays(np.zeros((4, 8, 8), np.uint8), np.full(4, 2)), "class 2 only"),
        (from_arrays(np.zeros((4, 7, 8), np.uint8), np.arange(4)), "at least 8x8"),
        (from_arrays(np.zeros((4, 2)), np.arange(4)), "at least 8x8"),
    ],
)
def test_classifier_refuses_data_it_cannot_learn(data, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        load_classifier(data, data, cache_dir=tmp_path)


def test_classifier_refuses_splits_that_differ(two_classes):
    other = from_arrays(np.zeros((4, 9, 9), np.uint8), np.arange(4) % 2)
    with pytest.raises(UserError, match="splits of arrays must have the same"):
        train_classifier(two_classes, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_classifiers_of_embedded_sets_come_with_the_package(name, trainings, tmp_path):
    splits = [load("embedded", name=name, split=split) for split in ("train", "test")]
    judge = load_classifier(*splits, cache_dir=tmp_path)
    _, logits = judge(to_floats(splits[1].read(np.arange(len(splits[1]))), "tanh"))
    assert not trainings and (logits.argmax(1) == splits[1].labels).mean() == pytest.approx(judge.accuracy)
