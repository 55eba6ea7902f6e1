"""Which score sees what? Held-out real images, damaged more and more, scored against others that are whole.

`python -m benchmarks.experiments.damage [--data_dir=DIR] [--seeds=5] [--write]` scores the 1,000 held-out embedded
digits and, where TFDS has Fashion-MNIST prepared in DIR, its test set; prints Markdown tables, and writes
docs/scores_damage.md. The digits take 20 s of CPU time, and another 40 s for their classifier if that is not in the
cache yet. Both together took 37 minutes at low priority beside other jobs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
from scipy.ndimage import gaussian_filter

from jaxgan.data import Source, load, to_floats
from jaxgan.errors import UserError
from jaxgan.metrics import METRICS, Extracted, Protocol, measure
from jaxgan.metrics.classifier import load_classifier
from jaxgan.metrics.features import Features
from jaxgan.monitor.directions import CLOSER, HIGHER, LOWER, merit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scores_damage.md"
CLEAN = "none"
ARROWS = {LOWER: "↓", HIGHER: "↑", CLOSER: "→ 1"}

# All but what needs examples that none of the others is compared with: it sees none of these.
SCORES = {name: metric for name, metric in METRICS.items() if "held_out" not in metric.needs_real}

Values = dict[tuple[str, float], dict[str, list[float]]]  # of each damage and score, by seed


class Damage(NamedTuple):
    """`apply(images, strength, rng)` for images in [-1, 1], or None where classes are left out; in what unit."""

    strengths: tuple[float, ...]
    apply: Callable[[np.ndarray, float, np.random.RandomState], np.ndarray] | None
    text: str


def _blur(images: np.ndarray, strength: float, rng: np.random.RandomState) -> np.ndarray:
    return gaussian_filter(images, (0, strength, strength, 0))


def _noise(images: np.ndarray, strength: float, rng: np.random.RandomState) -> np.ndarray:
    return np.clip(images + strength * rng.standard_normal(images.shape), -1, 1).astype(np.float32)


DAMAGES = {
    "blur": Damage((0.5, 0.75, 1.0), _blur, "Gaussian blur of {:g} px"),
    "noise": Damage((0.1, 0.2, 0.4), _noise, "Gaussian noise of {:g} in [-1, 1]"),
    "dropped_modes": Damage((1, 3, 5), None, "the first {:g} classes missing"),
}


def sets(
    images: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, Iterator[tuple[tuple[str, float], np.ndarray, np.ndarray]]]:
    """Splits the images into a random half as reference and, for each damage, equally many images of the other half.

    Those come with their labels.
    """
    rng = np.random.RandomState(seed)
    real, rest = np.array_split(rng.permutation(len(images)), 2)
    most = max(DAMAGES["dropped_modes"].strengths)
    # Equal numbers everywhere and no image twice: either would change scores by itself.
    number = int((labels[rest] >= most).sum())

    def fakes() -> Iterator[tuple[tuple[str, float], np.ndarray, np.ndarray]]:
        some = rest[:number]
        yield (CLEAN, 0), images[some], labels[some]
        for name, damage in DAMAGES.items():
            for strength in damage.strengths:
                if damage.apply is None:
                    kept = rest[labels[rest] >= strength][:number]
                    yield (name, strength), images[kept], labels[kept]
                else:
                    yield (name, strength), damage.apply(images[some], strength, rng), labels[some]

    return images[real], fakes()


def score(
    images: np.ndarray, labels: np.ndarray, features: Features, seeds: int, protocol: Protocol
) -> tuple[Values, Protocol]:
    """Computes all scores of all sets for `seeds` random halves, and the protocol."""
    values: Values = {}
    for seed in range(seeds):
        half, fakes = sets(images, labels, seed)
        real = Extracted(*features(half))
        for key, fake, asked in fakes:
            made = Extracted(*features(fake), labels=asked)
            found = [measure(name, real, made, protocol, resamples=0) for name in SCORES]
            for each in found:
                values.setdefault(key, {}).setdefault(each.name, []).append(each.value)
            protocol = found[0].protocol
    return values, protocol


def seen(values: Values, name: str, damage: str) -> bool:
    """Whether each stronger damage scores worse on average, and the strongest worse than none for every seed."""
    keys = [(CLEAN, 0.0), *((damage, strength) for strength in DAMAGES[damage].strengths)]
    worse = -merit(np.array([values[key][name] for key in keys]), METRICS[name].better)
    return bool((np.diff(worse.mean(axis=1)) > 0).all() and (worse[-1] > worse[0]).all())


def table(values: Values) -> list[str]:
    """Formats means over the seeds, the deviation of the undamaged set, and which damages each score sees."""
    head = " | ".join(f"{name} {ARROWS[metric.better]}" for name, metric in SCORES.items())
    lines = [f"| damage | {head} |", "|---" * (len(SCORES) + 1) + "|"]
    for (name, strength), scores in values.items():
        means = [f"{np.mean(scores[m]):.3g}" for m in SCORES]
        if name == CLEAN:
            means = [f"{mean} ± {np.std(scores[m]):.2g}" for mean, m in zip(means, SCORES, strict=True)]
        what = CLEAN if name == CLEAN else DAMAGES[name].text.format(strength)
        lines.append(f"| {what} | {' | '.join(means)} |")
    for damage in DAMAGES:
        marks = ("yes" if seen(values, name, damage) else "no" for name in SCORES)
        lines.append(f"| **sees {damage.replace('_', ' ')}?** | {' | '.join(marks)} |")
    return lines


def report(source: Source, train: Source, seeds: int) -> list[str]:
    """Writes the section of one data set."""
    features = load_classifier(train, source)
    images = to_floats(source.read(np.arange(len(source))), "tanh")
    protocol = Protocol(features.name, features.hash, source.name, "test", 1, 1, weights="folder")
    values, protocol = score(images, source.labels, features, seeds, protocol)
    accuracy = f"{100 * (features.accuracy or 0):.1f} %"
    told = (
        f"Features and logits by {features.name} {features.hash} ({accuracy} of the test images right), "
        f"about {protocol.n_fake:,} damaged test images against {protocol.n_real:,} others, not resized, mean over "
        f"{seeds} random halves; precision and recall with k = 3, density and coverage with k = 5, KID of "
        f"{'all pairs' if protocol.n_real <= 1000 else '100 subsets'}."
    )
    return [f"## {source.name}", "", told, "", *table(values), ""]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the data sets that the flags name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="", help="TFDS' directory with fashion_mnist; empty: digits only")
    parser.add_argument("--seeds", type=int, default=5, help="random halves")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    flags = parser.parse_args(argv)
    wanted = [("embedded", "mnist")] + [("tfds", "fashion_mnist")] * bool(flags.data_dir)
    start, lines = time.monotonic(), []
    try:
        for source, name in wanted:
            train, test = (load(source, name=name, split=s, data_dir=flags.data_dir) for s in ("train", "test"))
            section = report(test, train, flags.seeds)
            print("\n".join(section), flush=True)
            lines += section
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if flags.write:
        PAGE.write_text(INTRODUCTION + "\n".join(lines))
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    return 0


INTRODUCTION = """# Which score sees what

Written by `python -m benchmarks.experiments.damage --write`: held-out real images, damaged more and more, scored as if
a generator had made them. A score *sees* a damage if each stronger one is worse on average, and the strongest worse
than none for every random half. `sees` in `jaxgan.metrics.METRICS` is what holds in general; more may be seen here.

Precision and density ask whether each image is a typical one. A generator that leaves out classes still makes good
images, which neither notices; and slight blur may even make them more typical. The row without damage shows what two
halves of the same data score: the bias of so few examples, and the noise below which differences mean nothing.

`memorization` is not here: all damage leads away from the training examples, and what it sees, copies of them, none of
the others minds. `class_accuracy` asks whether each image is of its class, as those of a class-conditional generator
should be.

"""

if __name__ == "__main__":
    sys.exit(main())
