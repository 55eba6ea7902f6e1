"""Defines convolutions whose derivatives, of any order, are fast convolutions again.

Let T be the transpose of `conv` and W its kernel gradient. The product <conv(x, k), g> is linear in x, k and g. Its
gradient by g is conv(x, k), by x it is T(g, k), and by k it is W(x, g). Each of these three functions is linear in both
arguments, and its derivatives are the other two. So three custom VJPs that refer to each other give derivatives of any
order in reverse mode:

    function    by the first      by the second argument
    conv(x, k)  T(ct, k)          W(x, ct)
    T(g, k)     conv(ct, k)       W(ct, g)
    W(x, g)     T(g, ct)          conv(x, ct)

The same holds for resampling with a kernel. The gradient of <up(x, k), g> by x is four times `down` with the flipped
kernel f(k). Since `down` is `up` transposed, only one kernel gradient, U, is needed:

    up(x, k)    4 down(ct, f(k))  U(x, ct)
    down(x, k)  up(ct, f(k)) / 4  f(U(ct, x)) / 4
    U(x, g)     4 down(g, f(ct))  up(x, ct)

Without this, JAX differentiates a transposed convolution as the dilated convolution to which it is lowered. XLA:CPU
runs that kernel gradient about ten times slower than the kernel gradient of the strided convolution. A custom VJP for
the first derivative alone would bring the slow program back in the second derivative (R1, WGAN-GP). The price is that
forward mode (`jax.jvp`, `jax.hessian`) does not work; reverse mode of reverse mode does.

`jaxgan.nn.conv_dispatch` chooses the program that computes each function.
"""

import functools

import jax

from jaxgan.errors import UserError
from jaxgan.nn import conv_dispatch
from jaxgan.nn.conv_dispatch import Size


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolves (cross-correlates) with equal padding on all sides, as torch's `Conv2d(padding=(k - 1) // 2)` does.

    out[b, i, j, o] = sum_{m, n, c} x[b, stride * i + m - p, stride * j + n - p, c] kernel[m, n, c, o]
    with p = (k - 1) // 2 and x zero outside.

    Args:
      x: [B, H, W, I].
      kernel: [kh, kw, I, O], of the type of `x`.
      stride: step of the output grid in both directions.

    Returns:
      [B, H', W', O] with H' = (H + 2p - kh) // stride + 1: H for odd kernels at stride 1, H / 2 for even H at
      stride 2, and H - 1 for even kernels at stride 1.

    >>> import jax.numpy as jnp
    >>> conv(jnp.ones((1, 8, 8, 3)), jnp.ones((4, 4, 3, 5)), 2).shape
    (1, 4, 4, 5)
    """
    return conv_dispatch.convolve(x, kernel, stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _transpose(g: jax.Array, kernel: jax.Array, stride: int, size: Size) -> jax.Array:
    """Applies T, the linear transpose of `x -> conv(x, kernel, stride)` for x of height and width `size`."""
    return conv_dispatch.transpose(g, kernel, stride, size)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_kernel_gradient(x: jax.Array, g: jax.Array, stride: int, kernel_size: Size) -> jax.Array:
    """Applies W, the linear transpose of `kernel -> conv(x, kernel, stride)`, which gives a kernel's gradient.

    out[m, n, c, o] = sum_{b, i, j} x[b, stride * i + m - p, stride * j + n - p, c] g[b, i, j, o]

    Args:
      x: [B, H, W, I], the input of `conv`.
      g: [B, H', W', O], a cotangent of its output.
      stride: stride of `conv`.
      kernel_size: (kh, kw), which does not follow from the shapes of `x` and `g`.

    Returns:
      [kh, kw, I, O].
    """
    return conv_dispatch.kernel_gradient(x, g, stride, kernel_size)


def conv_transpose(x: jax.Array, kernel: jax.Array, stride: int = 1, size: Size | None = None) -> jax.Array:
    """Applies the transposed convolution, exactly the linear transpose of `conv` in its first argument.

    <conv(y, kernel, stride), x> = <y, conv_transpose(x, kernel, stride)> for all y. It equals torch's
    `ConvTranspose2d(k, stride, padding=(k - 1) // 2, output_padding=stride - 2 + k % 2)`.

    Args:
      x: [B, h, w, I].
      kernel: [kh, kw, O, I], of the type of `x`: the kernel of a `conv` from O channels to I.
      stride: factor of enlargement.
      size: output (H, W), any size from which `conv` gives (h, w); by default (stride * h, stride * w).

    Returns:
      [B, H, W, O].

    Raises:
      UserError: no convolution with this kernel and stride gives (h, w) from `size`. With the default size this
        happens for even kernels at stride 1.

    >>> import jax.numpy as jnp
    >>> conv_transpose(jnp.ones((1, 4, 4, 5)), jnp.ones((4, 4, 3, 5)), 2).shape
    (1, 8, 8, 3)
    """
    height, width = size or (stride * x.shape[1], stride * x.shape[2])
    taken_to = tuple(
        (n + 2 * ((k - 1) // 2) - k) // stride + 1 for n, k in zip((height, width), kernel.shape[:2], strict=True)
    )
    if taken_to != x.shape[1:3]:
        raise UserError(
            f"A transposed convolution with kernel {kernel.shape[0]}x{kernel.shape[1]} and stride {stride} "
            f"cannot turn {x.shape[1]}x{x.shape[2]} into {height}x{width}: use an odd kernel, or a stride of 2 or more."
        )
    return _transpose(x, kernel, stride, (height, width))


def conv_pool(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Averages `conv(x, kernel)` over 2x2 blocks, as one convolution of stride 2 by the mean of four shifted kernels.

    A 3x3 kernel then costs 16 products for each output pixel and pair of channels instead of 36. For a 1x1 kernel the
    input is averaged first, which costs 1 product instead of 4.

    Args:
      x: [B, H, W, I] with even H and W.
      kernel: [k, k, I, O] with odd k.

    Returns:
      [B, H / 2, W / 2, O].

    >>> import jax.numpy as jnp
    >>> conv_pool(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0].tolist()
    [[6.25, 6.25], [6.25, 6.25]]
    """
    if kernel.shape[:2] == (1, 1):
        b, h, w, c = x.shape
        return conv(x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4)), kernel)
    _check_odd(kernel)
    return _down(x, kernel)


def upsample_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Applies `conv` to x enlarged twice by nearest neighbor, as one transposed convolution.

    It is four times the transpose of `conv_pool`.

    Args:
      x: [B, h, w, I].
      kernel: [k, k, I, O] with odd k.

    Returns:
      [B, 2h, 2w, O].

    >>> import jax.numpy as jnp
    >>> upsample_conv(jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1)))[0, 0, :, 0].tolist()
    [4.0, 6.0, 6.0, 4.0]
    """
    if kernel.shape[:2] == (1, 1):
        return conv(x, kernel).repeat(2, axis=1).repeat(2, axis=2)
    _check_odd(kernel)
    return _up(x, kernel)


def _check_odd(kernel: jax.Array) -> None:
    if kernel.shape[0] % 2 == 0:
        raise UserError(f"Resampling with a convolution needs an odd kernel, not {kernel.shape[0]}x{kernel.shape[1]}.")


@jax.custom_vjp
def _up(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return conv_dispatch.enlarged(x, kernel)


@jax.custom_vjp
def _down(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return conv_dispatch.averaged(x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _up_kernel_gradient(x: jax.Array, g: jax.Array, kernel_size: Size) -> jax.Array:
    """Applies U, the linear transpose of `kernel -> _up(x, kernel)`."""
    return conv_dispatch.enlarged_kernel_gradient(x, g, kernel_size)


def _conv_forward(x, kernel, stride):
    return conv(x, kernel, stride), (x, kernel)


def _conv_backward(stride, residuals, ct):
    x, kernel = residuals
    return (
        _transpose(ct, kernel, stride, x.shape[1:3]),
        conv_kernel_gradient(x, ct, stride, kernel.shape[:2]),
    )


def _transpose_forward(g, kernel, stride, size):
    return _transpose(g, kernel, stride, size), (g, kernel)


def _transpose_backward(stride, size, residuals, ct):
    g, kernel = residuals
    return conv(ct, kernel, stride), conv_kernel_gradient(ct, g, stride, kernel.shape[:2])


def _kernel_gradient_forward(x, g, stride, kernel_size):
    return conv_kernel_gradient(x, g, stride, kernel_size), (x, g)


def _kernel_gradient_backward(stride, kernel_size, residuals, ct):
    x, g = residuals
    return _transpose(g, ct, stride, x.shape[1:3]), conv(x, ct, stride)


conv.defvjp(_conv_forward, _conv_backward)
_transpose.defvjp(_transpose_forward, _transpose_backward)
conv_kernel_gradient.defvjp(_kernel_gradient_forward, _kernel_gradient_backward)


def _up_backward(residuals, ct):
    x, kernel = residuals
    return 4 * _down(ct, conv_dispatch.flip(kernel)), _up_kernel_gradient(x, ct, kernel.shape[:2])


def _down_backward(residuals, ct):
    x, kernel = residuals
    return _up(ct, conv_dispatch.flip(kernel)) / 4, conv_dispatch.flip(_up_kernel_gradient(ct, x, kernel.shape[:2])) / 4


def _up_kernel_gradient_backward(kernel_size, residuals, ct):
    x, g = residuals
    return 4 * _down(g, conv_dispatch.flip(ct)), _up(x, ct)


_up.defvjp(lambda x, kernel: (_up(x, kernel), (x, kernel)), _up_backward)
_down.defvjp(lambda x, kernel: (_down(x, kernel), (x, kernel)), _down_backward)
_up_kernel_gradient.defvjp(
    lambda x, g, kernel_size: (_up_kernel_gradient(x, g, kernel_size), (x, g)), _up_kernel_gradient_backward
)
