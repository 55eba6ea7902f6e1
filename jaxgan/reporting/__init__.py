"""Writes an HTML page about a run (what it did, what is wrong, what it makes), or one that compares several runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import flax.linen as nn

from jaxgan.errors import FULL, UserError
from jaxgan.files import replacing
from jaxgan.reporting.pages import one_run, several_runs
from jaxgan.reporting.run_record import Run, read, verdict
from jaxgan.sampling.sampler import load

FILE = "report.html"

__all__ = ["Run", "read", "report", "verdict"]


def report(
    workdirs: str | os.PathLike | Sequence[str | os.PathLike],
    out: str | os.PathLike | None = None,
    checkpoint: str | int = "latest",
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> Path:
    """Writes a self-contained HTML page about one run, or one that compares several runs.

    Args:
      workdirs: directory of one run, finished or not, or a list of directories.
      out: the file; by default `report.html` in the run's directory.
      checkpoint: which checkpoint draws the pictures, as in `jaxgan.load`; not used for several runs.
      generator, discriminator: the caller's own modules, if the run was trained with them.

    Returns:
      Path of the file.

    Raises:
      UserError: a directory holds no run, or `out` is missing for several runs or cannot be written.
    """
    paths = [Path(workdirs)] if isinstance(workdirs, (str, os.PathLike)) else [Path(workdir) for workdir in workdirs]
    if not paths:
        raise UserError("there is nothing to report on: name a workdir, or several.")
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise UserError("a workdir is named more than once: name each run once.")
    if out is None and len(paths) > 1:
        raise UserError("--out is missing: name FILE.html for the comparison of several runs.")
    target = Path(out) if out is not None else paths[0] / FILE
    if target.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {target} must end in .html.")
    runs = [read(path, name) for path, name in zip(paths, _names(paths), strict=True)]
    page = _single(runs[0], checkpoint, generator, discriminator) if len(runs) == 1 else several_runs(runs)
    return _write(target, page, out is not None)


def _single(run: Run, checkpoint: str | int, generator: nn.Module | None, discriminator: nn.Module | None) -> str:
    try:
        sampler = load(run.workdir, generator, discriminator, checkpoint)
    except UserError as error:
        if checkpoint != "latest":  # that was asked for
            raise
        return one_run(run, None, str(error))
    return one_run(run, sampler)


def _names(paths: Sequence[Path]) -> list[str]:
    """Names each path by its last parts, as many as it takes to tell the paths apart."""
    parts = [Path(os.path.realpath(path)).parts for path in paths]
    for depth in range(1, max(map(len, parts))):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [os.path.realpath(path) for path in paths]


def _write(target: Path, page: str, chosen: bool) -> Path:
    try:
        with replacing(target) as file:
            file.write(page.encode("utf-8", "replace"))
    except OSError as error:
        if error.errno in FULL:
            raise
        name = "name another place" if chosen else "name another place by --out=FILE.html"
        raise UserError(f"The report cannot be written to {target}: {error.strerror}; {name}.") from None
    return target
