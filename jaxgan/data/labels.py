"""Reads labels, from a file beside the images or an array given in Python, as class numbers and class names."""

import csv
import io
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from jaxgan.data.files import printable
from jaxgan.errors import UserError, listed, shown
from jaxgan.files import parse_json

JSON, CSV = "dataset.json", "labels.csv"
MOST_CLASSES = 100_000  # a larger label is a mistake, and would ask for that many class names
FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "image_path", "img", "name", "id")
CLASS_COLUMNS = ("class", "label", "category", "class_name", "label_name", "target", "class_id", "y")


def numbered(values: Sequence[Any], where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turns labels that are whole numbers from 0 on, or else texts, into class numbers, int32, and class names.

    Texts that all are whole numbers count as numbers. Other texts are numbered in alphabetical order.

    Raises:
      UserError: they are neither, or too large; `where` says whose they are.

    >>> numbered(["dog", "cat", "dog"], "x")
    (array([1, 0, 1], dtype=int32), ('cat', 'dog'))
    """
    strange = [v for v in values if isinstance(v, bool) or not isinstance(v, (str, Integral)) or v == ""]
    if strange:
        found = listed(map(shown, strange))
        raise UserError(f"{where} must be whole numbers from 0 on, or names of classes, not {found}.")
    if all(isinstance(v, Integral) or v.strip().lstrip("+-").isdecimal() for v in values):
        # Longer texts are larger than allowed, whatever they say, and slow to convert.
        numbers = [int(v) if isinstance(v, Integral) or len(v) < 20 else -1 for v in values]
        low, high = min(numbers), max(numbers)
        if low < 0 or high >= MOST_CLASSES:
            raise UserError(f"{where} lie in {low}..{high}: they must lie in 0..{MOST_CLASSES - 1}.")
        return np.array(numbers, np.int32), tuple(str(i) for i in range(high + 1))
    texts = [str(v).strip() for v in values]
    names = sorted(set(texts))
    if len(names) > MOST_CLASSES:
        raise UserError(f"{where} name {len(names)} classes: at most {MOST_CLASSES} are allowed.")
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[text] for text in texts], np.int32), tuple(names)


def checked(
    labels: np.ndarray, count: int, class_names: tuple[str, ...], name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turns an array of labels into class numbers, int32 `[count]`, and class names; see `arrays.from_arrays`.

    Raises:
      UserError: they do not fit the images, or can mean more than one thing.
    """
    if labels.ndim == 2 and labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[0] == count and _is_one_hot(labels):
        width = labels.shape[1]
        labels, class_names = labels.argmax(axis=1), class_names or tuple(str(i) for i in range(width))
    whole = np.issubdtype(labels.dtype, np.integer) or labels.dtype == bool
    texts = labels.dtype.kind in "OSU"
    if labels.shape != (count,) or not (whole or texts):
        also = "; labels.astype(int) makes them so" if labels.dtype.kind == "f" and labels.shape == (count,) else ""
        raise UserError(
            f"The labels of {name} have shape {labels.shape} and type {labels.dtype}: "
            f"they must be integers of shape ({count},), one per image, names of classes, or one-hot rows{also}."
        )
    if texts:
        values = [v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else v for v in labels.tolist()]
        if class_names and all(isinstance(v, str) for v in values):
            if strange := sorted({v for v in values if v not in class_names}):
                raise UserError(f"The labels of {name} name classes that are not in class_names: {listed(strange)}.")
            return np.array([class_names.index(v) for v in values], np.int32), class_names
        labels, names = numbered(values, f"The labels of {name}")
        class_names = class_names or names
    low, high = int(labels.min()), int(labels.max())
    limit = len(class_names) or MOST_CLASSES
    if low < 0 or high >= limit:
        raise UserError(f"The labels of {name} lie in {low}..{high}: they must lie in 0..{limit - 1}.")
    return labels.astype(np.int32, copy=False), class_names or tuple(str(i) for i in range(high + 1))


def _is_one_hot(rows: np.ndarray) -> bool:
    if rows.dtype.kind not in "biuf" or rows.shape[1] < 2:
        return False
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all())


def from_file(name: str, read: Callable[[str], bytes]) -> dict[str, int | str] | None:
    """Reads the label of each file that a label file names, by that name.

    `dataset.json` has the layout of StyleGAN's tools, `{"labels": [["00000/img0.png", 3], ...]}`; `labels.csv` has
    the columns file and class, with or without a line of headings.

    Returns:
      None where a `dataset.json` says that there are no labels.

    Raises:
      UserError: the file cannot be read as that.
    """
    try:
        text = read(name).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(f"The label file {printable(name)!r} cannot be read: {error}.") from None
    pairs = _json_pairs(name, text) if name.endswith(".json") else _csv_pairs(name, text)
    if pairs is None:
        return None
    found: dict[str, int | str] = {}
    for file, label in pairs:
        file = file.replace("\\", "/").removeprefix("./")
        if found.setdefault(file, label) != label:
            raise UserError(
                f"{printable(name)!r} gives {printable(file)!r} two labels, {shown(found[file])} and {shown(label)}."
            )
    return found


def _json_pairs(name: str, text: str) -> list[tuple[str, int | str]] | None:
    layout = '{"labels": [["path of an image", 3], ...]}'
    wanted = (
        f"{printable(name)!r} must hold {layout}, as StyleGAN's tools write it (data.labels=folders takes the "
        "sub-folders as classes instead)"
    )
    try:
        content = parse_json(text)
    except ValueError:
        raise UserError(f"{wanted}, but it is not JSON.") from None
    labels = content.get("labels", "") if isinstance(content, dict) else ""
    if labels is None:
        return None
    rows = list(labels.items()) if isinstance(labels, dict) else labels
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{wanted}, but it has no such labels.")
    pairs = []
    for row in rows:
        file, label = row if isinstance(row, (list, tuple)) and len(row) == 2 else (None, None)
        if isinstance(label, list) and len(label) > 1 and sorted(map(str, label)) == ["0"] * (len(label) - 1) + ["1"]:
            label = label.index(1)  # one-hot
        if not isinstance(file, str) or not isinstance(label, (int, str)) or isinstance(label, bool):
            raise UserError(f"{wanted}, but one entry is {shown(row)}.")
        pairs.append((file, label))
    return pairs


def _csv_pairs(name: str, text: str) -> list[tuple[str, int | str]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UserError(f"{printable(name)!r} cannot be read as a table: {error}.") from None
    if not rows:
        raise UserError(f"{printable(name)!r} is empty: it must have a line for each image, its file and its class.")
    head = [cell.strip().lower() for cell in rows[0]]
    file_column = next((head.index(c) for c in FILE_COLUMNS if c in head), None)
    class_column = next((head.index(c) for c in CLASS_COLUMNS if c in head), None)
    if file_column is not None and class_column is not None:
        rows = rows[1:]
    elif len(head) == 2:
        file_column, class_column = 0, 1
    else:
        raise UserError(
            f"{printable(name)!r} must have two columns, file and class, but has {len(head)}: name two of them 'file' "
            "and 'class' in its first line."
        )
    width = max(file_column, class_column)
    short = [str(i + 1) for i, row in enumerate(rows) if len(row) <= width or not row[class_column].strip()]
    if short or not rows:
        raise UserError(f"{printable(name)!r} has entries without a class: {listed(short) or 'all of them'}.")
    return [(row[file_column].strip(), row[class_column].strip()) for row in rows]
