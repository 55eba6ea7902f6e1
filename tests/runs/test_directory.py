import copy
import dataclasses
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxgan.config.config import Config, OptimConfig, TrainConfig
from jaxgan.data.source import Source, Stacked
from jaxgan.errors import UserError
from jaxgan.runs import directory

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
    assert set(contents) == {"format", "config", "example", "environment", "modules"}
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


WHOLE = {"format": 1, "config": {}, "example": EXAMPLE, "environment": {}}
ATTEMPT = {"attempt": 1, "kind": "imbalance", "step": 3, "from_step": 0, "changes": {"d_optim.eps": [1e-8, 1e-6]}}


def example(**values) -> bytes:
    return json.dumps(WHOLE | {"example": EXAMPLE | values}).encode()


def attempt(**values) -> bytes:
    return json.dumps(WHOLE | {"intervention": ATTEMPT | values}).encode()


DAMAGED = {
    "empty": b"",
    "torn": b'{"format": 1, "config": {"se',
    "not_text": b"\x82\xff\x00",
    "list": b"[1]",
    "deep": b"[" * 100_000,
    "no_format": b'{"config": {}, "example": {}, "environment": {}}',
    "no_config": b'{"format": 1, "example": {}, "environment": {}}',
    "no_example": b'{"format": 1, "config": {}, "environment": {}}',
    "no_environment": b'{"format": 1, "config": {}, "example": {}}',
    "empty_example": json.dumps(WHOLE | {"example": {}}).encode(),
    "source_not_a_text": example(source=3),
    "shape_not_a_list": example(shape=8),
    "shape_of_texts": example(shape=["8", "8"]),
    "shape_of_nothing": example(shape=[8, 0, 1]),
    "number_not_an_integer": example(num_examples="many"),
    "number_not_finite": example(num_examples=float("nan")),
    "classes_not_a_list": example(classes=3),
    "classes_not_texts": example(classes=[[1], None]),
    "present_of_no_class": example(classes=["0"], present=[1]),
    "modules_not_a_dictionary": json.dumps(WHOLE | {"modules": ["x"]}).encode(),
    "versions_not_a_dictionary": json.dumps(WHOLE | {"environment": {"versions": None}}).encode(),
    "intervention_not_a_dictionary": json.dumps(WHOLE | {"intervention": []}).encode(),
    "intervention_of_no_key": attempt(changes={"d_optim.speed": [2.0, 1.0]}),
    "intervention_of_texts": attempt(changes={"d_optim.eps": ["a", "b"]}),
    "intervention_without_a_step": attempt(step=None),
    "intervention_without_a_kind": attempt(kind=[]),
    "config_not_a_dictionary": b'{"format": 1, "config": 3, "example": {}, "environment": {}}',
}


def test_what_the_damaged_ones_are_made_of_is_whole(run):
    (run / "config.json").write_bytes(attempt())
    assert directory.read(run)["intervention"] == ATTEMPT


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
    for name, sentence in (
        ("", "holds no run"),
        ("file", "holds no run"),
        ("odd", "cannot be read: it is a directory"),
    ):
        with pytest.raises(UserError, match=sentence):
            directory.read(tmp_path / name)


@pytest.mark.slow
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


IN_THE_WAY = {
    "file_named_checkpoints": lambda run: (run / "checkpoints").touch(),
    "pipe_named_samples": lambda run: os.mkfifo(run / "samples"),
    "pipe_named_metrics": lambda run: os.mkfifo(run / "metrics.jsonl"),
    "device_named_evaluation": lambda run: (run / "evaluation.jsonl").symlink_to("/dev/zero"),
    "loop_named_outcome": lambda run: (run / "outcome.json").symlink_to(run / "outcome.json"),
    "pipe_named_lock": lambda run: os.mkfifo(run / ".lock"),
    "directory_named_config": lambda run: (run / "config.json").mkdir(),
    "looping_checkpoints": lambda run: (run / "checkpoints").symlink_to(run / "checkpoints"),
    "link_of_samples_to_nowhere": lambda run: (run / "samples").symlink_to(run / "nowhere"),
}


@pytest.mark.parametrize("put", IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_lock_refuses_what_stands_in_the_way(put, tmp_path):
    put(tmp_path)
    before = sorted(tmp_path.iterdir())
    name = before[0].name
    sentence = f"cannot be used: {name}: .*move what stands in the way"
    with pytest.raises(UserError, match=sentence), directory.locked(tmp_path):
        pass
    assert sorted(tmp_path.iterdir()) == before


def test_lock_refuses_paths_that_cannot_be_written_down(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    for path, sentence in (
        (tmp_path / "loop", "Too many levels of symbolic links"),
        (tmp_path / "link", "leads nowhere"),
        (Path(bad), "not UTF-8"),
        (tmp_path / "a\nb", "cannot be printed"),
        (tmp_path / "a\0b", "cannot be printed"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(UserError, match=sentence) as caught, directory.locked(path):
            pass
        assert str(caught.value).encode() and len(str(caught.value)) < 500
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "loop"]


def test_is_locked_does_not_wait_at_a_pipe(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    assert not directory.is_locked(tmp_path)


def images(seed: int, streamed: bool) -> Source:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 4, 4, 1), np.uint8)
    stacked = Stacked(pixels[..., 0], np.arange(6)[:, None])
    return Source("folder/x", np.zeros(6, np.int32), (), stacked if streamed else pixels)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_resume_sees_other_contents_of_the_same_number_and_labels(streamed, tmp_path):
    def open_with(seed):
        return directory.open_run(tmp_path, Config(), directory.describe(images(seed, streamed), False), "2 x cpu")

    assert open_with(0) is None and open_with(0) is None
    with pytest.raises(UserError, match="data contents" if streamed else "data crc32"):
        open_with(1)


def test_a_record_from_before_the_contents_were_hashed_is_resumed(tmp_path):
    new = directory.describe(images(0, True), False)
    old = {key: value for key, value in new.items() if key != "contents"}
    assert directory.open_run(tmp_path, Config(), old, "2 x cpu") is None
    assert directory.open_run(tmp_path, Config(), new, "2 x cpu") is None
    assert record(tmp_path)["example"]["contents"] == new["contents"]


def test_a_run_whose_checkpoints_were_deleted_does_not_start_again(run):
    (run / "metrics.jsonl").write_text('{"step": 40, "loss/d": 1.0}\n')
    (run / ".saved").write_text('{"step": 40}')
    with pytest.raises(UserError, match=r"no checkpoint any more, though that of step 40 .* delete .* or choose"):
        directory.open_run(run, Config(), EXAMPLE, "2 x cpu")
    (run / "checkpoints" / "40").mkdir(parents=True)  # brought back
    assert directory.open_run(run, Config(), EXAMPLE, "2 x cpu") is None


def test_a_run_of_which_nothing_was_saved_starts_again_with_a_word(run):
    (run / "metrics.jsonl").write_text('{"step": 40, "loss/d": 1.0}\n')
    note = directory.open_run(run, Config(), EXAMPLE, "2 x cpu")
    assert note.endswith("training starts again from step 0.")


def test_a_long_list_of_differences_is_cut(run):
    rewrite(run, lambda contents: contents["example"].update(dict.fromkeys(EXAMPLE, "y" * 5000)))
    rewrite(run, lambda contents: contents["example"].update(shape=[1], num_examples=1))
    with pytest.raises(UserError) as caught:
        directory.open_run(run, Config(seed=3, d_optim=OptimConfig(b1=0.3, b2=0.2, eps=0.1)), EXAMPLE, "2 x cpu")
    assert "others" in str(caught.value) and len(str(caught.value)) < 1000


def adaptive(**augment) -> Config:
    return Config.from_dict({"augment": {"policy": ("cutout",), "ada": True, **augment}, "regularizers": {"r1": 1.0}})


def begun_before_the_keys(run) -> None:
    """A run recorded before `augment.ada_interval` and `regularizers.before_augmentation` existed."""
    directory.open_run(run, adaptive(), EXAMPLE, "4 x cpu")

    def forget(contents):
        del contents["config"]["augment"]["ada_interval"]
        del contents["config"]["regularizers"]["before_augmentation"]

    rewrite(run, forget)


def test_a_run_goes_on_as_it_began_before_keys_existed_however_often_it_is_resumed(tmp_path):
    begun_before_the_keys(tmp_path)
    for _ in range(2):
        config, note = directory.continued(tmp_path, adaptive())
        assert (config.augment.ada_interval, config.regularizers.before_augmentation) == (1, False)
        assert note.endswith("goes on as it was: augment.ada_interval=1, regularizers.before_augmentation=False.")
        assert directory.read(tmp_path)["config"] == config
        directory.open_run(tmp_path, config, EXAMPLE, "4 x cpu")


def test_a_run_that_began_before_a_key_existed_refuses_another_value_of_it(tmp_path):
    begun_before_the_keys(tmp_path)
    config, _ = directory.continued(tmp_path, adaptive(ada_interval=8))
    with pytest.raises(UserError, match=r"augment\.ada_interval: 1 -> 8"):
        directory.open_run(tmp_path, config, EXAMPLE, "4 x cpu")


def test_a_new_run_and_keys_without_effect_are_left_as_given(tmp_path):
    assert directory.continued(tmp_path, adaptive()) == (adaptive(), None)
    begun_before_the_keys(tmp_path)
    assert directory.continued(tmp_path, Config()) == (Config(), None)
