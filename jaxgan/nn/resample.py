"""Defines resampling by two with a low-pass filter against aliasing."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def upsample(x: jax.Array) -> jax.Array:
    """Doubles the size of images, [B, H, W, C] -> [B, 2H, 2W, C], by bilinear interpolation.

    In each direction a new pixel is 3/4 of the nearest pixel and 1/4 of the next one; outside, the image is zero. This
    is the filter [1, 3, 3, 1] / 4 applied to the image with zeros between its pixels, as in
    https://github.com/brownvc/R3GAN.

    >>> upsample(jnp.array([4.0, 8.0]).reshape(1, 1, 2, 1))[0, 0, :, 0].tolist()
    [2.25, 3.75, 5.25, 4.5]
    """
    for axis in (1, 2):
        before, after = _neighbors(x, axis)
        pairs = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1)
        x = pairs.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return x


def downsample(x: jax.Array) -> jax.Array:
    """Halves the size of images, [B, H, W, C] -> [B, H / 2, W / 2, C] with even H and W.

    In each direction out[i] = (x[2i - 1] + 3 x[2i] + 3 x[2i + 1] + x[2i + 2]) / 8, with x zero outside. It is the
    transpose of `upsample` divided by four.

    >>> downsample(jnp.full((1, 4, 4, 1), 64.0))[0, :, :, 0].tolist()
    [[49.0, 49.0], [49.0, 49.0]]
    """
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
        x = (3 * (even + odd) + _neighbors(odd, axis)[0] + _neighbors(even, axis)[1]) / 8
    return x


def _neighbors(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """Returns the pixel before each pixel along an axis, and the pixel after it."""
    n = x.shape[axis]
    padded = jnp.pad(x, [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)])
    return jax.lax.slice_in_dim(padded, 0, n, axis=axis), jax.lax.slice_in_dim(padded, 2, n + 2, axis=axis)
