"""Lists and reads the files of a folder or a .zip archive; opens regular files only, and none of unbounded size."""

import dataclasses
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from jaxgan.errors import UserError
from jaxgan.files import open_regular

MOST_BYTES = 512 * 2**20  # of one encoded image: as many as Pillow's largest has, uncompressed
MOST_FILES = 20_000_000
MOST_LINKS = 10_000  # followed links to folders; more of them are a net of links that lead to each other
BOMB = 200, 16 * 2**20  # how many times a file of an archive may be larger than its part there, from how many bytes on
JUNK = ("__MACOSX", "@eaDir")  # folders that archivers and network drives add; as little looked at as hidden ones


@dataclasses.dataclass(frozen=True)
class Files:
    """Lists the files of a folder or an archive, and reads them.

    Attributes:
      root: path of the folder or archive, for messages.
      names: of the regular files, relative to the root with "/" between parts; in each folder first its files, then
        its sub-folders, both sorted by name.
      folders: names of all folders, also empty ones.
      left_out: names of what is never opened, each with the reason.
      read: gives the content of the file with this name, or only its beginning of this many bytes. Raises `OSError`
        or `ValueError` with the reason where it cannot.
    """

    root: str
    names: tuple[str, ...]
    folders: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    read: Callable[..., bytes]


def open_files(path: Path) -> Files:
    """Lists the files below a folder or in a .zip archive. Links to files and folders are followed.

    Raises:
      UserError: there is no such folder or archive, or it cannot be read.
    """
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise UserError(
            f"The directory {str(path)!r} of the data source 'folder' does not exist: set data.data_dir to a folder "
            "of images, or a .zip of them."
        )
    if path.is_file() and zipfile.is_zipfile(path):
        return _archive(path)
    raise UserError(
        f"{str(path)!r} is a file: the data source 'folder' needs a directory of images, or a .zip of them."
    )


def order(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts the files of a folder before its sub-folders, both by name.

    >>> sorted(["b/a.png", "c.png", "a/z.png"], key=order)
    ['c.png', 'a/z.png', 'b/a.png']
    """
    *folders, file = name.split("/")
    return (*((1, folder) for folder in folders), (0, file))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in JUNK


def suffix_of(name: str) -> str:
    """Returns the suffix of a file's name in small letters, such as ".png"; "" if it has none."""
    return PurePosixPath(name).suffix.lower()


def printable(name: str | os.PathLike) -> str:
    """Makes a name printable: bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_regular(path: str | os.PathLike, most: int | None = None) -> bytes:
    """Reads a regular file, or its first `most` bytes. Never waits, as opening a pipe or a device would.

    Raises:
      OSError: it is no regular file, or cannot be opened or read.
      ValueError: it is larger than `MOST_BYTES`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is None and size > MOST_BYTES:
            raise ValueError(f"{size} bytes, more than the {MOST_BYTES} allowed")
        return file.read(MOST_BYTES if most is None else most)


def _folder(root: Path) -> Files:
    names: list[str] = []
    folders: list[str] = []
    left_out: list[tuple[str, str]] = []
    links = 0
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        folder, above = pending.pop()
        here = os.path.join(root, folder)
        try:
            status, entries = os.stat(here), sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(
                f"The folder {printable(here)!r} cannot be read ({error.strerror}): allow reading it, or move it away."
            ) from None
        identity = status.st_dev, status.st_ino
        if identity in above:
            left_out.append((folder, "behind links in a circle"))
            continue
        if folder:
            folders.append(folder)
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link that leads to itself
                is_folder = is_file = False
            if is_folder and not _hidden(entry.name):
                links += entry.is_symlink()
                pending.append((name, above | {identity}))
            elif is_folder:
                continue
            elif _hidden(entry.name):
                left_out.append((name, "hidden"))
            elif is_file:
                names.append(name)
            else:
                broken = entry.is_symlink() and not os.path.exists(entry.path)
                left_out.append((name, "behind broken links" if broken else "neither files nor folders"))
        if links > MOST_LINKS or len(names) > MOST_FILES:
            what = f"{MOST_LINKS:,} links to folders" if links > MOST_LINKS else f"{MOST_FILES:,} files"
            raise UserError(f"{printable(root)!r} has more than {what}: do its links lead in circles?")

    def read(name: str, most: int | None = None) -> bytes:
        return read_regular(os.path.join(root, name), most)

    return Files(printable(root), tuple(sorted(names, key=order)), tuple(sorted(folders)), tuple(left_out), read)


def _archive(path: Path) -> Files:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{printable(path)!r} cannot be read as a .zip archive: {error}.") from None
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    left_out: list[tuple[str, str]] = []
    for info in archive.infolist():
        name = info.filename.replace("\\", "/").rstrip("/")
        parts = name.split("/")
        hidden = any(map(_hidden, parts))
        why = ""
        if name.startswith("/") or ".." in parts or "" in parts or ":" in parts[0]:
            why = "named to lie outside the archive"
        elif hidden:
            why = "hidden"
        elif info.is_dir():
            folders.add(name)
        elif name in members:
            why = "twice in the archive"
        elif stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            why = "neither files nor folders"
        if why and not info.is_dir():
            left_out.append((name, why))
        elif not why and not info.is_dir():
            members[name] = info
            folders |= {"/".join(parts[:end]) for end in range(1, len(parts))}

    def read(name: str, most: int | None = None) -> bytes:
        info, (ratio, allowed) = members[name], BOMB
        if info.flag_bits & 1:
            raise ValueError("encrypted")
        if info.file_size > MOST_BYTES:
            raise ValueError(f"{info.file_size} bytes, more than the {MOST_BYTES} allowed")
        if info.file_size > max(allowed, ratio * info.compress_size):
            raise ValueError("unpacks to far more than it takes in the archive, a decompression bomb?")
        try:
            with archive.open(info) as file:
                return file.read(MOST_BYTES if most is None else most)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise ValueError(str(error)) from None
        except Exception as error:  # the decompressors each have errors of their own
            raise ValueError(f"cannot be unpacked ({type(error).__name__})") from None

    return Files(printable(path), tuple(sorted(members, key=order)), tuple(sorted(folders)), tuple(left_out), read)
