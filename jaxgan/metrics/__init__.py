"""Computes scores of generated images: pure functions of features, in the dict `METRICS`."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from jaxgan.metrics.base import DAMAGES, NEIGHBORS, Extracted, Measured, Metric
from jaxgan.metrics.bootstrap import centered_interval
from jaxgan.metrics.conditional import diversity
from jaxgan.metrics.frechet import frechet_distance, resampled_distances
from jaxgan.metrics.inception_score import inception_score
from jaxgan.metrics.kernel import kernel_distance, resampled_discrepancies, squared_discrepancy
from jaxgan.metrics.manifold import Manifold, compare, distances_to
from jaxgan.metrics.scores import Protocol, Score, UnlikeProtocolError

RESAMPLES = 200
WIDEST_RESAMPLED = 256  # features: 200 resamples of 2,048 would take twenty minutes
SUBSETS, SUBSET = 100, 1000  # of KID, as published
SPLITS, SPLIT = 10, 5000  # of the Inception Score, as published
K, K_DENSE = 3, 5
PAIRED = 2000  # rows whose pairs tell the diversity


def measure(name: str, real: Extracted, fake: Extracted, protocol: Protocol, resamples: int = RESAMPLES) -> Score:
    """Computes the score `name` of `METRICS`; whatever it draws depends on the protocol's seed alone.

    Args:
      real, fake: what an extractor made of the real and of the generated examples.
      protocol: how the features were computed; the numbers of examples and `details` are filled in here.
      resamples: number of bootstrap resamples for the 95 % interval, if the metric has one; 0 leaves it out.

    Raises:
      ValueError: the metric needs more examples, or a field that is missing.
    """
    metric = METRICS[name]
    for side, fields in ((fake, metric.needs), (real, metric.needs_real)):
        for field in sorted(fields):
            if getattr(side, field) is None:
                raise ValueError(f"the score {name!r} needs {field}, which these features come without.")
    for side, what in ((real, "real"), (fake, "generated")):  # first: what is shared by several metrics takes long
        if len(side) < metric.fewest:
            raise ValueError(f"{len(side)} {what} examples are too few, the score {name!r} needs {metric.fewest}.")
    value, details = metric.compute(real, fake, protocol.seed)
    resampled = metric.resample(real, fake, resamples, protocol.seed) if metric.resample and resamples else None
    interval = None if resampled is None else centered_interval(value, resampled)
    protocol = dataclasses.replace(protocol, n_real=len(real), n_fake=len(fake), details=details)
    return Score(name, value, metric.better, protocol, interval)


def _fd(real: Extracted, fake: Extracted, seed: int) -> Measured:
    return Measured(frechet_distance(real.statistics, fake.statistics))


def _resampled_fd(real: Extracted, fake: Extracted, resamples: int, seed: int) -> np.ndarray | None:
    if fake.features.shape[1] > WIDEST_RESAMPLED:
        return None
    return resampled_distances(real.statistics, fake.features, resamples, seed)


def _kid(real: Extracted, fake: Extracted, seed: int) -> Measured:
    smaller, larger = sorted((len(real), len(fake)))
    if larger <= SUBSET:  # then all pairs cost no more, and are less noisy
        return Measured(squared_discrepancy(real.features, fake.features, real.kernel_term), "all pairs")
    size = min(SUBSET, smaller)
    terms = real.kernel_terms(len(fake), SUBSETS, size, seed)
    found = kernel_distance(real.features, fake.features, SUBSETS, size, seed, terms)
    return Measured(found.mean, f"{found.subsets} subsets of {found.size}")


def _resampled_kid(real: Extracted, fake: Extracted, resamples: int, seed: int) -> np.ndarray:
    return resampled_discrepancies(real.features, fake.features, resamples, seed)


def _is(real: Extracted, fake: Extracted, seed: int) -> Measured:
    assert fake.logits is not None
    splits = min(SPLITS, max(1, len(fake) // SPLIT))  # smaller ones would be biased downwards
    return Measured(inception_score(fake.logits, splits).mean, f"{splits} splits")


@lru_cache(maxsize=1)  # four scores are of one comparison
def _manifold(real: Extracted, fake: Extracted) -> Manifold:
    return compare(real.features, fake.features, K, K_DENSE, near_real=real.near, near_fake=fake.near)


def _precision(real: Extracted, fake: Extracted, seed: int) -> Measured:
    return Measured(_manifold(real, fake).precision, f"k={K}")


def _recall(real: Extracted, fake: Extracted, seed: int) -> Measured:
    return Measured(_manifold(real, fake).recall, f"k={K}")


def _density(real: Extracted, fake: Extracted, seed: int) -> Measured:
    return Measured(_manifold(real, fake).density, f"k={K_DENSE}")


def _coverage(real: Extracted, fake: Extracted, seed: int) -> Measured:
    return Measured(_manifold(real, fake).coverage, f"k={K_DENSE}")


def _diversity(real: Extracted, fake: Extracted, seed: int) -> Measured:
    """Mean distance of two generated examples over that of two real ones; 1 is the data's own."""
    chosen = [
        x[np.sort(np.random.RandomState(seed).permutation(len(x))[:PAIRED])] for x in (real.features, fake.features)
    ]
    theirs, ours = map(diversity, chosen)
    if theirs == 0:
        raise ValueError("the real features are all the same: there is no diversity to compare with.")
    return Measured(ours / theirs, f"pairs of {len(chosen[1])} generated and of {len(chosen[0])} real")


def _memorization(real: Extracted, fake: Extracted, seed: int) -> Measured:
    """Median distance of generated examples to the nearest real one, over that of held-out real examples.

    median_j min_i |f(y_j) - f(x_i)| / median_k min_i |f(h_k) - f(x_i)|, with x the training examples, h others of the
    data and y generated ones: 0 for copies, 1 for new examples of the same distribution, more for what is unlike the
    data. After Meehan et al. 2020, https://arxiv.org/abs/2004.05675, who test whether such distances differ.
    """
    if not real.held_out_distance:
        raise ValueError("the held-out examples are among the real ones, so that their distance to them is 0.")
    assert real.held_out is not None
    ours = float(np.median(distances_to(real.features, fake.features)))
    return Measured(ours / real.held_out_distance, f"beside {len(real.held_out)} held out")


def _class_accuracy(real: Extracted, fake: Extracted, seed: int) -> Measured:
    """Share of generated examples that the classifier of the features puts into the class they were made for."""
    assert fake.logits is not None and fake.labels is not None
    return Measured(float(np.mean(fake.logits.argmax(axis=1) == fake.labels)), f"{len(np.unique(fake.labels))} classes")


METRICS: dict[str, Metric] = {
    "fd": Metric(_fd, "lower", ideal=0.0, resample=_resampled_fd),
    "kid": Metric(_kid, "lower", ideal=0.0, resample=_resampled_kid),
    "is": Metric(_is, "higher", needs=frozenset({"logits"})),
    # A part of the modes can be precise and dense, and slight blur makes images more typical.
    "precision": Metric(_precision, "higher", ideal=1.0, fewest=NEIGHBORS + 1, sees=frozenset({"noise"})),
    "recall": Metric(_recall, "higher", ideal=1.0, fewest=NEIGHBORS + 1),
    "density": Metric(_density, "higher", ideal=1.0, fewest=NEIGHBORS + 1, sees=frozenset({"noise"})),
    "coverage": Metric(_coverage, "higher", ideal=1.0, fewest=NEIGHBORS + 1),
    # Noise may add to the distances.
    "diversity": Metric(_diversity, "closer to 1", ideal=1.0, sees=frozenset({"blur", "dropped_modes"})),
    # All damage leads away from the training examples.
    "memorization": Metric(
        _memorization, "closer to 1", needs_real=frozenset({"features", "held_out"}), sees=frozenset()
    ),
    "class_accuracy": Metric(
        _class_accuracy, "higher", needs=frozenset({"logits", "labels"}), sees=frozenset({"noise"})
    ),
}

__all__ = [
    "DAMAGES",
    "METRICS",
    "Extracted",
    "Measured",
    "Metric",
    "Protocol",
    "Score",
    "UnlikeProtocolError",
    "measure",
]
