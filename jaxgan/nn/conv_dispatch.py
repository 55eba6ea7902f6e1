"""Chooses the program that computes a convolution: XLA's own (stock), or on CPU devices of one core each a faster one.

`benchmarks.cost.convolutions` measures them. Each function computes the same as its stock form, up to rounding. The
functions here have no derivatives of their own; `jaxgan.nn.conv` defines them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.nn import winograd

Size = tuple[int, int]
"""Height and width."""

CHANNELS = 32  # fewest channels at which minimal filtering saves more products than its transforms cost
PART = 32  # number of images in a part: the strided kernel gradient of parts takes less time than that of a large batch
BLOCK = 2**19  # most numbers of an intermediate result that fit a core's cache


def strided(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Applies the stock convolution, the reference for all other forms; see `conv.conv`."""
    padding = [((k - 1) // 2, (k - 1) // 2) for k in kernel.shape[:2]]
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Computes `strided`."""
    stock = partial(strided, stride=stride)
    form = _filter(x, kernel.shape, stride)
    if form:
        return _on_cpu(partial(winograd.conv, form), stock, x, kernel)
    return stock(x, kernel)


def transpose(g: jax.Array, kernel: jax.Array, stride: int, size: Size) -> jax.Array:
    """Applies the linear transpose of `x -> strided(x, kernel, stride)` for x of height and width `size`."""
    if stride == 1 and kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1:
        return convolve(g, flip(kernel), 1)

    def stock(g: jax.Array, kernel: jax.Array) -> jax.Array:
        x = jax.ShapeDtypeStruct((len(g), *size, kernel.shape[2]), g.dtype)
        return jax.linear_transpose(lambda x: strided(x, kernel, stride), x)(g)[0]

    whole = size == (2 * g.shape[1], 2 * g.shape[2])
    if _fast(g.dtype) and stride == 2 and kernel.shape[:2] == (4, 4) and whole:
        # For smaller maps, the transform of the kernel costs more than the products save.
        wide = min(kernel.shape[2:]) >= CHANNELS and min(g.shape[1:3]) >= 7
        return _on_cpu(winograd.conv_transpose if wide else _scattered, stock, g, kernel)
    return stock(g, kernel)


def kernel_gradient(x: jax.Array, g: jax.Array, stride: int, kernel_size: Size) -> jax.Array:
    """Applies the linear transpose of `kernel -> strided(x, kernel, stride)`."""
    shape = (*kernel_size, x.shape[3], g.shape[3])

    def stock(x: jax.Array, g: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda k: strided(x, k, stride), jax.ShapeDtypeStruct(shape, x.dtype))(g)[0]

    form = _filter(x, shape, stride)
    # For `HALVING`, tiles that extend beyond the edge would cost more than the products save.
    if form and (form is winograd.PLAIN or g.shape[1] % 4 == g.shape[2] % 4 == 0):
        return _on_cpu(partial(winograd.conv_kernel_gradient, form), stock, x, g)
    if _fast(x.dtype) and stride == 2 and len(x) > PART and len(x) % PART == 0:
        # Unrolled, because XLA:CPU runs this convolution 30 times slower in the body of a loop.
        def in_parts(x: jax.Array, g: jax.Array) -> jax.Array:
            return reduce(jnp.add, [stock(x[i : i + PART], g[i : i + PART]) for i in range(0, len(x), PART)])

        return _on_cpu(in_parts, stock, x, g)
    return stock(x, g)


def enlarged(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes `strided` of x enlarged twice by nearest neighbor; the stock form is a transposed convolution."""

    def stock(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return transpose(x, sum_of_shifts(flip(kernel)), 2, (2 * x.shape[1], 2 * x.shape[2]))

    if _worthwhile(x, kernel.shape):
        return _on_cpu(partial(winograd.conv, winograd.UP), stock, x, kernel)
    return stock(x, kernel)


def averaged(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes the 2x2 means of `strided(x, kernel, 1)`; the stock form is a convolution of stride 2."""

    def stock(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return strided(x, sum_of_shifts(kernel) / 4, 2)

    if _worthwhile(x, kernel.shape):
        return _on_cpu(partial(winograd.conv, winograd.DOWN), stock, x, kernel)
    return stock(x, kernel)


def enlarged_kernel_gradient(x: jax.Array, g: jax.Array, kernel_size: Size) -> jax.Array:
    """Applies the linear transpose of `kernel -> enlarged(x, kernel)`."""
    shape = (*kernel_size, x.shape[3], g.shape[3])

    def stock(x: jax.Array, g: jax.Array) -> jax.Array:
        large = kernel_gradient(g, x, 2, (kernel_size[0] + 1, kernel_size[1] + 1))
        kernel = jax.ShapeDtypeStruct(shape, x.dtype)
        return jax.linear_transpose(lambda kernel: sum_of_shifts(flip(kernel)), kernel)(large)[0]

    if _worthwhile(x, shape):
        return _on_cpu(partial(winograd.conv_kernel_gradient, winograd.UP), stock, x, g)
    return stock(x, g)


def flip(kernel: jax.Array) -> jax.Array:
    """Returns the kernel of the transpose, [k, k, I, O] -> [k, k, O, I], for odd k and a stride of 1."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def sum_of_shifts(kernel: jax.Array) -> jax.Array:
    """Convolves a kernel with a 2x2 block of ones, [k, k, I, O] -> [k + 1, k + 1, I, O]."""
    for axis in (0, 1):
        first, last = [(0, 0)] * 4, [(0, 0)] * 4
        first[axis], last[axis] = (1, 0), (0, 1)
        kernel = jnp.pad(kernel, first) + jnp.pad(kernel, last)
    return kernel


def _scattered(g: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes `transpose` for 4x4 kernels of stride 2 by one matrix product and a sum of overlapping patches.

    Each entry of `g` contributes to a patch of 4x4 pixels, which is 2x2 blocks of 2x2 pixels. Blocks are summed as
    wholes, with their pixels as channels.
    """
    (n, h, w, o), c = g.shape, kernel.shape[2]
    kernel = kernel.reshape(2, 2, 2, 2, c, o).transpose(0, 2, 1, 3, 4, 5).reshape(16 * c, o)
    images = largest_divisor(n, BLOCK // (h * w * 16 * c))

    def one(g: jax.Array) -> jax.Array:
        patches = (g @ kernel.T).reshape(-1, h, w, 2, 2, 4 * c)
        y = jnp.zeros((), g.dtype)
        for i in range(2):
            for j in range(2):
                y += jnp.pad(patches[:, :, :, i, j], ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
        y = y.reshape(-1, h + 1, w + 1, 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2 * h + 2, 2 * w + 2, c)
        return y[:, 1:-1, 1:-1]

    if images == n:
        return one(g)
    return lax.map(one, g.reshape(n // images, images, h, w, o)).reshape(n, 2 * h, 2 * w, c)


def largest_divisor(n: int, limit: int) -> int:
    """Returns the largest divisor of n that is at most `limit`, or 1."""
    return max(d for d in range(1, max(1, min(n, limit)) + 1) if n % d == 0)


def _fast(dtype: jnp.dtype) -> bool:
    """Returns whether the faster forms may be used: CPU devices have one core each, and floats at least 32 bits.

    The faster forms have loops, whose body XLA:CPU runs on one thread only. Narrower floats keep the stock forms, which
    have smaller rounding errors.
    """
    return _cpu_devices() > 1 and jnp.finfo(dtype).bits >= 32


def _cpu_devices() -> int:
    """Returns the number of this process's CPU devices, 0 if JAX may not use them (JAX_PLATFORMS=cuda or tpu)."""
    try:
        return jax.local_device_count("cpu")
    except RuntimeError:
        return 0


def _filter(x: jax.Array, kernel_shape: tuple[int, ...], stride: int) -> winograd.Form | None:
    """Returns the form of minimal filtering for this convolution, or None if the stock form is better."""
    if stride == 1:
        return winograd.PLAIN if _worthwhile(x, kernel_shape) else None
    even = x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0
    return winograd.HALVING if stride == 2 and even and _worthwhile(x, kernel_shape, 4) else None


def _worthwhile(x: jax.Array, kernel_shape: tuple[int, ...], kernel_size: int = 3) -> bool:
    return kernel_shape[:2] == (kernel_size,) * 2 and min(kernel_shape[2:]) >= CHANNELS and _fast(x.dtype)


def _on_cpu(fast: Callable[..., jax.Array], stock: Callable[..., jax.Array], *args: jax.Array) -> jax.Array:
    """Chooses a form when the program is lowered, so that a program exported for an accelerator has the stock form."""
    return lax.platform_dependent(*args, cpu=fast, default=stock)
