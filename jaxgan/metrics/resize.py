"""Resizes images as published scores do, each way by one matrix for rows and one for columns."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def tf1_bilinear(n: int, size: int) -> np.ndarray:
    """Computes the weights f32[size, n] of TensorFlow 1's `tf.image.resize_bilinear`, as in the papers' Inception.

    Pixel i of the result lies at s = i n / size of the source, without half a pixel's shift and whatever the scale:
    (1 - s + floor(s)) x[floor(s)] + (s - floor(s)) x[min(floor(s) + 1, n - 1)]. So images shrink without antialiasing
    (Parmar et al. 2022, https://arxiv.org/abs/2104.11222). Positions are float32, as in its kernel.

    >>> tf1_bilinear(2, 4)
    array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ],
           [0. , 1. ]], dtype=float32)
    """
    position = np.arange(size, dtype=np.float32) * np.float32(n / size)
    low = np.minimum(position.astype(int), n - 1)
    high, rows = np.minimum(low + 1, n - 1), np.arange(size)
    weights = np.zeros((size, n), np.float32)
    np.add.at(weights, (rows, low), 1 - (position - low))
    np.add.at(weights, (rows, high), position - low)
    return weights


def clean_bicubic(n: int, size: int) -> np.ndarray:
    """Computes the weights f32[size, n] of Pillow's bicubic filter on floats, which Clean-FID resizes with.

    Pixel i has its center at c = (i + 1/2) n / size of the source; with w = max(1, n / size), the source's pixel j
    weighs k((j + 1/2 - c) / w), normalized to a sum of 1, where k is Keys' cubic with a = -1/2:
    k(t) = 1.5 |t|^3 - 2.5 t^2 + 1 for |t| < 1 and -0.5 |t|^3 + 2.5 t^2 - 4 |t| + 2 for 1 <= |t| < 2. The filter widens
    with the scale, which is antialiasing; weights may be negative, so that values may pass the source's range, which
    `resize_images` clips them to. Parmar et al. 2022, https://arxiv.org/abs/2104.11222.

    >>> clean_bicubic(2, 2)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    scale = n / size
    center = (np.arange(size) + 0.5) * scale
    t = np.abs(np.arange(n) + 0.5 - center[:, None]) / max(1.0, scale)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


RESIZES: dict[str, Callable[[int, int], np.ndarray]] = {"tf1": tf1_bilinear, "clean": clean_bicubic}
HIGHEST = 255  # of a byte


def resize_images(images: Array, side: int, weights: Callable[[int, int], np.ndarray]) -> Array:
    """Resizes f32[B, H, W, C] in 0..255 to f32[B, side, side, C] in 0..255 by one of `RESIZES`.

    Clipped as in clean-fid's `make_resizer`: the bicubic filter passes the range at edges. Means of pixels do not.
    """
    rows, columns = (weights(n, side) for n in images.shape[1:3])
    exact = jax.lax.Precision.HIGHEST  # accelerators would multiply with 8 or 11 bits by default
    return jnp.clip(jnp.einsum("yh,bhwc,xw->byxc", rows, images, columns, precision=exact), 0, HIGHEST)
