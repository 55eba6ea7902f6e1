"""Adam with every constant tunable: presets, kinds and schedules, built from traced scalars inside the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

Array = jax.Array


class Preset(NamedTuple):
    """One column of the SN-GAN paper's table of Adam settings."""

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
    """The constants of one network's optimizer, scalars that may be traced: changing one recompiles nothing."""

    learning_rate: Array
    b1: Array
    b2: Array
    eps: Array
    eps_root: Array


def constant(t: Array) -> Array:
    """Never moves."""
    return jnp.zeros_like(t)


def linear(t: Array) -> Array:
    """Moves evenly."""
    return t


def cosine(t: Array) -> Array:
    """1/2 (1 - cos(pi t)). Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983"""
    return 0.5 * (1 - jnp.cos(jnp.pi * t))


# Each: progress in [0, 1] -> how much of the way from the first learning rate to the last is gone.
SCHEDULES: dict[str, Callable[[Array], Array]] = {"constant": constant, "linear": linear, "cosine": cosine}


def schedule_factor(name: str, step: Array, steps: int, end: float) -> Array:
    """What the learning rate is multiplied by after `step` generator updates: from 1 to `end` over `steps`, then `end`.

    >>> [float(schedule_factor("linear", jnp.int32(s), 100, 0.5)) for s in (0, 50, 100, 900)]
    [1.0, 0.75, 0.5, 0.5]
    """
    # A quotient of int32s is float32 even where all else is float64.
    progress = jnp.minimum(jnp.asarray(step, float) / max(steps, 1), 1.0)
    return 1 - (1 - end) * SCHEDULES[name](progress)


def lazy_adam(hyper: OptimHyper, interval: int) -> OptimHyper:
    """The constants under a penalty that has an update of its own every `interval` = k steps (with its weight times k).

    Learning rate times c, b1^c and b2^c with c = k / (k + 1): k steps then make k + 1 updates, which go as far and
    forget as much as k of the unchanged optimizer. Karras et al. 2020, https://arxiv.org/abs/1912.04958, appendix B.

    >>> plain = OptimHyper(*map(jnp.float32, (1.0, 0.0, 0.25, 1e-8, 0.0)))
    >>> lazy = lazy_adam(plain, 1)
    >>> float(lazy.learning_rate), float(lazy.b1), float(lazy.b2)
    (0.5, 0.0, 0.5)
    """
    c = interval / (interval + 1)
    return hyper.replace(learning_rate=hyper.learning_rate * c, b1=hyper.b1**c, b2=hyper.b2**c)  # type: ignore[attr-defined]


def adam(hyper: OptimHyper) -> optax.GradientTransformation:
    """m / (sqrt(v + eps_root) + eps) on bias-corrected moments. Kingma & Ba 2015, https://arxiv.org/abs/1412.6980"""
    return optax.adam(hyper.learning_rate, hyper.b1, hyper.b2, hyper.eps, hyper.eps_root)


def adamax(hyper: OptimHyper) -> optax.GradientTransformation:
    """Adam with the maximum norm in place of the second moment; no `eps_root`. Kingma & Ba 2015, section 7.1."""
    return optax.adamax(hyper.learning_rate, hyper.b1, hyper.b2, hyper.eps)


# Each: constants -> optax transformation, whose state's structure does not depend on the constants.
KINDS: dict[str, Callable[[OptimHyper], optax.GradientTransformation]] = {"adam": adam, "adamax": adamax}
