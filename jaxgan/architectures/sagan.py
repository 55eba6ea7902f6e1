"""Defines SAGAN: residual networks with self-attention. Zhang et al. 2018, https://arxiv.org/abs/1805.08318"""

from __future__ import annotations

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
from jaxgan.architectures.sngan_resnet import LAYOUTS
from jaxgan.nn.attention import SelfAttention
from jaxgan.nn.blocks import INIT, Block
from jaxgan.nn.layers import Conv, Dense
from jaxgan.nn.norm import BatchNorm

SIZES = (32, 64, 128)
check = partial(check_residual, "sagan", {size: LAYOUTS[size].halved for size in SIZES})


def attended(image_size: int) -> int:
    """Returns the size of the maps with attention: 32 (the article's feat32), or half the image if that is smaller."""
    return min(32, image_size // 2)


class Generator(nn.Module):
    """Makes images [B, H, W, C] from z [B, z_dim] by `sngan_resnet`'s generator with self-attention between two blocks.

    The article's has spectral norm, base_features 64 and, with classes, conditional batch norm.
    Attributes: see `Architecture`.
    """

    shape: tuple[int, int, int]
    base_features: int = 64
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
    output: str = "tanh"
    spectral_norm: bool = True
    batch_norm: bool = True
    axis_name: str | None = None
    dtype: Any = jnp.float32
    num_classes: int = 0
    conditioning: str = "none"
    embedding_dim: int = 128
    codes: int = 0

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None, *, train: bool) -> jax.Array:
        first, *widths = (self.base_features * m for m in LAYOUTS[min(self.shape[:2])].generator)
        rows, columns = (side >> len(widths) for side in self.shape[:2])
        common: dict[str, Any] = {"spectral_norm": self.spectral_norm, "dtype": self.dtype}
        z, y = condition(self, z, label, train=train)
        x = Dense(rows * columns * first, **common, kernel_init=INIT)(z, train=train)
        x = x.reshape(-1, rows, columns, first)
        for features in widths:
            early = 2 * min(x.shape[1:3]) <= attended(min(self.shape[:2]))
            block = Block(
                features, "up", batch_norm=self.batch_norm, axis_name=self.axis_name, feeds_attention=early, **common
            )
            x = block(x, y, train=train)
            if min(x.shape[1:3]) == attended(min(self.shape[:2])):
                x = SelfAttention(**common, kernel_init=INIT)(x, train=train)
        x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        x = Conv(self.shape[-1], 3, **common, kernel_init=INIT)(x, train=train)
        return OUTPUT_ACTIVATIONS[self.output](widen(x))


class Discriminator(nn.Module):
    """Judges images [B, H, W, C] by `sngan_resnet`'s discriminator with self-attention; returns `DOutput`.

    Every block is as wide between its convolutions as at its output. With classes, the article's conditioning is
    `projection`. Attributes: see `Architecture`.
    """

    base_features: int = 64
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
    spectral_norm: bool = True
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
        size = min(x.shape[1:3])
        layout = LAYOUTS[size]
        common: dict[str, Any] = {"spectral_norm": self.spectral_norm, "dtype": self.dtype}
        x = see_label(self, x, label, train=train)
        for i, multiplier in enumerate(layout.discriminator):
            way = "down" if i < layout.halvings else None
            block = Block(
                self.base_features * multiplier,
                way,
                i == 0,
                self.batch_norm,
                axis_name=self.axis_name,
                feeds_attention=min(x.shape[1:3]) > attended(size),
                **common,
            )
            x = block(x, train=train)
            if way and min(x.shape[1:3]) == attended(size):
                x = SelfAttention(**common, kernel_init=INIT)(x, train=train)
        x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        features = widen(see_batch(self, x, train=train)).sum((1, 2))
        return read_out(self, features, label, train=train, kernel_init=INIT)
