"""What each score of a generator is computed of."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from support.scored import reference, scorer, tiny, values

from jaxgan.data import from_arrays, to_floats
from jaxgan.devices.devices import Devices
from jaxgan.errors import UserError
from jaxgan.evaluation import scorer as scorer_module
from jaxgan.evaluation.evaluate import evaluate, table
from jaxgan.evaluation.run_data import RunData
from jaxgan.evaluation.scorer import Scorer
from jaxgan.metrics import METRICS
from jaxgan.metrics.frechet import frechet_distance, statistics
from jaxgan.monitor.doctor import diagnose
from jaxgan.sampling.sampler import load
from jaxgan.steps.gan import init
from jaxgan.training.actions import SCALARS, Evaluate


@pytest.mark.slow
def test_the_score_is_that_of_the_samples_themselves(run):
    """Against an independent way: samples drawn by the `Sampler`, saved as bytes, and features from one call."""
    sampler = load(run[0])
    compared = reference(tiny())
    fake = to_floats(sampler.images(24), "tanh")
    expected = frechet_distance(statistics(compared.real.features), statistics(compared.features(fake)[0]))
    assert evaluate(run[0])["fd"].value == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_the_number_of_devices_changes_rounding_only(run):
    found = []
    for devices in (Devices(jax.devices()[:1]), Devices(jax.devices()[:4])):
        found.append(scorer(tiny(), devices)(run[1])["fd"].value)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.fixture(scope="module")
def conditional(cache):
    """The scorer by every metric of a game with classes, and a state of it."""
    config = tiny(
        model__g_conditioning="concat",
        model__d_conditioning="projection",
        eval__features="classifier",
        eval__metrics=list(METRICS),
    )
    made = scorer(config)
    return made, jax.jit(partial(init, made._gan))(jax.random.key(0))


def test_every_metric_is_computed_in_training(conditional):
    score, state = conditional
    scores = score(state)
    assert list(scores) == list(METRICS) and all(np.isfinite(s.value) for s in scores.values())
    assert all(name in table(scores) for name in METRICS)


def test_class_accuracy_is_of_the_classes_asked_for(conditional):
    score, state = conditional
    images, labels = score.images(state)
    predicted = score.reference.features(images)[1].argmax(axis=1)
    assert score(state)["class_accuracy"].value == np.mean(predicted == labels)


@pytest.mark.parametrize("change", [{}, {"eval__num_real": 7}, {"eval__split": "test"}])
def test_classes_are_drawn_in_the_shares_of_the_training_data(conditional, change):
    """Whatever they are compared with: as many of each class as there are, and no order within them."""
    source = from_arrays(np.zeros((24, 8, 8, 1), np.uint8), np.repeat([4, 9], [18, 6]))
    config, given = tiny(**change), source
    if "eval__split" in change:
        config, given = tiny(data__max_examples=24, **change), None
        source = RunData(config).trained
    made = Scorer(reference(config, given), conditional[0]._gan)
    labels = made._labels(np.arange(48))
    np.testing.assert_array_equal(np.bincount(labels), 2 * np.bincount(source.labels))
    np.testing.assert_array_equal(labels[:24], labels[24:])
    assert (labels[:24] != np.sort(labels[:24])).any()


def test_memorization_is_beside_the_held_out_digits(conditional):
    score, state = conditional
    real, held_out = (RunData(tiny()).split(name) for name in ("train", "test"))
    images = [score.images(state)[0], to_floats(held_out.read(np.arange(len(held_out))), "tanh")]
    train = score.reference.features(to_floats(real.read(np.arange(len(real))), "tanh"))[0]
    assert (len(real), len(held_out)) == (50, 360)
    ours, theirs = (np.median(cdist(score.reference.features(x)[0], train).min(axis=1)) for x in images)
    found = score(state)["memorization"]
    assert found.value == pytest.approx(ours / theirs, rel=1e-4)
    assert found.protocol.details == "beside 360 held out"


def test_the_doctor_reads_what_evaluations_log(conditional, tmp_path):
    """By the names that curves really have."""
    score, state = conditional
    logged = Evaluate(score, tmp_path)(1000, state, {})[SCALARS]
    kinds = {
        "eval/memorization_24_cnn_embedded_digits": "memorization",
        "eval/class_accuracy_24_cnn_embedded_digits": "ignored_condition",
        "eval/diversity_24_cnn_embedded_digits": "mode_collapse",
    }
    for name, kind in kinds.items():
        assert name in logged
        for value, expected in ((0.1, [kind]), (1.0, [])):
            found = diagnose({name: np.full(4, value), "step": np.arange(1000, 5000, 1000)}, num_classes=10)
            assert [each.kind for each in found] == expected


@pytest.mark.parametrize("weights", ["raw", "recalibrated"])
def test_the_weights_asked_for_are_scored(run, weights):
    other = scorer(tiny(eval__weights=weights))(run[1])["fd"]
    assert other.protocol.weights == weights and other.value != values(run[0])[6]


def test_recalibrated_statistics_are_those_of_the_averaged_weights(run):
    """With so many passes that what was there before is forgotten, they are the same whatever that was."""
    scored = scorer(tiny(eval__weights="recalibrated"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorer_module, "PASSES", 150)
        a = scored._weights(run[1])
        stats = jax.tree.map(lambda x: x + 1, run[1].ema.stats)
        b = scored._weights(dataclasses.replace(run[1], ema=dataclasses.replace(run[1].ema, stats=stats)))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), a, b)


def test_recalibration_needs_batch_norm(run):
    """Also one of the caller's own, of which the configuration says nothing."""
    made = scorer(tiny(eval__weights="recalibrated"))
    state = dataclasses.replace(run[1], ema=dataclasses.replace(run[1].ema, stats={}))
    with pytest.raises(UserError, match="'recalibrated', but the generator has no batch norm"):
        made(state)
