"""Defines BigGAN. Brock et al. 2019, https://arxiv.org/abs/1809.11096, appendix B."""

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
from jaxgan.architectures.sngan_resnet import Layout
from jaxgan.errors import UserError
from jaxgan.nn.attention import SelfAttention
from jaxgan.nn.blocks import Block
from jaxgan.nn.layers import Conv, Dense
from jaxgan.nn.norm import BatchNorm

# Image size -> layout. 128 is the article's table 4, with base_features 96. The others are those of its first author's
# program, https://github.com/ajbrock/BigGAN-PyTorch: 32 with base_features 64, 64 with 64 or 96.
LAYOUTS = {
    32: Layout((4, 4, 4, 4), (4, 4, 4, 4), 2),
    64: Layout((16, 16, 8, 4, 2), (1, 2, 4, 8, 16), 4),
    128: Layout((16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
}
# Image size -> size of the maps with attention, half the image. At 32 pixels there is none.
ATTENDED = {64: 32, 128: 64}
INIT = nn.initializers.orthogonal()

check = partial(check_residual, "biggan", {size: layout.halved for size, layout in LAYOUTS.items()})


class Generator(nn.Module):
    """Makes images [B, H, W, C] from z [B, z_dim + codes]: a dense layer, then blocks that double the size.

    Each layer gets a part of z. The noise is split into parts of nearly equal length, one for the dense layer and one
    for each block, whose batch norms have gains and biases linear in their part. InfoGAN's codes concern the whole
    image, so every part ends with all of them. With the conditioning `batch_norm`, gains and biases are linear in
    [embedding of the label, part]; the embedding has `embedding_dim` numbers and is common to all layers. Without batch
    norm, all of z goes into the dense layer.

    The article's has z_dim 120 (at 128 pixels), embedding_dim 128 and spectral norm in all layers but the embedding.
    Attributes: see `Architecture`.

    Raises:
      UserError: the noise has fewer numbers than parts.
    """

    shape: tuple[int, int, int]
    base_features: int = 96
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
        common: dict[str, Any] = {"spectral_norm": self.spectral_norm, "dtype": self.dtype, "kernel_init": INIT}
        z, *parts = self._parts(z, len(widths))
        z, y = condition(self, z, label, train=train)
        if y is not None:  # without spectral norm, as in the article, so that classes may differ freely
            y = Dense(self.embedding_dim, False, dtype=self.dtype, kernel_init=INIT, name="embedding")(y, train=train)
            parts = [jnp.concatenate([y, part.astype(y.dtype)], -1) for part in parts]
        x = Dense(rows * columns * first, **common)(z, train=train)
        x = x.reshape(-1, rows, columns, first)
        for features, part in zip(widths, parts, strict=True):
            early = 2 * min(x.shape[1:3]) <= ATTENDED.get(min(self.shape[:2]), 0)
            block = Block(
                features, "up", batch_norm=self.batch_norm, axis_name=self.axis_name, feeds_attention=early, **common
            )
            x = block(x, part, train=train)
            if min(x.shape[1:3]) == ATTENDED.get(min(self.shape[:2])):
                x = SelfAttention(**common)(x, train=train)
        x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        x = Conv(self.shape[-1], 3, **common)(x, train=train)
        return OUTPUT_ACTIVATIONS[self.output](widen(x))

    def _parts(self, z: jax.Array, blocks: int) -> list[jax.Array]:
        if not self.batch_norm:
            return [z] * (1 + blocks)
        noise, codes = jnp.split(z, [z.shape[1] - self.codes], axis=1)
        if noise.shape[1] <= blocks:
            raise UserError(
                f"model.z_dim is {noise.shape[1]}, but biggan splits z into {1 + blocks} parts: set it to at least "
                f"{1 + blocks}."
            )
        return [jnp.concatenate([part, codes], 1) for part in jnp.array_split(noise, 1 + blocks, axis=1)]


class Discriminator(nn.Module):
    """Judges images [B, H, W, C] as `sagan`'s discriminator does, with orthogonal initialization; returns `DOutput`.

    With classes, the article's conditioning is `projection`. Attributes: see `Architecture`.
    """

    base_features: int = 96
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
        common: dict[str, Any] = {"spectral_norm": self.spectral_norm, "dtype": self.dtype, "kernel_init": INIT}
        x = see_label(self, x, label, train=train)
        for i, multiplier in enumerate(layout.discriminator):
            way = "down" if i < layout.halvings else None
            block = Block(
                self.base_features * multiplier,
                way,
                i == 0,
                self.batch_norm,
                axis_name=self.axis_name,
                feeds_attention=min(x.shape[1:3]) > ATTENDED.get(size, size),
                **common,
            )
            x = block(x, train=train)
            if min(x.shape[1:3]) == ATTENDED.get(size):
                x = SelfAttention(**common)(x, train=train)
        x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        features = widen(see_batch(self, x, train=train)).sum((1, 2))
        return read_out(self, features, label, train=train, kernel_init=INIT)
