"""Decides which recorded scalars are drawn together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxgan.monitor.directions import direction, merit

NETS = {"g": "G", "d": "D"}
TITLES = {
    "loss": "loss",
    "penalty": "penalty",
    "score": "P(real)",
    "accuracy": "accuracy of D",
    "info": "loss of codes",
    "grad_norm": "gradient norm",
    "sigma": "largest singular value",
    "update_ratio": "update / weight",
}  # group -> title; that of others is their name
UNIT = ("score", "accuracy")  # groups between 0 and 1
LOGARITHMIC = ("grad_norm", "update_ratio")  # groups whose layers may lie orders of magnitude apart
LAYERED = (*LOGARITHMIC, "sigma")  # groups with a scalar for each layer, `group/net/layer`
ENDS = ("bottom", "top")  # the layers next to a net's input and to its output


class Panel(NamedTuple):
    """Describes curves that share axes.

    Attributes:
      title: of the panel.
      names: of the scalars, layers from the bottom to the top as far as their names say.
      bold: those of them that stand out.
      limits: of the vertical axis; None: what the curves need.
      log: whether it is logarithmic at first.
      better: direction in which the one evaluation is better, whose best value is marked; else empty.
      net: `group/net` where the curves are those of its layers; else empty.
    """

    title: str
    names: tuple[str, ...]
    bold: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    log: bool = False
    better: str = ""
    net: str = ""

    def label(self, name: str) -> str:
        """Names a curve, without what the title says."""
        return name.removeprefix(self.net).removeprefix("/") or "all layers" if self.net else name


class Found(Protocol):
    """Describes what is shown of a finding: `until` is the last step at which it was seen, or None while it lasts."""

    @property
    def kind(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def until(self) -> int | None: ...


def panels(names: Iterable[str]) -> list[Panel]:
    """Makes the panels for scalars of these names, `group/...`: losses first, evaluations next, layers last.

    Each evaluation has a panel of its own, since they differ in scale; so have the layers of each net,
    `group/g/layer`, together with their total `group/g`. Names without a group are left out.

    >>> [(p.title, p.names) for p in panels(["eval/fid", "loss/g", "grad_norm/d", "grad_norm/d/top", "loss/d"])]
    [('loss', ('loss/d', 'loss/g')), ('fid', ('eval/fid',)), ('gradient norm of D', ('grad_norm/d', 'grad_norm/d/top'))]
    """
    named = sorted({name for name in names if "/" in name}, key=_natural)
    layered = {name.partition("/")[0] for name in named if name.count("/") > 1} & set(LAYERED)
    grouped: dict[tuple[int, int, str], list[str]] = {}
    for name in named:
        group, _, rest = name.partition("/")
        net = rest.partition("/")[0]
        known = list(TITLES).index(group) if group in TITLES else len(TITLES)
        if group == "eval":
            place = (1, 0, name)
        elif net in NETS and group in layered:
            place = (2, known, f"{group}/{net}")
        else:
            place = (0, known, group)
        grouped.setdefault(place, []).append(name)
    return [_panel(place, key, tuple(members)) for (place, _, key), members in sorted(grouped.items())]


def _panel(place: int, key: str, names: tuple[str, ...]) -> Panel:
    group, _, net = key.partition("/")
    if place == 1:
        return Panel(key.removeprefix("eval/"), names, better=direction(key))
    title = TITLES.get(group, group.replace("_", " "))
    limits = (0.0, 1.0) if group in UNIT else None
    if place == 0:
        return Panel(title, names, limits=limits)
    bold = tuple(name for name in names if name == key or name.rpartition("/")[2] in ENDS)
    return Panel(f"{title} of {NETS[net]}", names, bold, log=group in LOGARITHMIC, net=key)


def _natural(name: str) -> tuple[bool, list[tuple[int, str]]]:
    """Sorts layer 10 after layer 9, and the ends last, so that they are drawn over the others."""
    parts = re.split(r"(\d+)", name)
    return name.rpartition("/")[2] in ENDS, [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def curve(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps i64[N] and values f64[N] of a scalar in the rows of `read_metrics`."""
    points = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), (int, float))]
    steps, values = zip(*points, strict=True) if points else ((), ())
    return np.asarray(steps, np.int64), np.asarray(values, np.float64)


def history(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Turns rows into arrays: each scalar with its steps, as `diagnose` takes them.

    >>> {k: v.tolist() for k, v in history([{"step": 1, "a": 2.0}, {"step": 3, "b": 4.0}]).items()}
    {'a': [2.0], 'a/step': [1], 'b': [4.0], 'b/step': [3]}
    """
    found = {}
    for name in sorted({name for row in rows for name in row} - {"step"}):
        found[f"{name}/step"], found[name] = curve(rows, name)
    return dict(sorted(found.items()))


def best(steps: np.ndarray, values: np.ndarray, better: str) -> int | None:
    """Returns the index of the best value, the first of equals; None without a finite value or a direction."""
    finite = np.flatnonzero(np.isfinite(values))
    if not better or not len(finite):
        return None
    return int(finite[np.argmax(merit(values[finite], better))])
