"""The table of what scores see: its sets are fair, its verdicts are those of its numbers."""

import numpy as np
import pytest

from benchmarks.experiments import damage
from jaxgan.metrics import DAMAGES, Protocol
from jaxgan.metrics.features import random_network


@pytest.fixture
def images():
    """120 images of 10 classes, each of its own gray."""
    return np.linspace(-1, 1, 120, dtype=np.float32)[:, None, None, None] * np.ones((120, 8, 8, 1), np.float32)


LABELS = np.arange(120) % 10


def grays(images):
    return set(images[:, 0, 0, 0].tolist())


def test_damages_are_those_that_scores_name():
    assert set(damage.DAMAGES) == set(DAMAGES)


def test_sets_are_of_one_size_and_share_no_image_with_the_real_half(images):
    real, fakes = damage.sets(images, LABELS, seed=0)
    found = {key: fake for key, fake, _ in fakes}
    assert len(real) == 60 and len({len(fake) for fake in found.values()}) == 1
    for (name, _), fake in found.items():
        if name in ("none", "dropped_modes"):
            assert len(grays(fake)) == len(fake) and not grays(real) & grays(fake)


def test_dropped_classes_are_missing(images):
    class_of = {gray: label for gray, label in zip(images[:, 0, 0, 0].tolist(), LABELS.tolist(), strict=True)}
    for (name, strength), fake, labels in damage.sets(images, LABELS, seed=0)[1]:
        if name == "dropped_modes":
            assert min(class_of[gray] for gray in grays(fake)) == labels.min() == strength


def values(name, *rows):
    keys = [("none", 0.0), *(("blur", s) for s in damage.DAMAGES["blur"].strengths)]
    return {key: {name: row} for key, row in zip(keys, rows, strict=True)}


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("fd", [[1, 2], [2, 3], [3, 4], [4, 5]], True),
        ("recall", [[1, 2], [2, 3], [3, 4], [4, 5]], False),
        ("recall", [[5, 4], [4, 3], [3, 2], [2, 1]], True),
        ("fd", [[1, 2], [2, 3], [1, 3], [4, 5]], False),  # the second is no worse than the first
        ("fd", [[1, 9], [5, 6], [6, 6], [8, 7]], False),  # by one seed the strongest is better than none
    ],
)
def test_verdict_goes_by_order_and_by_every_seed(name, rows, expected):
    assert damage.seen(values(name, *rows), name, "blur") is expected


@pytest.mark.slow
def test_table_has_a_row_for_each_set_and_verdict(images):
    protocol = Protocol("random", "0", "arrays", "test", 1, 1)
    found, protocol = damage.score(images, LABELS, random_network((8, 8, 1)), 2, protocol)
    lines = damage.table(found)
    assert len(lines) == 2 + 10 + 3 and all(line.count("|") == len(damage.SCORES) + 2 for line in lines)
    assert (protocol.n_real, protocol.n_fake) == (60, len(next(damage.sets(images, LABELS, 1)[1])[1]))
    assert all(len(found[("noise", 0.4)][name]) == 2 for name in damage.SCORES)
