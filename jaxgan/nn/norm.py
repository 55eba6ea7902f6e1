"""Batch normalization with torch's defaults, synchronized over devices and conditional on request."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nn.layers import Dense


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
      affine: whether to scale and to add a bias.
    """

    axis_name: str | None = None
    dtype: Any = jnp.float32
    affine: bool = True

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
            use_scale=self.affine,
            use_bias=self.affine,
        )(x)


class ConditionalBatchNorm(nn.Module):
    """(1 + gamma(y)) * (x - mean) / sqrt(var + 1e-5) + beta(y), with gamma and beta linear in a vector y.

    For a one-hot y their kernels are embeddings of the class, one row each. With kernels that start at zero the layer
    starts as plain batch norm, the same for all classes.

    Source: de Vries et al. 2017, https://arxiv.org/abs/1707.00683; Miyato and Koyama 2018,
    https://arxiv.org/abs/1802.05637 (one-hot y); Brock et al. 2019, https://arxiv.org/abs/1809.11096 (other vectors).

    Attributes:
      axis_name, dtype: as in `BatchNorm`.
      spectral_norm, kernel_init: of gamma's and beta's kernels; spectral norm needs other than zeros.
    """

    axis_name: str | None = None
    dtype: Any = jnp.float32
    spectral_norm: bool = False
    kernel_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array, *, train: bool) -> jax.Array:
        """Normalizes `x` [B, ..., C] as `BatchNorm` does; `y` [B, E]."""

        def linear(name: str) -> jax.Array:  # in float32: of 1 + gamma, bfloat16 would lose all gamma below 0.004
            layer = Dense(x.shape[-1], False, self.spectral_norm, kernel_init=self.kernel_init, name=name)
            return layer(y, train=train).reshape(len(y), *(1,) * (x.ndim - 2), -1)

        normalized = BatchNorm(self.axis_name, self.dtype, affine=False)(x, train=train)
        return (normalized * (1 + linear("gamma")) + linear("beta")).astype(normalized.dtype)


def batch_norm(x: jax.Array, y: jax.Array | None, axis_name: str | None, dtype: Any, *, train: bool) -> jax.Array:
    """`ConditionalBatchNorm` on `y`, or `BatchNorm` where there is none; for use in a compact method."""
    if y is None:
        return BatchNorm(axis_name, dtype)(x, train=train)
    return ConditionalBatchNorm(axis_name, dtype)(x, y, train=train)
