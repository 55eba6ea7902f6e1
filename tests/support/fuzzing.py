"""Random mistakes for the property tests: values for keys, damage to files, and array-likes."""

import json
import os
import random
import signal
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st
from PIL import Image

from jaxgan.config.config import KEYS, SECTIONS, TYPES, Config
from jaxgan.config.fields import rule_of
from jaxgan.errors import UserError, shown

MANY = os.environ.get("JAXGAN_FUZZ") == "1"  # set by `make fuzz`
LONGEST = 1500  # characters of an error
PATIENCE = 60  # seconds for one example


def examples(few: int, many: int) -> Callable:
    """Hypothesis' settings: the same few examples in every run, or many in `make fuzz`."""
    return hypothesis.settings(
        max_examples=many if MANY else few,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate] if MANY else [hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )


def _hangs(*_) -> None:
    raise TimeoutError(f"nothing came back in {PATIENCE} s")


class Tally:
    """Counts what became of each example; with many examples faults are collected, with few the first is raised."""

    def __init__(self, what: str):
        self.what, self.ends, self.faults = what, Counter[str](), {}

    def run(self, action: Callable[[], Any], described: object) -> Any:
        """Runs an action that may raise `UserError` only, whose text is one line of bounded length, and soon."""
        signal.signal(signal.SIGALRM, _hangs)
        signal.alarm(PATIENCE)
        try:
            result = action()
        except UserError as error:
            text = str(error)
            if "\n" in text.strip() or len(text) > LONGEST or not text:
                self._fault(f"not one line: {text[:300]!r}", described)
            self.ends["refused"] += 1
        except Exception as error:
            if not MANY:
                raise
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self._fault(f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {error}", described)
        else:
            self.ends["accepted"] += 1
            return result
        finally:
            signal.alarm(0)
        return None

    def _fault(self, text: str, described: object) -> None:
        assert MANY, f"{text} for {shown(described, 300)}"
        self.ends["tracebacks"] += 1
        self.faults.setdefault(text[:300], shown(described, 300))

    def finish(self) -> None:
        """Prints the counts and fails if anything ended in a traceback."""
        count = sum(self.ends.values())
        ends = ", ".join(f"{self.ends[end]:,} {end}" for end in ("accepted", "refused", "tracebacks"))
        if MANY:
            print(f"\n{count:,} {self.what}: {ends}", flush=True)
        for text, described in self.faults.items():
            print(f"  {text}\n    for {described}")
        assert not self.faults


# Values that no key or hardly any may hold.
ODD_NUMBERS = [
    -1,
    0,
    1,
    2,
    3,
    7,
    2**31 - 1,
    2**31,
    -(2**40),
    10**40,
    10**400,
    10**5000,
    0.5,
    1.0,
    1e-40,
    -1e-40,
    5e-324,
]
ODD_NUMBERS += [1e-7, 1 - 1e-12, 1e38, 3.5e38, -0.0, float("nan"), float("inf"), -float("inf"), 1j, None, True, False]
ODD_TEXTS = [
    "",
    " ",
    "none",
    "True",
    "3",
    "1e-3",
    "a,b",
    "()",
    "[1]",
    "\0",
    "\ud800",
    "\n",
    "x" * 100_000,
    "../..",
    "~",
]
ODD_THINGS = [(), [], {}, [1, 2], (1, "a"), [[1]], {"a": 1}, {1, 2}, object(), Ellipsis, int, Path("a"), range(3), b"a"]
NUMPYS = [
    np.int64(5),
    np.float32(0.1),
    np.bool_(True),
    np.str_("adam"),
    np.array(3),
    np.array([1, 2]),
    np.float64("nan"),
]
ODD_VALUES = [*ODD_NUMBERS, *ODD_TEXTS, *ODD_THINGS, *NUMPYS]
ODD = st.integers(0, len(ODD_VALUES) - 1).map(lambda i: ODD_VALUES[i])  # sampled_from cannot write 10**5000


def field_of(key: str):
    """The dataclass field that declares a key."""
    section, _, name = key.rpartition(".")
    return (SECTIONS[section] if section else Config).__dataclass_fields__[name]


def fitting(key: str) -> st.SearchStrategy:
    """Values that a key may hold by its declaration, or that are near its bounds."""
    rule, kind = rule_of(field_of(key)), str(TYPES[key])
    bounds = [n for n in (rule.least, rule.most, rule.above, rule.below) if n is not None]
    near = [n + d for n in bounds for d in (-1, 0, 1)] + [type(n)(n) for n in bounds]
    if rule.allowed:
        names = st.sampled_from(list(rule.allowed))
        return st.lists(names, max_size=3) if kind.startswith("tuple") else names
    if kind.startswith("tuple"):
        return st.lists(st.integers(0, 8), max_size=3)
    if "float" in kind:
        return st.one_of(st.floats(0, 1), st.floats(), st.sampled_from([*near, 0.0, 0.1, 10.0]))
    if "int" in kind:
        return st.one_of(st.integers(0, 16), st.integers(), st.sampled_from([*near, 0, 1]))
    return st.booleans() if "bool" in kind else st.text(max_size=20)


def overrides() -> st.SearchStrategy[dict[str, Any]]:
    """One to four keys with values, mostly fitting ones so that many combinations are accepted."""

    def value_of(key: str) -> st.SearchStrategy:
        # Fitting values come four times as often.
        return st.integers(0, 4).flatmap(lambda n: fitting(key) if n else ODD).map(lambda value: (key, value))

    pair = st.sampled_from(KEYS).flatmap(value_of)
    return st.lists(pair, min_size=1, max_size=4).map(dict)


def as_text(value: Any) -> str:
    """What someone would type for a value on the command line."""
    try:
        return str(value)
    except Exception:  # a number too long to be written
        return "9" * 5000


# Each damages one file: (its bytes, random numbers) -> other bytes.
def _truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 8, 100]) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _noise(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice([0, 1, 10, 1000]))


def _extended(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice(
        [b"\0" * 100, b"{", b"[" * 100_000, b"nan\n", b"null\n", b"\xff\xfe\n", b'{"step": 1e999}\n']
    )


JSON_VALUES = [
    None,
    True,
    -1,
    10**30,
    1e308,
    float("nan"),
    "",
    "x" * 5000,
    [],
    [1],
    [[]],
    {},
    {"a": {}},
    "\ud800",
    "../x",
]


def _json_changed(data: bytes, rng: random.Random) -> bytes:
    """One value or key in one line of JSON exchanged or removed; other files get noise."""
    lines = data.decode(errors="replace").splitlines()
    whole = len(lines) != 1 and data[:1] == b"{" and data.rstrip()[-1:] == b"}" and lines[0].strip() == "{"
    texts = [data.decode(errors="replace")] if whole else lines
    if not texts:
        return _noise(data, rng)
    i = rng.randrange(len(texts))
    try:
        root = json.loads(texts[i])
    except ValueError:
        return _flipped(data, rng)
    box: Any = [root]
    place: Any = 0
    while isinstance(box[place], (dict, list)) and box[place] and rng.random() < 0.8:
        box = box[place]
        place = rng.choice(list(box) if isinstance(box, dict) else range(len(box)))
    top = box[place] is root
    if rng.random() < 0.2 and not top:
        del box[place]
    else:
        box[place] = rng.choice(JSON_VALUES)
        root = box[place] if top else root
    texts[i] = json.dumps(root)
    return "\n".join(texts).encode(errors="replace") + b"\n"


CHANGES = (_truncated, _flipped, _noise, _extended, _json_changed, _json_changed)
REPLACEMENTS = ("removed", "directory", "fifo", "loop", "device", "dangling", "unreadable name")


def damage(workdir: Path, seed: int) -> str:
    """Damages one file of a workdir, and says which and how."""
    rng = random.Random(seed)
    files = sorted(path for path in workdir.rglob("*") if path.is_file())
    named = [path for path in files if "checkpoints" not in path.parts]
    path = rng.choice(named if named and rng.random() < 0.7 else files)
    how = rng.choice([*CHANGES * 2, *REPLACEMENTS])
    if callable(how):
        path.write_bytes(how(path.read_bytes(), rng))
        return f"{path.relative_to(workdir)} {how.__name__} (seed {seed})"
    path.unlink()
    if how == "directory":
        path.mkdir()
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "unreadable name":
        (path.parent / os.fsdecode(b"\xff\xfe.json")).write_bytes(b"{")
    elif how != "removed":
        path.symlink_to({"loop": path, "device": "/dev/zero", "dangling": "/nowhere/at/all"}[how])
    return f"{path.relative_to(workdir)} {how} (seed {seed})"


DTYPES = ("u1", "i1", "i2", "u2", "i4", "i8", "f2", "f4", "f8", "?", "c8", "O", "U3", "S3", "M8[s]", "V4")


def arrays() -> st.SearchStrategy:
    """Arrays of any shape and type, some with values that are not finite."""
    shapes = st.one_of(
        st.sampled_from([(4, 8, 8), (4, 8, 8, 1), (4, 8, 8, 3), (4, 1, 8, 8), (4, 3, 8, 8), (4, 2), (4, 64)]),
        st.lists(st.integers(0, 9), max_size=5).map(tuple),
    )

    def make(shape, dtype, seed, spoiled):
        rng = np.random.default_rng(seed)
        array = rng.integers(0, 256, shape).astype("i8").astype(dtype if dtype != "V4" else "i4")
        if array.dtype.kind == "f" and rng.random() < 0.5:
            array = (array / 128 - 1).astype(dtype)
        if spoiled and array.dtype.kind == "f" and array.size:
            array.flat[rng.integers(array.size)] = rng.choice([np.nan, np.inf, -np.inf, 1e4])
        return array.view("V4") if dtype == "V4" and array.ndim else array

    return st.builds(make, shapes, st.sampled_from(DTYPES), st.integers(0, 99), st.booleans())


def plausible() -> st.SearchStrategy:
    """Images with or without labels as someone would give them, with at most one thing unusual."""

    def make(shape, dtype, labels, listed):
        images = np.arange(np.prod(shape)).reshape(shape).astype("u1")
        images = images if dtype == "u1" else (images / 127.5 - 1).astype(dtype)
        given = list(images) if listed else images
        return given if labels is None else (given, labels)

    shapes = st.sampled_from([(4, 8, 8), (4, 8, 8, 1), (4, 8, 8, 3), (4, 8, 6, 4), (4, 3, 8, 8), (4, 1, 8, 8)])
    labels = st.sampled_from(
        [None, np.arange(4) % 2, [0, 1, 2, 0], np.eye(4), np.arange(4)[:, None], [0, 1], list("abcd")]
    )
    return st.builds(make, shapes, st.sampled_from(["u1", "f4", "f8", "f2"]), labels, st.booleans())


class Pretender:
    """Claims to be an array, and is none."""

    def __init__(self, result: Any):
        self.result = result

    def __array__(self, *arguments, **named):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def array_likes() -> st.SearchStrategy:
    """Whatever someone may give as data: arrays, pairs with labels, lists, images, and things that are neither."""
    image = st.builds(
        lambda mode, size: Image.new(mode, (size, 8)),
        st.sampled_from(["L", "RGB", "RGBA", "P", "1", "F", "I;16"]),
        st.integers(1, 9),
    )
    label = st.one_of(st.integers(-2, 10), st.floats(), st.text(max_size=3), st.none(), st.booleans())
    labels = st.one_of(arrays(), st.lists(label, max_size=6), st.just(np.arange(4) % 2), st.just(np.eye(4)), ODD)
    nested = st.recursive(label, lambda inner: st.lists(inner, max_size=4), max_leaves=30)
    single = st.one_of(
        arrays(),
        arrays().map(lambda a: a.tolist() if a.dtype != "V4" else a),
        arrays().map(lambda a: list(a) if a.ndim else [a]),
        arrays().filter(lambda a: a.dtype != "V4").map(np.ma.masked_array),
        st.lists(image, max_size=5),
        image,
        nested,
        ODD,
        st.sampled_from([np.zeros((4, 8, 8)), ValueError("no"), 3]).map(Pretender),
        st.just(iter([])),
    )
    anything = st.one_of(
        single,
        st.tuples(single, labels),
        st.tuples(single, labels).map(list),
        st.tuples(single, labels, st.lists(st.text(max_size=3), max_size=4)),
        st.lists(st.tuples(arrays(), label), max_size=5),
        st.dictionaries(st.sampled_from(["images", "labels", "image"]), single, max_size=2),
    )
    return st.integers(0, 2).flatmap(lambda n: anything if n else plausible())
