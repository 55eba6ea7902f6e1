"""Penalties on the discriminator, beside the adversarial loss, and the dict `REGULARIZERS`.

Each is `(apply, real, fake, key) -> scalar`, to be multiplied by its weight; `apply` maps a batch of
examples to the discriminator's whole `DOutput` with its statistics held fixed. The scalar is a mean over the
examples given, so the mean over equal slices of a batch is the batch's.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array


def squared_gradient_norm(apply: Callable, x: Array) -> Array:
    """Per example |grad_x D(x)|^2 in at least float32: [B]. D must treat the examples apart."""
    gradient = jax.grad(lambda x: jnp.sum(apply(x).logits.astype(jnp.promote_types(x.dtype, jnp.float32))))(x)
    gradient = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
    return jnp.sum(jnp.square(gradient), axis=tuple(range(1, gradient.ndim)))


def r1(apply: Callable, real: Array, fake: Array, key: Array) -> Array:
    """1/2 E |grad D(x)|^2 on real examples. Mescheder et al. 2018, https://arxiv.org/abs/1801.04406"""
    del fake, key
    return 0.5 * jnp.mean(squared_gradient_norm(apply, real))


def r2(apply: Callable, real: Array, fake: Array, key: Array) -> Array:
    """1/2 E |grad D(x)|^2 on generated examples. Mescheder et al. 2018; with R1 the base of R3GAN 2024."""
    del real, key
    return 0.5 * jnp.mean(squared_gradient_norm(apply, fake))


REGULARIZERS: dict[str, Callable[..., Array]] = {"r1": r1, "r2": r2}
