"""Knows which values of a score are better: lower ones, higher ones, or those closer to 1."""

from __future__ import annotations

import numpy as np

LOWER, HIGHER, CLOSER = "lower", "higher", "closer to 1"
DIRECTIONS = (LOWER, HIGHER, CLOSER)

# The first words of the names of evaluations. The direction of any other name is not known.
WORDS = {
    LOWER: ("fd", "fid", "kid", "swd"),
    HIGHER: (
        *("is", "inception", "precision", "recall", "density", "coverage"),
        *("modes", "high_quality", "class_accuracy", "downstream"),
    ),
    CLOSER: ("diversity", "memorization"),
}


def direction(name: str) -> str:
    """Returns the direction in which an evaluation is better, by its name: one of `DIRECTIONS`, or "" if not known.

    >>> direction("eval/fid_10k"), direction("eval/diversity_1k_cnn_x"), direction("loss/d")
    ('lower', 'closer to 1', '')
    """
    group, _, rest = name.partition("/")
    for better, words in WORDS.items():
        if group == "eval" and any(rest == word or rest.startswith(f"{word}_") for word in words):
            return better
    return ""


def merit(values, better: str):
    """Turns values into merits, of which higher ones are better: -v, v, or -|v - 1|.

    Args:
      values: a float, or an array of floats.
      better: one of `DIRECTIONS`.

    >>> merit(np.array([1.5, 0.5, 3.0]), "closer to 1").tolist()
    [-0.5, -0.5, -2.0]
    """
    if better == CLOSER:
        return -np.abs(np.asarray(values) - 1)[()]
    return -values if better == LOWER else values
