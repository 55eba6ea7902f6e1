"""All randomness of a step: drawn for each example from its number in the *global* batch, so that the number of
devices and the parts of a batch change nothing."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array

# What a step's key is split for, by name: a new purpose takes a new number and moves no other stream.
Z, PENALTY, TARGETS, AUGMENT, NOISE = range(5)
CODES = 2**32 - 1  # of Z's stream, whose other numbers are those of the examples
# Of AUGMENT and NOISE each kind of example has its own: D's step has real and generated ones, G's step too.
D_REAL, D_FAKE, G_REAL, G_FAKE = range(4)


class Keys(NamedTuple):
    """A run's three streams of randomness."""

    init: Array
    train: Array
    sample: Array


def seed_keys(seed: int, attempt: int = 0) -> Keys:
    """The streams of a seed, which is all that is ever kept of them.

    Another attempt at a run has others for its start and its steps; its samples come from the same latents.
    """
    init, train, sample = jax.random.split(jax.random.key(seed), 3)
    if attempt:
        init, train = (jax.random.fold_in(key, attempt) for key in (init, train))
    return Keys(init, train, sample)


def stream(key: Array, *purpose: int | Array) -> Array:
    """The key of a purpose."""
    for number in purpose:
        key = jax.random.fold_in(key, number)
    return key


def per_example(key: Array, indices: Array) -> Array:
    """One key for each example: keys [len(indices)]."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)


def latents(key: Array, indices: Array, z_dim: int, distribution: str, truncation: float | None = None) -> Array:
    """One latent per index, each drawn from `fold_in(key, index)`: f32[len(indices), z_dim].

    Args:
      key: one key for all.
      indices: i32[n]; equal indices give equal latents, whatever stands beside them.
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
