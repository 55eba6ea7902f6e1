"""Scores of a generator: features of real and of generated examples once, then every metric."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.config import Config
from jaxgan.data import Source, to_floats
from jaxgan.draws import seed_keys
from jaxgan.errors import UserError
from jaxgan.gan import GAN
from jaxgan.judge import Report, extractor, real_examples, show
from jaxgan.metrics import METRICS, Extracted, Protocol, Score, measure, weights
from jaxgan.metrics.labelled import content_hash
from jaxgan.metrics.scores import tag
from jaxgan.parallel import Devices
from jaxgan.passes import g_inputs
from jaxgan.state import GANState
from jaxgan.steps import sample

BLOCK = 256  # examples per call, over all devices, unless the features want fewer
SEED = 0  # of the latents that scores are of, and of what metrics draw
PASSES = 64  # of a block each, by which batch statistics are computed anew; batch norm then keeps 0.1 % of the old
EVERY = 10  # seconds between two lines of progress


class Scorer:
    """Scores the generators of one run. The same state gives the same numbers, bit for bit.

    Generated images are rounded to 8 bits, as those of any folder are. Making one extracts the features of the real
    examples, which are cached by data set, split, size, features and their hash.

    Args:
      config: of the run; what is scored, and how, is its section `eval`.
      gan: its static part, mapped over `AXIS`.
      devices: which compute it.
      source: examples that the caller trains on in place of `config.data`.
      report: is given lines of progress.
      resamples: for the intervals of the scores; 0 spares them.

    Raises:
      UserError: as `judge.extractor` and `judge.real_examples`.
    """

    def __init__(
        self,
        config: Config,
        gan: GAN,
        devices: Devices,
        source: Source | None = None,
        report: Report = show,
        resamples: int = 0,
    ):
        self._resamples = resamples
        self._config, self._gan, self._devices, self._report = config, gan, devices, report
        self.features = extractor(config, source, report)
        self._variables = devices.put(self.features.variables)
        n = len(devices.devices)
        self._block = max(1, min(BLOCK // n, self.features.block)) * n
        self._extract = devices.map_examples(self.features.apply)
        self._generate = devices.map_examples(partial(_generate, gan, config.model.output))
        self._recalibrate = devices.map_examples(partial(_recalibrate, gan), joined=True)
        self.source, self.split = real_examples(config, source)
        self._present = np.unique(self.source.labels).astype(np.int32)
        self.real = self._real()

    @property
    def rank(self) -> tuple[str, str]:
        """The tag of the score by which the best checkpoint is kept, and which direction is better."""
        e = self._config.eval
        return tag(e.best_metric, e.num_samples, self.features.name), METRICS[e.best_metric].better

    def __call__(self, state: GANState) -> dict[str, Score]:
        """The scores of a state's generator, by the name of their metric, in the order of `eval.metrics`."""
        e = self._config.eval
        fake = self._extracted(self.generated(state, e.num_samples), e.num_samples, "generated examples")
        if self._gan.num_classes:
            fake = dataclasses.replace(fake, labels=self._labels(np.arange(e.num_samples)))
        return self._scores(fake, e.weights, step=int(state.step))

    def of_images(self, images: np.ndarray, name: str) -> dict[str, Score]:
        """The scores of images u8[N, H, W, C] that come from elsewhere, `name` says from where.

        Raises:
          UserError: images of another shape than the data's.
        """
        if images.shape[1:] != self.source.shape:
            raise UserError(
                f"{name} has images of shape {images.shape[1:]}, but {self.source.name} has {self.source.shape}."
            )
        read = (images[i] for i in self._positions(len(images)))
        blocks = (self._devices.split(to_floats(x, self._config.model.output)) for x in read)
        return self._scores(self._extracted(blocks, len(images), name), "folder", checkpoint=name)

    def generated(self, state: GANState, num: int) -> Iterator[jax.Array]:
        """Blocks [devices, B, ...] of at least `num` examples altogether, the same at every call."""
        variables = self._devices.put(self._weights(state))
        for positions in self._positions(num, whole=True):
            label = self._labels(positions)
            yield self._generate(variables, self._devices.split({"index": positions, "label": label}))

    def _positions(self, num: int, whole: bool = False) -> Iterator[np.ndarray]:
        """The numbers 0..num-1, a block at a time; the last one goes on to a whole block, or else repeats its last."""
        for start in range(0, num, self._block):
            positions = np.arange(start, start + self._block)
            yield positions if whole else np.minimum(positions, num - 1)

    def _labels(self, positions: np.ndarray) -> np.ndarray | None:
        """Of the generated examples of these numbers, if G is conditioned on classes: one after the other."""
        return self._present[positions % len(self._present)] if self._gan.num_classes else None

    def _weights(self, state: GANState) -> dict[str, Any]:
        wanted = self._config.eval.weights
        variables = state.generator.variables if wanted == "raw" else state.ema.variables
        if wanted != "recalibrated":
            return variables
        if "batch_stats" not in variables:
            raise UserError("eval.weights is 'recalibrated', but the generator has no batch norm: set it to 'ema'.")
        variables = self._devices.put(variables)
        for i in range(PASSES):
            positions = np.arange(i * self._block, (i + 1) * self._block)
            label = self._labels(positions)
            variables = self._recalibrate(variables, self._devices.split({"index": positions, "label": label}))
        return variables

    def _real(self) -> Extracted:
        """Features of the real examples, from the cache where they are known."""
        output = self._config.model.output
        in_memory = isinstance(self.source.examples, np.ndarray)
        what = (
            content_hash(self.source, output) if in_memory else hashlib.sha256(self.source.labels.tobytes()).hexdigest()
        )
        parts = (self.source.name, self.split, self.source.shape, len(self.source), what, output)
        key = hashlib.sha256(repr((*parts, self.features.name, self.features.hash)).encode()).hexdigest()[:16]
        path = weights.cache_path(f"real_{self.features.name}-{key}.npz")
        if cached := weights.recall(path, key):
            return Extracted(cached[0]["real"]["features"], labels=self.source.labels)
        read = (self.source.read(i) for i in self._positions(len(self.source)))
        blocks = (self._devices.split(to_floats(x, output)) for x in read)
        real = self._extracted(blocks, len(self.source), self.source.name)
        weights.remember(path, {"real": {"features": real.features}}, key, data=self.source.name)
        return Extracted(real.features, labels=self.source.labels)

    def _extracted(self, blocks: Iterator[Any], num: int, what: str) -> Extracted:
        """Features and logits of the first `num` examples."""
        found: list[tuple[np.ndarray, np.ndarray]] = []
        started = shown = time.monotonic()
        for block in blocks:
            features, logits = self._extract(self._variables, block)
            found.append((_joined(features), _joined(logits)))
            if time.monotonic() - shown > EVERY:
                shown, done = time.monotonic(), self._block * len(found)
                left = (shown - started) * max(num - done, 0) / done
                self._report(f"features of {what}: {done}/{num} examples, {left:.0f} s left")
        features, logits = (np.concatenate(x)[:num] for x in zip(*found, strict=True))
        if not (np.isfinite(features).all() and np.isfinite(logits).all()):
            raise UserError(f"the features of {what} are not all finite, so that nothing can be said of them.")
        return Extracted(features, logits if logits.shape[1] else None)

    def _scores(self, fake: Extracted, generator: str, **origin: Any) -> dict[str, Score]:
        e = self._config.eval
        protocol = Protocol(
            features=self.features.name,
            features_hash=self.features.hash,
            data=self.source.name,
            split=self.split,
            n_real=len(self.source),
            n_fake=len(fake),
            resize=e.resize if e.features == "inception" else "none",
            weights=generator,
            seed=SEED,
            **origin,
        )
        return {name: measure(name, self.real, fake, protocol, self._resamples) for name in e.metrics}


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
