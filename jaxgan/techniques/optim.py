"""Defines the optimizers, their presets and their schedules.

Optimizers are built inside the step from traced scalars, so that every constant can change without compiling again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

Array = jax.Array


class Preset(NamedTuple):
    """Holds one column of the SN-GAN article's table of Adam settings."""

    learning_rate: float
    b1: float
    b2: float
    d_steps_per_g_step: int


# Miyato et al. 2018, https://arxiv.org/abs/1802.05957, table 1.
PRESETS: dict[str, Preset] = {
    "A": Preset(1e-4, 0.5, 0.9, 5),
    "B": Preset(1e-4, 0.5, 0.999, 1),
    "C": Preset(2e-4, 0.5, 0.999, 1),
    "D": Preset(1e-3, 0.5, 0.9, 5),
    "E": Preset(1e-3, 0.5, 0.999, 5),
    "F": Preset(1e-3, 0.9, 0.999, 5),
}


@flax.struct.dataclass
class OptimHyper:
    """Holds the constants of one network's optimizer, scalars that may be traced."""

    learning_rate: Array
    b1: Array
    b2: Array
    eps: Array
    eps_root: Array


def constant(t: Array) -> Array:
    """Returns 0: the learning rate stays."""
    return jnp.zeros_like(t)


def linear(t: Array) -> Array:
    """Returns t."""
    return t


def cosine(t: Array) -> Array:
    """Returns 1/2 (1 - cos(pi t)). Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983"""
    return 0.5 * (1 - jnp.cos(jnp.pi * t))


# Each maps the progress t in [0, 1] to the share of the way from the first learning rate to the last.
SCHEDULES: dict[str, Callable[[Array], Array]] = {"constant": constant, "linear": linear, "cosine": cosine}


def schedule_factor(name: str, step: Array, steps: int, end: float) -> Array:
    """Returns the factor of the learning rate after `step` generator updates, from 1 to `end` over `steps` updates.

    The same curves as `optax.linear_schedule` and `optax.cosine_decay_schedule`. These order the operations
    differently and differ by up to 1.5e-7, which would change runs that must resume bit for bit.

    >>> [float(schedule_factor("linear", jnp.int32(s), 100, 0.5)) for s in (0, 50, 100, 900)]
    [1.0, 0.75, 0.5, 0.5]
    """
    # Cast first, because the quotient of two int32 is float32 even in a float64 run.
    progress = jnp.minimum(jnp.asarray(step, float) / max(steps, 1), 1.0)
    return 1 - (1 - end) * SCHEDULES[name](progress)


def lazy_adam(hyper: OptimHyper, interval: int) -> OptimHyper:
    """Corrects an optimizer's constants for one extra update by lazy penalties every `interval` = k steps.

    With c = k / (k + 1), the learning rate is multiplied by c, and b1 and b2 become b1^c and b2^c. The k + 1 updates of
    k steps then go as far, and forget as much, as k updates of the unchanged optimizer. The penalties' weight is
    multiplied by k elsewhere. Karras et al. 2020, https://arxiv.org/abs/1912.04958, appendix B.

    >>> plain = OptimHyper(*map(jnp.float32, (1.0, 0.0, 0.25, 1e-8, 0.0)))
    >>> lazy = lazy_adam(plain, 1)
    >>> float(lazy.learning_rate), float(lazy.b1), float(lazy.b2)
    (0.5, 0.0, 0.5)
    """
    c = interval / (interval + 1)
    return hyper.replace(learning_rate=hyper.learning_rate * c, b1=hyper.b1**c, b2=hyper.b2**c)  # type: ignore[attr-defined]


def adam(hyper: OptimHyper) -> optax.GradientTransformation:
    """Steps by m / (sqrt(v + eps_root) + eps) with bias-corrected moments m and v.

    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980
    """
    return optax.adam(hyper.learning_rate, hyper.b1, hyper.b2, hyper.eps, hyper.eps_root)


def adamax(hyper: OptimHyper) -> optax.GradientTransformation:
    """Replaces Adam's second moment by a decaying maximum; `eps_root` is not used.

    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980, section 7.1.
    """
    return optax.adamax(hyper.learning_rate, hyper.b1, hyper.b2, hyper.eps)


# Each maps the constants to an optax transformation, whose state has the same structure whatever the constants.
KINDS: dict[str, Callable[[OptimHyper], optax.GradientTransformation]] = {"adam": adam, "adamax": adamax}
