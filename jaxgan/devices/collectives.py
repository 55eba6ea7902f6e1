"""Averages over the devices of a map, in one collective for each type."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def synchronize(tree, axis_name: str | None):
    """Averages a tree over the devices, all leaves of a type in one collective, because each makes the devices wait.

    Of integers, such as a counter in a caller's own module, it takes the largest, since their mean may be no integer.
    """
    if axis_name is None:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):  # in the same order in every process
        places = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        reduce = lax.pmean if jnp.issubdtype(dtype, jnp.inexact) else lax.pmax
        flat = reduce(jnp.concatenate([leaves[i].ravel() for i in places]), axis_name)
        ends = itertools.accumulate(leaves[i].size for i in places)
        for i, end in zip(places, ends, strict=True):
            leaves[i] = flat[end - leaves[i].size : end].reshape(leaves[i].shape)
    return jax.tree.unflatten(structure, leaves)


def global_mean(axis_name: str | None) -> Callable[..., jax.Array]:
    """Returns `jnp.mean(x, axis)` over the global batch.

    It can stand inside of a loss: the mean of the devices' gradients is then the gradient of the global mean.
    """
    return lambda x, axis=None: synchronize(jnp.mean(x, axis), axis_name)
