"""Reads and writes files: whole or not at all, records of JSON line by line, and regular files only.

Other kinds of files are refused at once. Opening a named pipe, or reading a device such as `/dev/zero`, would hang.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import math
import os
import secrets
import stat
import time
import types
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from absl import logging

from jaxgan.errors import UserError, listed

ABANDONED = 3600  # seconds after which nobody is still writing a partial file
DAMAGES = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)

T = TypeVar("T")


class NotRegularError(OSError, UserError):
    """Says that a path is a named pipe, a device, a socket or a directory where a file is needed."""

    def __init__(self, path: str | os.PathLike, kind: str):
        OSError.__init__(self, errno.EINVAL, f"it is {kind}, not a regular file", os.fspath(path))

    def __str__(self) -> str:
        return f"{self.filename} cannot be used: {self.strerror}."


def check_regular(path: str | os.PathLike) -> None:
    """Refuses a path that leads to something else than a regular file; it may lead to nothing.

    Raises:
      NotRegularError: naming what it leads to.
      OSError: it cannot be looked at.
    """
    with contextlib.suppress(FileNotFoundError):
        _refuse_irregular(path, os.stat(path).st_mode)


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a regular file to read its bytes.

    Raises:
      NotRegularError: it is something else, or a directory.
      OSError: it cannot be opened.
    """
    check_regular(path)  # first, since opening some devices does something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_irregular(path, os.fstat(descriptor).st_mode)  # it may have been exchanged meanwhile
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | os.PathLike) -> bytes:
    """Reads a regular file whole; raises what `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def read_json(path: str | os.PathLike) -> Any:
    """Reads a file of JSON.

    Raises:
      ValueError: it is not JSON.
      OSError: as `open_regular`.
    """
    return parse_json(read_bytes(path))


def parse_json(text: bytes | str) -> Any:
    """Parses JSON; raises ValueError for whatever is none, also where brackets are nested too deep for Python."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets are nested too deep") from None


def read_lines(path: Path, convert: Callable[[Any], T], damage: list[str] | None = None) -> list[T]:
    """Reads a file of JSON lines, and passes over the lines that are damaged; a file that is not there has none.

    Args:
      path: the file.
      convert: makes a record of what a line holds; it may raise any of `DAMAGES`.
      damage: gets a sentence about what was passed over; None: the sentence is logged, once per process.
    """
    rows, bad = [], []
    sentence = ""
    try:
        with open_regular(path) as file:
            for number, line in enumerate(file, 1):
                try:
                    rows.append(convert(parse_json(line)))
                except DAMAGES:
                    bad.append(number)
    except FileNotFoundError:
        return []
    except OSError as error:
        sentence = f"{path} cannot be read ({error.strerror})."
    if bad:
        lines = f"lines {listed(bad)}" if len(bad) > 1 else f"line {bad[0]}"
        sentence = f"{path} is damaged: {lines} cannot be read and {'are' if len(bad) > 1 else 'is'} passed over."
    if sentence and damage is None:
        _warn_once(sentence)
    elif sentence:
        assert damage is not None
        damage.append(sentence)
    return rows


def typed(cls: Callable[..., T], values: Any) -> T:
    """Makes a record of a class from values that were read; their types must be those that its fields declare.

    >>> from jaxgan.monitor.doctor import Advice
    >>> typed(Advice, {"text": "Wait.", "source": "nobody"})
    Advice(text='Wait.', source='nobody')

    Raises:
      TypeError: values of other types, fields that are missing, or values of no field.
    """
    if not isinstance(values, dict):
        raise TypeError("it is not a dictionary")
    hints = typing.get_type_hints(cls)
    for name, value in values.items():
        if not _matches(value, hints[name]):
            raise TypeError(f"{name} is of another type")
    return cls(**values)


def _matches(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_matches(value, each) for each in arguments)
    if origin is dict:
        return isinstance(value, dict) and all(
            _matches(key, arguments[0]) and _matches(each, arguments[1]) for key, each in value.items()
        )
    if origin is tuple:  # of one type throughout
        return isinstance(value, tuple) and all(_matches(each, arguments[0]) for each in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, hint)


class JsonLines:
    """Appends rows of JSON to a file, each on a line of its own.

    A last line that a crash has torn is ended first, so that it does not swallow the next one. Every line is handed to
    the operating system whole as it is appended, so that a process that is killed loses none.
    """

    def __init__(self, path: str | os.PathLike):
        self._path = path
        check_regular(path)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        self._file = open(descriptor, "ab+", buffering=0)  # noqa: SIM115  closed by close()
        try:
            _refuse_irregular(path, os.fstat(descriptor).st_mode)
            end = self._file.seek(0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                self._file.write(b"\n")
        except BaseException:
            self._file.close()
            raise

    def append(self, row: dict[str, Any]) -> None:
        """Appends a row."""
        line = memoryview(json.dumps(row).encode() + b"\n")
        with _naming(self._path):
            while line:  # where the disk is nearly full, a part is written before the error comes
                line = line[self._file.write(line) :]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Appends one row of JSON to a file, whose directory is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with JsonLines(path) as lines:
        lines.append(row)


@contextlib.contextmanager
def replacing(path: str | os.PathLike, *, durable: bool = False, shared: bool = False) -> Iterator[BinaryIO]:
    """Gives a file to write, which takes the place of `path` when the block ends, so that readers never see a part.

    Where the block fails, `path` stays as it is and nothing is left of what was written.

    Args:
      path: the file; its directory is made where it is missing.
      durable: the contents reach the disk before the file takes its place, so that a power cut cannot empty it.
      shared: several processes may write this file at once.

    Raises:
      NotRegularError: something else than a file is there.
      OSError: the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    check_regular(path)
    own = f".{secrets.token_hex(4)}" if shared else ""
    if shared:
        _clear_abandoned(path)
    partial = path.with_name(f".{path.name}{own}.partial")
    try:
        partial.unlink(missing_ok=True)  # a process that was killed may have left it, and it may be a pipe
        with _naming(path), open(partial, "xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike, contents: Any) -> None:
    """Writes a file of JSON, whole or not at all."""
    text = json.dumps(contents, indent=2) + "\n"
    with replacing(path, durable=True) as file:
        file.write(text.encode())


@contextlib.contextmanager
def _naming(path: str | os.PathLike) -> Iterator[None]:
    """Adds the path to errors that do not name one, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


def _clear_abandoned(path: Path) -> None:
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with contextlib.suppress(OSError):  # another process may have removed it
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()


def _refuse_irregular(path: str | os.PathLike, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    raise NotRegularError(path, kinds.get(stat.S_IFMT(mode), "something else"))


@lru_cache(maxsize=256)
def _warn_once(sentence: str) -> None:
    logging.warning("%s", sentence)
