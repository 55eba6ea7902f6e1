"""Trains every technique for some hundred steps on real digits: `python -m benchmarks.experiments.techniques
[--only=NAME,NAME]`.

Prints a line per technique as soon as it is done. A technique that fails does not stop the others, but the exit code is
then 1. `--write` puts the table of a whole run into docs/techniques_results.md.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

import jaxgan
from benchmarks.experiments.rows import TECHNIQUES, Row
from jaxgan.config.config import Config
from jaxgan.data import Source, make_batch
from jaxgan.data import load as load_data
from jaxgan.errors import UserError, suggest
from jaxgan.metrics.classifier import load_classifier
from jaxgan.metrics.conditional import class_accuracy, diversity

STEPS = 300
SAMPLES = 256
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "techniques_results.md"
HEAD = ("technique", "section", "game", "config", "loss D", "loss G", "diversity", "also", "s")
# What a run logs of every technique; all else is of the technique at hand, and shows that it was on.
USUAL = (
    *("loss/d", "loss/g", "score/", "logits/", "accuracy/", "diversity/"),
    *("grad_norm/", "update_ratio/", "sigma/", "steps_per_second", "images_per_second", "step", "time"),
)


class Result(NamedTuple):
    """Results of one technique: the last step's losses, diversity relative to the data's, and other logged scalars."""

    loss_d: float
    loss_g: float
    diversity: float
    also: dict[str, float]
    seconds: float


def run(row: Row, steps: int = STEPS) -> Result:
    """Trains one technique by `jaxgan.train`, which raises on any scalar that is not finite, and looks at samples.

    Raises:
      ValueError: a technique that turned into samples which are not finite.
    """
    start = time.perf_counter()
    config = row.config(num_steps=steps)
    with tempfile.TemporaryDirectory() as workdir:
        with contextlib.redirect_stdout(io.StringIO()):
            state = jaxgan.train(config, workdir)
        if int(state.step) < steps:  # it ends in peace where it is told to stop; so must all of this
            raise KeyboardInterrupt
        metrics = json.loads((Path(workdir) / "metrics.jsonl").read_text().splitlines()[-1])
        samples = jaxgan.load(workdir).sample(SAMPLES)
    real = real_examples(config)
    spread = diversity(samples.reshape(SAMPLES, -1)) / diversity(real.reshape(len(real), -1))
    also = {k: v for k, v in metrics.items() if not k.startswith(USUAL)}
    if config.model.g_conditioning != "none" and row.base == "dense 8x8":
        also["class accuracy"] = accuracy(config, samples)
    return Result(metrics["loss/d"], metrics["loss/g"], spread, also, time.perf_counter() - start)


def data_of(config: Config, split: str = "train") -> Source:
    """Loads the data that a configuration is trained on."""
    d = config.data
    return load_data(
        d.source, name=d.name, split=split, image_size=d.image_size, classes=d.classes, max_examples=d.max_examples
    )


def real_examples(config: Config) -> np.ndarray:
    """Reads as many real examples as there are samples, or all of them if there are fewer."""
    source = data_of(config)
    size = min(SAMPLES, len(source))
    return make_batch(source, 0, seed=0, batch_size=size, output=config.model.output)["image"]


def accuracy(config: Config, samples: np.ndarray) -> float:
    """Share of the samples, made for each class in turn, that a classifier of the data assigns to their class."""
    train, test = (data_of(config, split) for split in ("train", "test"))
    features = load_classifier(train, test, output=config.model.output, report=lambda line: None)
    return class_accuracy(features, samples, np.arange(len(samples)) % len(train.class_names)).overall


def cells(name: str, row: Row, result: Result) -> tuple[str, ...]:
    """Formats a line of the table."""
    also = ", ".join(f"{key} {value:.3g}" for key, value in result.also.items())
    figures = (f"{x:.3g}" for x in (result.loss_d, result.loss_g, result.diversity))
    return name, row.section, row.base, f"`{row.line}`", *figures, also, f"{result.seconds:.0f}"


def line(values: Sequence[str]) -> str:
    """Formats one line of a Markdown table."""
    return f"| {' | '.join(values)} |"


def chosen(only: str) -> dict[str, Row]:
    """Those named, or all.

    Raises:
      UserError: a name that is none.
    """
    names = [name for name in only.split(",") if name] or list(TECHNIQUES)
    for name in names:
        if name not in TECHNIQUES:
            raise suggest("The technique", name, list(TECHNIQUES))
    return {name: TECHNIQUES[name] for name in names}


def run_all(rows: dict[str, Row], steps: int) -> tuple[list[str], list[str]]:
    """Runs the techniques one after the other.

    Returns:
      The lines of the table, and the names of those that failed.
    """
    lines, failed = [line(HEAD), line(["---"] * len(HEAD))], []
    print("\n".join(lines), flush=True)
    for name, row in rows.items():
        try:
            lines.append(line(cells(name, row, run(row, steps))))
        except Exception as error:  # whatever a technique does, the others get their turn
            failed.append(name)
            reason = (str(error).splitlines() or [""])[0]
            lines.append(line([name, row.section, row.base, f"`{row.line}`", f"**{type(error).__name__}**: {reason}"]))
        print(lines[-1], flush=True)
        jax.clear_caches()  # nothing of one technique serves the next, and sixty programs would stay in memory
    return lines, failed


def document(lines: list[str], steps: int, seconds: float) -> str:
    """Writes docs/techniques_results.md."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "jaxlib", "flax", "optax"))
    return f"""# Every technique, switched on

Made by `make techniques`: each row trained for {steps} steps by `jaxgan.train` on real digits, seed 0, from the base of
its game in `benchmarks/experiments/rows.py` and the keys shown; no scalar of any step may be infinite or NaN. Losses
are those of the last step. Diversity is the mean distance of pixels over all pairs of {SAMPLES} samples of the averaged
generator, by that of as many real digits: near 0 tells of collapse, but near 1 tells nothing of quality, and noise is
diverse too. So short a run, of one seed, shows that a technique works as a program, **not** which one is better.

{chr(10).join(lines)}

{len(lines) - 2} techniques in {seconds / 60:.0f} minutes on {_cores()} core(s) ({platform.machine()}), Python
{platform.python_version()}, {versions}.
"""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the techniques that the flags name; the exit code is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names, with commas between them")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--write", action="store_true", help=f"write docs/{RESULTS.name}")
    args = parser.parse_args(argv)
    if args.write and args.only:
        parser.error("--write is for a whole run: leave out --only.")
    try:
        rows = chosen(args.only)
    except UserError as error:
        parser.error(str(error))
    start = time.perf_counter()
    lines, failed = run_all(rows, args.steps)
    seconds = time.perf_counter() - start
    print(f"\n{len(lines) - 2} techniques, {seconds:.0f} s; failed: {', '.join(failed) or 'none'}", flush=True)
    if args.write and not failed:
        RESULTS.write_text(document(lines, args.steps, seconds))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
