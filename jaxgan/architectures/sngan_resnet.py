"""Defines SN-GAN's residual networks.

Miyato et al. 2018, https://arxiv.org/abs/1802.05957, appendix B.4.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

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
from jaxgan.nn.blocks import INIT, Block
from jaxgan.nn.layers import Conv, Dense
from jaxgan.nn.norm import BatchNorm


class Layout(NamedTuple):
    """Holds the widths of both networks as multiples of `base_features`, in the order of computation.

    Attributes:
      generator: width of the dense layer, then of each block. Every block doubles the size.
      discriminator: width of each block. Between its two convolutions, every block but the first is as wide as its
        input.
      halvings: number of the discriminator's blocks, counted from the first, that halve the size.
    """

    generator: tuple[int, ...]
    discriminator: tuple[int, ...]
    halvings: int

    @property
    def halved(self) -> int:
        """How often the images are halved by either network."""
        return max(len(self.generator) - 1, self.halvings)


# Image size -> layout. The article has 32 (table 4, `base_features` 128), 48 (table 5, 64) and 128 (table 6, 64). 64 is
# the layout of the authors' program, https://github.com/pfnet-research/sngan_projection. 28 is that of 32 with maps
# that start at 7x7.
LAYOUTS = {
    28: Layout((2, 2, 2), (1, 1, 1, 1), 2),
    32: Layout((2, 2, 2, 2), (1, 1, 1, 1), 2),
    48: Layout((8, 4, 2, 1), (1, 2, 4, 8, 16), 4),
    64: Layout((16, 8, 4, 2, 1), (1, 2, 4, 8, 16), 5),
    128: Layout((16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
}


check = partial(check_residual, "sngan_resnet", {size: layout.halved for size, layout in LAYOUTS.items()})


class Generator(nn.Module):
    """Makes images [B, H, W, C] from z [B, z_dim]: a dense layer, blocks that double the size, a 3x3 convolution.

    Attributes: see `Architecture`.
    """

    shape: tuple[int, int, int]
    base_features: int = 128
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
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
        first, *widths = (self.base_features * m for m in LAYOUTS[min(self.shape[:2])].generator)
        rows, columns = (side >> len(widths) for side in self.shape[:2])
        common: dict[str, Any] = {"spectral_norm": self.spectral_norm, "dtype": self.dtype}
        z, y = condition(self, z, label, train=train)
        x = Dense(rows * columns * first, **common, kernel_init=INIT)(z, train=train)
        x = x.reshape(-1, rows, columns, first)
        for features in widths:
            x = Block(features, "up", batch_norm=self.batch_norm, axis_name=self.axis_name, **common)(x, y, train=train)
        x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        x = Conv(self.shape[-1], 3, **common, kernel_init=INIT)(x, train=train)
        return OUTPUT_ACTIVATIONS[self.output](widen(x))


class Discriminator(nn.Module):
    """Judges images [B, H, W, C] by blocks, ReLU, the sum over all pixels and one dense layer; returns `DOutput`.

    With `batch_norm`, batch norm precedes every ReLU but the one in the first block. Attributes: see `Architecture`.
    """

    base_features: int = 128
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
        layout = LAYOUTS[min(x.shape[1:3])]
        x = see_label(self, x, label, train=train)
        for i, multiplier in enumerate(layout.discriminator):
            x = Block(
                self.base_features * multiplier,
                "down" if i < layout.halvings else None,
                i == 0,
                self.batch_norm,
                self.spectral_norm,
                self.axis_name,
                self.dtype,
                hidden=x.shape[-1] if i else None,
            )(x, train=train)
        x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        features = widen(see_batch(self, x, train=train)).sum((1, 2))
        return read_out(self, features, label, train=train, kernel_init=INIT)
