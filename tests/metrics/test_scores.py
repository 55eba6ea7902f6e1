import dataclasses
import json
import math

import pytest

from jaxgan.errors import UserError
from jaxgan.metrics.scores import Protocol, Score, UnlikeProtocolError, tag

PROTOCOL = Protocol(
    "cnn_x", "0123", "embedded/mnist", "test", n_real=1000, n_fake=10_000, data_hash="4567", details="k=3", step=500
)
SCORE = Score("fd", 2.5, "lower", PROTOCOL, (2.25, 3.0))
# Another value for each field, so that a field that is added is asked for one here.
OTHERS = {
    "features": "cnn_y",
    "features_hash": "4567",
    "data": "embedded/digits",
    "split": "train",
    "n_real": 999,
    "n_fake": 1000,
    "data_hash": "89ab",
    "resize": "299 px",
    "weights": "raw",
    "seed": 1,
    "details": "k=5",
    "step": 600,
    "checkpoint": "runs/a",
}


@pytest.mark.parametrize("score", [SCORE, dataclasses.replace(SCORE, interval=None)])
def test_score_survives_json(score):
    assert Score.from_dict(json.loads(json.dumps(score.to_dict()))) == score


@pytest.mark.parametrize("change", [{"value": None}, {"valeu": 1.0}, {"protocol": {"step": 1}}])
def test_score_refuses_what_is_none(change):
    values = {k: v for k, v in (SCORE.to_dict() | change).items() if v is not None}
    with pytest.raises(ValueError, match="no score"):
        Score.from_dict(values)


@pytest.mark.parametrize(("better", "first", "second"), [("lower", True, False), ("higher", False, True)])
def test_better_goes_by_direction(better, first, second):
    low, high = (dataclasses.replace(SCORE, value=v, better=better) for v in (1.0, 2.0))
    assert (low.better_than(high), high.better_than(low), low.better_than(low)) == (first, second, False)


def test_better_than_of_what_is_best_at_one_goes_by_the_distance_from_it():
    scores = [dataclasses.replace(SCORE, name="diversity", value=v, better="closer to 1") for v in (0.9, 1.2, 0.5)]
    assert scores[0].better_than(scores[1]) and scores[1].better_than(scores[2])
    assert not scores[2].better_than(scores[1])


@pytest.mark.parametrize("name", ["diversity", "memorization"])
def test_an_older_record_of_what_is_best_at_one_is_read(name):
    """It says that higher is better."""
    old = {**SCORE.to_dict(), "name": name, "better": "higher"}
    assert Score.from_dict(old).better == "closer to 1"


def test_every_field_of_a_protocol_is_tried():
    assert [f.name for f in dataclasses.fields(Protocol)] == list(OTHERS)


@pytest.mark.parametrize("field", [name for name in OTHERS if name not in ("step", "checkpoint")])
def test_scores_of_unlike_protocol_are_not_compared(field):
    other = dataclasses.replace(SCORE, protocol=dataclasses.replace(PROTOCOL, **{field: OTHERS[field]}))
    with pytest.raises(
        UnlikeProtocolError, match=rf"differ in {field} \({getattr(PROTOCOL, field)} and {OTHERS[field]}\)\.$"
    ):
        SCORE.better_than(other)


def test_a_score_without_the_hash_of_its_data_is_read_but_compared_with_its_like_only():
    """As older records are."""
    values = SCORE.to_dict()
    del values["protocol"]["data_hash"]
    old = Score.from_dict(values)
    assert not old.better_than(old)
    with pytest.raises(UnlikeProtocolError, match=r"differ in data_hash \(4567 and none\)\.$"):
        SCORE.better_than(old)


@pytest.mark.parametrize("field", ["step", "checkpoint"])
def test_scores_along_a_run_are_compared(field):
    protocol = dataclasses.replace(PROTOCOL, **{field: OTHERS[field]})
    assert SCORE.better_than(dataclasses.replace(SCORE, value=9.0, protocol=protocol))


@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_images_of_a_folder_are_compared_with_any_weights(weights):
    a, b = (
        dataclasses.replace(SCORE, value=v, protocol=dataclasses.replace(PROTOCOL, weights=w))
        for v, w in ((1.0, "folder"), (2.0, weights))
    )
    assert a.better_than(b) and not b.better_than(a)


def test_unlike_scores_are_not_compared_in_a_user_s_sentence():
    with pytest.raises(UserError, match=r"differ in name \(fd and kid\), seed \(0 and 1\)"):
        SCORE.better_than(dataclasses.replace(SCORE, name="kid", protocol=dataclasses.replace(PROTOCOL, seed=1)))


@pytest.mark.parametrize(
    ("name", "n", "features", "expected"),
    [
        ("fd", 10_000, "cnn_x", "eval/fd_10k_cnn_x"),
        ("fd", 1000, "cnn_x", "eval/fd_1k_cnn_x"),
        ("fd", 2500, "cnn_x", "eval/fd_2500_cnn_x"),
        ("fd", 500, "cnn_x", "eval/fd_500_cnn_x"),
        ("fd", 50_000, "inception_v3", "eval/fid_50k"),
        ("fd", 50_000, "inception_v3_clean", "eval/fid_clean_50k"),
        ("fd", 50_000, "inception_v3_01234567", "eval/fd_50k_inception_v3_01234567"),
        ("kid", 50_000, "inception_v3", "eval/kid_50k_inception_v3"),
        ("fd", 10_000, "not_inception_v3", "eval/fd_10k_not_inception_v3"),
    ],
)
def test_tag_names_number_and_features(name, n, features, expected):
    assert tag(name, n, features) == expected
    protocol = dataclasses.replace(PROTOCOL, n_fake=n, features=features)
    assert dataclasses.replace(SCORE, name=name, protocol=protocol).tag == expected


def test_text_tells_value_interval_and_protocol():
    for part in ("fd 2.5 [2.25, 3], lower", "cnn_x 0123", "10,000 generated", "1,000 of", "step 500", "k=3"):
        assert part in str(SCORE)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"value": math.nan}, "must be finite"),
        ({"interval": (0.0, math.inf)}, "must be finite"),
        ({"interval": (2.0, 1.0)}, "in order"),
        ({"better": "larger"}, "lower, higher"),
    ],
)
def test_score_refuses_nonsense(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(SCORE, **change)


@pytest.mark.parametrize(
    ("change", "sentence"), [({"weights": "best"}, "ema, recalibrated, raw, folder"), ({"n_fake": 0}, "1 or more")]
)
def test_protocol_refuses_nonsense(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(PROTOCOL, **change)
