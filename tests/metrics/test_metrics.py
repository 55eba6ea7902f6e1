"""What holds for every score in `METRICS`."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from jaxgan import metrics
from jaxgan.data import load
from jaxgan.metrics import DAMAGES, METRICS, Extracted, Protocol, measure
from jaxgan.metrics.classifier import load_classifier

PROTOCOL = Protocol("cnn_embedded_digits", "0123", "embedded/digits", "test", n_real=1, n_fake=1)
STRENGTHS = {"blur": (0.6, 1.0, 1.6), "noise": (0.4, 0.8, 1.6), "dropped_modes": (2, 5, 8)}
each = pytest.mark.parametrize("name", METRICS)


@pytest.fixture(scope="module")
def digits():
    """Held-out digits as f32 in [-1, 1], their labels, and a classifier that learned from others."""
    train, test = (load("embedded", name="digits", split=split) for split in ("train", "test"))
    judge = load_classifier(train, test)  # which comes with the package, and is the same on any processor
    return test.read(np.arange(len(test))) / np.float32(127.5) - 1, test.labels, judge


@pytest.fixture(scope="module")
def halves(digits):
    images, labels, judge = digits
    first, second = (Extracted(*judge(images[i::2]), labels[i::2]) for i in (0, 1))
    # To each of them some of the other half are held out.
    return [dataclasses.replace(x, held_out=other.features[:50]) for x, other in ((first, second), (second, first))]


def damaged(images, labels, damage, strength):
    """Damaged images, and their labels."""
    if damage == "blur":
        return gaussian_filter(images, (0, strength, strength, 0)), labels
    if damage == "noise":
        noise = strength * np.random.RandomState(0).randn(*images.shape)
        return np.clip(images + noise, -1, 1).astype(np.float32), labels
    kept = np.flatnonzero(labels >= strength)
    kept = kept[np.arange(len(images)) % len(kept)]
    return images[kept], labels[kept]


@pytest.fixture(scope="module")
def series(digits, halves):
    """For each damage the second half, whole and then worse and worse."""
    images, labels, judge = digits
    images, labels = images[1::2], labels[1::2]
    return {
        damage: [halves[1], *(extracted(judge, *damaged(images, labels, damage, s)) for s in strengths)]
        for damage, strengths in STRENGTHS.items()
    }


def extracted(judge, images, labels):
    return Extracted(*judge(images), labels)


def value(name, real, fake, seed=0):
    return measure(name, real, fake, dataclasses.replace(PROTOCOL, seed=seed), resamples=0).value


def permuted(x, seed):
    order = np.random.RandomState(seed).permutation(len(x))
    return Extracted(x.features[order], x.logits[order], x.labels[order], x.held_out[order[order < 50]])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "damage"), [(n, d) for n, m in METRICS.items() for d in sorted(m.sees)])
def test_damage_that_is_seen_makes_it_worse_by_degree(name, damage, halves, series):
    values = [value(name, halves[0], fake) for fake in series[damage]]
    steps = np.diff(values) if METRICS[name].better == "lower" else -np.diff(values)
    few = 0.05 * steps.sum()  # as much as a few of 180 examples make of shares
    assert (steps >= -few).all() and steps[0] + steps[1] > few > 0, values


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_seen_by_two(damage):
    assert sum(damage in metric.sees for metric in METRICS.values()) >= 2


@each
def test_identical_sets_are_ideal(name, halves):
    ideal = METRICS[name].ideal
    # Without a bias of its own, KID rewards pairs of equal examples by 2 / N of its scale.
    tolerance = 0.1 if name == "kid" else 0
    assert ideal is None or abs(value(name, halves[0], Extracted(*dataclasses.astuple(halves[0]))) - ideal) <= tolerance


@each
def test_two_halves_of_the_data_are_near_the_ideal(name, halves, series):
    """Nearer than a fifth of what the worst damage costs."""
    ideal = METRICS[name].ideal
    if ideal is not None:
        worst = max(abs(value(name, halves[0], damaged[-1]) - ideal) for damaged in series.values())
        assert abs(value(name, halves[0], halves[1]) - ideal) < 0.2 * worst


@each
def test_same_seed_gives_the_same(name, halves):
    first, second = (measure(name, *halves, PROTOCOL, resamples=5) for _ in range(2))
    assert first == second


@each
def test_order_does_not_matter(name, halves):
    shuffled = [permuted(x, i) for i, x in enumerate(halves)]
    np.testing.assert_allclose(value(name, *shuffled), value(name, *halves), rtol=1e-9, atol=1e-12)


@each
def test_score_tells_its_protocol(name, halves):
    score = measure(name, halves[0], halves[1], PROTOCOL, resamples=3)
    assert (score.name, score.better) == (name, METRICS[name].better)
    assert (score.protocol.n_real, score.protocol.n_fake) == (180, 180)
    assert bool(score.protocol.details) == (name != "fd")
    assert (score.interval is not None) == (METRICS[name].resample is not None)


@each
def test_sees_and_needs_name_what_there_is(name):
    fields = {field.name for field in dataclasses.fields(Extracted)}
    assert METRICS[name].sees <= set(DAMAGES) and METRICS[name].needs | METRICS[name].needs_real <= fields


@each
def test_missing_input_is_named(name, halves):
    bare = [Extracted(half.features) for half in halves]
    missing = (METRICS[name].needs | METRICS[name].needs_real) - {"features"}
    if not missing:
        assert np.isfinite(value(name, *bare))
    else:
        with pytest.raises(ValueError, match=f"'{name}' needs {sorted(missing)[0]}"):
            value(name, *bare)


@pytest.mark.slow
def test_intervals_hold_their_values(halves):
    for name in ("fd", "kid"):
        score = measure(name, *halves, PROTOCOL)
        assert score.interval[0] < score.value < score.interval[1]


def test_no_resamples_give_no_interval(halves):
    assert measure("fd", *halves, PROTOCOL, resamples=0).interval is None


@pytest.mark.slow
def test_wide_features_have_no_interval():
    wide = [Extracted(np.random.RandomState(i).randn(600, metrics.WIDEST_RESAMPLED + 1)) for i in (0, 1)]
    assert measure("fd", *wide, PROTOCOL).interval is None


def test_large_sets_go_by_subsets(halves, monkeypatch):
    monkeypatch.setattr(metrics, "SUBSET", 50)
    monkeypatch.setattr(metrics, "SUBSETS", 7)
    monkeypatch.setattr(metrics, "SPLIT", 60)
    monkeypatch.setattr(metrics, "PAIRED", 20)
    details = [measure(name, *halves, PROTOCOL, resamples=0).protocol.details for name in ("kid", "is", "diversity")]
    assert details == ["7 subsets of 50", "3 splits", "pairs of 20 generated and of 20 real"]


def test_diversity_of_equal_real_examples_is_refused(halves):
    with pytest.raises(ValueError, match="real features are all the same"):
        value("diversity", Extracted(np.ones((5, 3))), Extracted(np.eye(3)))


def test_memorization_is_the_ratio_of_median_distances():
    random = np.random.RandomState(0)
    train, held_out, fake = (random.randn(n, 3) for n in (700, 9, 5))  # more than a block
    medians = []
    for queries in (fake, held_out):
        nearest = [min(math.dist(query, example) for example in train) for query in queries]
        medians.append(sorted(nearest)[len(nearest) // 2])
    real = Extracted(train, held_out=held_out)
    assert value("memorization", real, Extracted(fake)) == pytest.approx(medians[0] / medians[1], rel=1e-9)


def test_memorization_is_0_of_copies_and_1_of_other_examples_of_the_data():
    random = np.random.RandomState(0)
    train, held_out, new = (random.randn(n, 8).astype(np.float32) for n in (600, 300, 300))
    real = Extracted(train, held_out=held_out)
    assert value("memorization", real, Extracted(train[:300])) == 0
    assert value("memorization", real, Extracted(train[:300] + np.float32(0.01))) == pytest.approx(0, abs=0.05)
    assert value("memorization", real, Extracted(new)) == pytest.approx(1, abs=0.05)


def test_memorization_beside_held_out_copies_is_refused():
    train = np.random.RandomState(0).randn(20, 3)
    with pytest.raises(ValueError, match="held-out examples are among the real ones"):
        value("memorization", Extracted(train, held_out=train[:5]), Extracted(train))


@pytest.mark.parametrize(("asked", "expected"), [([0, 1, 2, 2], 1.0), ([0, 1, 2, 0], 0.75), ([1, 2, 0, 0], 0.0)])
def test_class_accuracy_is_the_share_of_examples_of_the_class_asked_for(asked, expected):
    fake = Extracted(np.zeros((4, 2)), np.eye(3)[[0, 1, 2, 2]], np.array(asked))
    score = measure("class_accuracy", fake, fake, PROTOCOL)
    assert score.value == expected and score.protocol.details == "3 classes"
