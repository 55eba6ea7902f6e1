"""Whole runs from the command line, for tables over seeds."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from jaxgan.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def complete(config: str, workdir: Path, seed: int) -> float:
    """Trains a configuration to its end, its output beside the directory, and returns the seconds it took.

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
