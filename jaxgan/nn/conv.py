"""Convolutions whose derivatives, of any order, are fast convolutions again, and the layers made of them.

`conv` (below also T for its transpose and W for its kernel gradient) makes a form <conv(x, k), g> that is
linear in x, k and g. The gradient of the form by g is conv(x, k), by x it is T(g, k), by k it is W(x, g).
Each of these is linear in both arguments and its derivatives are the other two, so three mutually recursive
custom VJPs are closed under reverse differentiation:

    form        first argument    second argument
    conv(x, k)  T(ct, k)          W(x, ct)
    T(g, k)     conv(ct, k)       W(ct, g)
    W(x, g)     T(g, ct)          conv(x, ct)

Why: left alone, JAX differentiates a transposed convolution as the dilated convolution it lowers to, and
XLA:CPU runs that weight gradient about ten times slower than the weight gradient of the strided convolution
it transposes. A custom VJP of the first derivative alone would bring the slow form back in the second (R1,
WGAN-GP). The price is that forward mode (`jax.jvp`, `jax.hessian`) is refused; reverse over reverse is not.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.errors import UserError
from jaxgan.nn.spectral_norm import SpectralNorm

Size = tuple[int, int]
"""Height and width."""


def _strided(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """The stock convolution all three forms are made of."""
    padding = [((k - 1) // 2, (k - 1) // 2) for k in kernel.shape[:2]]
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolution (cross-correlation), padded as torch's `Conv2d(padding=(k - 1) // 2)`: equal on all sides.

    out[b, i, j, o] = sum_{m, n, c} x[b, stride * i + m - p, stride * j + n - p, c] kernel[m, n, c, o]
    with p = (k - 1) // 2 and x zero outside.

    Args:
      x: [B, H, W, I].
      kernel: [kh, kw, I, O], of the type of `x`.
      stride: step of the output grid in both directions.

    Returns:
      [B, H', W', O] with H' = (H + 2p - kh) // stride + 1: H for odd kernels at stride 1, H / 2 for even H at
      stride 2, and H - 1 for even kernels at stride 1.

    >>> conv(jnp.ones((1, 8, 8, 3)), jnp.ones((4, 4, 3, 5)), 2).shape
    (1, 4, 4, 5)
    """
    return _strided(x, kernel, stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _transpose(g: jax.Array, kernel: jax.Array, stride: int, size: Size) -> jax.Array:
    """T: the linear transpose of `x -> conv(x, kernel, stride)` for x of height and width `size`."""
    x = jax.ShapeDtypeStruct((g.shape[0], *size, kernel.shape[2]), g.dtype)
    return jax.linear_transpose(lambda x: _strided(x, kernel, stride), x)(g)[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_kernel_gradient(x: jax.Array, g: jax.Array, stride: int, kernel_size: Size) -> jax.Array:
    """W: the linear transpose of `kernel -> conv(x, kernel, stride)`, the gradient a kernel receives.

    out[m, n, c, o] = sum_{b, i, j} x[b, stride * i + m - p, stride * j + n - p, c] g[b, i, j, o]

    Args:
      x: [B, H, W, I], the input of `conv`.
      g: [B, H', W', O], a cotangent of its output.
      stride: that of `conv`.
      kernel_size: (kh, kw), which the shapes of `x` and `g` do not determine.

    Returns:
      [kh, kw, I, O].
    """
    kernel = jax.ShapeDtypeStruct((*kernel_size, x.shape[3], g.shape[3]), x.dtype)
    return jax.linear_transpose(lambda kernel: _strided(x, kernel, stride), kernel)(g)[0]


def conv_transpose(x: jax.Array, kernel: jax.Array, stride: int = 1, size: Size | None = None) -> jax.Array:
    """Transposed convolution: exactly the linear transpose of `conv` in its first argument.

    <conv(y, kernel, stride), x> = <y, conv_transpose(x, kernel, stride)> for all y. It equals torch's
    `ConvTranspose2d(k, stride, padding=(k - 1) // 2, output_padding=stride - 2 + k % 2)`.

    Args:
      x: [B, h, w, I].
      kernel: [kh, kw, O, I], of the type of `x`: the kernel of the `conv` that takes O channels to I.
      stride: factor of enlargement.
      size: output (H, W), any that `conv` would take to (h, w); by default (stride * h, stride * w).

    Returns:
      [B, H, W, O].

    Raises:
      UserError: no convolution with this kernel and stride takes `size` to (h, w); with the default size this
        happens for even kernels at stride 1.

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
            f"cannot turn {x.shape[1]}x{x.shape[2]} into {height}x{width}; even kernels need stride >= 2."
        )
    return _transpose(x, kernel, stride, (height, width))


def conv_pool(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """2x2 means of `conv(x, kernel)`, as one convolution of stride 2 whose kernel is the mean of four shifted copies.

    A 3x3 kernel then costs 16 products per output pixel and channel pair instead of 36; of a 1x1 kernel the input is
    averaged, which costs 1 instead of 4.

    Args:
      x: [B, H, W, I] with even H and W.
      kernel: [k, k, I, O] with odd k.

    Returns:
      [B, H / 2, W / 2, O].

    >>> conv_pool(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0].tolist()
    [[6.25, 6.25], [6.25, 6.25]]
    """
    if kernel.shape[:2] == (1, 1):
        b, h, w, c = x.shape
        return conv(x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4)), kernel)
    return conv(x, _sum_of_shifts(kernel) / 4, 2)


def upsample_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`conv` of x enlarged twice by nearest neighbor, as one transposed convolution: four times `conv_pool` transposed.

    Args:
      x: [B, h, w, I].
      kernel: [k, k, I, O] with odd k.

    Returns:
      [B, 2h, 2w, O].

    >>> upsample_conv(jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1)))[0, 0, :, 0].tolist()
    [4.0, 6.0, 6.0, 4.0]
    """
    if kernel.shape[:2] == (1, 1):
        return conv(x, kernel).repeat(2, axis=1).repeat(2, axis=2)
    return conv_transpose(x, _sum_of_shifts(kernel[::-1, ::-1].swapaxes(2, 3)), 2)


def _sum_of_shifts(kernel: jax.Array) -> jax.Array:
    """[k, k, I, O] -> [k + 1, k + 1, I, O], the kernel convolved with a 2x2 block of ones."""
    if kernel.shape[0] % 2 == 0:
        raise UserError(f"Resampling with a convolution needs an odd kernel, not {kernel.shape[0]}x{kernel.shape[1]}.")
    for axis in (0, 1):
        first, last = [(0, 0)] * 4, [(0, 0)] * 4
        first[axis], last[axis] = (1, 0), (0, 1)
        kernel = jnp.pad(kernel, first) + jnp.pad(kernel, last)
    return kernel


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


def _operands(
    layer: "Conv | ConvTranspose | Dense", x: jax.Array, shape: tuple[int, ...], out_axis: int, train: bool
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Input, kernel (spectrally normalized if asked) and bias (or None), cast to the type to compute in.

    That type is `layer.dtype` if narrower than float32, otherwise the widest of input and kernel: float64
    parameters compute in float64 although layers say float32.
    """
    kernel = layer.param("kernel", layer.kernel_init, shape, jnp.float32)
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,), jnp.float32) if layer.use_bias else None
    narrow = jnp.finfo(layer.dtype).bits < 32
    dtype = layer.dtype if narrow else jnp.promote_types(x.dtype, kernel.dtype)
    if layer.spectral_norm:  # before the cast: sigma of a rounded kernel is a rounded sigma
        kernel = SpectralNorm()(kernel, out_axis=out_axis, train=train)
    if bias is not None:  # rank made explicit, since silent rank promotion hides mistakes elsewhere
        bias = bias.astype(dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    return x.astype(dtype), kernel.astype(dtype), bias


class Conv(nn.Module):
    """`conv` with float32 parameters `kernel` [k, k, I, features] and `bias` [features].

    Attributes:
      features: output channels.
      kernel_size: height and width of the kernel; even ones shrink the image by one pixel at stride 1.
      stride: in both directions.
      use_bias: whether to add a bias, which starts at zero.
      spectral_norm: whether to divide the kernel by its largest singular value; see `SpectralNorm`.
      resample: "up", it sees its input enlarged twice (`upsample_conv`); "down", its output is averaged over 2x2 blocks
        (`conv_pool`); both with an odd kernel and a stride of 1.
      dtype: type to compute in if narrower than float32; otherwise that of input and parameters.
      kernel_init: initializer of the kernel; DCGAN's normal(0.02) by default (https://arxiv.org/abs/1511.06434).
    """

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    spectral_norm: bool = False
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.normal(0.02)
    resample: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, I] to [B, H', W', features], H' as in `conv`, or 2H or H / 2 where it resamples."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        x, kernel, bias = _operands(self, x, shape, 3, train)
        resampling = {"up": upsample_conv, "down": conv_pool}
        y = resampling[self.resample](x, kernel) if self.resample else conv(x, kernel, self.stride)
        return y if bias is None else y + bias


class ConvTranspose(nn.Module):
    """`conv_transpose`, enlarging by `stride`; attributes as in `Conv`.

    The kernel is stored as [k, k, features, I]. A `kernel_init` that scales by fan-in must be told so
    (`in_axis=3, out_axis=2`). Even kernels need a stride of at least 2.
    """

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    spectral_norm: bool = False
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, I] to [B, stride * h, stride * w, features]."""
        shape = (self.kernel_size, self.kernel_size, self.features, x.shape[-1])
        x, kernel, bias = _operands(self, x, shape, 2, train)
        y = conv_transpose(x, kernel, self.stride)
        return y if bias is None else y + bias


class Dense(nn.Module):
    """x kernel + bias over the last axis, `kernel` [I, features]; attributes as in `Conv`."""

    features: int
    use_bias: bool = True
    spectral_norm: bool = False
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[..., I] to [..., features]."""
        x, kernel, bias = _operands(self, x, (x.shape[-1], self.features), 1, train)
        y = jnp.dot(x, kernel)
        return y if bias is None else y + bias
