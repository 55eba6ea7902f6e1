"""Scores of generated images: pure functions of features, and the dict `METRICS`."""

from __future__ import annotations

import dataclasses

from jaxgan.metrics.base import DAMAGES, Extracted, Measured, Metric
from jaxgan.metrics.frechet import frechet_distance
from jaxgan.metrics.inception_score import inception_score
from jaxgan.metrics.scores import Protocol, Score, UnlikeProtocolError

SPLIT = 5000  # images in a split of the Inception Score, as published


def measure(name: str, real: Extracted, fake: Extracted, protocol: Protocol) -> Score:
    """The score `name` of `METRICS`, with the protocol's `seed`; numbers of examples and `details` are filled in.

    Raises:
      ValueError: what the metric needs is missing or does not fit.
    """
    metric = METRICS[name]
    for field in sorted(metric.needs):
        if getattr(fake, field) is None:
            raise ValueError(f"the score {name!r} needs {field}, which these features come without.")
    value, interval, details = metric.compute(real, fake, protocol.seed)
    protocol = dataclasses.replace(protocol, n_real=len(real), n_fake=len(fake), details=details)
    return Score(name, value, metric.better, protocol, interval)


def _fd(real: Extracted, fake: Extracted, seed: int) -> Measured:
    return Measured(frechet_distance(real.statistics, fake.statistics))


def _is(real: Extracted, fake: Extracted, seed: int) -> Measured:
    assert fake.logits is not None
    splits = min(10, max(1, len(fake) // SPLIT))
    return Measured(inception_score(fake.logits, splits).mean, details=f"{splits} splits")


METRICS: dict[str, Metric] = {
    "fd": Metric(_fd, "lower", ideal=0.0),
    "is": Metric(_is, "higher", needs=frozenset({"logits"}), sees=frozenset({"dropped_modes"})),
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
