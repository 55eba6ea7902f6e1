"""A page about a run of which some files are damaged: those are named, and the page is made without them."""

import json
import os
import shutil

import pytest
from support.recorded import IMAGES, add_curves, add_samples, add_scores, begin

from jaxgan.errors import UserError
from jaxgan.reporting import report, run_record
from jaxgan.runs import score_log

DEEP = b"[" * 100_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without a checkpoint, whose page is quickly made."""
    path = begin(tmp_path_factory.mktemp("runs") / "run", IMAGES)
    add_curves(path)
    add_scores(path)
    add_samples(path)
    remark = {"kind": "few_examples", "severity": "warning", "evidence": {"n": 1.0}, "sentence": "There are few."}
    (path / "preflight.json").write_text(json.dumps({"remarks": [remark], "facts": {}}))
    return path


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def score_line(**changes) -> bytes:
    """A line of `evaluation.jsonl` with changes of the score, or of its protocol after `protocol__`."""
    protocol = {"features": "x", "features_hash": "y", "data": "d", "split": "train", "n_real": 1, "n_fake": 1}
    row = {"name": "fd", "value": 1.0, "better": "lower", "protocol": protocol, "interval": None}
    for name, value in changes.items():
        target = protocol if name.startswith("protocol__") else row
        target[name.removeprefix("protocol__")] = value
    return json.dumps({"by": "train", "scores": [row]}).encode()


LINES = {
    "interval_of_one": score_line(interval=[1]),
    "interval_of_three": score_line(interval=[1, 2, 3]),
    "interval_of_texts": score_line(interval=["a", "b"]),
    "interval_a_number": score_line(interval=1),
    "value_a_text": score_line(value="1"),
    "value_infinite": score_line(value=float("inf")),
    "value_giant": score_line(value=10**400),
    "name_a_list": score_line(name=["fd"]),
    "better_a_dictionary": score_line(better={}),
    "number_a_text": score_line(protocol__n_fake="many"),
    "step_a_list": score_line(protocol__step=[1]),
    "step_giant": score_line(protocol__step=10**30),
    "features_a_list": score_line(protocol__features=["x"]),
    "unknown_field": score_line(protocol__novelty=1),
    "protocol_a_list": score_line(protocol=[1]),
    "by_a_list": score_line().replace(b'"train", "scores"', b'["train"], "scores"'),
    "scores_a_number": b'{"by": "train", "scores": 3}',
    "deep": DEEP,
    "not_text": b"\xff\x00",
    "null": b"null",
    "torn": b'{"by": "tra',
}


def test_what_the_bad_lines_are_made_of_is_good(run):
    before = len(score_log.recorded(run / score_log.FILE))
    with open(run / score_log.FILE, "ab") as file:
        file.write(score_line(interval=[0.5, 2]) + b"\n")
    assert len(score_log.recorded(run / score_log.FILE)) == before + 1


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_bad_line_of_scores_costs_only_itself(line, run):
    path = run / score_log.FILE
    whole = score_log.recorded(path)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], line, *lines[1:]]) + b"\n")
    read = run_record.read(run)
    assert [(s.name, s.value) for s in read.scores] == [(s.name, s.value) for _, s in whole]
    assert read.damage == [f"{path} is damaged: line 2 cannot be read and is passed over."]
    assert score_log.training_scores(path, "fd")[-1].value == 20.0  # what a resume reads


def remove(path):
    path.unlink()
    return path


def pipe(path):
    os.mkfifo(remove(path))


def device(path):
    remove(path).symlink_to("/dev/zero")


def loop(path):
    remove(path).symlink_to(path)


FILES = {
    "cut_picture": ("samples/step_00000200.png", lambda path: path.write_bytes(path.read_bytes()[:100])),
    "empty_picture": ("samples/step_00000600.png", lambda path: path.write_bytes(b"")),
    "other_picture": ("samples/step_00000600.png", lambda path: path.write_bytes(b"GIF89a")),
    "pipe_for_a_picture": ("samples/step_00000600.png", pipe),
    "device_for_a_picture": ("samples/step_00000600.png", device),
    "looping_picture": ("samples/step_00000000.png", loop),
    "torn_preflight": ("preflight.json", lambda path: path.write_bytes(b'{"remarks": [')),
    "deep_preflight": ("preflight.json", lambda path: path.write_bytes(DEEP)),
    "pipe_for_preflight": ("preflight.json", pipe),
    "remark_of_another_kind": (
        "preflight.json",
        lambda path: path.write_text('{"remarks": [{"kind": "x", "severity": "x", "evidence": {}, "sentence": "x"}]}'),
    ),
    "remark_of_numbers": (
        "preflight.json",
        lambda path: path.write_text('{"remarks": [{"kind": 1, "severity": "info", "evidence": 2, "sentence": 3}]}'),
    ),
    "metrics_of_garbage": ("metrics.jsonl", lambda path: path.write_bytes(b"\xff\n" + DEEP + b"\n[]\n")),
    "metrics_of_giant_steps": ("metrics.jsonl", lambda path: path.write_text(json.dumps({"step": 10**30, "a": 1}))),
    "pipe_for_metrics": ("metrics.jsonl", pipe),
    "device_for_metrics": ("metrics.jsonl", device),
    "directory_for_metrics": ("metrics.jsonl", lambda path: remove(path).mkdir()),
    "pipe_for_scores": ("evaluation.jsonl", pipe),
}


@pytest.mark.parametrize("name, damage", FILES.values(), ids=FILES)
def test_a_damaged_file_is_named_on_a_page_without_it(name, damage, run):
    before = report(run).read_text()
    assert "Damaged records" not in before
    damage(run / name)
    page = report(run).read_text()
    assert "Damaged records" in page and str(run / name) in page
    assert "Configuration" in page and "Versions" in page


def test_a_page_that_compares_runs_names_damaged_files_too(run, whole, tmp_path):
    (run / "samples" / "step_00000600.png").write_bytes(b"")
    page = report([whole, run], tmp_path / "both.html").read_text()
    assert "Damaged records" in page and str(run / "samples" / "step_00000600.png") in page


def test_a_damaged_attempt_is_named_on_the_page_of_its_run(run):
    (run / "attempt_1").mkdir()
    (run / "attempt_1" / "config.json").write_bytes(DEEP)
    page = report(run).read_text()
    assert "Damaged records" in page and "attempt_1/config.json is damaged" in page


def test_a_looping_link_in_place_of_a_run_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UserError, match="Too many levels of symbolic links"):
        report(tmp_path / "loop")


def test_a_place_that_cannot_be_written_names_the_flag(run, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("jaxgan.reporting.replacing", refuse)
    with pytest.raises(UserError, match=r"Permission denied; name another place by --out=FILE\.html"):
        report(run)
