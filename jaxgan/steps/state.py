"""Holds the state of a run: one immutable pytree of arrays and nothing else. A checkpoint is this pytree."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

Array = jax.Array
Params = Any  # a nested dict of arrays
Stats = dict[str, Any]  # Flax collection name -> nested dict of arrays, all collections but "params"


@flax.struct.dataclass
class NetState:
    """Holds one network.

    Attributes:
      params: its parameters.
      stats: its other Flax collections, such as `batch_stats` and `spectral_stats`.
      opt_state: its optimizer's state.
    """

    params: Params
    stats: Stats
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that Flax's `apply` takes."""
        return {"params": self.params, **self.stats}


@flax.struct.dataclass
class AveragedNet:
    """Holds the generator's exponential moving average, of parameters and batch statistics.

    Attributes:
      params: averaged parameters.
      stats: averaged batch statistics; other collections as the generator has them.
    """

    params: Params
    stats: Stats

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that Flax's `apply` takes."""
        return {"params": self.params, **self.stats}


@flax.struct.dataclass
class GANState:
    """Holds all that a run carries from step to step.

    Attributes:
      step: i32[], the number of completed generator updates.
      generator, discriminator: the networks.
      ema: the generator's average, best for samples and scores.
      aux: the state of techniques that have one: `ada_p` and `ada_signs` of ADA, `lecam` of LeCam, `info` of the
        optimizer of InfoGAN's codes.
    """

    step: Array  # i32[]
    generator: NetState
    discriminator: NetState
    ema: AveragedNet
    aux: dict[str, Any]


def ema_update(ema: AveragedNet, net: NetState, step: Array, decay: Array) -> AveragedNet:
    """Updates the average: avg <- d avg + (1 - d) new, with d = min(decay, (1 + t) / (10 + t)) after t updates.

    The warm-up lets the average forget the random start. Batch statistics are averaged like parameters, so that
    averaged weights never meet the statistics of the current ones; other collections are copied.

    Args:
      ema: the average so far.
      net: the network just updated.
      step: i32[], the number of updates completed before this one.
      decay: f32[], reached after the warm-up; 0 copies the network.
    """
    t = jnp.asarray(step, jnp.result_type(decay))  # a quotient of int32s is float32 even where all else is float64
    d = jnp.minimum(decay, (1 + t) / (10 + t))

    def average(old, new):
        return jax.tree.map(lambda a, b: (d * a + (1 - d) * b).astype(a.dtype), old, new)

    # Floats of the other collections (u and v of spectral norm) are directions, which an average would shorten.
    stats = {name: average(ema.stats[name], new) if name == "batch_stats" else new for name, new in net.stats.items()}
    return AveragedNet(average(ema.params, net.params), stats)
