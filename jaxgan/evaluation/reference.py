"""The network by whose features a run is scored, and the real examples it is scored against."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from jaxgan.config.config import Config
from jaxgan.config.evaluation import DOWNSTREAM
from jaxgan.data import Source, load
from jaxgan.data.source import permutation
from jaxgan.errors import UnknownSplitError, UserError
from jaxgan.metrics.classifier import load_classifier
from jaxgan.metrics.features import Features, random_network
from jaxgan.metrics.inception import load_inception

Report = Callable[[str], None]
show: Report = partial(print, flush=True)
TRAIN, TEST = "train", "test"
WITH_TEST = ("embedded", "tfds")  # sources that have such a split of their own
HELD_OUT = 10  # of the others every so many-th example is kept from the classifier


def load_split(config: Config, split: str, whole: bool = False) -> Source:
    """Examples of a run's data set.

    Args:
      config: of the run.
      split: of the data set; `data.max_examples` holds for the run's own only.
      whole: all examples, whatever `data.classes` and `data.max_examples` leave out.

    Raises:
      UserError: as `jaxgan.data.load`.
    """
    d = config.data
    return load(
        d.source,
        name=d.name,
        split=split,
        data_dir=d.data_dir,
        image_size=d.image_size,
        classes=() if whole else d.classes,
        max_examples=d.max_examples if split == d.split and not whole else 0,
        on_bad_image=d.on_bad_image,
    )


def real_examples(config: Config, source: Source | None = None) -> tuple[Source, str]:
    """What generated examples are compared with, and the name of that split.

    Args:
      config: of the run.
      source: examples that the caller trains on in place of `config.data`.

    Raises:
      UserError: as `jaxgan.data.load`; or another split is wanted of the caller's own examples, which have none.
    """
    if source is None:
        chosen, split = load_split(config, config.eval.split), config.eval.split
    elif config.eval.split == config.data.split:
        chosen, split = source, config.data.split
    else:
        raise UserError(
            f"eval.split is {config.eval.split!r}, but examples given by the caller have no splits: leave it at "
            f"{config.data.split!r}."
        )
    return chosen.spread(config.eval.num_real or len(chosen)), split


def held_out_examples(config: Config, source: Source | None = None) -> tuple[Source, str]:
    """Examples of the data that a run is not trained on, and the name of their split; of the run's classes only.

    Args:
      config: of the run.
      source: examples that the caller trains on in place of `config.data`.

    Raises:
      UserError: there are none, or the real examples of the scores are not all that the run is trained on.
    """
    d, e = config.data, config.eval
    why = _why_none_held_out(config, source)
    if not why and (e.split != d.split or e.num_real):
        why = f"eval.split is {e.split!r} and eval.num_real {e.num_real}, in place of {d.split!r} and 0 (all)"
    if why:
        raise UserError(
            "eval.metrics has 'memorization', which compares the distances to all training examples with those of "
            f"held-out ones, but {why}: leave it out."
        )
    return load_split(config, TEST), TEST


def downstream_splits(config: Config, source: Source | None = None) -> tuple[Source, Source]:
    """What a classifier is trained on beside generated examples, and tested on: all examples of the run's classes.

    Args:
      config: of the run.
      source: examples that the caller trains on in place of `config.data`.

    Raises:
      UserError: no examples are held out from the generator, or they are no labelled images of two classes or more.
    """
    if why := _why_none_held_out(config, source):
        raise UserError(
            f"eval.metrics has {DOWNSTREAM!r}, whose classifiers are tested on examples that the generator was not "
            f"trained on, but {why}: leave it out."
        )
    every = dataclasses.replace(config, data=dataclasses.replace(config.data, max_examples=0))
    train, test = load_split(every, TRAIN), load_split(every, TEST)
    if not train.labelled or len(train.shape) != 3 or len(np.unique(train.labels)) < 2:
        raise UserError(
            f"eval.metrics has {DOWNSTREAM!r}, but {train.name} has no labelled images of two classes or more here: "
            "leave it out."
        )
    return train, test


def _why_none_held_out(config: Config, source: Source | None) -> str:
    """Why there are no examples that the run is not trained on; "" if there are."""
    d = config.data
    if source is not None:
        return "examples given by the caller have no held-out split"
    if d.source not in WITH_TEST:
        return f"data.source {d.source!r} has no held-out split, as {' and '.join(WITH_TEST)} have"
    # A split may be a sum, such as "train+test".
    return f"data.split is {d.split!r}, so that the run is trained on them" if TEST in d.split else ""


def extractor(config: Config, source: Source | None = None, report: Report = show) -> Features:
    """The features of `config.eval.features`; those of points are the points.

    Args:
      config: of the run.
      source: examples that the caller trains on in place of `config.data`.
      report: is given lines of progress while a classifier is trained.

    Raises:
      UserError: a classifier for data without labels, or images or a file that the network cannot take.
    """
    e, output = config.eval, config.model.output
    if config.eval.features == "classifier" and (source is None or len(source.shape) == 3):
        train, test = labelled_splits(config, source)
        if len(train.shape) == 3:
            if not train.labelled:
                raise UserError(
                    f"eval.features is 'classifier', but {train.name} has no labels: set it to 'inception' or 'random'."
                )
            return load_classifier(train, test, output=output, report=report)
        source = train
    shape = (load_split(config, config.data.split) if source is None else source).shape
    if len(shape) != 3:
        return Features("coordinates", shape, {}, _coordinates)  # type: ignore[arg-type]
    size: Any = shape
    if e.features == "inception":
        path = os.path.expanduser(e.inception_path)
        return load_inception(path, size, output=output, resize=e.resize, sha256=e.inception_sha256)
    return random_network(size, output=output)


def labelled_splits(config: Config, source: Source | None = None) -> tuple[Source, Source]:
    """What a classifier is trained on and tested on: all classes and examples, whatever the run is restricted to.

    Where the data have no splits train and test, a tenth of the examples by a fixed permutation.
    """
    if source is None and config.data.source in WITH_TEST:
        with contextlib.suppress(UnknownSplitError):  # a prepared data set may have any splits
            return load_split(config, TRAIN, whole=True), load_split(config, TEST, whole=True)
    whole = load_split(config, config.data.split, whole=True) if source is None else source
    order, held_out = permutation(len(whole), 0), max(1, len(whole) // HELD_OUT)
    return whole.take(np.sort(order[held_out:])), whole.take(np.sort(order[:held_out]))


def _coordinates(variables: dict[str, Any], points: Any) -> tuple[Any, Any]:
    """Points as their own features; there are no logits."""
    return points, points[:, :0]
