"""Computes convolutions by Winograd's minimal filtering, for CPU devices of one core each.

It covers 3x3 kernels (plain, after enlarging the input, and before averaging the output) and 4x4 kernels of stride 2.

F(4x4, 3x3) computes 16 outputs with 36 products for each pair of channels instead of 144. In each direction, with d the
6 inputs of a tile, k the kernel and y the 4 outputs, y = A ((G k) * (B d)), where * is elementwise and A, B and G are
the matrices of a `Form`. The transforms by A, B and G act on positions and are the same for all channels. Between them
are matrix products over channels, one for each of the 36 points. In float32, rounding errors are about five times
those of a direct convolution.

In an image enlarged twice by nearest neighbor, the inputs of a tile come in equal pairs. The point -1 takes their
differences and is always zero. 2x2 means of the outputs do not depend on this point either. So both cases need 25
points only. A 4x4 kernel of stride 2 becomes a 2x2 kernel of stride 1 if blocks of 2x2 pixels become channels:
F(4x4, 2x2), with 25 products instead of 64.

The batch is processed in blocks that fit a core's cache. Without this, nothing would be gained.

Source: Lavin & Gray 2015, https://arxiv.org/abs/1509.09308, for the plain kernels; the other cases follow from it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

POINTS = (0, 1, -1, 2, -2)  # and infinity; small numbers keep rounding errors small


class Form(NamedTuple):
    """Holds the matrices of an algorithm that computes len(a) outputs of a tile in each direction.

    Attributes:
      a: [outputs, points], the transform of products to outputs.
      b: [points, inputs], the transform of a tile's inputs; neighboring tiles share some.
      g: [points, kernel size], the transform of the kernel.
      step: distance of one tile's inputs from the next tile's.
      blocks: 2 if blocks of 2x2 pixels are one input with four times the channels, else 1.
    """

    a: np.ndarray
    b: np.ndarray
    g: np.ndarray
    step: int
    blocks: int = 1


def _cook_toom(outputs: int, taps: int) -> Form:
    """Returns F(outputs, taps). The rows of B are the polynomials that vanish at all points but one."""
    points = POINTS[: outputs + taps - 2]
    b = [np.poly1d([p for p in points if p != q], r=True) for q in points] + [np.poly1d(points, r=True)]
    scale = [*(polynomial(q) for polynomial, q in zip(b, points, strict=False)), 1.0]
    powers = [[float(q) ** i for i in range(max(outputs, taps))] for q in points]
    at_infinity = [[0.0] * (n - 1) + [1.0] for n in (outputs, taps)]
    a = np.array([row[:outputs] for row in powers] + at_infinity[:1]).T
    g = np.array([row[:taps] for row in powers] + at_infinity[1:]) / np.array(scale)[:, None]
    rows = [np.pad(polynomial.coeffs[::-1], (0, outputs + taps - 2 - polynomial.order)) for polynomial in b]
    return Form(a, np.array(rows), g, outputs)


def _without_idle(form: Form) -> Form:
    """Leaves out the points whose transformed inputs are always zero or that no output uses."""
    used = np.any(form.b, axis=1) & np.any(form.a, axis=0)
    return form._replace(a=form.a[:, used], b=form.b[used], g=form.g[used])


_ENLARGE = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
_AVERAGE = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])

PLAIN = _cook_toom(4, 3)
UP = _without_idle(PLAIN._replace(b=PLAIN.b @ _ENLARGE, step=2))  # the input enlarged twice
DOWN = _without_idle(PLAIN._replace(a=_AVERAGE @ PLAIN.a))  # the output averaged over 2x2 blocks
HALVING = _cook_toom(4, 2)._replace(blocks=2)  # 4x4 kernel, stride 2
DOUBLING = tuple(_cook_toom(m, 2) for m in (3, 4))  # its transpose, by the size of the tile

TILES = 128  # number of tiles in a block: few enough for a core's cache, enough for large matrix products


def conv(form: Form, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves images [N, h, w, c], zero outside, by a kernel [k, k, c, o]; returns [N, h', w', o].

    For `HALVING`, k = 4, h is even and h' = h / 2; for the others, k = 3 and h' = h * outputs / step.
    """
    height, width = (n * len(form.a) // (form.step * form.blocks) for n in x.shape[1:3])
    u, tiles = _transform(form.g, _merge(form, kernel)), _tiles(form, x)

    def one(x: jax.Array) -> jax.Array:
        return _outputs(form, jnp.einsum("ptc,pco->pto", _inputs(form, x), u), tiles)[:, :height, :width]

    return lax.map(one, _split(x, math.prod(tiles))).reshape(len(x), height, width, -1)


def conv_transpose(g: jax.Array, kernel: jax.Array) -> jax.Array:
    """Applies the linear transpose of `x -> conv(HALVING, x, kernel)`: [N, h, w, o] -> [N, 2h, 2w, c].

    The kernel is [4, 4, c, o]. Each block of 2x2 pixels depends on the 2x2 entries of `g` around it, so
    (h + 1)(w + 1) blocks are computed, of which the outer pixels are cut off.
    """
    (n, h, w, _), c = g.shape, kernel.shape[2]

    def products(form: Form) -> int:
        return len(form.b) ** 2 * (-(-(h + 1) // form.step)) * (-(-(w + 1) // form.step))

    form = min(DOUBLING, key=products)
    tiles = (-(-(h + 1) // form.step), -(-(w + 1) // form.step))
    u = _transform(form.g, _merge(HALVING, kernel)[::-1].swapaxes(1, 2))

    def one(g: jax.Array) -> jax.Array:
        g = jnp.pad(g, ((0, 0), (0, 1), (0, 1), (0, 0)))
        y = _outputs(form, jnp.einsum("ptc,pco->pto", _inputs(form, g), u), tiles)[:, : h + 1, : w + 1]
        y = y.reshape(-1, h + 1, w + 1, 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2 * h + 2, 2 * w + 2, c)
        return y[:, 1:-1, 1:-1]

    return lax.map(one, _split(g, math.prod(tiles))).reshape(n, 2 * h, 2 * w, c)


def conv_kernel_gradient(form: Form, x: jax.Array, g: jax.Array) -> jax.Array:
    """Applies the linear transpose of `kernel -> conv(form, x, kernel)` to g [N, h', w', o]; returns [k, k, c, o]."""
    (height, width, o), m = g.shape[1:], len(form.a)
    rows, columns = _tiles(form, x)
    channels = x.shape[3] * form.blocks**2

    def add(total: jax.Array, block: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, g = block
        g = jnp.pad(g, ((0, 0), (0, m * rows - height), (0, m * columns - width), (0, 0)))
        tiles = g.reshape(-1, rows, m, columns, m, o).transpose(2, 4, 0, 1, 3, 5).reshape(m * m, -1, o)
        return total + jnp.einsum("ptc,pto->pco", _inputs(form, x), _transform(form.a.T, tiles)), None

    start = jnp.zeros((len(form.b) ** 2, channels, o), x.dtype)
    total, _ = lax.scan(add, start, (_split(x, rows * columns), _split(g, rows * columns)))
    kernel = jax.ShapeDtypeStruct((form.g.shape[1] * form.blocks,) * 2 + (x.shape[3], o), x.dtype)
    return jax.linear_transpose(lambda kernel: _merge(form, kernel), kernel)(_transform(form.g.T, total))[0]


def _transform(matrix: np.ndarray, x: jax.Array) -> jax.Array:
    """Applies `matrix` in both directions, [n * n, ...] -> [m * m, ...].

    It is one matrix product, which XLA:CPU runs faster than the few additions that would do.
    """
    both = jnp.asarray(np.kron(matrix, matrix), x.dtype)
    return (both @ x.reshape(len(x), -1)).reshape(len(both), *x.shape[1:])


def _tiles(form: Form, x: jax.Array) -> tuple[int, int]:
    """Returns the numbers of rows and of columns of tiles in one image; the last ones may extend beyond its edge."""
    rows, columns = (-(-n // (form.step * form.blocks)) for n in x.shape[1:3])
    return rows, columns


def _outputs(form: Form, products: jax.Array, tiles: tuple[int, int]) -> jax.Array:
    """Returns images [b, outputs * rows, outputs * columns, o] of products [points * points, tiles, o]."""
    (rows, columns), m, o = tiles, len(form.a), products.shape[2]
    y = _transform(form.a, products).reshape(m, m, -1, rows, columns, o).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(-1, m * rows, m * columns, o)


def _inputs(form: Form, x: jax.Array) -> jax.Array:
    """Returns the transformed tiles [points * points, tiles, channels] of images [b, h, w, c]."""
    (rows, columns), step, window = _tiles(form, x), form.step, form.b.shape[1]
    height, width = (form.blocks * (step * n + window - step) for n in (rows, columns))
    x = jnp.pad(x, ((0, 0), (1, height - x.shape[1] - 1), (1, width - x.shape[2] - 1), (0, 0)))
    if form.blocks > 1:
        b, h, w, c = x.shape
        x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)
    shifted = [
        x[:, i : i + step * (rows - 1) + 1 : step, j : j + step * (columns - 1) + 1 : step].reshape(-1, x.shape[3])
        for i in range(window)
        for j in range(window)
    ]
    return _transform(form.b, jnp.stack(shifted))


def _merge(form: Form, kernel: jax.Array) -> jax.Array:
    """Reshapes a kernel [k, k, c, o] to one row for each input of an output: [k * k, c, o], of blocks [4, 4 * c, o]."""
    k, _, c, o = kernel.shape
    n = k // form.blocks
    kernel = kernel.reshape(n, form.blocks, n, form.blocks, c, o).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(n * n, form.blocks**2 * c, o)


def _split(x: jax.Array, tiles: int) -> jax.Array:
    """Splits [N, ...] into [blocks, images, ...], where each image has `tiles` tiles."""
    images = max(d for d in range(1, max(1, min(TILES // tiles, len(x))) + 1) if len(x) % d == 0)
    return x.reshape(len(x) // images, images, *x.shape[1:])
