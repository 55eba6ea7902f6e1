"""Static pictures of a run: learning curves, and points for data in the plane."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

# Panels from top to bottom: title, and the prefixes of the scalars drawn in it.
PANELS = (
    ("loss", ("loss/", "penalty/")),
    ("P(real)", ("score/",)),
    ("gradient norm", ("grad_norm/",)),
    ("evaluation", ("eval/",)),
)


def read_metrics(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`, by step; the last word on a step counts, and a torn line is passed over."""
    rows: dict[int, dict[str, Any]] = {}
    with open(path, "rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
                step = int(row["step"])
            except (ValueError, KeyError, TypeError, OverflowError):
                continue  # torn by a crash; the resumed run wrote the step again
            rows.setdefault(step, {}).update(row)
    return [rows[step] for step in sorted(rows)]


def draw_curves(metrics: str | os.PathLike, out: str | os.PathLike) -> None:
    """Draws the learning curves of a `metrics.jsonl` into a PNG: one panel per group of scalars that there is."""
    rows = read_metrics(metrics)
    names = sorted({name for row in rows for name in row} - {"step"})
    panels = [(title, [n for n in names if n.startswith(prefixes)]) for title, prefixes in PANELS]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    figure = _figure(8, 2.2 * len(panels) + 0.4)
    for axes, (title, members) in zip(figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0], panels):  # noqa: B905
        for name in members:
            points = [(row["step"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1, marker="." if len(points) < 30 else "")
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", fontsize=7)
        if title == "P(real)":
            axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("step")
    _save(figure, out)


def draw_points(real: np.ndarray | None, fake: np.ndarray, out: str | os.PathLike) -> np.ndarray:
    """Draws generated points f[N, 2], over real ones if given, into a PNG and returns it as u8[H, W, 3]."""
    figure = _figure(4, 4)
    axes = figure.subplots()
    if real is not None:
        axes.scatter(*real.T, s=2, color="0.7", label="data")
    axes.scatter(*fake.T, s=2, color="tab:red", alpha=0.5, label="generated")
    reach = 1.25 * float(np.abs(fake if real is None else real).max())
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.legend(loc="upper right", fontsize=7)
    _save(figure, out)
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]


def _figure(width: float, height: float):
    # Not pyplot: it keeps global state and picks a back end that may want a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure, out: str | os.PathLike) -> None:
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    figure.savefig(partial, format="png")
    os.replace(partial, out)
