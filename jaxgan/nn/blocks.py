"""Defines residual blocks. Miyato et al. 2018, https://arxiv.org/abs/1802.05957, appendix B.4."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nn.layers import Conv
from jaxgan.nn.norm import ConditionalBatchNorm, batch_norm

# Uniform with the variance 2 gain^2 / (fan in + fan out). The article gives no initialization; the authors' program
# (https://github.com/pfnet-research/sngan_projection) has a gain of sqrt(2) in the residual branches and 1 elsewhere.
RESIDUAL_INIT = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")
INIT = nn.initializers.glorot_uniform()


class Block(nn.Module):
    """Adds two 3x3 convolutions to a shortcut: x [B, H, W, I] -> [B, H', W', features].

    The branch is batch norm (if any), ReLU, convolution, batch norm (if any), ReLU, convolution. The shortcut is a 1x1
    convolution, or x itself if neither size nor width changes. With a vector y [B, E], batch norm is conditional on y.

    Attributes:
      features: number of output channels.
      resample: "up" doubles the size of the input of the first convolution and of the shortcut; "down" averages the
        outputs of the second convolution and of the shortcut over 2x2 blocks; None keeps the size.
      sees_image: whether x is the image. Then everything before the first convolution, and all batch norm, is left out.
      batch_norm: whether to use batch norm.
      spectral_norm: whether to use spectral norm in all three convolutions.
      axis_name: mapped device axis over which batch norm is synchronized.
      dtype: see `Conv`.
      hidden: number of channels between the convolutions; by default `features`.
      feeds_attention: whether a later layer of the network is self-attention. The last convolution and the shortcut
        then have biases, even with batch norm.
      kernel_init: initializer of every kernel, also of conditional batch norm's, which then uses `spectral_norm` too.
        None: zeros for conditional batch norm, `RESIDUAL_INIT` and `INIT` for the convolutions.
    """

    features: int
    resample: str | None = None
    sees_image: bool = False
    batch_norm: bool = False
    spectral_norm: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32
    hidden: int | None = None
    feeds_attention: bool = False
    kernel_init: nn.initializers.Initializer | None = None

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array | None = None, *, train: bool) -> jax.Array:
        norm = self.batch_norm and not self.sees_image

        def activate(x):
            return nn.relu(self._normalized(x, y, train) if norm else x)

        # Without attention, a constant added to the output passes every later shortcut as a constant, until the batch
        # norm after the last block subtracts it. Attention is not linear, so a constant changes what it computes.
        output_bias = not self.batch_norm or self.feeds_attention

        def conv(x, features, size, resample, init, bias=output_bias, name=None):
            layer = Conv(
                features,
                size,
                use_bias=bias,
                spectral_norm=self.spectral_norm,
                dtype=self.dtype,
                kernel_init=self.kernel_init or init,
                resample=resample,
                name=name,
            )
            return layer(x, train=train)

        up, down = (self.resample if self.resample == way else None for way in ("up", "down"))
        h = x if self.sees_image else activate(x)
        h = conv(h, self.hidden or self.features, 3, up, RESIDUAL_INIT, bias=not norm)
        h = conv(activate(h), self.features, 3, down, RESIDUAL_INIT)
        if self.resample or x.shape[-1] != self.features:
            x = conv(x, self.features, 1, self.resample, INIT, name="shortcut")
        return h + x

    def _normalized(self, x: jax.Array, y: jax.Array | None, train: bool) -> jax.Array:
        if y is None or self.kernel_init is None:
            return batch_norm(x, y, self.axis_name, self.dtype, train=train)
        norm = ConditionalBatchNorm(self.axis_name, self.dtype, self.spectral_norm, self.kernel_init)
        return norm(x, y, train=train)
