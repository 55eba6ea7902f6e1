"""Defines feature extractors: pure functions of images with a name and a hash of their weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import suggest
from jaxgan.metrics.weights import fingerprint

BLOCK = 250  # images per call, of small networks
RANDOM_FEATURES, RANDOM_CLASSES = 64, 10
OUTPUTS = ("tanh", "sigmoid", "linear")

Array = jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """Turns images into features and class logits by a network.

    `apply(variables, images)` turns f32[B, H, W, C], in the range of the generator's output, into features f32[B, F]
    and logits f32[B, K]. It is pure and treats each image by itself, so that it runs under `jit` and inside of a map.

    Attributes:
      name: of the network and what it was trained on, such as "cnn_embedded_mnist".
      shape: (H, W, C) of the images.
      variables: its weights and statistics.
      accuracy: share of held-out real images that the logits classify rightly; None if it was not trained to classify.
      block: number of images at a time that memory allows.
      recipe: changes between versions in what is done to images before the network; part of the hash.
    """

    name: str
    shape: tuple[int, int, int]
    variables: dict[str, Any] = dataclasses.field(repr=False)
    apply: Callable[[dict[str, Any], Array], tuple[Array, Array]] = dataclasses.field(repr=False)
    accuracy: float | None = None
    block: int = BLOCK
    recipe: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        """Returns 16 hex digits that stand for the weights and the recipe."""
        return fingerprint(self.variables, *self.recipe)

    @cached_property
    def _compiled(self) -> Callable:
        return jax.jit(self.apply)

    def __call__(self, images: np.ndarray, block: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Computes features f32[N, F] and logits f32[N, K] of images f[N, H, W, C], `block` images at a time.

        Raises:
          ValueError: no images, or images of another shape, of integers, or with values that are not finite.
        """
        if not len(images) or images.shape[1:] != self.shape:
            raise ValueError(f"images are {images.shape}, but {self.name} takes [N, *{self.shape}] with N > 0.")
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images are {images.dtype}: they must be floats in the range of the generator's output.")
        if not np.isfinite(images).all():
            raise ValueError("images hold values that are not finite.")
        block = block or self.block
        variables, parts = jax.device_put(self.variables), []
        for start in range(0, len(images), block):
            part = np.asarray(images[start : start + block], np.float32)
            missing = block - len(part)  # the last block is filled up, so that one program serves any number
            filled = np.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0)))
            parts.append([np.asarray(y)[: len(part)] for y in self._compiled(variables, filled)])
        features, logits = zip(*parts, strict=True)
        return np.concatenate(features), np.concatenate(logits)


def to_signed(images: Array, output: str) -> Array:
    """Brings images into the range that extractors take: those of a sigmoid from [0, 1] to [-1, 1]."""
    return 2 * images - 1 if output == "sigmoid" else images


def to_levels(images: Array, output: str) -> Array:
    """Rounds images in the range of `output` to the 256 levels of a byte, f32 from 0 to 255, as a file would hold them.

    Halves are rounded up, as in `jaxgan.sampling.grid.to_uint8`; NumPy and JAX would round them to even numbers.

    >>> to_levels(jnp.array([0.0, 0.5, 0.6, 1.2]), "sigmoid").tolist()
    [0.0, 128.0, 153.0, 255.0]
    """
    scaled = jnp.clip(255 * images if output == "sigmoid" else 127.5 * (images + 1), 0, 255)
    low = jnp.floor(scaled)
    return low + (scaled - low >= 0.5)


def check_output(output: str) -> None:
    """Refuses an unknown output.

    Raises:
      UserError: naming those allowed.
    """
    if output not in OUTPUTS:
        raise suggest("The output", output, OUTPUTS)


class RandomNetwork(nn.Module):
    """Computes features by two strided convolutions and a dense layer that are never trained, for tests."""

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """[B, H, W, C] to features [B, 64] and logits [B, 10]."""
        for width in (16, 32):
            x = nn.relu(nn.Conv(width, (3, 3), strides=(2, 2), kernel_init=nn.initializers.he_normal())(x))
        features = nn.relu(nn.Dense(RANDOM_FEATURES)(x.reshape(len(x), -1)))
        return features, nn.Dense(RANDOM_CLASSES)(features)


def random_network(shape: tuple[int, int, int], seed: int = 0, output: str = "tanh") -> Features:
    """Makes a fixed random network for images of `shape` in the range of `output`; its logits mean nothing.

    Raises:
      UserError: for an unknown output.

    >>> features, logits = random_network((8, 8, 1))(np.zeros((3, 8, 8, 1)))
    >>> features.shape, logits.shape
    ((3, 64), (3, 10))
    """
    check_output(output)
    variables = jax.jit(RandomNetwork().init)(jax.random.key(seed), jnp.zeros((1, *shape)))
    return Features(f"random_network_{seed}", shape, jax.device_get(variables), partial(_random_apply, output))


def _random_apply(output: str, variables: dict[str, Any], images: Array) -> tuple[Array, Array]:
    outputs: Any = RandomNetwork().apply(variables, to_signed(images, output))
    return outputs
