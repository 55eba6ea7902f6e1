"""Scores of a generator while it trains, and afterwards from its checkpoints or from a folder."""

import dataclasses
import json
import shutil
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from jaxgan import evaluate as evaluation
from jaxgan import scoring
from jaxgan.actions import Evaluate
from jaxgan.checkpoint import Checkpoints
from jaxgan.config import Config
from jaxgan.data import examples, from_arrays, to_floats
from jaxgan.errors import UserError
from jaxgan.evaluate import evaluate, table
from jaxgan.gan import build, init
from jaxgan.history import recorded, training_scores
from jaxgan.judge import downstream_splits, load_split
from jaxgan.metrics import METRICS, Extracted, Protocol, base, measure
from jaxgan.metrics.downstream import Downstream
from jaxgan.metrics.frechet import frechet_distance, statistics
from jaxgan.metrics.scores import Score, UnlikeProtocolError
from jaxgan.monitor.curves import read_metrics
from jaxgan.monitor.doctor import diagnose
from jaxgan.parallel import AXIS, Devices
from jaxgan.sampling import load
from jaxgan.scoring import Reference, Scorer
from jaxgan.train import train

EVAL = {"every": 2, "num_samples": 24, "features": "random", "metrics": ["fd"]}


def tiny(**overrides) -> Config:
    values = {
        "data": {"name": "digits", "image_size": 8, "max_examples": 50},
        "model": {"architecture": "mlp", "z_dim": 3, "base_features": 4, "channel_multipliers": [1]},
        "train": {"num_steps": 6, "batch_size": 8, "log_every": 3, "sample_every": 0, "checkpoint_every": 0, "keep": 1},
        "eval": dict(EVAL),
    }
    for key, value in overrides.items():
        section, name = key.split("__")
        values[section][name] = value
    return Config.from_dict(values)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of the tests' own, and small blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(scoring, "BLOCK", 16)
        patch.setattr(scoring, "PASSES", 3)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, train(tiny(), workdir)


def values(workdir) -> dict[int, float]:
    return {s.protocol.step: s.value for s in training_scores(workdir / "evaluation.jsonl", "fd")}


def test_training_scores_at_every_interval_and_logs_them_by_their_tag(run):
    assert list(values(run[0])) == [2, 4, 6]
    rows = {row["step"]: row for row in read_metrics(run[0] / "metrics.jsonl")}
    assert {step: row["eval/fd_24_random_network_0"] for step, row in rows.items() if step in (2, 4, 6)} == values(
        run[0]
    )


def test_evaluation_gives_the_number_of_training_bit_for_bit_every_time(run):
    first, second = evaluate(run[0])["fd"], evaluate(run[0])["fd"]
    assert first == second and first.value == values(run[0])[6]
    assert json.loads((run[0] / "evaluation.jsonl").read_bytes().splitlines()[-1])["by"] == "evaluate"


def test_the_best_checkpoint_stays_beside_the_newest(run):
    found = values(run[0])
    best = min(found, key=found.get)
    checkpoints = Checkpoints(run[0])
    assert set(checkpoints.steps()) == {best, 6}
    checkpoints.close()
    assert evaluate(run[0], checkpoint="best")["fd"].value == found[best]
    assert load(run[0], checkpoint="best").step == best


def test_the_best_checkpoint_stays_when_a_run_goes_on_without_scores(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    train(tiny(eval__every=0, train__num_steps=8), tmp_path / "run")
    found = values(run[0])
    assert load(tmp_path / "run", checkpoint="best").step == min(found, key=found.get)


def test_scores_do_not_change_the_training(run, tmp_path):
    state = train(tiny(eval__every=0), tmp_path)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), jax.device_get(run[1]))


def test_a_resumed_run_scores_as_if_it_had_not_stopped(run, tmp_path):
    train(tiny(train__num_steps=3), tmp_path)
    train(tiny(), tmp_path)
    assert {step: v for step, v in values(tmp_path).items() if step != 3} == values(run[0])


def test_the_score_is_that_of_the_samples_themselves(run):
    """Against an independent way: samples drawn by the `Sampler`, saved as bytes, and features from one call."""
    sampler = load(run[0])
    reference = Reference(tiny(), Devices())
    fake = to_floats(sampler.images(24), "tanh")
    expected = frechet_distance(statistics(reference.real.features), statistics(reference.features(fake)[0]))
    assert evaluate(run[0])["fd"].value == pytest.approx(expected, rel=1e-5)


def scorer(config: Config, devices: Devices | None = None) -> Scorer:
    return Scorer(Reference(config, devices or Devices()), build(config, (8, 8, 1), AXIS, num_classes=10))


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
        source = load_split(config, "train")
    made = Scorer(Reference(config, Devices(), given), conditional[0]._gan)
    labels = made._labels(np.arange(48))
    np.testing.assert_array_equal(np.bincount(labels), 2 * np.bincount(source.labels))
    np.testing.assert_array_equal(labels[:24], labels[24:])
    assert (labels[:24] != np.sort(labels[:24])).any()


def test_memorization_is_beside_the_held_out_digits(conditional):
    score, state = conditional
    real, held_out = (load_split(tiny(), split) for split in ("train", "test"))
    images = [score.images(state)[0], to_floats(held_out.read(np.arange(len(held_out))), "tanh")]
    train = score.reference.features(to_floats(real.read(np.arange(len(real))), "tanh"))[0]
    assert (len(real), len(held_out)) == (50, 360)
    ours, theirs = (np.median(cdist(score.reference.features(x)[0], train).min(axis=1)) for x in images)
    found = score(state)["memorization"]
    assert found.value == pytest.approx(ours / theirs, rel=1e-4)
    assert found.protocol.details == "beside 360 held out"


def test_the_doctor_reads_what_evaluations_log(conditional, tmp_path):
    """By the names that curves really have."""
    logged = {}
    writer = SimpleNamespace(write_scalars=lambda step, values: logged.update(values))
    score, state = conditional
    Evaluate(score, writer, SimpleNamespace(), tmp_path)(1000, state=state, metrics={})
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


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"eval__split": "test"}, "eval.split is 'test' and eval.num_real 0, in place of 'train' and 0"),
        ({"eval__num_real": 5}, "eval.num_real 5, in place of"),
        ({"data__split": "test"}, "the run is trained on them"),
        (
            {"data__source": "npz", "data__data_dir": "x.npz"},
            "data.source 'npz' has no held-out split, as embedded and",
        ),
    ],
)
def test_memorization_needs_held_out_examples(change, sentence):
    config = tiny(**{"eval__metrics": ["memorization"], "eval__best_metric": "memorization", **change})
    with pytest.raises(UserError, match=f"eval.metrics has 'memorization', .*{sentence}.*: leave it out"):
        Reference(config, Devices())


def test_memorization_of_examples_of_the_caller_is_refused(tmp_path, tiny_digits):
    config = tiny(eval__metrics=["memorization"], eval__best_metric="memorization")
    with pytest.raises(UserError, match="examples given by the caller have no held-out split: leave it out"):
        train(config, tmp_path, source=tiny_digits[0][:32])


@pytest.mark.parametrize("weights", ["raw", "recalibrated"])
def test_the_weights_asked_for_are_scored(run, weights):
    other = scorer(tiny(eval__weights=weights))(run[1])["fd"]
    assert other.protocol.weights == weights and other.value != values(run[0])[6]


def test_recalibrated_statistics_are_those_of_the_averaged_weights(run):
    """With so many passes that what was there before is forgotten, they are the same whatever that was."""
    scored = scorer(tiny(eval__weights="recalibrated"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "PASSES", 150)
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


def test_real_features_come_from_the_cache_the_second_time(run, monkeypatch):
    first = Reference(tiny(), Devices()).real.features
    monkeypatch.setattr(Reference, "_extracted", None)  # would be called
    np.testing.assert_array_equal(Reference(tiny(), Devices()).real.features, first)


@pytest.mark.parametrize("change", [{"data__max_examples": 40}, {"eval__num_real": 30}, {"eval__split": "test"}])
def test_other_real_examples_are_not_taken_for_the_cached_ones(change):
    reference = Reference(tiny(**change), Devices())
    real = to_floats(reference.source.read(np.arange(len(reference.source))), "tanh")
    np.testing.assert_allclose(reference.real.features, reference.features(real)[0], atol=1e-5)


def folder_of(path, seed) -> Config:
    """Twelve unlabelled images below a directory of its own, always called the same, and a configuration of them."""
    path.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(np.random.RandomState(seed).randint(0, 256, (12, 8, 8), np.uint8)):
        Image.fromarray(image).save(path / f"{i:02d}.png")
    return tiny(data__source="folder", data__data_dir=str(path), data__max_examples=0)


@pytest.mark.parametrize("limit", [0, examples.MEMORY_LIMIT], ids=["streamed", "in memory"])
@pytest.mark.parametrize("second", ["b/images", "a/images"], ids=["other folder", "replaced in place"])
def test_features_of_images_of_the_same_name_are_not_mixed_up(tmp_path, monkeypatch, limit, second):
    monkeypatch.setattr(examples, "MEMORY_LIMIT", limit)
    first = Reference(folder_of(tmp_path / "a/images", 0), Devices())
    other = Reference(folder_of(tmp_path / second, 1), Devices())
    real = to_floats(other.source.read(np.arange(12)), "tanh")
    np.testing.assert_allclose(other.real.features, other.features(real)[0], atol=1e-5)
    with pytest.raises(UnlikeProtocolError, match=r"they differ in data_hash \(\w{16} and \w{16}\)"):
        Score("fd", 1.0, "lower", first.protocol(9)).better_than(Score("fd", 2.0, "lower", other.protocol(9)))


def test_streamed_images_are_known_again_wherever_they_lie(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "MEMORY_LIMIT", 0)
    first = Reference(folder_of(tmp_path / "a/images", 0), Devices()).protocol(9)
    monkeypatch.setattr(Reference, "_extracted", None)  # would be called
    assert Reference(folder_of(tmp_path / "b/images", 0), Devices()).protocol(9) == first


def test_scores_against_other_classes_are_not_compared(run):
    a, b = (scorer(tiny(data__classes=[c], data__max_examples=20))(run[1])["fd"] for c in (3, 5))
    with pytest.raises(UnlikeProtocolError, match="they differ in data_hash"):
        a.better_than(b)


def test_a_folder_of_a_runs_own_samples_scores_as_the_run(run, tmp_path):
    load(run[0]).save(f"{tmp_path}/", 24)
    of_folder = evaluate(config=tiny(), folder=tmp_path)["fd"]
    assert of_folder.value == pytest.approx(evaluate(run[0])["fd"].value, rel=1e-6)
    assert of_folder.protocol.weights == "folder" and of_folder.protocol.checkpoint == str(tmp_path)


def test_a_folder_of_images_of_other_channels_is_refused(tmp_path):
    for name in "ab":
        Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / f"{name}.png")
    with pytest.raises(UserError, match=r"images of shape \(8, 8, 3\), but embedded/digits has \(8, 8, 1\)"):
        evaluate(config=tiny(), folder=tmp_path)


def test_the_eval_section_of_another_configuration_may_stand_for_the_runs_own(run):
    assert evaluate(run[0], config=tiny(eval__num_samples=20))["fd"].protocol.n_fake == 20


@pytest.mark.parametrize(("checkpoint", "sentence"), [("3", "one of the steps"), ("newest", "latest, best, or one")])
def test_a_checkpoint_that_is_not_there_is_refused(run, checkpoint, sentence):
    with pytest.raises(UserError, match=sentence):
        load(run[0], checkpoint=checkpoint)


def test_without_scores_there_is_no_best_checkpoint(tmp_path):
    train(tiny(eval__every=0, train__num_steps=2), tmp_path)
    with pytest.raises(UserError, match=r"train with eval\.every set"):
        load(tmp_path, checkpoint="best")


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
    monkeypatch.setattr(scoring, "BLOCK", 16)
    assert int(train(tiny(train__num_steps=8), tmp_path / "run").step) == 8  # without patience it goes on


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"eval__metrics": ["fid"]}, "eval.metrics"),
        ({"eval__best_metric": "kid"}, "it must be one of eval.metrics, fd"),
        ({"eval__features": "inception"}, "needs eval.inception_path"),
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
            "'is', which a network sees in images, but data.source 'synthetic' is points",
        ),
        ({"train__steps_per_call": 3, "eval__every": 4}, "multiple of train.steps_per_call"),
        ({"eval__metrics": ["fd", "class_accuracy"]}, "an unconditional generator is asked for no class"),
        (
            {
                "eval__metrics": ["fd", "class_accuracy"],
                "model__g_conditioning": "concat",
                "model__d_conditioning": "concat",
            },
            "eval.features is 'random' .* the classes are those of eval.features 'classifier'",
        ),
    ],
)
def test_the_eval_section_refuses_what_cannot_work(overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        tiny(**overrides)


def test_a_run_on_examples_of_the_caller_is_evaluated_with_them_only(tmp_path, tiny_digits):
    images = tiny_digits[0][:32]
    train(tiny(train__num_steps=2), tmp_path, source=images)
    with pytest.raises(UserError, match="trained on other examples"):
        evaluate(tmp_path)
    assert evaluate(tmp_path, source=images)["fd"].value == values(tmp_path)[2]


def test_points_are_compared_as_they_are(tmp_path):
    config = tiny(
        data__source="synthetic", data__name="ring", data__image_size=0, model__output="linear", eval__metrics=["fd"]
    )
    train(config, tmp_path)
    assert evaluate(tmp_path)["fd"].protocol.features == "coordinates"


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
    found = evaluate(config=tiny(eval__every=0, eval__metrics=["downstream"]), folder=tmp_path)
    assert {name: score.value for name, score in found.items()} == {"downstream": 0.5, "downstream_with_real": 0.95}
    protocol = found["downstream"].protocol
    assert (protocol.n_fake, protocol.weights, protocol.checkpoint) == (12, "folder", str(tmp_path))
    ((images, labels, *rest),) = seen
    np.testing.assert_array_equal(images, to_floats(tiny_digits[0][:12], "tanh"))
    assert (labels, rest) == (None, [1437, 360, "tanh"])


@pytest.mark.parametrize("classes", [[], [3, 5]])
def test_downstream_is_of_the_run_s_classes(classes):
    """Of all their examples, whatever `data.max_examples` keeps from the run."""
    for split, real in zip(("train", "test"), downstream_splits(tiny(data__classes=classes)), strict=True):
        whole = load_split(tiny(data__max_examples=0), split).labels
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
        downstream_splits(tiny(**change), source)


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


@pytest.mark.parametrize(("name", "num"), [("precision", 6), ("coverage", 6), ("fd", 2), ("kid", 2), ("diversity", 2)])
def test_a_metric_is_computed_of_the_fewest_examples_but_not_of_fewer(run, name, num):
    sections = {"eval__metrics": [name], "eval__best_metric": name}
    config = tiny(**sections, eval__num_samples=num, eval__num_real=num)
    assert name in scorer(config)(run[1])
    with pytest.raises(UserError, match=f"examples of embedded/digits train is {num - 1}, but '{name}' .* needs {num}"):
        Reference(tiny(**sections, data__max_examples=num - 1), Devices())


def test_what_is_not_evaluated_while_it_trains_is_refused_by_evaluation_only(run, monkeypatch):
    """Before anything is read."""
    monkeypatch.setattr(evaluation, "load_split", None)
    for change, sentence in (
        ({"eval__metrics": []}, "eval.metrics is empty"),
        ({"eval__metrics": ["recall"], "eval__num_samples": 5}, "num_samples is 5"),
        ({"eval__num_real": 1}, "num_real is 1"),
    ):
        with pytest.raises(UserError, match=sentence):
            evaluate(run[0], config=tiny(eval__every=0, **change))


def test_points_of_the_caller_have_no_logits():
    config = tiny(model__output="linear", eval__metrics=["is"], eval__best_metric="is")
    with pytest.raises(UserError, match="'is', which a network sees in images, but arrays is points: leave it out"):
        Reference(config, Devices(), from_arrays(np.zeros((8, 2), np.float32)))


@pytest.mark.parametrize(("num", "said"), [(3, False), (12, False), (13, True), (None, False)])
def test_fewer_images_than_asked_for_are_said(tmp_path, capsys, num, said):
    folder_of(tmp_path / "images", 0)
    found = evaluate(config=tiny(), folder=tmp_path / "images", num_samples=num)["fd"]
    assert found.protocol.n_fake == min(num or 12, 12)
    assert ("has 12 images, fewer than the 13 asked for" in capsys.readouterr().out) == said


def test_a_folder_of_too_few_images_is_refused_before_features_are_computed(tmp_path, monkeypatch):
    folder_of(tmp_path / "images", 0)
    monkeypatch.setattr(evaluation, "Reference", None)  # would be called
    for i in range(5, 12):
        (tmp_path / "images" / f"{i:02d}.png").unlink()
    config = tiny(eval__metrics=["recall"], eval__best_metric="recall")
    with pytest.raises(UserError, match=r"the number of images in .*images is 5, but 'recall' of eval.metrics needs 6"):
        evaluate(config=config, folder=tmp_path / "images")


def test_numbers_are_checked_before_neighbors_are_found(monkeypatch):
    monkeypatch.setattr(base, "nearest", None)  # would be called
    real, fake = (Extracted(np.random.RandomState(0).normal(size=(n, 2))) for n in (50, 5))
    with pytest.raises(ValueError, match="5 generated examples are too few, the score 'recall' needs 6"):
        measure("recall", real, fake, Protocol("f", "0", "data", "train", 50, 5))


def test_a_classifier_needs_labels(tmp_path):
    images = np.zeros((16, 8, 8, 1), np.uint8)
    with pytest.raises(UserError, match="has no labels: set it to 'inception' or 'random'"):
        train(tiny(eval__features="classifier"), tmp_path, source=images)
