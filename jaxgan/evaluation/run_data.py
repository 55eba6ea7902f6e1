"""Loads the examples of one run: those it trains on, those it is compared with, and those held out from it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from jaxgan.config.config import Config
from jaxgan.config.evaluation import DOWNSTREAM
from jaxgan.data import Source, choose, load
from jaxgan.data.source import permutation
from jaxgan.errors import UnknownSplitError, UserError

TRAIN, TEST = "train", "test"
WITH_TEST = ("embedded", "tfds")  # data sources that have a test split of their own
HELD_OUT = 10  # of other sources, one example in ten of each class is kept from the classifier


class RunData:
    """Loads the splits of a run's data, each once, however many ask for it.

    What was loaded is kept as long as this object: use one for a run, and let go of it when everything that needs
    examples has them.

    Args:
      config: of the run; its sections `data` and `eval` say which examples are wanted.
      source: examples that the caller trains on in place of `config.data`.
      scored: whether scores will be computed, for which a classifier may need examples that the run is not trained on.
        Then these are decoded first and the run's own are picked from them, so that no file is decoded twice.
    """

    def __init__(self, config: Config, source: Source | None = None, scored: bool = True):
        self.config, self.given = config, source
        self._scored = scored
        self._loaded: dict[tuple[str, tuple[int | str, ...], int], Source] = {}

    @property
    def trained(self) -> Source:
        """Returns the examples that the run is trained on.

        Raises:
          UserError: as `jaxgan.data.load`.
        """
        return self.split(self.config.data.split) if self.given is None else self.given

    def split(self, name: str, whole: bool = False) -> Source:
        """Loads a split of the data set, or returns it again.

        Args:
          name: of the split; `data.max_examples` applies to the run's own split only.
          whole: whether to take all examples, also those that `data.classes` and `data.max_examples` leave out.

        Raises:
          UserError: as `jaxgan.data.load`.
        """
        d = self.config.data
        classes = () if whole else tuple(d.classes)
        return self._load(name, classes, d.max_examples if name == d.split and not whole else 0)

    def _load(self, name: str, classes: tuple[int | str, ...], most: int) -> Source:
        key, d = (name, classes, most), self.config.data
        if key not in self._loaded and (classes or most) and self._needs_whole(name):
            self._loaded[key] = choose(self._load(name, (), 0), classes, most)
        if key not in self._loaded:
            self._loaded[key] = load(
                d.source,
                name=d.name,
                split=name,
                data_dir=d.data_dir,
                image_size=d.image_size,
                classes=classes,
                max_examples=most,
                on_bad_image=d.on_bad_image,
                fit=d.fit,
                background=d.background,
                channels=d.channels,
                max_value=d.max_value,
                labels=d.labels,
            )
        return self._loaded[key]

    def _needs_whole(self, name: str) -> bool:
        """Whether the classifier of the scores learns from all examples of this split."""
        d = self.config.data
        used: Sequence[str] = (TRAIN, TEST) if d.source in WITH_TEST else (d.split,)
        return self._scored and self.config.eval.features == "classifier" and name in used

    def real_examples(self) -> tuple[Source, str]:
        """Returns the examples that generated ones are compared with, and the name of their split.

        Raises:
          UserError: as `jaxgan.data.load`; or another split is wanted of the caller's own examples, which have none.
        """
        d, e = self.config.data, self.config.eval
        if self.given is None:
            chosen = self.split(e.split)
        elif e.split == d.split:
            chosen = self.given
        else:
            raise UserError(
                f"eval.split is {e.split!r}, but examples given by the caller have no splits: set it to {d.split!r}."
            )
        return chosen.spread(e.num_real or len(chosen)), e.split

    def held_out_examples(self) -> Source:
        """Returns the test split, of the run's classes only, for scores that compare with examples G has not seen.

        Raises:
          UserError: there is no such split, or the real examples of the scores are not exactly the training examples.
        """
        d, e = self.config.data, self.config.eval
        why = self._why_none_held_out()
        if not why and (e.split != d.split or e.num_real):
            why = f"eval.split is {e.split!r} and eval.num_real {e.num_real}, in place of {d.split!r} and 0 (all)"
        if why:
            raise UserError(
                "eval.metrics has 'memorization', which compares the distances to all training examples with those of "
                f"held-out ones, but {why}: leave it out."
            )
        return self.split(TEST)

    def downstream_splits(self) -> tuple[Source, Source]:
        """Returns what the classifiers of the score `downstream` learn from and are tested on.

        Both splits have all examples of the run's classes.

        Raises:
          UserError: no examples are held out from the generator, or they are not labelled images of two classes.
        """
        if why := self._why_none_held_out():
            raise UserError(
                f"eval.metrics has {DOWNSTREAM!r}, whose classifiers are tested on examples that the generator was not "
                f"trained on, but {why}: leave it out."
            )
        classes = tuple(self.config.data.classes)
        train, test = (self._load(name, classes, 0) for name in (TRAIN, TEST))
        if not train.labelled or len(train.shape) != 3 or len(np.unique(train.labels)) < 2:
            raise UserError(
                f"eval.metrics has {DOWNSTREAM!r}, but {train.name} has no labelled images of two classes or more "
                "here: leave it out."
            )
        return train, test

    def labelled_splits(self) -> tuple[Source, Source]:
        """Returns what the classifier of the scores learns from and is tested on.

        Both have all classes and examples, whatever the run is restricted to. Where the data have no splits train and
        test, a tenth of each class is held out, by a fixed permutation; a class of one example is learned from only.
        """
        if self.given is None and self.config.data.source in WITH_TEST:
            with contextlib.suppress(UnknownSplitError):  # a prepared data set may have any splits
                return self.split(TRAIN, whole=True), self.split(TEST, whole=True)
        whole = self.split(self.config.data.split, whole=True) if self.given is None else self.given
        held_out = _tenth_of_each_class(whole.labels)
        if whole.labelled and not held_out.any():
            raise UserError(
                f"A classifier cannot be tested, because no class of {whole.name} has two images or more: set "
                "eval.features to 'random' or 'inception'."
            )
        return whole.take(np.flatnonzero(~held_out)), whole.take(np.flatnonzero(held_out))

    def _why_none_held_out(self) -> str:
        """Why the run is trained on all examples there are; "" if it is not."""
        d = self.config.data
        if self.given is not None:
            return "examples given by the caller have no held-out split"
        if d.source not in WITH_TEST:
            return f"data.source {d.source!r} has no held-out split, as {' and '.join(WITH_TEST)} have"
        # A split may be a sum, such as "train+test".
        return f"data.split is {d.split!r}, so that the run is trained on them" if TEST in d.split else ""


def _tenth_of_each_class(labels: np.ndarray) -> np.ndarray:
    """Marks, bool[N], a tenth of the examples of each class, but at least one of two or more."""
    order = permutation(len(labels), 0)
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        held_out[members[: max(1, len(members) // HELD_OUT) if len(members) > 1 else 0]] = True
    return held_out
