"""When a run should end, and the record of its scores."""

import json

import pytest

from jaxgan.config.evaluation import EvalConfig
from jaxgan.metrics.scores import Protocol, Score
from jaxgan.runs.score_log import better, record, training_scores, why_ended, why_stop


def steps(*values: float) -> list[tuple[int, float]]:
    return [(10 * i, value) for i, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("values", "direction", "patience", "ended"),
    [
        ((5.0, 5.0, 5.0), "lower", 2, 30),
        ((5.0, 5.0, 4.9, 4.9), "lower", 2, None),  # 2 % is a gain
        ((5.0, 4.96, 4.951), "lower", 2, 30),  # less than 1 % is none, and does not become one step by step
        ((0.5, 0.5, 0.6, 0.6, 0.6), "higher", 2, 50),
        ((0.5, 0.6, 0.7), "higher", 2, None),
        ((5.0, 5.0, 5.0), "lower", 0, None),
        ((0.5, 0.9, 1.3, 1.5), "closer to 1", 2, 40),  # more is not better
        ((1.9, 1.5, 1.2), "closer to 1", 2, None),
    ],
)
def test_patience_counts_evaluations_without_a_gain(values, direction, patience, ended):
    found = why_stop(steps(*values), direction, patience=patience)
    assert (found[0] if found else None) == ended


@pytest.mark.parametrize(
    ("values", "direction", "ended"),
    [
        ((4.0, 6.1, 6.1, 6.1), "lower", 40),
        ((4.0, 6.0, 6.0, 6.0, 6.0), "lower", None),  # not above
        ((4.0, 6.1, 6.1, 5.9, 6.1, 6.1), "lower", None),  # not in a row
        ((0.9, 0.59, 0.59, 0.59), "higher", 40),
        ((0.9, 0.61, 0.61, 0.61), "higher", None),
        ((9.0, 4.0, 6.1, 6.1, 6.1), "lower", 50),  # of the best so far
        ((0.9, 1.7, 1.7, 1.7), "closer to 1", 40),
        ((0.9, 0.5, 1.7, 0.5), "closer to 1", 40),
        ((1.0, 1.4, 1.4, 1.4), "closer to 1", None),
    ],
)
def test_ratio_counts_evaluations_that_are_much_worse_than_the_best(values, direction, ended):
    found = why_stop(steps(*values), direction, ratio=1.5)
    assert (found[0] if found else None) == ended


@pytest.mark.parametrize("more", [0, 3])
def test_why_stop_names_the_first_step_whatever_comes_later(more):
    assert why_stop(steps(5.0, 5.0, 5.0, *[1.0] * more), "lower", patience=2)[0] == 30


def test_better_needs_more_than_the_gain():
    assert better(-1.02, -1.0, "lower", 0.01) and not better(-1.005, -1.0, "lower", 0.01)
    assert better(1.02, 1.04, "closer to 1", 0.01) and not better(1.035, 1.04, "closer to 1", 0.01)


def score(step: int, value: float, name: str = "fd", n_fake: int = 100) -> Score:
    return Score(name, value, "lower", Protocol("f", "0", "data", "train", 10, n_fake, step=step))


def test_record_keeps_scores_with_their_protocols(tmp_path):
    record(tmp_path / "e.jsonl", "train", [score(1, 2.0), score(1, 3.0, "kid")])
    assert training_scores(tmp_path / "e.jsonl", "kid") == [score(1, 3.0, "kid")]


def test_the_last_word_on_a_step_counts_and_torn_lines_are_passed_over(tmp_path):
    path = tmp_path / "e.jsonl"
    for step, value in ((1, 2.0), (2, 9.0), (3, 9.0)):
        record(path, "train", [score(step, value)])
    with open(path, "ab") as file:
        file.write(b'{"by": "tra')
    record(path, "train", [score(2, 4.0)])
    assert [s.value for s in training_scores(path, "fd", last=2)] == [2.0, 4.0]
    json.loads(path.read_bytes().splitlines()[-1])


def test_training_scores_are_those_alike_to_the_newest_and_of_training(tmp_path):
    path = tmp_path / "e.jsonl"
    record(path, "train", [score(1, 2.0, n_fake=50)])
    record(path, "train", [score(2, 3.0)])
    record(path, "evaluate", [score(3, 4.0, n_fake=50)])
    assert [s.protocol.step for s in training_scores(path, "fd")] == [2]


@pytest.mark.parametrize(("patience", "ended"), [(2, (3, "2 evaluations")), (3, None)])
def test_why_ended_follows_the_configuration(tmp_path, patience, ended):
    for step in (1, 2, 3):
        record(tmp_path / "e.jsonl", "train", [score(step, 2.0)])
    found = why_ended(tmp_path / "e.jsonl", EvalConfig(every=1, metrics=("fd",), plateau_patience=patience), last=3)
    assert found == ended or (found[0] == ended[0] and found[1].startswith(ended[1]))


def test_why_ended_without_a_record_is_none(tmp_path):
    assert why_ended(tmp_path / "e.jsonl", EvalConfig(every=1, metrics=("fd",), plateau_patience=1), last=3) is None
