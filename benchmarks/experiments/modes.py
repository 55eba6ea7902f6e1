"""How many modes does a generator find? The ring, the grid and stacked digits with and without packing, over seeds.

`python -m benchmarks.experiments.modes [--seeds=0,1,2,3,4] [--only=ring,"packing 4"] [--directory=runs/modes]` prints
a Markdown table by PacGAN's protocol: 2,500 samples, a mode counts from one sample within 3 sigma of it; of stacked
digits 26,000, a mode counts from one sample whose three digits a classifier names so, in one line with any confidence,
as published, and in another with 0.9 for each of them, which makes a sample one of high quality. Runs that are
complete already are counted without being trained again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.experiments.runs import Plan, complete, tabulate
from jaxgan.data import load as load_data
from jaxgan.data import synthetic_modes, to_floats
from jaxgan.metrics.classifier import load_classifier
from jaxgan.metrics.modes import ModeCount, channel_logits, count_modes, count_stacked, reverse_kl
from jaxgan.sampling.sampler import load

CONFIGS = {"ring": "configs/ring.py"} | {f"packing {m}": f"configs/packing_grid.py:{m}" for m in (1, 2, 4)}
CONFIGS |= {f"stacked {m}": f"configs/stacked_digits.py:{m}" for m in (1, 2)}
DEFAULT = [name for name in CONFIGS if "stacked" not in name]  # an hour a run
SAMPLES, STACKED_SAMPLES, CONFIDENCES = 2500, 26_000, (0.0, 0.9)


def count(workdir: Path) -> dict[str, ModeCount]:
    """Counts the modes that a run's averaged generator finds, in each way to count."""
    sampler = load(workdir)
    data = sampler.config.data
    if data.source == "stacked":
        splits = (load_data("embedded", name=data.name, split=s, image_size=data.image_size) for s in ("train", "test"))
        digits = load_classifier(*splits)
        print(f"{digits.name}: {digits.accuracy:.1%} of held-out digits right", file=sys.stderr)
        images = to_floats(sampler.images(STACKED_SAMPLES), "tanh")
        logits = channel_logits(digits, images)
        return {f", confidence {c:g}": count_stacked(logits, c) for c in CONFIDENCES}
    return {"": count_modes(sampler.sample(SAMPLES), *synthetic_modes(data.name))}


def line(name: str, found: Sequence[ModeCount], times: Sequence[float]) -> str:
    """Formats a line of the table from the runs of several seeds."""
    modes, quality = np.array([each.modes for each in found]), 100 * np.array([each.high_quality for each in found])
    kl = np.array([reverse_kl(each.shares) for each in found])
    cells = [name, ", ".join(map(str, modes)), f"{modes.mean():.1f}"]
    cells += [", ".join(f"{q:.1f}" for q in quality), f"{quality.mean():.1f} %"]
    cells += [", ".join(f"{k:.3f}" for k in kl), f"{kl.mean():.3f}", ", ".join(f"{s:.0f}" for s in times)]
    return f"| {' | '.join(cells)} |"


def show(plan: Plan) -> None:
    """Prints a line of the table for each game as soon as it is finished."""
    print("| game | modes by seed | mean | high quality by seed | mean | reverse KL by seed | mean | seconds by seed |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in plan.names:
        rows, times = [], []
        for seed in plan.seeds:
            workdir = plan.directory / f"{name.replace(' ', '_')}_{seed}"
            times.append(complete(CONFIGS[name], workdir, seed))
            rows.append(count(workdir))
        for way in rows[0]:
            print(line(name + way, [row[way] for row in rows], times), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the games that the flags name."""
    return tabulate(__doc__, argv, show, list(CONFIGS), DEFAULT, "0,1,2,3,4", "runs/modes")


if __name__ == "__main__":
    sys.exit(main())
