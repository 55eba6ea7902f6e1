"""Defines the losses on the class heads of a conditional discriminator.

`label` is i32[B]. Each loss is a mean over the examples given, in at least float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

Array = jax.Array


def class_fake_d(real_logits: Array, fake_logits: Array, label: Array) -> tuple[Array, Array]:
    """Returns CE(l(x), y) and CE(l(G(z)), K), whose sum is D's loss; class K is that of generated examples.

    Args:
      real_logits, fake_logits: [B, K + 1].
      label: classes of the real examples, from 0 to K - 1.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 5.
    """
    generated = jnp.full_like(label, fake_logits.shape[-1] - 1)
    return cross_entropy(real_logits, label), cross_entropy(fake_logits, generated)


def class_fake_g(fake_logits: Array, label: Array) -> Array:
    """Returns CE(l(G(z)), y), which is small where D takes a generated example for a real one of its class.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 5.
    """
    return cross_entropy(fake_logits, label)


def cross_entropy(logits: Array, label: Array) -> Array:
    """Returns E[-log softmax(l)_y] of logits l [B, K].

    AC-GAN adds it to the loss of both networks: D's on real and generated examples, G's on generated ones.
    Odena et al. 2017, https://arxiv.org/abs/1610.09585

    >>> round(float(cross_entropy(jnp.zeros((2, 10)), jnp.int32([3, 4]))), 4)  # log 10
    2.3026
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, label))
