"""Does a generator make what it is told? Trains conditional digits and InfoGAN, and judges them by a classifier.

`python -m benchmarks.experiments.conditioning [--seeds=0,1,2] [--only=projection,infogan]
[--directory=runs/conditioning]` prints a Markdown table. Runs that are complete already are judged without being
trained again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.experiments.runs import Plan, complete, tabulate
from jaxgan.architectures import D_CONDITIONINGS
from jaxgan.evaluation.conditioning import class_obedience, code_meaning
from jaxgan.sampling.sampler import load

CONFIGS = {name: f"configs/cond_digits.py:{name}" for name in D_CONDITIONINGS if name != "none"} | {
    "infogan": "configs/infogan_digits.py"
}


def judge(name: str, workdir: Path) -> tuple[float, float, float]:
    """Measures accuracy, diversity relative to the data's, and the classifier's accuracy on held-out real images."""
    sampler = load(workdir)
    if name == "infogan":
        meaning = code_meaning(sampler)
        return meaning.assignment.accuracy, float("nan"), meaning.judge
    found = class_obedience(sampler)
    return found.accuracy.overall, found.diversity.mean, found.judge


def show(plan: Plan) -> None:
    """Prints one line of the table for each name as soon as it is finished."""
    print("| conditioning | accuracy by seed | mean | within-class diversity / data's | judge |")
    print("|---|---|---|---|---|", flush=True)
    for name in plan.names:
        found = []
        for seed in plan.seeds:
            workdir = plan.directory / f"{name}_{seed}"
            complete(CONFIGS[name], workdir, seed)
            found.append(judge(name, workdir))
        accuracies, diversities, judges = map(np.asarray, zip(*found, strict=True))
        each = ", ".join(f"{100 * a:.1f} %" for a in accuracies)
        varied = "" if np.isnan(diversities).any() else ", ".join(f"{d:.2f}" for d in diversities)
        print(
            f"| {name} | {each} | {100 * accuracies.mean():.1f} % | {varied} | {100 * judges.mean():.1f} % |",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the experiments that the flags name."""
    return tabulate(__doc__, argv, show, list(CONFIGS), list(CONFIGS), "0,1,2", "runs/conditioning")


if __name__ == "__main__":
    sys.exit(main())
