"""3x3 convolutions by minimal filtering, for CPU devices of one core each: alone, after enlarging, before averaging.

Winograd's F(4x4, 3x3) makes 16 outputs with 36 products per pair of channels instead of 144. In each direction, with d
the 6 inputs of a tile, k the kernel and y its 4 outputs, y = A ((G k) * (B d)) for the matrices below (* elementwise).
The transforms run over positions and are shared by all channels; between them stand matrix products over channels, one
for each of the 36 points. Rounding in float32 is about five times that of a direct convolution.

On an image enlarged twice by nearest neighbor the inputs of a tile come in pairs, and the point -1, which takes their
differences, is always zero; 2x2 means of the outputs cancel it as well. Both then need 25 points.

The batch goes through in blocks that stay in a core's cache; without that, nothing is gained.

Source: Lavin & Gray 2015, https://arxiv.org/abs/1509.09308; the resampled forms follow from it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Points 0, 1, 2, -2, infinity and -1, which the resampled forms leave out.
_A = np.array([[1, 1, 1, 1, 0, 1], [0, 1, 2, -2, 0, -1], [0, 1, 4, 4, 0, 1], [0, 1, 8, -8, 1, -1]])
_B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
        [0, 4, -4, -1, 1, 0],
    ]
)
_G = np.array([[6, 0, 0], [-4, -4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24], [-4, 4, -4]]) / 24
_ENLARGE = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
_AVERAGE = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])


class Form(NamedTuple):
    """Tiles of `step` inputs (and one more on each side) that give len(a) outputs in each direction."""

    a: np.ndarray  # [outputs, points]
    b: np.ndarray  # [points, step + 2]
    g: np.ndarray  # [points, 3]

    @property
    def step(self) -> int:
        """Distance of one tile's inputs from the next's."""
        return self.b.shape[1] - 2


PLAIN = Form(_A, _B, _G)
UP = Form(_A[:, :5], (_B @ _ENLARGE)[:5], _G[:5])  # the input enlarged twice
DOWN = Form((_AVERAGE @ _A)[:, :5], _B[:5], _G[:5])  # the output averaged over 2x2 blocks

TILES = 128  # of a block: few enough for a core's cache, enough for large matrix products


def _transform(matrix: np.ndarray, x: jax.Array) -> jax.Array:
    """`matrix` in both directions, [n * n, ...] -> [m * m, ...], as one matrix product: XLA:CPU runs that faster than
    the few additions it stands for."""
    both = jnp.asarray(np.kron(matrix, matrix), x.dtype)
    return (both @ x.reshape(len(x), -1)).reshape(len(both), *x.shape[1:])


def _inputs(form: Form, x: jax.Array) -> jax.Array:
    """Images [b, h, w, c] -> their transformed tiles [points * points, tiles, c]."""
    _, h, w, c = x.shape
    step, window = form.step, form.step + 2
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [
        x[:, i : i + h - step + 1 : step, j : j + w - step + 1 : step].reshape(-1, c)
        for i in range(window)
        for j in range(window)
    ]
    return _transform(form.b, jnp.stack(shifted))


def _blocks(form: Form, x: jax.Array, per_image: int) -> jax.Array:
    """[N, ...] -> [blocks, images, ...], of images with `per_image` tiles each."""
    images = max(d for d in range(1, max(1, min(TILES // per_image, len(x))) + 1) if len(x) % d == 0)
    return x.reshape(len(x) // images, images, *x.shape[1:])


def conv(form: Form, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Images [N, h, w, c] and kernel [3, 3, c, o] -> [N, h', w', o], h' = h * outputs / step.

    h and w are multiples of `form.step`; the image is zero outside.
    """
    (_, h, w, c), o, m = x.shape, kernel.shape[3], len(form.a)
    rows, columns = h // form.step, w // form.step
    u = _transform(form.g, kernel.reshape(9, c, o))

    def one(x: jax.Array) -> jax.Array:
        y = _transform(form.a, jnp.einsum("ptc,pco->pto", _inputs(form, x), u))
        y = y.reshape(m, m, -1, rows, columns, o).transpose(2, 3, 0, 4, 1, 5)
        return y.reshape(-1, m * rows, m * columns, o)

    return lax.map(one, _blocks(form, x, rows * columns)).reshape(len(x), m * rows, m * columns, o)


def conv_kernel_gradient(form: Form, x: jax.Array, g: jax.Array) -> jax.Array:
    """The linear transpose of `kernel -> conv(form, x, kernel)`: images, g [N, h', w', o] -> [3, 3, c, o]."""
    (_, h, w, c), o, m = x.shape, g.shape[3], len(form.a)
    rows, columns = h // form.step, w // form.step

    def add(total: jax.Array, block: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, g = block
        tiles = g.reshape(-1, rows, m, columns, m, o).transpose(2, 4, 0, 1, 3, 5).reshape(m * m, -1, o)
        return total + jnp.einsum("ptc,pto->pco", _inputs(form, x), _transform(form.a.T, tiles)), None

    start = jnp.zeros((len(form.b) ** 2, c, o), x.dtype)
    total, _ = lax.scan(add, start, (_blocks(form, x, rows * columns), _blocks(form, g, rows * columns)))
    return _transform(form.g.T, total).reshape(3, 3, c, o)
