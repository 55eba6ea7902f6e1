"""Draws all random numbers of a step, for each example from its position in the *global* batch.

So neither the number of devices nor the number of parts of a batch changes them.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array

# The purposes that an update's key is split for. A new purpose takes a new number, which moves no other stream.
Z, PENALTY, TARGETS, AUGMENT, NOISE = range(5)
CODES = 2**32 - 1  # within Z's stream, whose other numbers are the positions of examples
# AUGMENT and NOISE have a stream for each kind of example: real and generated ones in D's step and in G's.
D_REAL, D_FAKE, G_REAL, G_FAKE = range(4)


class Keys(NamedTuple):
    """A run's three streams of randomness.

    Attributes:
      init: for the first parameters.
      train: for all steps.
      sample: for sample grids.
    """

    init: Array
    train: Array
    sample: Array


def seed_keys(seed: int, attempt: int = 0) -> Keys:
    """Derives the streams of a seed, so that nothing but the seed has to be saved.

    Another attempt at a run has other streams for its start and its steps; its samples come from the same latents.
    """
    init, train, sample = jax.random.split(jax.random.key(seed), 3)
    if attempt:
        init, train = (jax.random.fold_in(key, attempt) for key in (init, train))
    return Keys(init, train, sample)


def stream(key: Array, *purpose: int | Array) -> Array:
    """Derives the key of a purpose."""
    for number in purpose:
        key = jax.random.fold_in(key, number)
    return key


def per_example(key: Array, indices: Array) -> Array:
    """Derives one key for each example: keys [len(indices)]."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)


def latents(key: Array, indices: Array, z_dim: int, distribution: str, truncation: float | None = None) -> Array:
    """Draws one latent for each index, from `fold_in(key, index)`: f32[len(indices), z_dim].

    Args:
      key: one key for all.
      indices: i32[n]; equal indices give equal latents, whatever other indices there are.
      z_dim: length of a latent.
      distribution: `normal` N(0, 1) or `uniform` U(-1, 1).
      truncation: keep every coordinate within [-truncation, truncation] by drawing it from the distribution
        conditioned on that (Brock et al. 2019, https://arxiv.org/abs/1809.11096); None: do not.
    """

    def one(k):
        if distribution == "uniform":
            bound = 1.0 if truncation is None else min(truncation, 1.0)
            return jax.random.uniform(k, (z_dim,), jnp.float32, -bound, bound)
        if truncation is None:
            return jax.random.normal(k, (z_dim,), jnp.float32)
        return jax.random.truncated_normal(k, -truncation, truncation, (z_dim,), jnp.float32)

    return jax.vmap(one)(per_example(key, indices))
