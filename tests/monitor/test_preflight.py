"""The facts before the first step are right, and each thing that is off is named, alone."""

import numpy as np
import pytest

from jaxgan.monitor.doctor import SEVERITIES
from jaxgan.monitor.preflight import CHECKS, of_batches, of_images, of_labels, of_networks, of_points, remarks

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.uniform(-1, 1, (400, 8, 8, 1)).astype(np.float32)
COLOR = RANDOM.uniform(-1, 1, (400, 8, 8, 3)).astype(np.float32)
POINTS = RANDOM.normal(size=(400, 2)).astype(np.float32)
FAKE = 0.5 * IMAGES[:32]
DOTS = np.where(np.arange(64) == RANDOM.randint(64, size=(400, 1)), RANDOM.uniform(0, 1, (400, 1)), -1).reshape(
    400, 8, 8, 1
)
LOGITS = RANDOM.normal(size=(2, 32)).astype(np.float32)


def changed(images, at, value):
    images = images.copy()
    images[at] = value
    return images


def images(x):
    return of_images(x, -1, 1)


def networks(fake=FAKE, logits=LOGITS):
    return of_networks(fake, *logits, -1, 1)


# What is off, by the kind that must be found, and it alone.
WRONG = {
    "data_not_finite": images(changed(IMAGES, (3, 0, 0), np.nan)),
    "same_images": images(IMAGES[:1] + np.float32(0.001) * IMAGES),
    "part_of_the_range": images((IMAGES + 1) / 2),
    "low_contrast": images(changed(0.08 * IMAGES, (0, 0, slice(0, 2), 0), [-1, 1])),
    "one_value": images(DOTS),
    "blank_images": images(changed(IMAGES, np.s_[:40], np.linspace(-1, 1, 40).reshape(40, 1, 1, 1))),
    "copied_images": images(changed(IMAGES, np.s_[:40], IMAGES[40:80])),
    "flat_channels": images(changed(COLOR, np.s_[..., 2], 1)),
    "gray_as_color": images(np.repeat(IMAGES, 3, axis=-1)),
    "scale_of_points": of_points(500 * POINTS),
    "less_than_a_batch": of_batches(50, 64, 1000, augmented=True),
    "few_examples": of_batches(100, 32, 1000, augmented=False),
    "small_batch_norm": of_batches(4000, 4, 10_000, normalized=4),
    "missing_classes": of_labels(np.arange(400) % 8, 10, True),
    "unbalanced_classes": of_labels(np.repeat([0, 1], [400, 20]), 2, True),
    "net_not_finite": networks(logits=changed(LOGITS, (0, 0), np.inf)),
    "same_outputs": networks(FAKE[:1] + np.float32(0.001) * FAKE),
    "saturated_outputs": networks(np.sign(FAKE)),
    "outputs_beyond_the_data": networks(4 * FAKE),
    "one_sided_outputs": networks(np.abs(FAKE)),
    "same_logits": networks(logits=np.full((2, 32), 0.5, np.float32)),
    "large_logits": networks(logits=100 * LOGITS),
    "told_apart": networks(logits=LOGITS + np.float32([[3], [-3]])),
    "part_of_the_data": of_batches(4000, 64, 10),
    "one_example_per_device": of_batches(4000, 64, 1000, per_device=1),
    "unused_labels": of_labels(np.arange(400) % 10, 10, False),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKS)
def test_documentation_has_every_kind_with_its_severity(kind, root):
    assert f"| `{kind}` | {CHECKS[kind].severity} |" in (root / "docs" / "doctor.md").read_text()


def kinds(facts):
    return [remark.kind for remark in remarks(facts)]


@pytest.mark.parametrize("kind", CHECKS)
def test_what_is_off_is_named_alone(kind):
    assert kinds(WRONG[kind]) == [kind]


@pytest.mark.parametrize(
    "facts",
    [
        images(IMAGES),
        images(COLOR),
        images(IMAGES[:1]),
        of_images((IMAGES + 1) / 2, 0, 1),
        of_points(POINTS),
        of_labels(np.arange(400) % 10, 10, True),
        of_labels(np.zeros(400, int), 0, False),
        of_labels(np.zeros(400, int), 1, False),
        of_batches(400, 64, 1000, normalized=64, per_device=32, augmented=False),
        of_batches(100, 64, 1000, augmented=True),
        of_batches(100, 64, 1000),  # points, which nothing augments
        networks(),
        of_networks(30 * POINTS, *LOGITS, -np.inf, np.inf),
        {},
    ],
)
def test_nothing_is_said_where_nothing_is_off(facts):
    assert kinds(facts) == []


@pytest.mark.parametrize(
    ("inside", "outside", "kind"),
    [
        ({"examples": 300.0, "augmented": 0.0}, {"examples": 299.0, "augmented": 0.0}, "few_examples"),
        ({"normalized": 8.0}, {"normalized": 7.0}, "small_batch_norm"),
        ({"reach": 0.61, "low": 0.0, "high": 1.0}, {"reach": 0.5, "low": 0.0, "high": 1.0}, "part_of_the_range"),
        ({"fake_spread": 0.003}, {"fake_spread": 0.0006}, "same_outputs"),
        ({"logit_size": 9.0}, {"logit_size": 11.0}, "large_logits"),
    ],
)
def test_thresholds(inside, outside, kind):
    assert (kinds(inside), kinds(outside)) == ([], [kind])


@pytest.mark.parametrize("kind", CHECKS)
def test_remarks_are_sentences_with_their_numbers(kind):
    [remark] = remarks(WRONG[kind])
    assert remark.severity in SEVERITIES and remark.severity == CHECKS[kind].severity
    assert remark.sentence[0] == remark.sentence[0].upper() and remark.sentence.endswith(".")
    assert "{" not in remark.sentence and ": " in remark.sentence  # what is seen: what to change
    assert remark.evidence == {name: WRONG[kind][name] for name in CHECKS[kind].reads}


def test_facts_of_images():
    x = np.zeros((4, 2, 2, 3), np.float32)
    x[0] = x[1] = 1  # copies, of one color
    x[2, 0, 0] = [0.5, 1, 0]
    x[..., 1] = 0.25
    found = of_images(x, -1, 1)
    assert found["images"] == 4 and (found["low"], found["high"], found["reach"]) == (0, 1, 0.5)
    assert (found["copies"], found["flat_channels"], found["gray"]) == (0.25, 1, 0)
    assert found["blank"] == 0.75  # of the values of a channel, whatever the others have
    assert found["contrast"] == pytest.approx(x.std()) and found["spread"] == pytest.approx(x.std(axis=0).mean())
    assert found["one_value"] == np.sum(x == 0.25) / x.size


def test_facts_do_not_depend_on_the_range():
    a, b = of_images(IMAGES, -1, 1), of_images((IMAGES + 1) / 2, 0, 1)
    for name in a.keys() - {"low", "high"}:
        assert a[name] == pytest.approx(b[name], rel=1e-3)
    a, b = networks(), of_networks((FAKE + 1) / 2, *LOGITS, 0, 1)
    assert a == pytest.approx(b, rel=1e-5)


def test_facts_of_networks():
    real, fake = np.array([2.0, 0.0]), np.array([-1.0, 0.0])
    made = np.array([[[0.0], [1.0]], [[1.0], [2.0]]])
    found = of_networks(made, real, fake, -1, 1)
    sigmoids = [np.mean(1 / (1 + np.exp(-x))) for x in (real, fake)]
    assert found["gap"] == pytest.approx(sigmoids[0] - sigmoids[1])
    assert (found["fake_spread"], found["logit_size"], found["one_sided"]) == (0.5, 0.5, 1)
    assert found["logit_spread"] == pytest.approx(np.std([2, 0, -1, 0]))
    assert (found["outside"], found["saturated"]) == (0.25, 0.75)


def test_facts_of_batches_and_labels():
    assert of_batches(4000, 32, 7000)["epochs"] == 56
    assert of_labels(np.array([0, 0, 0, 2]), 4, True) == {"missing": 2, "ratio": 3}
    assert of_labels(np.array([0, 0, 0, 2]), 4, False) == {"unused_classes": 2}
