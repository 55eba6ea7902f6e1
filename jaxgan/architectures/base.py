"""What every architecture has in common: the discriminator's output and the entry in the dict."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array

# Output range of the generator: tanh (-1, 1), sigmoid (0, 1), linear unbounded.
OUTPUT_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "linear": lambda x: x,
}


class DOutput(NamedTuple):
    """What a discriminator returns.

    `logits` f[B], before any sigmoid; `features` f[B, F], the activations the logits are read from; `heads`, further
    outputs by name.
    """

    logits: Array
    features: Array
    heads: dict[str, Array]


class Architecture(NamedTuple):
    """A generator/discriminator pair.

    Both modules take plain attributes: `base_features`, `channel_multipliers`, `kernel_sizes`, `batch_norm`,
    `axis_name` (of synchronized batch norm) and `dtype`; the generator also `shape` (of one example) and `output`,
    the discriminator also `spectral_norm`. They are called as `generator(z, train=...)` and
    `discriminator(x, train=...) -> DOutput`.

    `check(shape, channel_multipliers, g_kernel_sizes, d_kernel_sizes)` raises `UserError` for what they cannot make.
    `convolutional` says that there are convolutions, which decide what runs fast on a CPU.
    """

    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]
    check: Callable[..., None]
    convolutional: bool = True


def widen(x: Array) -> Array:
    """At least float32, for all that leaves a network."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
