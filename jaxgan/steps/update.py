"""Turns losses into new parameters: gradients over parts of a batch and over devices, then the optimizer's step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.devices.collectives import synchronize
from jaxgan.steps.forward import Examples, Update
from jaxgan.steps.gan import GAN
from jaxgan.steps.state import NetState, Params, Stats
from jaxgan.techniques.optim import OptimHyper

Array = jax.Array


def gradients(gan: GAN, loss: Callable, params: Params, moving: Any, update: Update) -> tuple[Params, Any, dict]:
    """Differentiates a loss by parameters, over the whole global batch.

    Args:
      gan: static.
      loss: `(params, moving, update, first) -> (loss, (moving, metrics))`; see `in_parts`.
      params: to differentiate by.
      moving: what the loss moves from part to part of the batch, such as batch statistics.
      update: which update this is.

    Returns:
      The gradients, what moved, and the metrics, equal on all devices.
    """

    def part(moving: Any, update: Update, first: bool):
        grads, (moving, metrics) = jax.grad(loss, has_aux=True)(params, moving, update, first)
        return grads, moving, metrics

    return over_batch(gan, part, moving, update)


def over_batch(gan: GAN, part: Callable, moving: Any, update: Update) -> tuple[Params, Any, dict]:
    """Calls `part` on each part of the batch (see `in_parts`) and averages what comes of it over the devices."""
    return synchronize(in_parts(gan.accumulate, part, moving, update, gan.group), gan.axis_name)


def in_parts(m: int, part: Callable, moving: Any, update: Update, group: int = 1) -> tuple[Params, Any, dict]:
    """Calls `part(moving, update, first) -> (gradients, moving, metrics)` on each of m parts of a batch.

    What moves passes from part to part. Gradients and metrics are averaged, so that they are those of the whole batch
    wherever its examples do not meet (no batch norm). Part i holds every m-th group of examples from the i-th on, which
    are the same examples of the global batch on any number of devices.

    Args:
      m: number of parts; with 1, `part` is called with all examples.
      part: the function. `first` is True for the first part: u and v of spectral norm move once per update.
      moving: before the first part.
      update: its examples have leaves [n, ...], of which each part gets n / m; all else is the same in each part.
      group: number of successive examples that stay together.

    Returns:
      As `part` does.
    """
    if m == 1:
        return part(moving, update, True)

    def of(examples: Examples) -> Update:
        return dataclasses.replace(update, examples=examples)

    def split(x: Array) -> Array:
        groups = x.reshape(-1, m, group, *x.shape[1:])
        return jnp.swapaxes(groups, 0, 1).reshape(m, len(x) // m, *x.shape[1:])

    parts = jax.tree.map(split, update.examples)
    first, rest = (jax.tree.map(lambda x, i=i: x[i], parts) for i in (0, slice(1, None)))
    grads, moving, metrics = part(moving, of(first), True)

    def add(carry, examples):
        moving, total = carry
        grads, moving, metrics = part(moving, of(examples), False)
        return (moving, jax.tree.map(jnp.add, total, (grads, metrics))), None

    def scan(unroll: int) -> Callable:
        return lambda carry, rest: lax.scan(add, carry, rest, unroll=unroll)[0]

    # XLA:CPU runs the gradients of convolutions 30 to 100 times slower in a loop; elsewhere a loop saves memory.
    carry = moving, (grads, metrics)
    moving, total = lax.platform_dependent(carry, rest, cpu=scan(m - 1), default=scan(1))
    grads, metrics = jax.tree.map(lambda x: x / m, total)
    return grads, moving, metrics


def descend(tx, hyper: OptimHyper, factor: Array, grads: Params, opt_state: Any, params: Params) -> tuple[Params, Any]:
    """Takes one optimizer step; `factor` multiplies the learning rate. Returns new parameters and optimizer state."""
    transformation = tx(hyper.replace(learning_rate=hyper.learning_rate * factor))  # type: ignore[attr-defined]
    updates, opt_state = transformation.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def update_net(tx, hyper: OptimHyper, factor: Array, net: NetState, grads: Params, stats: Stats) -> NetState:
    """Takes one optimizer step on the gradients of the global batch, and gives the network new statistics."""
    params, opt_state = descend(tx, hyper, factor, grads, net.opt_state, net.params)
    return NetState(params, stats, opt_state)
