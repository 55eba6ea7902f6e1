"""Prints the Markdown tables of a benchmark's results: `python -m benchmarks.speed.table [--write]`.

With `--write` they replace what stands between the two lines of `MARKERS` in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.games import BATCH_SIZE, GAMES

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "speed" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
MARKERS = ("<!-- benchmarks: made by `python -m benchmarks.speed.table --write` -->", "<!-- /benchmarks -->")

SIDES = {
    "jaxgan": "jaxgan",
    "torch": "torch eager",
    "torch_compile": "torch.compile",
    "torch_tuned": "torch eager, malloc tuned",
    "flax": "stock Flax",
}
TITLES = {
    "dcgan28": "DCGAN 28x28x1",
    "dcgan32": "DCGAN 32x32x3",
    "resnet32": "SN-ResNet 32x32x3",
    "ring": "MLP, ring, R1 + R2",
}


def render(results: Mapping[str, Any]) -> str:
    """Formats the tables, and the line that says where and with what they were measured."""
    parts = [_speed(results), _costs(results), _batch_sizes(results), _loop(results), _where(results)]
    return "\n\n".join(part for part in parts if part)


def _speed(results: Mapping[str, Any]) -> str:
    head = [
        f"ms per step, batch {BATCH_SIZE}",
        *SIDES.values(),
        "torch best / jaxgan",
        "untuned best / jaxgan",
        "stock Flax / jaxgan",
    ]
    rows = []
    for game in GAMES:
        if not any(m["group"] == game for m in results["medians"]):
            continue
        ratio = _number(results["ratios"].get(game))
        if game in results["ratios"]:
            low, high = results["ratio_quartiles"][game]
            ratio = f"**{ratio}** ({low:.2f} to {high:.2f})"
        cells = [_time(results, game, side) for side in SIDES]
        others = [_number(results[name].get(game)) for name in ("untuned_ratios", "stock_flax_ratios")]
        rows.append([TITLES[game], *cells, ratio, *others])
    return _table(head, rows) if rows else ""


def _costs(results: Mapping[str, Any]) -> str:
    def cell(game: str, side: str) -> str:
        found = _side(results, game, side)
        return (
            f"{_number(found['first_step_seconds'])} / {found['peak_bytes'] / 2**20:.0f}"
            if "peak_bytes" in found
            else ""
        )

    rows = [[TITLES[game], *(cell(game, side) for side in SIDES)] for game in GAMES if cell(game, "jaxgan")]
    return _table(["s to the end of the first step / peak MiB", *SIDES.values()], rows) if rows else ""


def _batch_sizes(results: Mapping[str, Any]) -> str:
    measured = [m for m in results["medians"] if m["group"] == "batch_sizes"]
    sizes = sorted({m["batch_size"] for m in measured})
    if not sizes:
        return ""
    rows = []
    for side in dict.fromkeys(m["side"] for m in measured):
        ms = {m["batch_size"]: m["median_ms"] / m["batch_size"] for m in measured if m["side"] == side}
        mib = (f"{_side(results, 'batch_sizes', side, size)['peak_bytes'] / 2**20:.0f}" for size in sizes)
        growth = _number(results["growth"].get(side))
        rows.append([SIDES[side], *(f"{ms[size]:.3f}" for size in sizes), growth, *mib])
    head = [TITLES["dcgan28"], *(f"ms per image, batch {size}" for size in sizes), f"{sizes[-1]} / {BATCH_SIZE}"]
    return _table([*head, *(f"peak MiB, {size}" for size in sizes)], rows)


def _loop(results: Mapping[str, Any]) -> str:
    if results["loop_ratio"] is None:
        return ""
    ratio = f"{results['loop_ratio']:.3f}"
    return f"`jaxgan.train` with its data, log and checkpoints makes {ratio} of the images/s of its bare compiled step."


def _where(results: Mapping[str, Any]) -> str:
    machine, versions = results["machine"], results["versions"]
    rounds = results["args"]["rounds"]
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Medians (quartiles) of {rounds} rounds, in which the sides took turns; ratios are of the same round. "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {libraries}; {results['date']}."
    )


def _time(results: Mapping[str, Any], game: str, side: str) -> str:
    for m in results["medians"]:
        if (m["group"], m["side"]) == (game, side):
            return f"{_number(m['median_ms'])} ({_number(m['q1_ms'])} to {_number(m['q3_ms'])})"
    return _side(results, game, side).get("error", "")


def _side(results: Mapping[str, Any], group: str, side: str, batch_size: int = BATCH_SIZE) -> Mapping[str, Any]:
    key = (group, side, batch_size)
    return next((s for s in results["sides"] if (s["group"], s["side"], s["batch_size"]) == key), {})


def _number(x: float | None) -> str:
    """Formats a number with three digits.

    >>> _number(1234.5), _number(12.345), _number(0.98765), _number(None)
    ('1234', '12.3', '0.99', '')
    """
    if x is None:
        return ""
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def between_markers(text: str) -> str | None:
    """Returns what stands between the markers of a page, or None if they are not there."""
    start, rest = text.partition(MARKERS[0])[1:]
    inside, end, _ = rest.partition(MARKERS[1])
    return inside.strip("\n") if start and end else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.table", description="The table of the results.")
    parser.add_argument("--write", action="store_true", help="put it into docs/benchmarks.md, between its markers")
    arguments = parser.parse_args()
    if not RESULTS.exists():
        parser.exit(2, f"{RESULTS} is not there: make bench makes it.\n")
    table = render(json.loads(RESULTS.read_text()))
    if not arguments.write:
        print(table)
        return
    text = PAGE.read_text()
    if between_markers(text) is None:
        parser.exit(
            2, f"docs/benchmarks.md has no place for the table: give it the lines {MARKERS[0]} and {MARKERS[1]}.\n"
        )
    before, rest = text.split(MARKERS[0])
    PAGE.write_text(f"{before}{MARKERS[0]}\n{table}\n{MARKERS[1]}{rest.split(MARKERS[1])[1]}")


if __name__ == "__main__":
    main()
