"""Defines spectral normalization, which divides a kernel by a running estimate of its largest singular value."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.errors import UserError

SPECTRAL_STATS = "spectral_stats"
"""Name of the collection with the singular vectors `u` and `v`. It moves at other times than `batch_stats`."""

# A TPU multiplies float32 in bfloat16 by default. These products are small, but an error of sigma scales the layer.
_PRECISION = lax.Precision.HIGHEST


def _normalize(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


def power_iteration(matrix: jax.Array, u: jax.Array, v: jax.Array, n_steps: int) -> tuple[jax.Array, jax.Array]:
    """Moves `u` and `v` by `n_steps` steps towards the leading singular vectors of W = `matrix`^T.

    One step is u = l2(W v), then v = l2(W^T u), with l2(x) = x / max(|x|, 1e-12). The order and the lower bound are
    those of `torch.nn.utils.parametrizations.spectral_norm`, so that both agree after every step, not just in the
    limit.

    Args:
      matrix: [N, O], one column for each output channel.
      u: [O], left singular vector of W.
      v: [N], right singular vector of W.
      n_steps: number of steps; 0 returns `u` and `v` unchanged.

    Returns:
      The new `u` and `v`, in the type of `matrix`.

    >>> u, v = power_iteration(jnp.diag(jnp.array([3.0, 1.0])), jnp.ones(2), jnp.ones(2), 10)
    >>> u.round(3).tolist()
    [1.0, 0.0]
    """

    def step(_, vectors: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        u = _normalize(jnp.matmul(vectors[1], matrix, precision=_PRECISION))
        return u, _normalize(jnp.matmul(matrix, u, precision=_PRECISION))

    return lax.fori_loop(0, n_steps, step, (u.astype(matrix.dtype), v.astype(matrix.dtype)))


class SpectralNorm(nn.Module):
    """Returns kernel / sigma, where sigma = u^T W v estimates the largest singular value of W.

    W has one row for each *output* channel and one column for each weight that leads to it. In a dense layer or a
    convolution it is the matrix from the patch under the kernel to the channels of one output pixel. The output channel
    is the last axis of their kernels, but axis 2 of a transposed convolution's [kh, kw, O, I]; another axis would give
    a matrix with other singular values. sigma is the norm of this matrix, not of the convolution as an operator.

    The gradient treats u and v as constants, but not sigma: d sigma / d W = u v^T. So the gradient of any loss of
    W / sigma is orthogonal to W.

    State: `u` [O] and `v` [N] in the collection `spectral_stats`, in at least float32, because an error of sigma scales
    every weight of the layer. They start as random normal vectors (rng `params`) after `warmup` iterations, as in
    torch. They move by `n_steps` iterations in a call only if `train`, the collection is mutable and the module is not
    being initialized. So a generator's step or an evaluation cannot move them by accident.

    An all-zero kernel has sigma = 0 and gives NaN.

    Source: Miyato et al. 2018, https://arxiv.org/abs/1802.05957, algorithm 1.

    Attributes:
      n_steps: number of iterations in a call.
      warmup: number of iterations at initialization.

    Raises:
      UserError: `n_steps` is less than 1, so that sigma would never follow the kernel.
    """

    n_steps: int = 1
    warmup: int = 15

    @nn.compact
    def __call__(self, kernel: jax.Array, *, out_axis: int, train: bool) -> jax.Array:
        """Normalizes `kernel`, whose axis `out_axis` is that of the output channels.

        Returns:
          An array of the kernel's shape in at least float32.
        """
        if self.n_steps < 1:
            raise UserError(f"SpectralNorm's n_steps is {self.n_steps}: it must be at least 1.")
        kernel = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))
        matrix = jnp.moveaxis(kernel, out_axis, -1).reshape(-1, kernel.shape[out_axis])
        constant = lax.stop_gradient(matrix)

        @functools.cache  # so that both variables come from one start
        def start() -> tuple[jax.Array, jax.Array]:
            u_key, v_key = jax.random.split(self.make_rng("params"))
            u = _normalize(jax.random.normal(u_key, matrix.shape[1:], matrix.dtype))
            v = _normalize(jax.random.normal(v_key, matrix.shape[:1], matrix.dtype))
            return power_iteration(constant, u, v, self.warmup)

        stored_u = self.variable(SPECTRAL_STATS, "u", lambda: start()[0])
        stored_v = self.variable(SPECTRAL_STATS, "v", lambda: start()[1])
        u, v = stored_u.value, stored_v.value
        if train and self.is_mutable_collection(SPECTRAL_STATS) and not self.is_initializing():
            u, v = power_iteration(constant, u, v, self.n_steps)
            # Keep the stored type, or the next step would be compiled again.
            stored_u.value, stored_v.value = u.astype(stored_u.value.dtype), v.astype(stored_v.value.dtype)
        u, v = lax.stop_gradient((u.astype(matrix.dtype), v.astype(matrix.dtype)))
        sigma = jnp.vdot(v, jnp.matmul(matrix, u, precision=_PRECISION), precision=_PRECISION)
        # For monitoring; nothing is stored unless a call makes `intermediates` mutable.
        self.sow("intermediates", "sigma", lax.stop_gradient(sigma), lambda _, new: new, lambda: None)
        return kernel / sigma
