"""Convolutions by minimal filtering, for CPU devices of one core each: 3x3 kernels, alone, after enlarging and before
averaging, and 4x4 kernels of stride 2.

Winograd's F(4x4, 3x3) makes 16 outputs with 36 products per pair of channels instead of 144. In each direction, with d
the 6 inputs of a tile, k the kernel and y its 4 outputs, y = A ((G k) * (B d)) for the matrices below (* elementwise).
The transforms run over positions and are shared by all channels; between them stand matrix products over channels, one
for each of the 36 points. Rounding in float32 is about five times that of a direct convolution.

On an image enlarged twice by nearest neighbor the inputs of a tile come in pairs, and the point -1, which takes their
differences, is always zero; 2x2 means of the outputs cancel it as well. Both then need 25 points. A 4x4 kernel of
stride 2 is a 2x2 kernel once 2x2 pixels have become channels: F(4x4, 2x2), 25 products instead of 64.

The batch goes through in blocks that stay in a core's cache; without that, nothing is gained.

Source: Lavin & Gray 2015, https://arxiv.org/abs/1509.09308; the other forms follow from it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

POINTS = (0, 1, -1, 2, -2)  # and infinity; the smaller, the less is lost to rounding


class Form(NamedTuple):
    """Tiles of `step` inputs, and their neighbors, that give len(a) outputs in each direction."""

    a: np.ndarray  # [outputs, points]
    b: np.ndarray  # [points, inputs with neighbors]
    g: np.ndarray  # [points, kernel size]
    step: int
    blocks: int = 1  # 2: blocks of 2x2 pixels are one input of four times the channels


def _cook_toom(outputs: int, taps: int) -> Form:
    """F(outputs, taps), whose B holds the polynomials that vanish at all points but one."""
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
    """Leaves out the points whose inputs or whose outputs are always zero."""
    used = np.any(form.b, axis=1) & np.any(form.a, axis=0)
    return form._replace(a=form.a[:, used], b=form.b[used], g=form.g[used])


_ENLARGE = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
_AVERAGE = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])

PLAIN = _cook_toom(4, 3)
UP = _without_idle(PLAIN._replace(b=PLAIN.b @ _ENLARGE, step=2))  # the input enlarged twice
DOWN = _without_idle(PLAIN._replace(a=_AVERAGE @ PLAIN.a))  # the output averaged over 2x2 blocks
HALVING = _cook_toom(4, 2)._replace(blocks=2)  # 4x4 kernel, stride 2
DOUBLING = tuple(_cook_toom(m, 2) for m in (3, 4))  # its transpose, by the size of the tile

TILES = 128  # of a block: few enough for a core's cache, enough for large matrix products


def conv(form: Form, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Images [N, h, w, c] and kernel [k, k, c, o] -> [N, h', w', o], the image being zero outside.

    k = 3 and h' = h * outputs / step; for `HALVING` k = 4, h is even and h' = h / 2.
    """
    height, width = (n * len(form.a) // (form.step * form.blocks) for n in x.shape[1:3])
    u, tiles = _transform(form.g, _merge(form, kernel)), _tiles(form, x)

    def one(x: jax.Array) -> jax.Array:
        return _outputs(form, jnp.einsum("ptc,pco->pto", _inputs(form, x), u), tiles)[:, :height, :width]

    return lax.map(one, _split(x, math.prod(tiles))).reshape(len(x), height, width, -1)


def conv_transpose(g: jax.Array, kernel: jax.Array) -> jax.Array:
    """The linear transpose of `x -> conv(HALVING, x, kernel)`: [N, h, w, o] and [4, 4, c, o] -> [N, 2h, 2w, c].

    Each block of 2x2 pixels is read by the 2x2 outputs around it, so that there are (h + 1)(w + 1) of them.
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
    """The linear transpose of `kernel -> conv(form, x, kernel)`: images, g [N, h', w', o] -> [k, k, c, o]."""
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
    """`matrix` in both directions, [n * n, ...] -> [m * m, ...], as one matrix product: XLA:CPU runs that faster than
    the few additions it stands for."""
    both = jnp.asarray(np.kron(matrix, matrix), x.dtype)
    return (both @ x.reshape(len(x), -1)).reshape(len(both), *x.shape[1:])


def _tiles(form: Form, x: jax.Array) -> tuple[int, int]:
    """Rows and columns of tiles in one image; the last ones may reach over its edge."""
    rows, columns = (-(-n // (form.step * form.blocks)) for n in x.shape[1:3])
    return rows, columns


def _outputs(form: Form, products: jax.Array, tiles: tuple[int, int]) -> jax.Array:
    """Sums of products [points * points, tiles, o] -> images [b, outputs * rows, outputs * columns, o]."""
    (rows, columns), m, o = tiles, len(form.a), products.shape[2]
    y = _transform(form.a, products).reshape(m, m, -1, rows, columns, o).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(-1, m * rows, m * columns, o)


def _inputs(form: Form, x: jax.Array) -> jax.Array:
    """Images [b, h, w, c] -> their transformed tiles [points * points, tiles, channels]."""
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
    """[k, k, c, o] -> one row for each input that an output reads: [k * k, c, o], or [4, 4 * c, o] of blocks."""
    k, _, c, o = kernel.shape
    n = k // form.blocks
    kernel = kernel.reshape(n, form.blocks, n, form.blocks, c, o).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(n * n, form.blocks**2 * c, o)


def _split(x: jax.Array, tiles: int) -> jax.Array:
    """[N, ...] -> [blocks, images, ...], of images with so many tiles each."""
    images = max(d for d in range(1, max(1, min(TILES // tiles, len(x))) + 1) if len(x) % d == 0)
    return x.reshape(len(x) // images, images, *x.shape[1:])
