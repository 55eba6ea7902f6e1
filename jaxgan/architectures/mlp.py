"""Dense networks, for points in the plane and for tiny images such as 8x8 digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.architectures.base import OUTPUT_ACTIVATIONS, DOutput, widen
from jaxgan.nn.layers import Dense
from jaxgan.nn.norm import BatchNorm

HE_NORMAL = nn.initializers.he_normal()


def check(
    shape: Sequence[int],
    channel_multipliers: Sequence[int],
    g_kernel_sizes: Sequence[int],
    d_kernel_sizes: Sequence[int],
) -> None:
    """Nothing to refuse: any shape, any number of layers; kernel sizes have no meaning here."""
    del shape, channel_multipliers, g_kernel_sizes, d_kernel_sizes


class Generator(nn.Module):
    """z [B, z_dim] -> examples [B, *shape] through layers of base_features x multiplier units (default three of 1).

    ReLU, and batch norm where asked for, after all but the last. Attributes: see `Architecture`.
    """

    shape: tuple[int, ...]
    base_features: int = 128
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
    output: str = "tanh"
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, *, train: bool) -> jax.Array:
        x = z
        for multiplier in self.channel_multipliers or (1, 1, 1):
            features = self.base_features * multiplier
            bias = not self.batch_norm
            x = Dense(features, use_bias=bias, dtype=self.dtype, kernel_init=HE_NORMAL)(x, train=train)
            x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        x = Dense(math.prod(self.shape), dtype=self.dtype, kernel_init=HE_NORMAL)(x, train=train)
        return OUTPUT_ACTIVATIONS[self.output](widen(x)).reshape(-1, *self.shape)


class Discriminator(nn.Module):
    """Examples [B, ...] -> `DOutput`, the generator's mirror image; LeakyReLU of slope 0.2.

    Batch norm, where asked for, is on all but the layer that sees the example.
    """

    base_features: int = 128
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
    spectral_norm: bool = False
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> DOutput:
        def dense(features, bias=True):
            return Dense(features, bias, self.spectral_norm, self.dtype, HE_NORMAL)

        x = x.reshape(x.shape[0], -1)
        for i, multiplier in enumerate(self.channel_multipliers or (1, 1, 1)):
            norm = self.batch_norm and i > 0
            x = dense(self.base_features * multiplier, not norm)(x, train=train)
            if norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train=train)
            x = nn.leaky_relu(x, 0.2)
        return DOutput(widen(dense(1)(x, train=train))[:, 0], widen(x), {})
