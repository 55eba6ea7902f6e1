"""Defines self-attention over the pixels of a map."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nn.layers import DCGAN_INIT, Conv


def max_pool(x: jax.Array) -> jax.Array:
    """Returns the maxima of 2x2 blocks: [B, H, W, C] -> [B, H / 2, W / 2, C] with even H and W.

    It reshapes rather than reduces over windows, so that it can be differentiated twice, as gradient penalties need.
    """
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))


class SelfAttention(nn.Module):
    """Adds to each pixel a weighted mean over the image: x + gamma * o(softmax(theta(x) phi(x)^T) g(x)).

    Maps [B, H, W, C] keep their shape. theta and phi [C / 8 channels], g [C / 2] and o [C] are 1x1 convolutions without
    bias. phi and g are pooled to half the size, so that there are a quarter of the products, as in the authors' program
    (https://github.com/brain-research/self-attention-gan); the article does not mention it. gamma starts at 0, so that
    the layer starts as the identity.

    Source: Zhang et al. 2018, https://arxiv.org/abs/1805.08318, section 3.

    Attributes: see `Conv`.
    """

    spectral_norm: bool = False
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = DCGAN_INIT

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        b, height, width, channels = x.shape

        def conv(x: jax.Array, features: int, name: str) -> jax.Array:
            layer = Conv(max(features, 1), 1, 1, False, self.spectral_norm, self.dtype, self.kernel_init, name=name)
            return layer(x, train=train)

        def pixels(x: jax.Array) -> jax.Array:
            return x.reshape(b, -1, x.shape[-1])

        theta = pixels(conv(x, channels // 8, "theta"))  # [B, HW, C / 8]
        phi = pixels(max_pool(conv(x, channels // 8, "phi")))  # [B, HW / 4, C / 8]
        g = pixels(max_pool(conv(x, channels // 2, "g")))  # [B, HW / 4, C / 2]
        logits = jnp.einsum("bqc,bkc->bqk", theta, phi)
        # In at least float32, because bfloat16 would round away the small weights of a long sum.
        weights = nn.softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32))).astype(g.dtype)
        seen = jnp.einsum("bqk,bkc->bqc", weights, g).reshape(b, height, width, -1)
        gamma = self.param("gamma", nn.initializers.zeros, (), jnp.float32)
        seen = conv(seen, channels, "o")
        return x + gamma.astype(seen.dtype) * seen
