"""Draws static pictures of a run: learning curves, and points for data in the plane."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.files import read_lines, replacing
from jaxgan.monitor.panels import Found, Panel, best, curve, panels

COLORS = {"info": "tab:blue", "warning": "tab:orange", "problem": "tab:red"}  # of findings, by severity
WIDTH = 8  # of a column, in inches
FEW_PANELS = 4  # one below another; more stand in two columns
NON_FINITE = ("NaN", "Infinity", "-Infinity")  # texts in a `metrics.jsonl` that stand for what is no JSON
MOST_STEPS = 2**53  # larger numbers of steps are damage
LONG_LEGEND = 8  # curves; of more only those that stand out are named


def read_metrics(path: str | os.PathLike, damage: list[str] | None = None) -> list[dict[str, Any]]:
    """Reads the rows of a `metrics.jsonl`, by step; the last word on a step counts, and what is no scalar is left out.

    Values that were not finite are so again. Lines that cannot be read, such as one torn by a crash, are passed over; a
    sentence about them is added to `damage`, or logged. There are no rows where there is no file.
    """

    def convert(row: Any) -> tuple[int, dict[str, float]]:
        step = row.pop("step")
        if type(step) is not int or not 0 <= step < MOST_STEPS:
            raise ValueError("the step is no number of steps")
        return step, {name: float(value) for name, value in row.items() if _is_number(value)}

    rows: dict[int, dict[str, Any]] = {}
    for step, scalars in read_lines(Path(path), convert, damage):
        rows.setdefault(step, {"step": step}).update(scalars)
    return [rows[step] for step in sorted(rows)]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) or (type(value) is str and value in NON_FINITE)


def draw_curves(metrics: str | os.PathLike, out: str | os.PathLike, findings: Sequence[Found] = ()) -> None:
    """Draws the learning curves of a `metrics.jsonl` into a PNG: one panel per group of scalars that there is.

    The layers at the ends of each net are bold, the best of each evaluation is marked, and each finding shades the
    steps at which it was seen.
    """
    rows = read_metrics(metrics)
    drawn = panels({name for row in rows for name in row})
    if not drawn:
        return
    columns = 1 if len(drawn) <= FEW_PANELS else 2
    height = -(-len(drawn) // columns)
    figure = _figure(WIDTH * columns, 2.2 * height + 0.4)
    figure.set_layout_engine("none")
    places = figure.subplots(height, columns, sharex=True, squeeze=False, gridspec_kw=_places(figure, height)).T.ravel()
    for axes, panel in zip(places, drawn, strict=False):
        _draw_panel(axes, panel, rows)
        _shade(axes, findings, rows[-1]["step"])
    for axes in places[len(drawn) :]:
        axes.set_axis_off()
    for column in range(columns):
        last = places[min((column + 1) * height, len(drawn)) - 1]
        last.tick_params(labelbottom=True)
        last.set_xlabel("step")
    _save(figure, out)


def _places(figure, height: int) -> dict[str, float]:
    """Leaves room, in parts of the figure, for ticks at the left, legends at the right and titles above.

    Constrained layout would measure all texts, which takes longer than to draw them.
    """
    across, down = figure.get_size_inches()
    left, right, above, below = 0.65, 1.85, 0.3, 0.5  # inches
    panel = (down - below) / height - above
    return {
        "left": left / across,
        "right": 1 - right / across,
        "wspace": (left + right) / (WIDTH - left - right),
        "top": 1 - above / down,
        "bottom": below / down,
        "hspace": above / panel,
    }


def _draw_panel(axes, panel: Panel, rows: Sequence[dict[str, Any]]) -> None:
    from matplotlib import colormaps

    layers = [name for name in panel.names if name not in panel.bold] if panel.net else []
    named = panel.names if len(panel.names) <= LONG_LEGEND else panel.bold or panel.names[:LONG_LEGEND]
    if panel.names == (f"eval/{panel.title}",):
        named = ()  # the title says it
    for name in panel.names:
        steps, values = curve(rows, name)
        style: dict[str, Any] = {"linewidth": 1, "marker": "." if len(steps) < 30 else ""}
        if name in layers:  # from the bottom to the top, but for the palest colors
            place = 0.9 * layers.index(name) / max(1, len(layers) - 1)
            style |= {"color": colormaps["viridis"](place), "alpha": 0.7}
        elif panel.bold:
            color = {"bottom": "tab:blue", "top": "tab:red"}.get(name.rpartition("/")[2], "black")
            style |= {"color": color, "linewidth": 2.2}
        axes.plot(steps, values, label=panel.label(name) if name in named else None, **style)
        if (i := best(steps, values, panel.better)) is not None:
            label = f"best: {values[i]:.4g} at step {steps[i]}"
            axes.plot(steps[i], values[i], "*", color="tab:green", markersize=11, label=label)
    axes.set_title(panel.title, loc="left", fontsize=9)  # no label of the axis: those of evaluations are too long
    axes.grid(alpha=0.3)
    _explain(axes)
    if panel.limits:
        axes.set_ylim(panel.limits[0] - 0.02, panel.limits[1] + 0.02)
    if panel.log and any((curve(rows, name)[1] > 0).any() for name in panel.names):
        axes.set_yscale("log")


def _explain(axes) -> None:
    """Puts a legend beside the curves, which it would hide, in order from the bottom layer to the top one."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: (labels[i] == "top", labels[i] not in ("all layers", "bottom")))
    if order:
        entries = [handles[i] for i in order], [labels[i] for i in order]
        axes.legend(*entries, loc="upper left", bbox_to_anchor=(1, 1), fontsize=7, frameon=False)


def _shade(axes, findings: Sequence[Found], last: int) -> None:
    for finding in findings:
        until = last if finding.until is None else finding.until
        axes.axvspan(finding.step, max(until, finding.step), color=COLORS[finding.severity], alpha=0.12, linewidth=1)


def draw_points(real: np.ndarray | None, fake: np.ndarray, out: str | os.PathLike) -> np.ndarray:
    """Draws generated points f[N, 2], over real ones if given, into a PNG and returns it as u8[H, W, 3]."""
    figure = _figure(4, 4)
    axes = figure.subplots()
    if real is not None:
        axes.scatter(*real.T, s=2, color="0.7", label="data")
    axes.scatter(*fake.T, s=2, color="tab:red", alpha=0.5, label="generated")
    _frame(axes, fake if real is None else real)
    axes.legend(loc="upper right", fontsize=7)
    _save(figure, out)
    return _pixels(figure)


def draw_paths(real: np.ndarray | None, paths: np.ndarray) -> np.ndarray:
    """Draws u8[H, W, 3], lines f[N, steps, 2] with dots at their ends, over real points f[N, 2] if given."""
    figure = _figure(4, 4)
    axes = figure.subplots()
    if real is not None:
        axes.scatter(*real.T, s=2, color="0.7")
    for path in paths:
        [line] = axes.plot(*path.T, linewidth=1, marker=".", markersize=2)
        axes.plot(*path[[0, -1]].T, "o", color=line.get_color(), markersize=4)
    _frame(axes, paths.reshape(-1, 2) if real is None else real)
    figure.canvas.draw()
    return _pixels(figure)


def _frame(axes, points: np.ndarray) -> None:
    reach = 1.25 * float(np.abs(points).max())
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def _figure(width: float, height: float):
    # Not pyplot: it keeps global state and picks a back end that may want a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _pixels(figure) -> np.ndarray:
    """Returns what was drawn last; drawing once more would change the layout."""
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def _save(figure, out: str | os.PathLike) -> None:
    from matplotlib.image import imsave

    figure.canvas.draw()  # `savefig` draws twice, the first time for the layout alone
    with replacing(out) as file:
        imsave(file, np.asarray(figure.canvas.buffer_rgba()), format="png")
