"""Defines dense networks, for points in the plane and for tiny images such as 8x8 digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.architectures.base import OUTPUT_ACTIVATIONS, DOutput, condition, read_out, see_batch, see_label, widen
from jaxgan.nn.layers import Dense
from jaxgan.nn.norm import BatchNorm, batch_norm

HE_NORMAL = nn.initializers.he_normal()


def check(
    shape: Sequence[int],
    channel_multipliers: Sequence[int],
    g_kernel_sizes: Sequence[int],
    d_kernel_sizes: Sequence[int],
) -> None:
    """Refuses nothing: any shape and any number of layers will do, and kernel sizes are ignored."""
    del shape, channel_multipliers, g_kernel_sizes, d_kernel_sizes


class Generator(nn.Module):
    """Makes examples [B, *shape] from z [B, z_dim] by dense layers.

    There is one hidden layer of base_features * m units for each m in `channel_multipliers`, by default (1, 1, 1).
    Batch norm, if switched on, and ReLU follow every layer but the last. Attributes: see `Architecture`.
    """

    shape: tuple[int, ...]
    base_features: int = 128
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
    output: str = "tanh"
    spectral_norm: bool = False
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32
    num_classes: int = 0
    conditioning: str = "none"
    embedding_dim: int = 128
    codes: int = 0

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> jax.Array:
        x, y = condition(self, z, label, train=train)
        for multiplier in self.channel_multipliers or (1, 1, 1):
            features = self.base_features * multiplier
            bias = not self.batch_norm
            x = Dense(features, bias, self.spectral_norm, self.dtype, HE_NORMAL)(x, train=train)
            x = nn.relu(batch_norm(x, y, self.axis_name, self.dtype, train=train) if self.batch_norm else x)
        x = Dense(math.prod(self.shape), True, self.spectral_norm, self.dtype, HE_NORMAL)(x, train=train)
        return OUTPUT_ACTIVATIONS[self.output](widen(x)).reshape(-1, *self.shape)


class Discriminator(nn.Module):
    """Judges examples [B, ...] by layers like the generator's with leaky ReLU of slope 0.2; returns `DOutput`.

    With `batch_norm`, batch norm follows every hidden layer but the first. Attributes: see `Architecture`.
    """

    base_features: int = 128
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
    spectral_norm: bool = False
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32
    num_classes: int = 0
    conditioning: str = "none"
    embedding_dim: int = 128
    minibatch_stddev: int = 0
    heads: tuple[tuple[str, int], ...] = ()

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None, *, train: bool) -> DOutput:
        x = see_label(self, x.reshape(len(x), -1), label, train=train)
        for i, multiplier in enumerate(self.channel_multipliers or (1, 1, 1)):
            norm = self.batch_norm and i > 0
            features = self.base_features * multiplier
            x = Dense(features, not norm, self.spectral_norm, self.dtype, HE_NORMAL)(x, train=train)
            if norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train=train)
            x = nn.leaky_relu(x, 0.2)
        return read_out(self, see_batch(self, x, train=train), label, train=train, kernel_init=HE_NORMAL)
