"""Scores generated images as training data: a classifier learns from them and is tested on real ones."""

from __future__ import annotations

import dataclasses
import os
from typing import NamedTuple

import numpy as np

from jaxgan.metrics.classifier import Report, load_classifier, show, train_classifier
from jaxgan.metrics.features import check_output
from jaxgan.metrics.labelled import Labelled


class Downstream(NamedTuple):
    """Holds the shares of real held-out images that are classified rightly, by what the classifier learned from."""

    real: float
    generated: float
    both: float
    labels: str  # where the generated images have theirs from; part of the protocol


@dataclasses.dataclass(frozen=True, eq=False)
class _Set:
    """Generated images with labels, or real ones followed by those; a `Labelled`."""

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    first: Labelled | None = None
    labelled: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        return self.images.dtype

    def read(self, indices: np.ndarray) -> np.ndarray:
        if self.first is None:
            return self.images[indices]
        number = len(self.first)
        out = np.empty((len(indices), *self.shape), self.dtype)
        real = indices < number
        out[real] = self.first.read(indices[real])
        out[~real] = self.images[indices[~real] - number]
        return out


def downstream_accuracy(
    images: np.ndarray,
    labels: np.ndarray | None,
    real: Labelled,
    test: Labelled,
    *,
    output: str = "tanh",
    seed: int = 0,
    steps: int | None = None,
    cache_dir: str | os.PathLike | None = None,
    report: Report = show,
) -> Downstream:
    """Trains the same classifier on real, on generated, and on both sorts of images, and tests each on real ones.

    Trained on generated images this is the GAN-train score of Shmelkov et al. 2018, https://arxiv.org/abs/1807.09499
    (Ravuri & Vinyals 2019, https://arxiv.org/abs/1905.10887, as Classification Accuracy Score): higher is better, and
    what it lacks of the accuracy by real ones is lost to modes that are absent and images that are off. Each training
    lasts as `train_classifier` says; the first classifier comes from the package or the cache. State the number of
    generated images beside the score.

    An unconditional generator gives no labels. Then the classifier of the real images names them, and errs, so that the
    score says less: whether what that classifier knows can be learned again from the generated images. The field
    `labels` tells which it was, and the two are not to be compared.

    Args:
      images: f[N, H, W, C] in the range of `output`. They are rounded to bytes if the real ones are.
      labels: i[N], the classes that they were made for; None: by the classifier of the real images.
      real, test: the training and the held-out split.
      output: the generator's, "tanh", "sigmoid" or "linear".
      seed, steps: of the three trainings, as in `train_classifier`.
      cache_dir, report: as in `load_classifier`.

    Raises:
      ValueError: labels that do not fit the images or the classes, or images that do not fit `real`.
      UserError: as `train_classifier`; also if all generated images are of one class.
    """
    check_output(output)
    if images.shape[1:] != real.shape or not len(images) or not np.isfinite(images).all():
        raise ValueError(f"images are {images.shape}: they must be finite, [N, *{real.shape}] with N > 0.")
    reference = load_classifier(real, test, output=output, seed=seed, steps=steps, cache_dir=cache_dir, report=report)
    source = "the generator's" if labels is not None else f"by {reference.name} {reference.hash}"
    labels = reference(images)[1].argmax(axis=1) if labels is None else np.asarray(labels)
    if labels.shape != (len(images),) or not np.isin(labels, np.arange(len(real.class_names))).all():
        raise ValueError(f"labels must be {len(images)} numbers of classes, below {len(real.class_names)}.")
    stored = _bytes(images, output) if real.dtype == np.uint8 else images.astype(np.float32)
    generated = _Set(f"generated {real.name}", stored, labels.astype(np.int32), real.class_names)
    every = np.concatenate([real.labels, generated.labels])
    both = _Set(f"real and generated {real.name}", stored, every, real.class_names, first=real)
    accuracies = [float(reference.accuracy or 0.0)]
    for data in (generated, both):
        trained = train_classifier(data, test, output=output, seed=seed, steps=steps, report=report)
        accuracies.append(float(trained.accuracy or 0.0))
    return Downstream(accuracies[0], accuracies[1], accuracies[2], source)


def _bytes(images: np.ndarray, output: str) -> np.ndarray:
    """Rounds images to bytes, halves up, as they are rounded when they are saved."""
    unit = images if output == "sigmoid" else (images + 1) / 2
    return np.floor(np.clip(unit, 0, 1).astype(np.float64) * 255 + 0.5).astype(np.uint8)
