import copy
import dataclasses
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest

from jaxgan.runs import directory
from jaxgan.config.config import Config, TrainConfig
from jaxgan.errors import UserError

EXAMPLE = {"source": "embedded/digits", "shape": [8, 8, 1], "num_examples": 1797, "crc32": 7}


def record(run) -> dict:
    return json.loads((run / "config.json").read_text())


def rewrite(run, change) -> None:
    contents = record(run)
    change(contents)
    (run / "config.json").write_text(json.dumps(contents))


@pytest.fixture
def run(tmp_path):
    """A recorded run of the default configuration on two devices."""
    assert directory.open_run(tmp_path, Config(), EXAMPLE, "2 x cpu") is None
    return tmp_path


def test_open_run_records_the_run(run):
    contents = record(run)
    assert set(contents) == {"format", "config", "example", "environment"}
    assert contents["format"] == directory.FORMAT
    assert Config.from_dict(contents["config"]) == Config()
    assert contents["example"] == EXAMPLE
    assert contents["environment"]["devices"] == "2 x cpu"
    assert contents["environment"]["python"].startswith("3.")
    assert set(contents["environment"]["versions"]) >= {"jax", "jaxlib", "flax", "optax", "orbax-checkpoint"}
    assert [p.name for p in run.iterdir()] == ["config.json"]


def test_read_gives_what_was_recorded(run):
    found = directory.read(run)
    assert found["config"] == Config()
    assert found["example"] == EXAMPLE


def test_open_run_resumes_the_same_run_without_a_note(run):
    before = (run / "config.json").read_bytes()
    assert directory.open_run(run, Config(), copy.deepcopy(EXAMPLE), "2 x cpu") is None
    assert (run / "config.json").read_bytes() == before


def test_is_locked_while_a_run_goes_on(run):
    assert not directory.is_locked(run)
    with directory.locked(run):
        assert directory.is_locked(run)
    before = sorted(run.iterdir())
    assert not directory.is_locked(run) and not directory.is_locked(run / "nowhere")
    assert sorted(run.iterdir()) == before


def test_locked_waits_for_one_who_only_looks(run, monkeypatch):
    with open(run / ".lock", "w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr(directory.time, "sleep", lambda _: looking.close())
        with directory.locked(run):
            assert looking.closed and directory.is_locked(run)


def test_open_run_notes_other_devices(run):
    note = directory.open_run(run, Config(), EXAMPLE, "4 x cpu")
    assert note.endswith("not bit for bit: devices 2 x cpu -> 4 x cpu")
    assert record(run)["environment"]["devices"] == "4 x cpu"


def test_open_run_notes_the_versions_that_changed(run):
    now = record(run)["environment"]["versions"]

    def change(contents):
        contents["environment"]["versions"]["jax"] = "0.0.1"
        del contents["environment"]["versions"]["flax"]
        contents["environment"]["versions"]["gone"] = "1.0"

    rewrite(run, change)
    note = directory.open_run(run, Config(), EXAMPLE, "2 x cpu")
    changes = note.partition("not bit for bit: ")[2].split("; ")
    assert sorted(changes) == [f"flax None -> {now['flax']}", "gone 1.0 -> None", f"jax 0.0.1 -> {now['jax']}"]
    assert directory.open_run(run, Config(), EXAMPLE, "2 x cpu") is None


def test_open_run_refuses_another_configuration_field_by_field(run):
    before = (run / "config.json").read_bytes()
    changed = Config(seed=1, train=TrainConfig(batch_size=32, num_steps=5))
    with pytest.raises(UserError) as caught:
        directory.open_run(run, changed, EXAMPLE, "2 x cpu")
    first, *listed = str(caught.value).splitlines()
    assert str(run) in first and "another --workdir" in first
    assert listed == ["  seed: 0 -> 1", "  train.batch_size: 64 -> 32"]
    assert (run / "config.json").read_bytes() == before


def test_open_run_lets_resumable_fields_change(run):
    train = TrainConfig(
        num_steps=17, log_every=1, sample_every=2, checkpoint_every=3, keep=4, profile_at=5, init_from="x"
    )
    config = Config(train=train, data=dataclasses.replace(Config().data, data_dir="elsewhere"))
    assert directory.open_run(run, config, EXAMPLE, "2 x cpu") is None
    assert directory.read(run)["config"] == config


@pytest.mark.parametrize("name, value", [("crc32", 8), ("num_examples", 10), ("shape", [8, 8, 3]), ("source", "other")])
def test_open_run_refuses_other_data(name, value, run):
    before = (run / "config.json").read_bytes()
    with pytest.raises(UserError) as caught:
        directory.open_run(run, Config(), {**EXAMPLE, name: value}, "2 x cpu")
    assert str(caught.value).splitlines()[1:] == [f"  data {name}: {EXAMPLE[name]!r} -> {value!r}"]
    assert (run / "config.json").read_bytes() == before


WHOLE = {"format": 1, "config": {}, "example": {}, "environment": {}}
DAMAGED = {
    "empty": b"",
    "torn": b'{"format": 1, "config": {"se',
    "not_text": b"\x82\xff\x00",
    "list": b"[1]",
    "no_format": b'{"config": {}, "example": {}, "environment": {}}',
    "no_config": b'{"format": 1, "example": {}, "environment": {}}',
    "no_example": b'{"format": 1, "config": {}, "environment": {}}',
    "no_environment": b'{"format": 1, "config": {}, "example": {}}',
    "versions_not_a_dictionary": json.dumps(WHOLE | {"environment": {"versions": None}}).encode(),
    "intervention_not_a_dictionary": json.dumps(WHOLE | {"intervention": []}).encode(),
    "intervention_of_no_key": json.dumps(
        WHOLE | {"intervention": {"attempt": 1, "changes": {"d_optim.speed": [2.0, 1.0]}}}
    ).encode(),
    "config_not_a_dictionary": b'{"format": 1, "config": 3, "example": {}, "environment": {}}',
}


@pytest.mark.parametrize("contents", DAMAGED.values(), ids=DAMAGED)
def test_damaged_config_is_refused_and_kept(contents, run):
    (run / "config.json").write_bytes(contents)
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        directory.open_run(run, Config(), EXAMPLE, "2 x cpu")
    assert (run / "config.json").read_bytes() == contents


def test_newer_format_is_refused_and_kept(run):
    rewrite(run, lambda contents: contents.update(format=2, config="of some other kind"))
    before = (run / "config.json").read_bytes()
    with pytest.raises(UserError, match=r"config\.json has format 2; this version of jaxgan reads format 1"):
        directory.open_run(run, Config(), EXAMPLE, "2 x cpu")
    assert (run / "config.json").read_bytes() == before


def test_unknown_field_is_refused_with_the_file(run):
    rewrite(run, lambda contents: contents["config"]["train"].update(novelty=1))
    with pytest.raises(UserError, match=r"config\.json: config key 'train.novelty' is not known"):
        directory.read(run)


def test_checkpoints_without_a_config_are_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match=r"has checkpoints but no config\.json"):
        directory.open_run(tmp_path, Config(), EXAMPLE, "2 x cpu")
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoints"]


def test_read_of_no_run_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "odd" / "config.json").mkdir(parents=True)
    for name, sentence in (("", "holds no run"), ("file", "holds no run"), ("odd", "cannot be read: Is a directory")):
        with pytest.raises(UserError, match=sentence):
            directory.read(tmp_path / name)


def test_lock_admits_a_second_run_only_after_the_first_is_gone(tmp_path):
    script = (
        "import sys; from pathlib import Path; from jaxgan.runs.directory import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], **pipes) as first:
        try:
            assert first.stdout.readline() == "held\n"
            with pytest.raises(UserError, match="another run is using"), directory.locked(tmp_path):
                pytest.fail("two runs hold one workdir")
        finally:
            os.kill(first.pid, signal.SIGKILL)
        first.wait()
    with directory.locked(tmp_path):
        pass
    with directory.locked(tmp_path):  # and let go of by an ordinary end
        pass


def test_lock_makes_the_workdir(tmp_path):
    with directory.locked(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


def test_lock_refuses_a_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for path, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "run", "Not a directory")):
        with pytest.raises(UserError, match=f"--workdir {path} cannot be used: {reason}"), directory.locked(path):
            pass


def test_lock_refuses_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(directory.fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"cannot be locked \(No locks available\)"), directory.locked(tmp_path):
        pass
