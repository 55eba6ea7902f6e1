"""Trains whole runs by the command line, for tables over seeds."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxgan.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def complete(config: str, workdir: Path, seed: int) -> float:
    """Trains a configuration to its end and returns the seconds; the output goes to a file beside the directory.

    A run that is complete already is left as it is.

    Raises:
      UserError: it failed; names the file with its output.
    """
    command = [sys.executable, "-m", "jaxgan.main", f"--config={config}", f"--workdir={workdir}"]
    workdir.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with workdir.with_suffix(".log").open("a") as log:
        done = subprocess.run([*command, f"--config.seed={seed}"], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        raise UserError(f"training {config} with seed {seed} failed: see {log.name}.")
    return time.monotonic() - start


class Plan(NamedTuple):
    """What a table shows: rows by name, each over the seeds, and the directory that holds the runs."""

    names: list[str]
    seeds: list[int]
    directory: Path


def tabulate(
    doc: str | None,
    argv: Sequence[str] | None,
    show: Callable[[Plan], None],
    known: Sequence[str],
    default: Sequence[str],
    seeds: str,
    directory: str,
) -> int:
    """Reads `--only`, `--seeds` and `--directory`, shows the table, and returns the exit code.

    Args:
      doc: what `--help` says.
      argv: the arguments.
      show: prints the table.
      known: names that `--only` may have.
      default: those that it has where it is left out.
      seeds, directory: the others' defaults.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(default), help="of " + ", ".join(known))
    parser.add_argument("--seeds", default=seeds, help="whole numbers, with commas between them")
    parser.add_argument("--directory", default=directory, help="where the runs go")
    flags = parser.parse_args(argv)
    names = flags.only.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--only={','.join(unknown)}: there are {', '.join(known)}")
    if not all(seed.isdecimal() for seed in flags.seeds.split(",")):
        parser.error(f"--seeds={flags.seeds}: they must be whole numbers, with commas between them.")
    try:
        show(Plan(names, [int(seed) for seed in flags.seeds.split(",")], Path(flags.directory).resolve()))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
