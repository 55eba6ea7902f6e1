"""Runs the articles' own experiments on digits and the short configurations of each technique, side by side.

`python -m benchmarks.experiments.articles [--only=one_class,adam_settings:A] [--seeds=0]
[--directory=runs/experiments]` trains each variant of the named configurations to its end and prints a Markdown table
of its last losses and D's mean verdicts on real and generated digits, medians over the last tenth of the run, and of
what 2,000 samples are worth by the classifier of the digits. Runs that are complete already are scored without being
trained again.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.experiments.runs import ROOT, Plan, complete, tabulate
from jaxgan.config.config import Config
from jaxgan.evaluation.evaluate import evaluate
from jaxgan.monitor.curves import read_metrics
from jaxgan.monitor.panels import curve

NAMES = (
    *("constraints_digits", "adam_settings", "one_class", "tricks_digits", "stable_digits"),
    *("small_data", "diffaugment_digits", "architectures_digits"),
)
EVAL = Config.from_dict({"eval": {"num_samples": 2000, "metrics": ("fd", "precision", "recall", "diversity")}})
CURVES = ("loss/d", "loss/g", "score/real", "score/fake")


def variants(name: str) -> list[str]:
    """Lists `name:variant` for all variants of a configuration.

    >>> variants("one_class")[:2]
    ['one_class:3', 'one_class:all']
    """
    found = runpy.run_path(str(ROOT / "configs" / f"{name}.py")).get("VARIANTS", ())
    return [f"{name}:{variant}" for variant in found] or [name]


def row(experiment: str, workdir: Path, seed: int) -> str:
    """Trains one experiment to its end and formats its line of the table."""
    name, _, variant = experiment.partition(":")
    seconds = complete(f"configs/{name}.py{':' + variant if variant else ''}", workdir, seed)
    rows = read_metrics(workdir / "metrics.jsonl")
    late = [r for r in rows if r["step"] > 0.9 * rows[-1]["step"]]
    medians = [f"{np.median(curve(late, name)[1]):.3g}" for name in CURVES]
    scores = [f"{score.value:.3g}" for score in evaluate(workdir, EVAL).values()]
    return f"| {' | '.join([experiment, *medians, *scores, f'{seconds:.0f}'])} |"


def show(plan: Plan) -> None:
    """Prints a line of the table for each experiment and seed as soon as it is finished."""
    heads = ("experiment", *CURVES, *EVAL.eval.metrics, "seconds")
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}", flush=True)
    for name in plan.names:
        for experiment in [name] if ":" in name else variants(name):
            for seed in plan.seeds:
                print(row(experiment, plan.directory / f"{experiment.replace(':', '_')}_{seed}", seed), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the experiments that the flags name."""
    every = [experiment for name in NAMES for experiment in variants(name)]
    known = list(dict.fromkeys([*NAMES, *every]))
    return tabulate(__doc__, argv, show, known, NAMES, "0", "runs/experiments")


if __name__ == "__main__":
    sys.exit(main())
