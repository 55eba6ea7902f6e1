"""Residual networks with spectral norm. Miyato et al. 2018, https://arxiv.org/abs/1802.05957, appendix B.4, table 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.architectures.base import OUTPUT_ACTIVATIONS, DOutput, widen
from jaxgan.errors import UserError
from jaxgan.nn.layers import Conv, Dense
from jaxgan.nn.norm import BatchNorm

SMALLEST = 4  # height and width of the generator's first feature map


class Layout(NamedTuple):
    """The widths of both networks as multiples of `base_features`, in the order of computation.

    `generator` begins with the width of the dense layer; every block after it doubles the image. Of the
    blocks of `discriminator` the first `halvings` halve it.
    """

    generator: tuple[int, ...]
    discriminator: tuple[int, ...]
    halvings: int


# Image size -> layout. 32: the paper's CIFAR-10 networks are base_features 128.
LAYOUTS = {32: Layout((2, 2, 2, 2), (1, 1, 1, 1), 2)}

# Uniform with the variance 2 gain^2 / (fan in + fan out). The paper gives no initialization; its authors' program
# (https://github.com/pfnet-research/sngan_projection) has a gain of sqrt(2) in the residual branches, 1 elsewhere.
RESIDUAL_INIT = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")
INIT = nn.initializers.glorot_uniform()


def check(
    shape: Sequence[int],
    channel_multipliers: Sequence[int],
    g_kernel_sizes: Sequence[int],
    d_kernel_sizes: Sequence[int],
) -> None:
    """Refuses what the layouts do not provide for.

    Raises:
      UserError: not square images of a size in `LAYOUTS`, any list of widths, or kernels other than 3x3 (the
        configuration's default, which is meant for another architecture, stands for 3x3 too).
    """
    if len(shape) != 3 or shape[0] != shape[1] or shape[0] not in LAYOUTS:
        what = "x".join(map(str, shape))
        raise UserError(
            f"model.architecture 'sngan_resnet' cannot make examples of shape {what}: data.image_size must be one of "
            f"{', '.join(map(str, LAYOUTS))}."
        )
    if channel_multipliers:
        raise UserError(
            f"model.channel_multipliers is {tuple(channel_multipliers)}, but the two networks of sngan_resnet have no "
            "common list of widths: leave it empty and set model.base_features."
        )
    for name, sizes in (("g_kernel_sizes", g_kernel_sizes), ("d_kernel_sizes", d_kernel_sizes)):
        if tuple(sizes) not in ((3,), (4,)):
            raise UserError(f"model.{name} is {tuple(sizes)}, but all kernels of sngan_resnet are 3x3: leave it out.")


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: x [B, H, W, I] -> [B, H', W', features].

    (Batch norm,) ReLU, convolution, (batch norm,) ReLU, convolution. The shortcut is a 1x1 convolution, or x
    itself where neither size nor width changes.

    Attributes:
      features: output channels, also between the convolutions.
      resample: "up", the first convolution and the shortcut see their input enlarged twice; "down", the outputs
        of the second convolution and of the shortcut are averaged over 2x2 blocks.
      sees_image: leave out everything before the first convolution, and all batch norm.
      batch_norm, axis_name, dtype: see `Architecture`.
      spectral_norm: of all three convolutions.
    """

    features: int
    resample: str | None = None
    sees_image: bool = False
    batch_norm: bool = False
    spectral_norm: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        norm = self.batch_norm and not self.sees_image

        def activate(x):
            return nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if norm else x)

        def conv(x, size, resample, init, bias=not self.batch_norm, name=None):
            layer = Conv(
                self.features,
                size,
                use_bias=bias,
                spectral_norm=self.spectral_norm,
                dtype=self.dtype,
                kernel_init=init,
                resample=resample,
                name=name,
            )
            return layer(x, train=train)

        up, down = (self.resample if self.resample == way else None for way in ("up", "down"))
        # A constant passes every shortcut as a constant, so that batch norm after any later block takes it away again.
        h = x if self.sees_image else activate(x)
        h = conv(h, 3, up, RESIDUAL_INIT, bias=not norm)
        h = conv(activate(h), 3, down, RESIDUAL_INIT)
        if self.resample or x.shape[-1] != self.features:
            x = conv(x, 1, self.resample, INIT, name="shortcut")
        return h + x


class Generator(nn.Module):
    """z [B, z_dim] -> images [B, H, W, C]: dense, then blocks that double the size, then a 3x3 convolution.

    Attributes: see `Architecture`.
    """

    shape: tuple[int, int, int]
    base_features: int = 128
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
    output: str = "tanh"
    batch_norm: bool = True
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, *, train: bool) -> jax.Array:
        first, *widths = (self.base_features * m for m in LAYOUTS[self.shape[0]].generator)
        x = Dense(SMALLEST * SMALLEST * first, dtype=self.dtype, kernel_init=INIT)(z, train=train)
        x = x.reshape(-1, SMALLEST, SMALLEST, first)
        for features in widths:
            x = Block(features, "up", False, self.batch_norm, False, self.axis_name, self.dtype)(x, train=train)
        x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        x = Conv(self.shape[-1], 3, dtype=self.dtype, kernel_init=INIT)(x, train=train)
        return OUTPUT_ACTIVATIONS[self.output](widen(x))


class Discriminator(nn.Module):
    """Images [B, H, W, C] -> `DOutput`: blocks, ReLU, the sum over all pixels, and one dense layer.

    Batch norm, where asked for, is before every ReLU but the one in the block that sees the image.
    """

    base_features: int = 128
    channel_multipliers: tuple[int, ...] = ()
    kernel_sizes: tuple[int, ...] = ()
    spectral_norm: bool = True
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> DOutput:
        layout = LAYOUTS[x.shape[1]]
        for i, multiplier in enumerate(layout.discriminator):
            x = Block(
                self.base_features * multiplier,
                "down" if i < layout.halvings else None,
                i == 0,
                self.batch_norm,
                self.spectral_norm,
                self.axis_name,
                self.dtype,
            )(x, train=train)
        x = nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train) if self.batch_norm else x)
        features = widen(x).sum((1, 2))
        logits = Dense(1, spectral_norm=self.spectral_norm, dtype=self.dtype, kernel_init=INIT)(features, train=train)
        return DOutput(widen(logits)[:, 0], features, {})
