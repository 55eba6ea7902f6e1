"""Batch normalization with torch's defaults, synchronized over devices on request."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class BatchNorm(nn.Module):
    """scale * (x - mean) / sqrt(var + 1e-5) + bias over all axes but the last (Ioffe and Szegedy, 2015).

    Running statistics move by running = 0.9 * running + 0.1 * batch, which torch calls momentum 0.1. They
    live in the collection `batch_stats` in at least float32, also for bfloat16 activations. Unlike torch's, the
    running variance is the biased one: what evaluation divides by is what training divided by.

    Source: https://arxiv.org/abs/1502.03167.

    Attributes:
      axis_name: mapped axis over which the batch's moments are averaged before the variance is formed, so
        that devices holding equal shares normalize as one with the whole batch would. None: each by itself.
      dtype: type of the output if narrower than float32; otherwise that of the input and parameters.
    """

    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalizes `x` [B, ..., C] with the batch's statistics if `train`, else with the running ones.

        Training moves the running statistics, and so needs `mutable=["batch_stats"]`.
        """
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            dtype=self.dtype if jnp.finfo(self.dtype).bits < 32 else None,
            # Evaluation averages nothing and may run outside of any map, where the name is unbound.
            axis_name=self.axis_name if train else None,
        )(x)
