"""What scores compare with: the features of real examples, and the network that computes them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np

from jaxgan.config.constraints import check_number, check_points
from jaxgan.data import Source, to_floats
from jaxgan.data.source import Stacked, Streamed, permutation
from jaxgan.devices.devices import Devices
from jaxgan.errors import NotFiniteError, UserError
from jaxgan.evaluation.run_data import RunData
from jaxgan.metrics import METRICS, Extracted, Protocol, Score, measure, weights
from jaxgan.metrics.classifier import Report, check_splits, load_classifier, show
from jaxgan.metrics.features import Features, random_network
from jaxgan.metrics.inception import load_inception
from jaxgan.metrics.labelled import content_hash

BLOCK = 256  # examples in one call, over all devices, unless the network wants fewer
SEED = 0  # of the latents of the generated examples, and of what metrics draw themselves
EVERY = 10  # seconds between two lines of progress


class Reference:
    """Scores examples against the real ones of a run.

    Making one refuses what cannot be scored. The network and the features of the real examples follow when they are
    first needed, so that nothing waits for a classifier before that; features are cached on disk by the contents of the
    examples, the network and the hash of its weights. Only features and labels are kept, besides the real examples
    themselves.

    Args:
      data: of the run; section `eval` of its configuration says what is scored, and how.
      devices: compute the features.
      report: is called with lines of progress.
      resamples: number of bootstrap resamples for the intervals of the scores; 0 leaves the intervals out.

    Raises:
      UserError: what `extractor` or `RunData` refuses; or the real examples are too few for a score, or are points
        where a score needs images.
    """

    def __init__(self, data: RunData, devices: Devices, report: Report = show, resamples: int = 0):
        config = self.config = data.config
        self.devices, self._report, self._resamples = devices, report, resamples
        wanted = [METRICS[name] for name in config.eval.metrics if name in METRICS]
        # First, because it may refuse.
        self._held_out = data.held_out_examples() if any("held_out" in m.needs_real for m in wanted) else None
        self.source, self.split = data.real_examples()
        check_number(
            config.eval.metrics, len(self.source), f"the number of examples of {self.source.name} {self.split}"
        )
        if len(self.source.shape) != 3:
            check_points(config.eval.metrics, self.source.name)
        # i32[n]: the labels of all examples that the run is trained on, in a fixed random order.
        self.drawn_labels = data.trained.labels[permutation(len(data.trained), SEED)]
        self._load: Callable[[], Features] | None = extractor(data, report)

    @cached_property
    def features(self) -> Features:
        """The network by whose features examples are compared; a classifier may have to be trained first."""
        assert self._load is not None
        load, self._load = self._load, None  # its examples are free again
        return load()

    @cached_property
    def block(self) -> int:
        """Number of examples in one call."""
        n = len(self.devices.devices)
        return max(1, min(BLOCK // n, self.features.block)) * n

    @cached_property
    def content(self) -> str:
        """A hash of the real examples."""
        return _content(self.source, self.config.model.output)

    @cached_property
    def real(self) -> Extracted:
        """The features of the real examples."""
        held_out, self._held_out = self._held_out, None
        return Extracted(
            self._features(self.source, self.content),
            labels=self.source.labels,
            held_out=self._features(held_out, _content(held_out, self.config.model.output)) if held_out else None,
        )

    @cached_property
    def _extract(self) -> Callable[[Any], Any]:
        return partial(self.devices.map_examples(self.features.apply), self.devices.put(self.features.variables))

    def scores(self, blocks: Iterator[Any], num: int, labels: np.ndarray | None = None, **origin) -> dict[str, Score]:
        """Scores examples by every metric of `eval.metrics`, and returns the scores by name, in that order.

        Args:
          blocks: [devices, B, ...] in the range of the generator's output, `block` examples each.
          num: number of examples that count; the last block may hold more.
          labels: i32[num], the classes that the examples were made for, or None.
          origin: what the protocol records of where the examples come from: `weights`, `step`, `checkpoint`, `resized`.

        Raises:
          UserError: a metric needs more examples, or needs logits or labels that there are not.
        """
        fake = dataclasses.replace(self._extracted(blocks, num, "generated examples"), labels=labels)
        protocol = self.protocol(num, **origin)
        found = {}
        for name in (name for name in self.config.eval.metrics if name in METRICS):
            try:
                found[name] = measure(name, self.real, fake, protocol, self._resamples)
            except ValueError as error:  # too few examples for it, or features without logits
                raise UserError(f"eval.metrics has {name!r}, which cannot be computed: {error}") from None
        return found

    def protocol(self, num: int, resized: str = "", **origin: Any) -> Protocol:
        """Describes how the scores of `num` examples are measured; `origin` as in `scores`."""
        e = self.config.eval
        resizes = [resized, e.resize if e.features == "inception" else ""]
        return Protocol(
            features=self.features.name,
            features_hash=self.features.hash,
            data=self.source.name,
            split=self.split,
            n_real=len(self.source),
            n_fake=num,
            data_hash=self.content[:16],
            resize=", then ".join(filter(None, resizes)) or "none",
            seed=SEED,
            **origin,
        )

    def scores_of_images(self, images: np.ndarray, **origin: Any) -> dict[str, Score]:
        """Scores images u8[N, H, W, C] of the data's shape; `origin` as in `scores`."""
        return self.scores(self._blocks(images.__getitem__, len(images)), len(images), **origin)

    def positions(self, num: int) -> Iterator[np.ndarray]:
        """Yields the numbers from 0 to at least num - 1, `block` of them at a time."""
        return (np.arange(start, start + self.block) for start in range(0, num, self.block))

    def _blocks(self, read: Callable[[np.ndarray], np.ndarray], num: int) -> Iterator[Any]:
        """Yields all of `num` examples; the last block is filled up with the last example."""
        for positions in self.positions(num):
            images = to_floats(read(np.minimum(positions, num - 1)), self.config.model.output)
            yield self.devices.split(images)

    def _features(self, source: Source, content: str) -> np.ndarray:
        """Features f[N, F] of real examples, from the cache if it holds any for this `content`."""
        parts = (content, self.config.model.output, self.features.name, self.features.hash)
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        path = weights.cache_path(f"real_{self.features.name}-{key}.npz")
        if cached := weights.recall(path, key):
            return cached[0]["real"]["features"]
        features = self._extracted(self._blocks(source.read, len(source)), len(source), source.name).features
        weights.remember(path, {"real": {"features": features}}, key, data=source.name)
        return features

    def _extracted(self, blocks: Iterator[Any], num: int, what: str) -> Extracted:
        """Features and logits of the first `num` examples."""
        found: list[tuple[np.ndarray, np.ndarray]] = []
        started = shown = time.monotonic()
        for block in blocks:
            features, logits = self._extract(block)
            found.append((joined(features), joined(logits)))
            if time.monotonic() - shown > EVERY:
                shown, done = time.monotonic(), self.block * len(found)
                left = (shown - started) * max(num - done, 0) / done
                self._report(f"features of {what}: {done}/{num} examples, {left:.0f} s left")
        features, logits = (np.concatenate(x)[:num] for x in zip(*found, strict=True))
        if not (np.isfinite(features).all() and np.isfinite(logits).all()):
            raise NotFiniteError(
                f"Some features of {what} are NaN or infinite, so they cannot be scored.",
                float(np.maximum(np.abs(features).max(), np.abs(logits).max(initial=0))),
            )
        return Extracted(features, logits if logits.shape[1] else None)


def extractor(data: RunData, report: Report = show) -> Callable[[], Features]:
    """Finds the network that `config.eval.features` names, and refuses it where it cannot take the data.

    The features of points are the points themselves.

    Args:
      data: of the run.
      report: is called with lines of progress while a classifier is trained.

    Returns:
      A function that returns the network. Only that of a classifier takes long: it is trained, unless it is cached.

    Raises:
      UserError: a classifier is asked for data without labels, or the network cannot take the images, or its file
        cannot be read.
    """
    config, e = data.config, data.config.eval
    if e.features == "classifier" and (data.given is None or len(data.given.shape) == 3):
        train, test = data.labelled_splits()
        shape = train.shape
        if len(shape) == 3:
            if not train.labelled:
                raise UserError(
                    f"eval.features is 'classifier', but {train.name} has no labels: set it to 'inception' or 'random'."
                )
            check_splits(train, test, config.model.output)
            return partial(load_classifier, train, test, output=config.model.output, report=report)
    else:
        shape = data.trained.shape
    if len(shape) != 3:
        found = Features("coordinates", shape, {}, _coordinates)  # type: ignore[arg-type]
        return lambda: found
    size: Any = shape
    if e.features == "inception":
        path = os.path.expanduser(e.inception_path)
        found = load_inception(path, size, output=config.model.output, resize=e.resize, sha256=e.inception_sha256)
        return lambda: found
    return partial(random_network, size, output=config.model.output)


def joined(x: Any) -> np.ndarray:
    """Joins what the devices computed: [devices, B, ...] as [devices * B, ...]."""
    return np.asarray(x).reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _content(source: Source, output: str) -> str:
    """A hash of the examples, in the range of the output, and of their labels; not of the data set's name."""
    if isinstance(source.examples, Streamed | Stacked):  # the cache is there so that these need not all be read
        parts = (source.shape, source.examples.identity, source.labels.tobytes())
        return hashlib.sha256(repr(parts).encode()).hexdigest()
    return content_hash(source, output)


def _coordinates(variables: dict[str, Any], points: Any) -> tuple[Any, Any]:
    """Points as their own features; there are no logits."""
    return points, points[:, :0]
