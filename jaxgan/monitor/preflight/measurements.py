"""Measures data and networks before the first step; each function takes arrays alone."""

from __future__ import annotations

import numpy as np

Facts = dict[str, float]

LEVELS = 255  # of a byte
EDGE = 0.01  # of half the range: nearer to its end an output is saturated
OUTSIDE = 1e-3  # of half the range: the tolerance of `data.check_range`


def of_images(images: np.ndarray, low: float, high: float) -> Facts:
    """Measures images that a generator with outputs in [low, high] is to make.

    Args:
      images: f[N, H, W, C].
      low, high: finite.

    Returns:
      `data_not_finite`: how many values are NaN or infinite; the others only where none is. `images`: N. `low`, `high`:
      of the values; `reach`: how much of the range that is. `contrast`, `spread`: standard deviation in units of half
      the range, over all values, and of a pixel over the images on average. `one_value`: share of the commonest of 256
      levels. `blank`: share of images of one color. `copies`: share that equal another one before them.
      `flat_channels`: how many channels never change. `gray`: 1 if there are three channels, which are equal.
    """
    bad = images.size - np.isfinite(images).sum()
    if bad:
        return {"data_not_finite": float(bad)}
    half, flat = (high - low) / 2, images.reshape(len(images), -1)
    channels = images.reshape(-1, images.shape[-1])
    by_channel = images.reshape(len(images), -1, images.shape[-1])
    changes = by_channel.max(axis=1) - by_channel.min(axis=1)
    levels = np.clip((flat - low) / (high - low) * LEVELS + 0.5, 0, LEVELS).astype(np.uint8)
    facts = {
        "data_not_finite": 0,
        "images": len(images),
        "low": flat.min(),
        "high": flat.max(),
        "reach": (flat.max() - flat.min()) / (high - low),
        "contrast": flat.std() / half,
        "spread": flat.std(axis=0).mean() / half,
        "one_value": np.bincount(levels.ravel()).max() / images.size,
        "blank": np.mean(changes.max(axis=1) < 2 * half / LEVELS),
        "copies": 1 - len({image.tobytes() for image in flat}) / len(images),
        "flat_channels": np.sum(channels.min(axis=0) == channels.max(axis=0)),
        "gray": images.shape[-1] == 3 and (channels == channels[:, :1]).all(),
    }
    return {name: float(value) for name, value in facts.items()}


def of_points(points: np.ndarray) -> Facts:
    """Measures points f[N, D].

    Returns:
      `data_not_finite` as for images; `scale`: the largest standard deviation of a coordinate; `center`: the largest
      distance of a coordinate's mean from 0.
    """
    bad = points.size - np.isfinite(points).sum()
    if bad:
        return {"data_not_finite": float(bad)}
    scale, center = points.std(axis=0).max(), np.abs(points.mean(axis=0)).max()
    return {"data_not_finite": 0.0, "scale": float(scale), "center": float(center)}


def of_labels(labels: np.ndarray, classes: int, conditional: bool) -> Facts:
    """Measures labels i[N] of a number of classes.

    Returns:
      Of a conditional game `missing`: classes without an example, and `ratio`: examples of the most frequent class for
      each of the rarest. Of another one `unused_classes`: those present. Nothing for data without classes.
    """
    if not classes:
        return {}
    counts = np.bincount(labels, minlength=classes)
    present = counts[counts > 0]
    if not conditional:
        return {"unused_classes": float(len(present))}
    return {"missing": float(classes - len(present)), "ratio": float(present.max() / present.min())}


def of_batches(
    examples: int,
    batch: int,
    steps: int,
    normalized: int | None = None,
    per_device: int | None = None,
    augmented: bool | None = None,
) -> Facts:
    """Measures how the examples are shown.

    Args:
      examples: of the data.
      batch: real examples in one update of D.
      steps: updates of D in the run.
      normalized: examples that batch norm takes its statistics of; None: there is none.
      per_device: those that a device has at once.
      augmented: whether D sees augmented images; None for points.

    Returns:
      These, and `epochs`: how often the run goes through the examples.
    """
    given = {"normalized": normalized, "per_device": per_device, "augmented": augmented}
    facts = {"examples": float(examples), "batch": float(batch), "epochs": steps * batch / examples}
    return facts | {name: float(value) for name, value in given.items() if value is not None}


def of_networks(fake: np.ndarray, real_logits: np.ndarray, fake_logits: np.ndarray, low: float, high: float) -> Facts:
    """Measures two networks that have learned nothing yet.

    Args:
      fake: f[N, ...], what G makes of N latents.
      real_logits, fake_logits: f[M], by D, of real examples and of those.
      low, high: the range that the examples lie in; infinite for points.

    Returns:
      `net_not_finite`: how many of these are NaN or infinite; the others only where none is. `fake_spread`: standard
      deviation of an output over the latents on average, in units of half the range (as it is without one).
      `logit_size`: median size of the logits; `logit_spread`: their standard deviation; `gap`: between the mean
      sigmoids of the logits of real and of generated examples. With a range, `outside`: share of outputs beyond it;
      `saturated`: at its ends; `one_sided`: 1 if none is in the lower half.
    """
    values = [fake.ravel(), real_logits.ravel(), fake_logits.ravel()]
    bad = sum(x.size - np.isfinite(x).sum() for x in values)
    if bad:
        return {"net_not_finite": float(bad)}
    bounded = bool(np.isfinite(high - low))
    half, logits = (high - low) / 2 if bounded else 1.0, np.concatenate(values[1:])
    facts = {
        "net_not_finite": 0,
        "fake_spread": fake.std(axis=0).mean() / half,
        "logit_size": np.median(np.abs(logits)),
        "logit_spread": logits.std(),
        "gap": abs(_sigmoid(real_logits).mean() - _sigmoid(fake_logits).mean()),
    }
    if bounded:
        inside = np.minimum(fake - low, high - fake) / half
        facts |= {
            "outside": np.mean(inside < -OUTSIDE),
            "saturated": np.mean(inside < EDGE),
            "one_sided": fake.min() > (low + high) / 2 - EDGE * half,
        }
    return {name: float(value) for name, value in facts.items()}


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))
