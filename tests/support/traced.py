"""Counts how often JAX traces a function, which it does once for each program that it compiles."""

from collections.abc import Callable
from typing import Any


class Traced:
    """A function that counts its own calls: under `jax.jit`, those are its traces."""

    def __init__(self, function: Callable[..., Any]):
        self._function, self.times = function, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.times += 1
        return self._function(*args, **kwargs)
