"""Defines Linen layers on `jaxgan.nn.conv`'s functions, with optional spectral normalization."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nn.conv import conv, conv_pool, conv_transpose, upsample_conv
from jaxgan.nn.grouped_conv import grouped_conv
from jaxgan.nn.spectral_norm import SpectralNorm

# Radford et al. 2016, https://arxiv.org/abs/1511.06434.
DCGAN_INIT = nn.initializers.normal(0.02)


def _operands(
    layer: Conv | ConvTranspose | Dense, x: jax.Array, shape: tuple[int, ...], out_axis: int, train: bool
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Returns input, kernel (spectrally normalized if the layer says so) and bias (or None), cast to one type.

    That type is `layer.dtype` if it is narrower than float32, otherwise the wider of the input's and the kernel's, so
    that a layer with float64 parameters computes in float64 although its `dtype` is float32.
    """
    kernel = layer.param("kernel", layer.kernel_init, shape, jnp.float32)
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,), jnp.float32) if layer.use_bias else None
    narrow = jnp.finfo(layer.dtype).bits < 32
    dtype = layer.dtype if narrow else jnp.promote_types(x.dtype, kernel.dtype)
    if layer.spectral_norm:  # before the cast, because sigma should be that of the unrounded kernel
        kernel = SpectralNorm()(kernel, out_axis=out_axis, train=train)
    if bias is not None:  # with the input's rank, so that the tests may forbid implicit rank promotion
        bias = bias.astype(dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    return x.astype(dtype), kernel.astype(dtype), bias


class Conv(nn.Module):
    """Applies `conv` with float32 parameters `kernel` [k, k, I, features] and `bias` [features].

    Attributes:
      features: number of output channels.
      kernel_size: height and width of the kernel; even ones shrink the image by one pixel at stride 1.
      stride: step of the output grid in both directions.
      use_bias: whether to add a bias, which starts at zero.
      spectral_norm: whether to divide the kernel by its largest singular value; see `SpectralNorm`.
      dtype: type to compute in if narrower than float32; otherwise input and parameters decide.
      kernel_init: initializer of the kernel; DCGAN's by default.
      resample: "up" enlarges the input twice (`upsample_conv`); "down" averages the output over 2x2 blocks
        (`conv_pool`). Both need an odd kernel and a stride of 1.
      groups: number of groups of channels that do not see each other (`grouped_conv`). More than 1 needs a stride of 1
        and no resampling.
    """

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    spectral_norm: bool = False
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = DCGAN_INIT
    resample: str | None = None
    groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Returns [B, H', W', features] for x [B, H, W, I], with H' as in `conv`, or 2H or H / 2 if it resamples."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1] // self.groups, self.features)
        x, kernel, bias = _operands(self, x, shape, 3, train)
        if self.groups > 1:
            y = grouped_conv(x, kernel, self.groups)
        else:
            resampling = {"up": upsample_conv, "down": conv_pool}
            y = resampling[self.resample](x, kernel) if self.resample else conv(x, kernel, self.stride)
        return y if bias is None else y + bias


class ConvTranspose(nn.Module):
    """Applies `conv_transpose`, which enlarges by `stride`; attributes as in `Conv`.

    The kernel is stored as [k, k, features, I], so a `kernel_init` that scales by fan-in needs `in_axis=3, out_axis=2`.
    Even kernels need a stride of at least 2.
    """

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    spectral_norm: bool = False
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = DCGAN_INIT

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Returns [B, stride * h, stride * w, features] for x [B, h, w, I]."""
        shape = (self.kernel_size, self.kernel_size, self.features, x.shape[-1])
        x, kernel, bias = _operands(self, x, shape, 2, train)
        y = conv_transpose(x, kernel, self.stride)
        return y if bias is None else y + bias


class Dense(nn.Module):
    """Returns x kernel + bias over the last axis, with `kernel` [I, features]; attributes as in `Conv`."""

    features: int
    use_bias: bool = True
    spectral_norm: bool = False
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = DCGAN_INIT

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Returns [..., features] for x [..., I]."""
        x, kernel, bias = _operands(self, x, (x.shape[-1], self.features), 1, train)
        y = jnp.dot(x, kernel)
        return y if bias is None else y + bias
