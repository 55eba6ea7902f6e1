"""Times jaxgan against PyTorch and stock Flax layers, in turn: `python -m benchmarks.speed.run`.

All of it, about half an hour:  python -m benchmarks.speed.run
A part, in a minute or two:     python -m benchmarks.speed.run --models=dcgan28,ring --rounds=2

Every side lives in a process of its own, is compiled and warmed up once, and then takes turns with the others; each may
use all cores. The whole writes benchmarks/speed/results.json, a part only what --out names.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.measure import GROUPS, measure, processes
from benchmarks.speed.sides import cores
from benchmarks.speed.summary import summarize
from benchmarks.speed.table import RESULTS, render
from benchmarks.speed.worker import INTERRUPTIONS, SideError
from jaxgan.errors import UserError, suggest

ROUNDS = 10
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "torch")
NO_TORCH = (
    "PyTorch is not installed, so only jaxgan and stock Flax are measured and there is no ratio to it: "
    "pip install torch --index-url https://download.pytorch.org/whl/cpu"
)


def parse(argv: Sequence[str] | None = None) -> tuple[list[str], int, Path | None]:
    """Parses the flags: groups to measure, number of rounds, and the file to write or None.

    Raises:
      UserError: an unknown group, or no rounds.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--models", help=f"comma-separated, of {', '.join(GROUPS)}; default: all")
    parser.add_argument("--rounds", default=str(ROUNDS), help=f"default: {ROUNDS}")
    parser.add_argument("--out", type=Path, help="results file; default of the whole with 10 rounds: results.json here")
    arguments = parser.parse_args(argv)
    names = [name.strip() for name in (arguments.models or "").split(",") if name.strip()]
    for name in names:
        if name not in GROUPS:
            raise suggest("--models", name, GROUPS)
    rounds = int(arguments.rounds) if arguments.rounds.isdecimal() else 0
    if rounds < 1:
        raise UserError(f"--rounds is {arguments.rounds!r}: it must be a whole number of at least 1.")
    out = arguments.out
    if out is None and not names and rounds >= ROUNDS:
        out = RESULTS
    return [group for group in GROUPS if group in names or not names], rounds, out


def machine() -> dict[str, Any]:
    """Describes the machine that the figures depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "cpu": next(names, "") or platform.processor() or platform.machine(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "system": platform.platform(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Lists the versions of Python and the installed libraries."""
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        if importlib.util.find_spec(name):
            found[name] = importlib.metadata.version(name)
    return found


def write(results: Mapping[str, Any], path: Path) -> None:
    """Writes results as JSON, each entry of a list on its own line."""

    def text(value: Any) -> str:
        if isinstance(value, list):
            return "[\n" + ",\n".join(f"  {json.dumps(entry)}" for entry in value) + "\n ]"
        return json.dumps(value)

    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f" {json.dumps(key)}: {text(value)}" for key, value in results.items())
    path.write_text(f"{{\n{lines}\n}}\n")


def verdict(results: Mapping[str, Any]) -> list[str]:
    """Lists the figures to judge, a line each."""
    lines = [f"ratio {game} {x:.2f}" for game, x in results["ratios"].items()]
    lines += [f"untuned_ratio {game} {x:.2f}" for game, x in results["untuned_ratios"].items()]
    lines += [f"stock_flax_ratio {game} {x:.2f}" for game, x in results["stock_flax_ratios"].items()]
    lines += [f"growth {side} {x:.2f}" for side, x in results["growth"].items()]
    lines += [f"peak_mib {side} {x / 2**20:.0f}" for side, x in results["peak_bytes"].items()]
    return lines + ([] if results["loop_ratio"] is None else [f"loop_ratio {results['loop_ratio']:.3f}"])


def run(groups: Sequence[str], rounds: int, with_torch: bool) -> dict[str, Any]:
    """Measures the groups one after the other."""
    head = {
        "machine": machine(),
        "versions": versions(),
        "date": datetime.date.today().isoformat(),
        "args": {"models": list(groups), "rounds": rounds},
    }
    rows: list[dict[str, Any]] = []
    sides: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        # Nothing compiled by an earlier run is there to be found, or the time to the first step would say nothing.
        os.environ["TMPDIR"] = directory
        os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        os.environ["JAX_PLATFORMS"] = "cpu"  # where the twins are
        for group in groups:
            more_rows, more_sides = measure(group, processes(group, with_torch), rounds, Path(directory))
            rows += more_rows
            sides += more_sides
    return head | summarize(rows, sides) | {"sides": sides, "rows": rows}


def stop(number: int, _frame: object) -> None:
    """Ends the processes of the sides, removes their files, and exits; further signals are ignored."""
    for each in INTERRUPTIONS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> int:
    for each in INTERRUPTIONS:
        signal.signal(each, stop)
    try:
        groups, rounds, out = parse()
        with_torch = importlib.util.find_spec("torch") is not None
        if not with_torch:
            print(NO_TORCH, flush=True)
            out = None if out == RESULTS else out
        results = run(groups, rounds, with_torch)
    except (UserError, SideError) as error:
        print(f"benchmarks.speed.run: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    if out is not None:
        write(results, out)
        print(f"wrote {out}")
    print(f"\n{render(results)}\n")
    print("\n".join(verdict(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
