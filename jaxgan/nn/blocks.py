"""Residual blocks. Miyato et al. 2018, https://arxiv.org/abs/1802.05957, appendix B.4."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nn.layers import Conv
from jaxgan.nn.norm import ConditionalBatchNorm, batch_norm

# Uniform with the variance 2 gain^2 / (fan in + fan out). The paper gives no initialization; its authors' program
# (https://github.com/pfnet-research/sngan_projection) has a gain of sqrt(2) in the residual branches, 1 elsewhere.
RESIDUAL_INIT = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")
INIT = nn.initializers.glorot_uniform()


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: x [B, H, W, I] -> [B, H', W', features].

    (Batch norm,) ReLU, convolution, (batch norm,) ReLU, convolution. The shortcut is a 1x1 convolution, or x
    itself where neither size nor width changes. With a vector y [B, E], batch norm is conditional on it.

    Attributes:
      features: output channels.
      resample: "up", the first convolution and the shortcut see their input enlarged twice; "down", the outputs
        of the second convolution and of the shortcut are averaged over 2x2 blocks.
      sees_image: leave out everything before the first convolution, and all batch norm.
      batch_norm: whether there is any; synchronized over `axis_name`.
      spectral_norm: of all three convolutions.
      dtype: see `Conv`.
      hidden: channels between the convolutions; by default `features`.
      feeds_attention: whether self-attention sees the output. The last convolution and the shortcut then have biases
        beside batch norm too.
      kernel_init: of every kernel, that of conditional batch norm too, which then has the convolutions' spectral norm;
        None: zeros for conditional batch norm, `RESIDUAL_INIT` and `INIT` for the others.
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
