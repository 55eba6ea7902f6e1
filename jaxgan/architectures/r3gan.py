"""Defines R3GAN. Huang et al. 2024, https://arxiv.org/abs/2501.05441, section 3, configuration E."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.architectures.base import (
    OUTPUT_ACTIVATIONS,
    DOutput,
    check_residual,
    condition,
    read_out,
    see_batch,
    see_label,
    widen,
)
from jaxgan.errors import UserError
from jaxgan.nn.layers import Conv, Dense
from jaxgan.nn.resample import downsample, upsample

# Image size -> default multipliers of `base_features`, from the largest map to 4x4. The article's `base_features` are
# 768 for CIFAR-10, 384 for FFHQ-64 and 96 for FFHQ-256.
MULTIPLIERS = {32: (1, 1, 1, 1), 64: (1, 2, 2, 2, 2), 256: (1, 2, 4, 8, 8, 8, 8)}
BLOCKS = 2  # number of blocks at each size
EXPANSION = 2  # width of the grouped convolution divided by that of the block
GROUP = 16  # number of channels in a group of the grouped convolution
SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the variance across leaky ReLU (He et al. 2015)
LACKS = ("g_spectral_norm", "d_spectral_norm", "g_batch_norm", "d_batch_norm")
INIT = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


def check(
    shape: Sequence[int],
    channel_multipliers: Sequence[int],
    g_kernel_sizes: Sequence[int],
    d_kernel_sizes: Sequence[int],
) -> None:
    """Refuses what `check_residual` refuses, except that a list with one width for each size of the maps is allowed."""
    halved = {size: len(multipliers) - 1 for size, multipliers in MULTIPLIERS.items()}
    check_residual("r3gan", halved, shape, (), g_kernel_sizes, d_kernel_sizes)
    size = min(shape[:2])
    expected = len(MULTIPLIERS[size])
    if len(channel_multipliers) not in (0, expected):
        raise UserError(
            f"model.channel_multipliers has {len(channel_multipliers)} entries, but r3gan at {size} pixels has "
            f"maps of {expected} sizes: give {expected}, or none for the default {MULTIPLIERS[size]}."
        )


def widths(net: Generator | Discriminator, image_size: int) -> list[int]:
    """Returns the widths of the maps, from the largest to 4x4."""
    return [net.base_features * m for m in net.channel_multipliers or MULTIPLIERS[image_size]]


class Block(nn.Module):
    """Returns x + f(x), where f is a 1x1 convolution to twice the width, a grouped 3x3 and a 1x1 back to the width.

    Leaky ReLU follows the first two. There is no normalization: the last convolution starts at zero, and the first two
    start scaled by depth^(-1/4), so that the variance does not grow with depth (Zhang et al. 2019,
    https://arxiv.org/abs/1901.09321).

    Attributes:
      depth: number of blocks in the network.
      dtype: see `Conv`.
    """

    depth: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        features = x.shape[-1]
        wide = EXPANSION * features
        conv = partial(Conv, dtype=self.dtype)
        scaled = nn.initializers.variance_scaling(GAIN**2 / math.sqrt(self.depth), "fan_in", "normal")
        groups = wide // math.gcd(GROUP, wide)
        h = nn.leaky_relu(conv(wide, 1, kernel_init=scaled)(x, train=train), SLOPE)
        h = nn.leaky_relu(conv(wide, 3, kernel_init=scaled, groups=groups)(h, train=train), SLOPE)
        return x + conv(features, 1, use_bias=False, kernel_init=nn.initializers.zeros)(h, train=train)


def blocks(x: jax.Array, sizes: int, dtype: Any, train: bool) -> jax.Array:
    """Applies the blocks of one size of the maps, in a network with `sizes` such sizes; call it in a compact method."""
    for _ in range(BLOCKS):
        x = Block(BLOCKS * sizes, dtype)(x, train=train)
    return x


class Generator(nn.Module):
    """Makes images [B, H, W, C] from z [B, z_dim] by blocks and upsampling.

    It starts from 4x4 maps, which are learned and multiplied by numbers linear in z. The article's has z_dim 64 and
    conditioning `concat` with embedding_dim 64, whose embedding starts with the variance 1 / number of classes. Its
    output is linear, where images here need tanh or sigmoid.
    Attributes: see `Architecture`; those of norms are False.
    """

    shape: tuple[int, int, int]
    base_features: int = 384
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
        *larger, smallest = widths(self, min(self.shape[:2]))
        conv = partial(Conv, kernel_size=1, use_bias=False, dtype=self.dtype, kernel_init=INIT)
        z, _ = condition(self, z, label, train=train, embedding_init=INIT)
        scale = Dense(smallest, use_bias=False, dtype=self.dtype, kernel_init=INIT)(z, train=train)
        rows, columns = (side >> len(larger) for side in self.shape[:2])
        basis = self.param("basis", nn.initializers.normal(1.0), (rows, columns, smallest), jnp.float32)
        x = basis[None].astype(scale.dtype) * scale[:, None, None]
        x = blocks(x, 1 + len(larger), self.dtype, train)
        for features in reversed(larger):
            if features != x.shape[-1]:
                x = conv(features)(x, train=train)
            x = blocks(upsample(x), 1 + len(larger), self.dtype, train)
        x = conv(self.shape[-1])(x, train=train)
        return OUTPUT_ACTIVATIONS[self.output](widen(x))


class Discriminator(nn.Module):
    """Judges images [B, H, W, C] by blocks and downsampling to 4x4 maps; returns `DOutput`.

    The features are weighted sums of the 4x4 maps, one for each channel. The article's conditioning is like
    `projection`, but without the term that all classes share and with a dense layer before the product.
    Attributes: see `Architecture`; those of norms are False.
    """

    base_features: int = 384
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
        first, *smaller = widths(self, min(x.shape[1:3]))
        conv = partial(Conv, kernel_size=1, use_bias=False, dtype=self.dtype, kernel_init=INIT)
        x = see_label(self, x, label, train=train)
        x = blocks(conv(first)(x, train=train), 1 + len(smaller), self.dtype, train)
        for features in smaller:
            x = downsample(x)
            if features != x.shape[-1]:
                x = conv(features)(x, train=train)
            x = blocks(x, 1 + len(smaller), self.dtype, train)
        x = widen(see_batch(self, x, train=train))
        basis = self.param(
            "basis", nn.initializers.normal(1 / math.sqrt(x.shape[1] * x.shape[2])), x.shape[1:], jnp.float32
        )
        summed = (x * basis[None]).sum((1, 2))
        # As in the authors' program, so that the product with the embedding does not grow with the width.
        product_init = nn.initializers.variance_scaling(1 / x.shape[-1], "fan_in", "normal")
        return read_out(self, summed, label, train=train, kernel_init=INIT, projection_init=product_init)
