"""Scores of a generator: features of real and of generated examples once, then every metric."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.config.config import Config
from jaxgan.config.constraints import check_number, check_points
from jaxgan.data import Source, to_floats
from jaxgan.data.source import Stacked, Streamed, permutation
from jaxgan.devices.devices import Devices
from jaxgan.errors import NotFiniteError, UserError
from jaxgan.evaluation.reference import Report, extractor, held_out_examples, load_split, real_examples, show
from jaxgan.metrics import METRICS, Extracted, Protocol, Score, measure, weights
from jaxgan.metrics.labelled import content_hash
from jaxgan.metrics.scores import key_of
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import GAN
from jaxgan.steps.randomness import seed_keys
from jaxgan.steps.state import GANState
from jaxgan.steps.steps import sample

BLOCK = 256  # examples per call, over all devices, unless the features want fewer
SEED = 0  # of the latents that scores are of, and of what metrics draw
PASSES = 64  # of a block each, by which batch statistics are computed anew; batch norm then keeps 0.1 % of the old
EVERY = 10  # seconds between two lines of progress


class Reference:
    """The real examples that others are compared with, and the network by whose features.

    Making one extracts the features of the real examples, which are cached by the contents of these, features and their
    hash.

    Args:
      config: what is scored, and how, is its section `eval`.
      devices: which compute it.
      source: examples that the caller trains on in place of `config.data`.
      report: is given lines of progress.
      resamples: for the intervals of the scores; 0 spares them.

    Raises:
      UserError: as `judge.extractor`, `judge.real_examples` and, for scores that need them, `held_out_examples`; or the
        real examples are too few, or points where a score needs images.
    """

    def __init__(
        self,
        config: Config,
        devices: Devices,
        source: Source | None = None,
        report: Report = show,
        resamples: int = 0,
    ):
        self.config, self.devices, self._report, self._resamples = config, devices, report, resamples
        self._given = source
        wanted = [METRICS[name] for name in config.eval.metrics if name in METRICS]
        # First of all, since it may refuse.
        held_out = held_out_examples(config, source) if any("held_out" in m.needs_real for m in wanted) else None
        self.source, self.split = real_examples(config, source)
        check_number(
            config.eval.metrics, len(self.source), f"the number of examples of {self.source.name} {self.split}"
        )
        if len(self.source.shape) != 3:
            check_points(config.eval.metrics, self.source.name)
        self.features = extractor(config, source, report)
        self._variables = devices.put(self.features.variables)
        self._extract = devices.map_examples(self.features.apply)
        n = len(devices.devices)
        self.block = max(1, min(BLOCK // n, self.features.block)) * n  # examples per call
        self.content = _content(self.source, config.model.output)
        self.real = Extracted(
            self._features(self.source, self.content),
            labels=self.source.labels,
            held_out=self._features(held_out[0], _content(held_out[0], config.model.output)) if held_out else None,
        )

    @cached_property
    def drawn_labels(self) -> np.ndarray:
        """i32[n]: the labels of all examples that a run is trained on, in a fixed random order."""
        d, e = self.config.data, self.config.eval
        whole = (
            self.source if e.split == d.split and not e.num_real else self._given or load_split(self.config, d.split)
        )
        return whole.labels[permutation(len(whole), SEED)]

    def scores(self, blocks: Iterator[Any], num: int, labels: np.ndarray | None = None, **origin) -> dict[str, Score]:
        """The scores of examples, by the name of their metric, in the order of `eval.metrics`.

        Args:
          blocks: [devices, B, ...] in the range of the generator's output, `block` examples each.
          num: how many of them count.
          labels: i32[num] that they were made for.
          origin: what the protocol says of where they come from: `weights`, `step`, `checkpoint`, `resized`.

        Raises:
          UserError: a metric that these examples or features do not suffice for.
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
        """How scores of so many examples are measured; `origin` as in `scores`."""
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
        """The scores of images u8[N, H, W, C] of the data's shape; `origin` as in `scores`."""
        return self.scores(self._blocks(images.__getitem__, len(images)), len(images), **origin)

    def positions(self, num: int) -> Iterator[np.ndarray]:
        """The numbers from 0 to at least num - 1, a block at a time."""
        return (np.arange(start, start + self.block) for start in range(0, num, self.block))

    def _blocks(self, read: Callable[[np.ndarray], np.ndarray], num: int) -> Iterator[Any]:
        """All of `num` examples; the last block is filled up with the last of them."""
        for positions in self.positions(num):
            images = to_floats(read(np.minimum(positions, num - 1)), self.config.model.output)
            yield self.devices.split(images)

    def _features(self, source: Source, content: str) -> np.ndarray:
        """Features f[N, F] of real examples, from the cache where they are known by their `_content`."""
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
            features, logits = self._extract(self._variables, block)
            found.append((_joined(features), _joined(logits)))
            if time.monotonic() - shown > EVERY:
                shown, done = time.monotonic(), self.block * len(found)
                left = (shown - started) * max(num - done, 0) / done
                self._report(f"features of {what}: {done}/{num} examples, {left:.0f} s left")
        features, logits = (np.concatenate(x)[:num] for x in zip(*found, strict=True))
        if not (np.isfinite(features).all() and np.isfinite(logits).all()):
            raise NotFiniteError(f"the features of {what} are not all finite, so that nothing can be said of them.")
        return Extracted(features, logits if logits.shape[1] else None)


class Scorer:
    """Scores the generators of one run. The same state gives the same numbers, bit for bit.

    Generated images are rounded to 8 bits, as those of any folder are.

    Args:
      reference: what they are compared with.
      gan: the static part of the run, mapped over `AXIS`.
    """

    def __init__(self, reference: Reference, gan: GAN):
        config, devices = reference.config, reference.devices
        self.reference, self._gan, self._devices, self._eval = reference, gan, devices, config.eval
        self._generate = devices.map_examples(partial(_generate, gan, config.model.output))
        self._recalibrate = devices.map_examples(partial(_recalibrate, gan), joined=True)

    @property
    def rank(self) -> tuple[str, str]:
        """The key of the score by which the best checkpoint is kept, and which direction is better."""
        name, e = self._eval.best_metric, self._eval
        return key_of(name, self.reference.protocol(e.num_samples, weights=e.weights)), METRICS[name].better

    def __call__(self, state: GANState) -> dict[str, Score]:
        """The scores of a state's generator, by the name of their metric, in the order of `eval.metrics`."""
        num, variables = self._eval.num_samples, self._devices.put(self._weights(state))
        blocks = (self._generate(variables, self._inputs(i)) for i in self.reference.positions(num))
        labels = self._labels(np.arange(num))
        return self.reference.scores(blocks, num, labels, **self.origin(state))

    def origin(self, state: GANState) -> dict[str, Any]:
        """What a protocol says of where a state's examples come from."""
        return {"weights": self._eval.weights, "step": int(state.step)}

    def images(self, state: GANState) -> tuple[np.ndarray, np.ndarray | None]:
        """The examples that the scores are of, in the range of the generator's output, and what they were made for."""
        num, variables = self._eval.num_samples, self._devices.put(self._weights(state))
        blocks = [_joined(self._generate(variables, self._inputs(i))) for i in self.reference.positions(num)]
        return np.concatenate(blocks)[:num], self._labels(np.arange(num))

    def _labels(self, positions: np.ndarray) -> np.ndarray | None:
        """Of the generated examples of these numbers, if G is conditioned on classes: in the training data's shares.

        Even ones would charge a generator that equals unbalanced data for the difference.
        """
        if not self._gan.num_classes:
            return None
        drawn = self.reference.drawn_labels
        return drawn[positions % len(drawn)]

    def _inputs(self, positions: np.ndarray) -> dict[str, Any]:
        return self._devices.split({"index": positions, "label": self._labels(positions)})

    def _weights(self, state: GANState) -> dict[str, Any]:
        """The variables of G that `eval.weights` asks for."""
        variables = state.generator.variables if self._eval.weights == "raw" else state.ema.variables
        if self._eval.weights != "recalibrated":
            return variables
        if "batch_stats" not in variables:
            raise UserError("eval.weights is 'recalibrated', but the generator has no batch norm: set it to 'ema'.")
        variables = self._devices.put(variables)
        for positions in self.reference.positions(PASSES * self.reference.block):
            variables = self._recalibrate(variables, self._inputs(positions))
        return variables


def _content(source: Source, output: str) -> str:
    """A hash of the examples in the range of the output, and of their labels; not of what they are called."""
    if isinstance(source.examples, Streamed | Stacked):  # reading them all is what the cache is to spare
        parts = (source.shape, source.examples.identity, source.labels.tobytes())
        return hashlib.sha256(repr(parts).encode()).hexdigest()
    return content_hash(source, output)


def _generate(gan: GAN, output: str, variables: dict[str, Any], at: dict[str, Any]) -> jax.Array:
    """One device's share of the examples of these numbers, images rounded to the 256 values of a byte."""
    x = sample(gan, variables, g_inputs(gan, seed_keys(SEED).sample, at["index"]), at["label"])
    if len(gan.shape) != 3:
        return x
    scale, shift = (255.0, 0.0) if output == "sigmoid" else (127.5, 1.0)
    return jnp.clip(jnp.round((x + shift) * scale), 0, 255) / scale - shift


def _recalibrate(gan: GAN, variables: dict[str, Any], at: dict[str, Any]) -> dict[str, Any]:
    """The variables with batch statistics moved by one batch of theirs."""
    z = g_inputs(gan, seed_keys(SEED).train, at["index"])
    label = () if at["label"] is None else (at["label"],)
    _, moved = gan.generator.apply(variables, z, *label, train=True, mutable=["batch_stats"])
    return {**variables, **moved}


def _joined(x: jax.Array) -> np.ndarray:
    """[devices, B, n] as [devices * B, n]."""
    return np.asarray(x).reshape(x.shape[0] * x.shape[1], *x.shape[2:])
