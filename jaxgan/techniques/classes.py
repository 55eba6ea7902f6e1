"""Losses on what a class-conditional discriminator says of classes, in its heads; `label` is i32[B].

All are means over the examples given, in at least float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

Array = jax.Array


def class_fake_d(real_logits: Array, fake_logits: Array, label: Array) -> tuple[Array, Array]:
    """CE(l(x), y) and CE(l(G), K), whose sum is D's loss: K + 1 classes, the last for all generated examples.

    Args:
      real_logits, fake_logits: [B, K + 1].
      label: of the real examples.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 5.
    """
    generated = jnp.full_like(label, fake_logits.shape[-1] - 1)
    return cross_entropy(real_logits, label), cross_entropy(fake_logits, generated)


def class_fake_g(fake_logits: Array, label: Array) -> Array:
    """CE(l(G), y): the generated example is to be taken for a real one of its class."""
    return cross_entropy(fake_logits, label)


def cross_entropy(logits: Array, label: Array) -> Array:
    """E[-log softmax(l)_y] of logits [B, K]; AC-GAN's class loss of either network, on real and generated examples.

    Odena et al. 2017, https://arxiv.org/abs/1610.09585

    >>> round(float(cross_entropy(jnp.zeros((2, 10)), jnp.int32([3, 4]))), 4)  # log 10
    2.3026
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, label))
