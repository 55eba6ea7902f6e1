"""Defines DCGAN: strided convolutions in D, transposed ones in G.

Radford et al. 2016, https://arxiv.org/abs/1511.06434
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.architectures.base import (
    OUTPUT_ACTIVATIONS,
    DOutput,
    check_sides,
    condition,
    read_out,
    see_batch,
    see_label,
    widen,
)
from jaxgan.errors import UserError
from jaxgan.nn.layers import Conv, ConvTranspose, Dense
from jaxgan.nn.norm import BatchNorm, batch_norm

# Smaller side of the images -> that of the smallest feature map. Each layer of G doubles it, each layer of D halves it.
SMALLEST = {28: 7, 32: 4, 64: 4, 128: 4}


def num_layers(image_size: int) -> int:
    """Returns the number of convolutions in each network: 2, 3, 4 and 5 for 28, 32, 64 and 128 pixels."""
    return (image_size // SMALLEST[image_size]).bit_length() - 1


def multipliers(image_size: int, given: Sequence[int]) -> tuple[int, ...]:
    """Returns the widths as multiples of `base_features`, from the largest feature map to the smallest.

    By default they are 1, 2, 4, ... but at most 8.

    >>> multipliers(64, ())
    (1, 2, 4, 8)
    """
    return tuple(given) or tuple(min(2**i, 8) for i in range(num_layers(image_size)))


def per_layer(kernel_sizes: Sequence[int], layers: int) -> tuple[int, ...]:
    """Returns one kernel size for each layer, given one for all or one for each."""
    return tuple(kernel_sizes) * layers if len(kernel_sizes) == 1 else tuple(kernel_sizes)


def check(
    shape: Sequence[int],
    channel_multipliers: Sequence[int],
    g_kernel_sizes: Sequence[int],
    d_kernel_sizes: Sequence[int],
) -> None:
    """Refuses examples and settings that DCGAN does not support.

    Raises:
      UserError: `check_sides` refuses the shape, or a list does not have one entry for each layer.
    """
    check_sides("dcgan", {size: num_layers(size) for size in SMALLEST}, shape)
    size = min(shape[:2])
    layers = num_layers(size)
    if len(channel_multipliers) not in (0, layers):
        raise UserError(
            f"model.channel_multipliers has {len(channel_multipliers)} entries, but dcgan at {size} pixels has "
            f"{layers} layers: give {layers}, or none for the default {multipliers(size, ())}."
        )
    for name, sizes in (("g_kernel_sizes", g_kernel_sizes), ("d_kernel_sizes", d_kernel_sizes)):
        if len(sizes) not in (1, layers):
            raise UserError(
                f"model.{name} has {len(sizes)} entries, but dcgan at {size} pixels has {layers} layers: "
                f"give one for all or {layers}."
            )


class Generator(nn.Module):
    """Makes images [B, H, W, C] from z [B, z_dim] by a dense layer and transposed convolutions that double the size.

    Batch norm and ReLU follow every layer but the last. Attributes: see `Architecture`.
    """

    shape: tuple[int, int, int]
    base_features: int = 64
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = (4,)
    output: str = "tanh"
    spectral_norm: bool = False
    batch_norm: bool = True
    axis_name: str | None = None
    dtype: Any = jnp.float32
    num_classes: int = 0
    conditioning: str = "none"
    embedding_dim: int = 128
    codes: int = 0

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> jax.Array:
        height, width, channels = self.shape
        widths = [self.base_features * m for m in multipliers(min(height, width), self.channel_multipliers)]
        rows, columns = height >> len(widths), width >> len(widths)
        # Batch norm subtracts a bias again, so its gradient is rounding noise, which Adam would turn into full steps.
        bias = not self.batch_norm

        def activate(x):
            return nn.relu(batch_norm(x, y, self.axis_name, self.dtype, train=train) if self.batch_norm else x)

        common: dict[str, Any] = {"spectral_norm": self.spectral_norm, "dtype": self.dtype}
        z, y = condition(self, z, label, train=train)
        x = Dense(rows * columns * widths[-1], use_bias=bias, **common)(z, train=train)
        x = activate(x.reshape(-1, rows, columns, widths[-1]))
        *hidden, last = per_layer(self.kernel_sizes, len(widths))
        for features, kernel_size in zip(reversed(widths[:-1]), hidden, strict=True):
            x = activate(ConvTranspose(features, kernel_size, 2, use_bias=bias, **common)(x, train=train))
        x = ConvTranspose(channels, last, 2, **common)(x, train=train)
        return OUTPUT_ACTIVATIONS[self.output](widen(x))


class Discriminator(nn.Module):
    """Judges images [B, H, W, C] by convolutions that halve the size and one dense layer; returns `DOutput`.

    Leaky ReLU of slope 0.2 follows every convolution. With `batch_norm`, batch norm follows every convolution but the
    first. Attributes: see `Architecture`.
    """

    base_features: int = 64
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = (4,)
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
        widths = [self.base_features * m for m in multipliers(min(x.shape[1:3]), self.channel_multipliers)]
        kernel_sizes = per_layer(self.kernel_sizes, len(widths))
        x = see_label(self, x, label, train=train)
        for i, (features, kernel_size) in enumerate(zip(widths, kernel_sizes, strict=True)):
            norm = self.batch_norm and i > 0
            x = Conv(features, kernel_size, 2, use_bias=not norm, spectral_norm=self.spectral_norm, dtype=self.dtype)(
                x, train=train
            )
            if norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train=train)
            x = nn.leaky_relu(x, 0.2)
        x = see_batch(self, x, train=train)
        return read_out(self, x.reshape(len(x), -1), label, train=train)
