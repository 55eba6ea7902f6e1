import errno
import json
import os
import socket
import threading
import time

import pytest

from jaxgan import files
from jaxgan.errors import UserError
from jaxgan.files import (
    JsonLines,
    NotRegularError,
    append_line,
    open_regular,
    parse_json,
    read_bytes,
    read_json,
    read_lines,
    replacing,
    write_json,
)

DEEP = b"[" * 100_000


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def directory(path):
    path.mkdir()


def listener(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(path))


IRREGULAR = {"pipe": pipe, "device": device, "directory": directory, "socket": listener}


def within(seconds, call):
    """What the call raises, which has to come soon."""
    caught = []

    def run():
        try:
            call()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    return caught[0] if caught else None


@pytest.mark.parametrize("make", IRREGULAR.values(), ids=IRREGULAR)
@pytest.mark.parametrize(
    "use",
    [
        read_bytes,
        read_json,
        JsonLines,
        lambda path: append_line(path, {}),
        lambda path: write_json(path, {}),
    ],
    ids=["read_bytes", "read_json", "JsonLines", "append_line", "write_json"],
)
def test_only_regular_files_are_used(make, use, tmp_path):
    make(tmp_path / "it")
    error = within(10, lambda: use(tmp_path / "it"))
    assert isinstance(error, NotRegularError) and isinstance(error, UserError)
    assert str(tmp_path / "it") in str(error) and "not a regular file" in str(error)
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_a_pipe_in_place_of_the_partial_file_is_removed(tmp_path):
    os.mkfifo(tmp_path / ".it.partial")
    assert within(10, lambda: write_json(tmp_path / "it", 1)) is None
    assert read_json(tmp_path / "it") == 1 and not (tmp_path / ".it.partial").exists()


def test_a_link_to_a_regular_file_is_read(tmp_path):
    (tmp_path / "it").write_bytes(b"text")
    (tmp_path / "link").symlink_to(tmp_path / "it")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"text"


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", DEEP, b'{"a": ' * 100_000, b"9" * 5000])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_lines_that_cannot_be_read_are_passed_over_and_named(tmp_path):
    path, damage = tmp_path / "rows.jsonl", []
    path.write_bytes(b'{"n": 1}\n{"m": 1}\n[1]\n' + DEEP + b'\n{"n": 2}\n{"n": ')
    assert read_lines(path, lambda row: row["n"], damage) == [1, 2]
    assert damage == [f"{path} is damaged: lines 2, 3, 4, 6 cannot be read and are passed over."]


def test_damage_is_logged_once(tmp_path, caplog):
    (tmp_path / "rows.jsonl").write_bytes(b"1\n2\n{\n")
    for _ in range(3):
        assert read_lines(tmp_path / "rows.jsonl", int) == [1, 2]
    assert [r.getMessage().partition("damaged: ")[2] for r in caplog.records] == [
        "line 3 cannot be read and is passed over."
    ]


def test_a_file_of_lines_that_is_not_there_is_empty(tmp_path):
    damage = []
    assert read_lines(tmp_path / "rows.jsonl", int, damage) == [] and damage == []


def test_a_pipe_in_place_of_lines_is_named(tmp_path):
    os.mkfifo(tmp_path / "rows.jsonl")
    damage = []
    assert read_lines(tmp_path / "rows.jsonl", int, damage) == []
    assert damage == [f"{tmp_path / 'rows.jsonl'} cannot be read (it is a named pipe, not a regular file)."]


def test_lines_are_appended_after_a_torn_one(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    append_line(path, {"n": 1})
    path.write_bytes(path.read_bytes() + b'{"n": ')
    append_line(path, {"n": 2})
    assert path.read_bytes() == b'{"n": 1}\n{"n": \n{"n": 2}\n'


def test_a_line_is_there_as_soon_as_it_is_appended(tmp_path):
    with JsonLines(tmp_path / "rows.jsonl") as lines:
        lines.append({"n": 1})
        assert json.loads((tmp_path / "rows.jsonl").read_bytes()) == {"n": 1}


def test_replacing_shows_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["it"]


@pytest.mark.parametrize("shared", [False, True])
def test_replacing_that_fails_leaves_nothing_behind(shared, tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="full"), replacing(path, shared=shared) as file:
        file.write(b"new")
        raise OSError("full")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["it"]


def test_two_processes_may_replace_a_shared_file_at_once(tmp_path):
    path = tmp_path / "it"
    with replacing(path, shared=True) as first, replacing(path, shared=True) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first" and os.listdir(tmp_path) == ["it"]


def test_partial_files_that_nobody_writes_any_more_are_removed(tmp_path):
    old, new = tmp_path / ".it.0000.partial", tmp_path / ".it.1111.partial"
    for left in (old, new):
        left.touch()
    long_ago = time.time() - 2 * files.ABANDONED
    os.utime(old, (long_ago, long_ago))
    with replacing(tmp_path / "it", shared=True):
        pass
    assert not old.exists() and new.exists()


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        write_json(tmp_path / "it", {})
    assert caught.value.filename == str(tmp_path / "it") and not list(tmp_path.iterdir())
