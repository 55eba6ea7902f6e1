"""How gradients become new parameters: computed in parts if need be, then handed to the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.steps.state import NetState, Params, Stats
from jaxgan.techniques.optim import OptimHyper

Array = jax.Array


def in_parts(m: int, part: Callable[..., tuple], stats: Stats, operands: Any) -> tuple:
    """`part(stats, operands, first) -> (gradients, moved statistics, metrics, more)` on each of m parts of a batch.

    Statistics pass from part to part; gradients and metrics are averaged, so that where examples do not meet (no batch
    norm) they are those of the whole batch. `first` is True for the first part: u and v of spectral norm move once.

    Args:
      m: how many; with 1, `part` is called with all there is.
      part: the function.
      stats: before the first part.
      operands: leaves [n, ...], of which each part gets n / m.

    Returns:
      As `part`, `more` that of the first part.
    """
    if m == 1:
        return part(stats, operands, True)
    first, rest = _split(m, operands)
    grads, stats, metrics, more = part(stats, first, True)

    def add(carry, operands):
        stats, total = carry
        grads, stats, metrics, _ = part(stats, operands, False)
        return (stats, jax.tree.map(jnp.add, total, (grads, metrics))), None

    # XLA:CPU runs the gradients of convolutions 30 to 100 times slower in a loop; elsewhere a loop saves memory.
    unroll = m - 1 if jax.default_backend() == "cpu" else 1
    (stats, total), _ = lax.scan(add, (stats, (grads, metrics)), rest, unroll=unroll)
    grads, metrics = jax.tree.map(lambda x: x / m, total)
    return grads, stats, metrics, more


def _split(m: int, operands: Any) -> tuple[Any, Any]:
    parts = jax.tree.map(lambda x: x.reshape(m, len(x) // m, *x.shape[1:]), operands)
    return jax.tree.map(lambda x: x[0], parts), jax.tree.map(lambda x: x[1:], parts)


def descend(tx, hyper: OptimHyper, factor: Array, grads: Params, opt_state: Any, params: Params) -> tuple[Params, Any]:
    """One optimizer step: new parameters and optimizer state; `factor` multiplies the learning rate."""
    transformation = tx(hyper.replace(learning_rate=hyper.learning_rate * factor))  # type: ignore[attr-defined]
    updates, opt_state = transformation.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def update_net(tx, hyper: OptimHyper, factor: Array, net: NetState, grads: Params, stats: Stats) -> NetState:
    """A network after one optimizer step on the gradients of the global batch."""
    params, opt_state = descend(tx, hyper, factor, grads, net.opt_state, net.params)
    return NetState(params, stats, opt_state)
