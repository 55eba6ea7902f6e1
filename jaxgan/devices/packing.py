"""Packs a step's scalars into one array, because dozens of small transfers cost more than a small step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Scalars(Mapping[str, np.ndarray]):
    """Holds the scalars that a compiled step returns: on the host, a mapping that waits for the step when first read.

    Attributes:
      stacked: f[n] of one step, or f[k, n] of k steps.
      names: the n names of the scalars.
    """

    stacked: Array
    names: tuple[str, ...] = dataclasses.field(metadata={"static": True})

    @cached_property
    def fetched(self) -> np.ndarray:
        """`stacked` on the host."""
        return jax.device_get(self.stacked)

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a scalar, f[], or its values in k steps, f[k]."""
        return self.fetched[..., self.names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def table(metrics: Mapping[str, Any]) -> tuple[tuple[str, ...], np.ndarray]:
    """Waits for the scalars of k steps and returns their names and their values [k, n] on the host."""
    if isinstance(metrics, Scalars):
        return metrics.names, np.atleast_2d(metrics.fetched)
    columns = {name: np.ravel(value).astype(float) for name, value in sorted(jax.device_get(dict(metrics)).items())}
    return tuple(columns), np.stack([*columns.values()], axis=-1) if columns else np.zeros((1, 0))


def packed(step: Callable[..., tuple[Any, Mapping[str, Array]]]) -> Callable[..., tuple[Any, Scalars]]:
    """Wraps a step so that it returns its scalars [] or [k] packed; the wrapped function is the one to compile."""

    def run(*args: Any) -> tuple[Any, Scalars]:
        state, metrics = step(*args)
        names = tuple(sorted(metrics))
        return state, Scalars(jnp.stack([metrics[name] for name in names], axis=-1), names)

    return run
