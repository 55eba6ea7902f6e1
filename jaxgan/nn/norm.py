"""Defines batch normalization, synchronized over devices if asked, and its conditional form."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nn.layers import Dense


class BatchNorm(nn.Module):
    """Returns scale * (x - mean) / sqrt(var + 1e-5) + bias, with moments over all axes but the last.

    Running statistics move by running = 0.9 * running + 0.1 * batch, which torch calls momentum 0.1. They are kept in
    the collection `batch_stats` in at least float32, also for bfloat16 activations. Torch's running variance is the
    unbiased one; this one is biased, so that evaluation divides by what training divided by.

    The constants are those of torch, DCGAN and BigGAN. SN-GAN's program adds 2e-5 in place of 1e-5, and SAGAN's keeps
    0.999 in place of 0.9 of the running statistics. Training does not use these, and the averaged generator averages
    them once more, over the last 1,000 steps at `train.ema_decay=0.999`.

    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167

    Attributes:
      axis_name: mapped axis over which the batch's moments are averaged before the variance is computed, so that
        devices with equal shares normalize like one device with the whole batch. None: each device uses its own share.
      dtype: type of the output if narrower than float32; otherwise input and parameters decide.
      affine: whether to multiply by a scale and add a bias.
    """

    axis_name: str | None = None
    dtype: Any = jnp.float32
    affine: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalizes `x` [B, ..., C] with the batch's statistics if `train`, else with the running ones.

        With `train`, the running statistics move, so the call needs `mutable=["batch_stats"]`.
        """
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            dtype=self.dtype if jnp.finfo(self.dtype).bits < 32 else None,
            # Evaluation averages nothing and may run outside any map, where the name is unbound.
            axis_name=self.axis_name if train else None,
            use_scale=self.affine,
            use_bias=self.affine,
        )(x)


class ConditionalBatchNorm(nn.Module):
    """Returns (1 + gamma(y)) * (x - mean) / sqrt(var + 1e-5) + beta(y), with gamma and beta linear in a vector y.

    For a one-hot y, their kernels are embeddings of the class, one row for each. If the kernels start at zero, the
    layer starts as batch norm without scale and bias, the same for all classes.

    Source: de Vries et al. 2017, https://arxiv.org/abs/1707.00683; Miyato and Koyama 2018,
    https://arxiv.org/abs/1802.05637 (one-hot y); Brock et al. 2019, https://arxiv.org/abs/1809.11096 (other vectors).

    Attributes:
      axis_name, dtype: as in `BatchNorm`.
      spectral_norm: whether to use spectral norm in gamma's and beta's kernels, which then must not start at zero.
      kernel_init: initializer of gamma's and beta's kernels.
    """

    axis_name: str | None = None
    dtype: Any = jnp.float32
    spectral_norm: bool = False
    kernel_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array, *, train: bool) -> jax.Array:
        """Normalizes `x` [B, ..., C] as `BatchNorm` does; `y` [B, E]."""

        def linear(name: str) -> jax.Array:  # in float32, because bfloat16's 1 + gamma loses any gamma below 0.004
            layer = Dense(x.shape[-1], False, self.spectral_norm, kernel_init=self.kernel_init, name=name)
            return layer(y, train=train).reshape(len(y), *(1,) * (x.ndim - 2), -1)

        normalized = BatchNorm(self.axis_name, self.dtype, affine=False)(x, train=train)
        return (normalized * (1 + linear("gamma")) + linear("beta")).astype(normalized.dtype)


def batch_norm(x: jax.Array, y: jax.Array | None, axis_name: str | None, dtype: Any, *, train: bool) -> jax.Array:
    """Applies `ConditionalBatchNorm` on `y`, or `BatchNorm` if `y` is None; call it in a compact method."""
    if y is None:
        return BatchNorm(axis_name, dtype)(x, train=train)
    return ConditionalBatchNorm(axis_name, dtype)(x, y, train=train)
