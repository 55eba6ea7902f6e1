"""Decides which files of a folder are read as images, and what their classes are."""

import dataclasses
from collections import Counter

import numpy as np
from absl import logging

from jaxgan.data import labels as label_files
from jaxgan.data.files import Files, printable, suffix_of
from jaxgan.data.images import PACKAGES, RAW, SUFFIXES, formats, open_image
from jaxgan.data.source import Request, decoding_threads
from jaxgan.errors import UnknownSplitError, UserError, listed

# Names of folders that hold splits, each with the other names of the same split.
KINDS = (("train", "training"), ("test", "testing"), ("val", "valid", "validation", "dev"))
SPLIT_NAMES = {name: kind for kind in KINDS for name in kind}
LABELS = ("auto", "file", "folders", "none")
HEAD = 64  # bytes by which a file without an image's suffix is told


@dataclasses.dataclass(frozen=True)
class Layout:
    """Holds the images of a folder with their labels, and what became of every other file.

    Attributes:
      names: of the images.
      labels: int32 `[N]`, zeros where there are none.
      class_names: empty where there are no labels.
      left_out: the number of other files, by what they are.
      notes: what was decided, in words.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    left_out: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]


class _Level:
    """Lists what lies directly in one folder: images, sub-folders that hold images, and other sub-folders."""

    def __init__(self, files: Files, images: list[str], prefix: str):
        below = [name[len(prefix) :] for name in images if name.startswith(prefix)]
        self.direct = sum("/" not in name for name in below)
        self.filled = sorted({name.partition("/")[0] for name in below if "/" in name})
        inside = {name[len(prefix) :].partition("/")[0] for name in files.folders if name.startswith(prefix)}
        self.bare = sorted(inside - {*self.filled})


class _Reading:
    """Searches for the folder whose images are read, step by step from the top."""

    def __init__(self, files: Files, images: list[str], request: Request):
        self.files, self.images, self.request = files, images, request
        self.prefix, self.scope = "", ""  # the folder reached, and that of the split; both end in "/" or are empty
        self.notes: list[str] = []
        self.level = _Level(files, images, "")

    def path(self, *more: str) -> str:
        """Names a folder as the user would."""
        return repr("/".join([self.files.root.rstrip("/"), *filter(None, [self.prefix.rstrip("/"), *more])]))

    def enter(self, name: str) -> None:
        self.prefix += f"{name}/"
        self.level = _Level(self.files, self.images, self.prefix)

    def find(self) -> None:
        """Goes down to the split asked for, and through folders that hold nothing but one folder of images."""
        searching = bool(self.request.split)
        if {"[", "+"} & set(self.request.split):
            raise UserError(
                f"The data source 'folder' cannot take the part {self.request.split!r} of a split: use max_examples."
            )
        while True:
            split = self._split() if searching else None
            if split:
                beside = [name for name in self.level.filled if name != split]
                self.notes.append(f"split {split}/" + (f", beside {listed(beside)}" if beside else ""))
                self.enter(split)
                self.scope, searching = self.prefix, False
            elif self._single() and self.request.labels != "folders":
                self.enter(self.level.filled[0])
            else:
                break
        if self.prefix not in ("", self.scope):
            self.notes.append(f"read from {printable(self.prefix)}, the only folder of images there")
        if searching and self.request.split != "train":
            logging.warning(
                "%s has no directory %s: all of its images stand for that split", self.files.root, self.request.split
            )

    def _single(self) -> bool:
        level = self.level
        if level.direct or len(level.filled) != 1:
            return False
        # A sub-folder without any file beside it may be a class whose images are missing.
        inside = [name for name in level.bare if any(f.startswith(f"{self.prefix}{name}/") for f in self.files.names)]
        return len(inside) == len(level.bare)

    def _split(self) -> str | None:
        """Finds the sub-folder to be read as the split asked for, if this folder has splits."""
        level, wanted = self.level, self.request.split
        like = [name for name in level.filled if name.lower() in SPLIT_NAMES]
        others = [name for name in level.filled if name not in like]
        kind = SPLIT_NAMES.get(wanted.lower(), (wanted,))
        found = [name for name in level.filled if name == wanted]
        found = found or [name for name in like if name.lower() in kind]
        if len(found) > 1:
            raise UserError(f"{self.path()} has {listed(found)} for the split {wanted!r}: name one of them.")
        if wanted != "train":  # somebody asks for it
            if not found and like and not others and not level.direct:
                raise UnknownSplitError(
                    f"{self.path()} has no directory for the split {wanted!r}: there are {listed(like)}."
                )
            return found[0] if found else None
        if level.direct or not like:
            return None
        classes = f"data.split='' reads it as {len(level.filled)} classes ({listed(level.filled)})"
        if not others:
            if not found:
                raise UnknownSplitError(
                    f"{self.path()} has no directory for the split 'train': there are {listed(like)}. "
                    f"data.split={like[0]} reads that one; {classes}."
                )
            return found[0]
        if found and (len(like) > 1 or self._has_classes(found[0]) > max(map(self._has_classes, others))):
            raise UserError(
                f"{self.path()} holds {listed(like)}, named like splits, beside {listed(others)}: {classes}; "
                f"data.data_dir={self.path(found[0])} reads the split {found[0]} alone."
            )
        self.notes.append(f"{listed(like)} taken as a class, not as a split, because of {listed(others)} beside it")
        return None

    def _has_classes(self, name: str) -> bool:
        level = _Level(self.files, self.images, f"{self.prefix}{name}/")
        return not level.direct and len(level.filled) > 1


def read_layout(files: Files, request: Request) -> Layout:
    """Finds the images of a folder and their labels, by the rules of `folder.folder`.

    Raises:
      UserError: there are no images, or the folder can be read in more than one way; it names them.
    """
    images, others = _told_apart(files)
    if not images:
        seen = len(files.names) + len(files.left_out)
        what = f"{seen:,} files seen" + (f", not images: {_suffixes(others)}" if others else "")
        hints = "".join(f"; {hint}" for hint in _packages(others))
        raise UserError(f"No images are in {files.root!r}: {what}{hints}.")
    reading = _Reading(files, images, request)
    reading.find()
    names = [name for name in images if name.startswith(reading.prefix)]
    others = [name for name in others if name.startswith(reading.scope)]
    left_out = Counter(why for name, why in files.left_out if name.startswith(reading.scope))
    notes, label_file = reading.notes, ""
    class_names: tuple[str, ...] = ()
    labels = np.zeros(len(names), np.int32)
    if request.labels in ("auto", "file") and (label_file := _label_file(reading)):
        names, labels, class_names, unlabelled = _labelled(reading, names, label_file)
        left_out += Counter({f"without a label in {label_file}": unlabelled})
        others = [name for name in others if name != label_file]
        left_out += Counter({"with the labels": int(label_file.startswith(reading.scope))})
    elif request.labels == "file":
        raise UserError(
            f"data.labels is 'file', but {reading.path()} has no {label_files.JSON} or {label_files.CSV}: write one, "
            "such as lines of file,class."
        )
    elif request.labels != "none":
        labels, class_names = _folder_classes(reading, names)
    counted = [(len(others), f"not images ({_suffixes(others)})")] if others else []
    counted += [(number, why) for why, number in sorted(left_out.items()) if number]
    return Layout(tuple(names), labels, class_names, tuple(counted), (*notes, *_packages(others)))


def _told_apart(files: Files) -> tuple[list[str], list[str]]:
    """Tells images from other files: by the suffix, or by the content where the suffix is not an image's."""
    unsure = [name for name in files.names if suffix_of(name) not in SUFFIXES]
    found = dict(zip(unsure, decoding_threads().map(lambda name: _is_image(files, name), unsure), strict=True))
    return [n for n in files.names if found.get(n, True)], [n for n in files.names if not found.get(n, True)]


def _is_image(files: Files, name: str) -> bool:
    from PIL import Image

    if suffix_of(name) in RAW:
        return False
    try:
        head = files.read(name, HEAD)
        accepts = (Image.OPEN[known][1] for known in formats())
        if not any(accept and accept(head) is True for accept in accepts):
            return False
        open_image(files.read(name))
    except Exception:  # Pillow's decoders raise nearly anything on what is no image
        return False
    return True


def _suffixes(names: list[str]) -> str:
    """Counts files by suffix, the most frequent first, such as ".txt 6, .heic 3"."""
    counts = Counter(printable(suffix_of(name)) or "no suffix" for name in names)
    return listed([f"{suffix} {number}" for suffix, number in counts.most_common()])


def _packages(names: list[str]) -> list[str]:
    found = dict.fromkeys(suffix_of(name) for name in names)
    return [f"{suffix}: {PACKAGES[suffix]}" for suffix in found if suffix in PACKAGES]


def _label_file(reading: _Reading) -> str:
    """Finds the label file that is nearest above the images; "" if there is none."""
    parts = reading.prefix.rstrip("/").split("/") if reading.prefix else []
    for end in range(len(parts), -1, -1):
        folder = "".join(f"{part}/" for part in parts[:end])
        there = [f for f in (label_files.JSON, label_files.CSV) if f"{folder}{f}" in reading.files.names]
        if len(there) == 2:
            raise UserError(f"{reading.path()} has labels in both {' and '.join(there)}: keep one of them.")
        if there:
            return f"{folder}{there[0]}"
    return ""


def _labelled(
    reading: _Reading, names: list[str], label_file: str
) -> tuple[list[str], np.ndarray, tuple[str, ...], int]:
    """Gives images with a label, their class numbers, the class names, and the number of images without a label."""
    given = label_files.from_file(label_file, reading.files.read)
    if given is None:
        return names, np.zeros(len(names), np.int32), (), 0
    reading.notes.append(f"labels from {printable(label_file)}")
    folder = label_file[: label_file.rfind("/") + 1]
    numbers, class_names = label_files.numbered(list(given.values()), f"The labels in {printable(label_file)!r}")
    by_name = {folder + file: number for file, number in zip(given, numbers.tolist(), strict=True)}
    present = set(names)
    missing = [name for name in by_name if name.startswith(reading.prefix) and name not in present]
    if len(missing) == len(by_name):
        raise UserError(
            f"{printable(label_file)!r} names none of the {len(names)} images in {reading.path()}, such as "
            f"{printable(names[0][len(folder) :])!r}, but {listed(map(printable, given))}: paths count "
            "from its own folder."
        )
    unlabelled = [name for name in names if name not in by_name]
    if reading.request.on_bad_image == "error" and (missing or unlabelled):
        who, what = (missing, "files that are not there") if missing else (unlabelled, "no label for some images")
        raise UserError(
            f"{printable(label_file)!r} has {what}: {listed(map(printable, who))}. Mend it, or leave them "
            "out by --config.data.on_bad_image=skip."
        )
    if missing:
        reading.notes.append(f"{len(missing):,} files named in {printable(label_file)} are not there")
    kept = [name for name in names if name in by_name]
    if not kept:
        raise UserError(f"{printable(label_file)!r} has no label for any of the images in {reading.path()}.")
    return kept, np.array([by_name[name] for name in kept], np.int32), class_names, len(unlabelled)


def _folder_classes(reading: _Reading, names: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers images by the sub-folder they lie in, with the classes' names; none where there are no sub-folders."""
    level = reading.level
    together = "data.labels=none reads all images without labels"
    if level.direct and level.filled:
        raise UserError(
            f"{reading.path()} holds both {level.direct} images and sub-directories of images "
            f"({listed(level.filled)}): {together}; for classes, move each image into the sub-directory of its class, "
            "or list them in labels.csv (lines of file,class)."
        )
    if not level.filled:
        if reading.request.labels == "folders":
            raise UserError(f"data.labels is 'folders', but {reading.path()} has no sub-folders with images.")
        if reading.prefix != reading.scope:
            reading.notes.append("one folder is no class, so there are no labels")
        return np.zeros(len(names), np.int32), ()
    if level.bare:
        raise UserError(
            f"Every sub-directory of {reading.path()} is a class, but there are no images in: {listed(level.bare)}. "
            f"Move them away, or {together}."
        )
    inner = [_Level(reading.files, reading.images, f"{reading.prefix}{name}/") for name in level.filled]
    same = len(level.filled) > 1 and len({(one.direct, tuple(one.filled)) for one in inner}) == 1
    if same and not inner[0].direct and len(inner[0].filled) > 1 and reading.request.labels == "auto":
        raise UserError(
            f"{reading.path()} can be read as the classes {listed(level.filled)} or as the classes "
            f"{listed(inner[0].filled)}, which each of those folders holds: data.labels=folders takes the first; for "
            "the others, put all images of a class into one folder, or list them in labels.csv (lines of file,class)."
        )
    index = {name: i for i, name in enumerate(level.filled)}
    start = len(reading.prefix)
    labels = np.array([index[name[start:].partition("/")[0]] for name in names], np.int32)
    return labels, tuple(printable(name) for name in level.filled)
