"""The real examples that generated ones are compared with."""

import numpy as np
import pytest
from support.scored import folder_of, reference, scorer, tiny

from jaxgan.data import from_arrays, to_floats
from jaxgan.data import source as source_module
from jaxgan.errors import UserError
from jaxgan.evaluation.reference import Reference
from jaxgan.metrics import Extracted, Protocol, base, measure
from jaxgan.metrics.scores import Score, UnlikeProtocolError
from jaxgan.training.loop import train


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
        reference(config)


def test_memorization_of_examples_of_the_caller_is_refused(tmp_path, tiny_digits):
    config = tiny(eval__metrics=["memorization"], eval__best_metric="memorization")
    with pytest.raises(UserError, match="examples given by the caller have no held-out split: leave it out"):
        train(config, tmp_path, source=tiny_digits[0][:32])


def test_real_features_come_from_the_cache_the_second_time(run, monkeypatch):
    first = reference(tiny()).real.features
    monkeypatch.setattr(Reference, "_extracted", None)  # would be called
    np.testing.assert_array_equal(reference(tiny()).real.features, first)


@pytest.mark.parametrize("change", [{"data__max_examples": 40}, {"eval__num_real": 30}, {"eval__split": "test"}])
def test_other_real_examples_are_not_taken_for_the_cached_ones(change):
    made = reference(tiny(**change))
    real = to_floats(made.source.read(np.arange(len(made.source))), "tanh")
    np.testing.assert_allclose(made.real.features, made.features(real)[0], atol=1e-5)


@pytest.mark.parametrize("limit", [0, source_module.MEMORY_LIMIT], ids=["streamed", "in memory"])
@pytest.mark.parametrize("second", ["b/images", "a/images"], ids=["other folder", "replaced in place"])
def test_features_of_images_of_the_same_name_are_not_mixed_up(tmp_path, monkeypatch, limit, second):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", limit)
    first = reference(folder_of(tmp_path / "a/images", 0))
    other = reference(folder_of(tmp_path / second, 1))
    real = to_floats(other.source.read(np.arange(12)), "tanh")
    np.testing.assert_allclose(other.real.features, other.features(real)[0], atol=1e-5)
    with pytest.raises(UnlikeProtocolError, match=r"they differ in data_hash \(\w{16} and \w{16}\)"):
        Score("fd", 1.0, "lower", first.protocol(9)).better_than(Score("fd", 2.0, "lower", other.protocol(9)))


def test_streamed_images_are_known_again_wherever_they_lie(tmp_path, monkeypatch):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 0)
    first = reference(folder_of(tmp_path / "a/images", 0)).protocol(9)
    monkeypatch.setattr(Reference, "_extracted", None)  # would be called
    assert reference(folder_of(tmp_path / "b/images", 0)).protocol(9) == first


@pytest.mark.slow
def test_scores_against_other_classes_are_not_compared(run):
    a, b = (scorer(tiny(data__classes=[c], data__max_examples=20))(run[1])["fd"] for c in (3, 5))
    with pytest.raises(UnlikeProtocolError, match="they differ in data_hash"):
        a.better_than(b)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num"), [("precision", 6), ("coverage", 6), ("fd", 2), ("kid", 2), ("diversity", 2)])
def test_a_metric_is_computed_of_the_fewest_examples_but_not_of_fewer(run, name, num):
    sections = {"eval__metrics": [name], "eval__best_metric": name}
    config = tiny(**sections, eval__num_samples=num, eval__num_real=num)
    assert name in scorer(config)(run[1])
    with pytest.raises(UserError, match=f"examples of embedded/digits train is {num - 1}, but '{name}' .* needs {num}"):
        reference(tiny(**sections, data__max_examples=num - 1))


def test_points_of_the_caller_have_no_logits():
    config = tiny(model__output="linear", eval__metrics=["is"], eval__best_metric="is")
    with pytest.raises(UserError, match="'is', which a network reads off images, but arrays is points: leave it out"):
        reference(config, from_arrays(np.zeros((8, 2), np.float32)))


def test_numbers_are_checked_before_neighbors_are_found(monkeypatch):
    monkeypatch.setattr(base, "nearest", None)  # would be called
    real, fake = (Extracted(np.random.RandomState(0).normal(size=(n, 2))) for n in (50, 5))
    with pytest.raises(ValueError, match="5 generated examples are too few, the score 'recall' needs 6"):
        measure("recall", real, fake, Protocol("f", "0", "data", "train", 50, 5))


def test_a_classifier_needs_labels(tmp_path):
    images = np.zeros((16, 8, 8, 1), np.uint8)
    with pytest.raises(UserError, match="has no labels: set it to 'inception' or 'random'"):
        train(tiny(eval__features="classifier"), tmp_path, source=images)
