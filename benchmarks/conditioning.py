"""Does a generator make what it is told? Trains conditional digits and InfoGAN, and judges them by a classifier.

`python -m benchmarks.conditioning [--seeds=0,1,2] [--only=projection,infogan] [--directory=runs/conditioning]`
prints a Markdown table. Runs that are complete already are judged without being trained again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.runs import complete
from jaxgan.architectures import D_CONDITIONINGS
from jaxgan.errors import UserError
from jaxgan.evaluate import class_obedience, code_meaning
from jaxgan.sampling import load

CONFIGS = {name: f"configs/cond_digits.py:{name}" for name in D_CONDITIONINGS if name != "none"} | {
    "infogan": "configs/infogan_digits.py"
}


def judge(name: str, workdir: Path) -> tuple[float, float, float]:
    """Accuracy, diversity relative to the data's, and the accuracy of the judge on held-out real images."""
    sampler = load(workdir)
    if name == "infogan":
        meaning = code_meaning(sampler)
        return meaning.assignment.accuracy, float("nan"), meaning.judge
    found = class_obedience(sampler)
    return found.accuracy.overall, found.diversity.mean, found.judge


def rows(names: Sequence[str], seeds: Sequence[int], directory: Path) -> list[str]:
    """One line of the table for each name, printed as soon as it is known."""
    lines = [
        "| conditioning | accuracy by seed | mean | within-class diversity / data's | judge |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name in names:
        found = []
        for seed in seeds:
            workdir = directory / f"{name}_{seed}"
            complete(CONFIGS[name], workdir, seed)
            found.append(judge(name, workdir))
        accuracies, diversities, judges = map(np.asarray, zip(*found, strict=True))
        each = ", ".join(f"{100 * a:.1f} %" for a in accuracies)
        varied = "" if np.isnan(diversities).any() else ", ".join(f"{d:.2f}" for d in diversities)
        lines.append(f"| {name} | {each} | {100 * accuracies.mean():.1f} % | {varied} | {100 * judges.mean():.1f} % |")
        print(lines[-1], flush=True)
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default=",".join(CONFIGS), help="of " + ", ".join(CONFIGS))
    parser.add_argument("--directory", default="runs/conditioning", help="where the runs go")
    flags = parser.parse_args(argv)
    names = flags.only.split(",")
    if unknown := set(names) - CONFIGS.keys():
        parser.error(f"--only={','.join(sorted(unknown))}: there are {', '.join(CONFIGS)}")
    directory = Path(flags.directory).resolve()
    try:
        rows(names, [int(seed) for seed in flags.seeds.split(",")], directory)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
