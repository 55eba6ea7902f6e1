"""What all architectures have in common: their interface, and what goes in front of them and behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.nn.layers import DCGAN_INIT, Dense
from jaxgan.nn.minibatch import minibatch_stddev

Array = jax.Array

# Output range of the generator: tanh (-1, 1), sigmoid (0, 1), linear unbounded.
OUTPUT_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "linear": lambda x: x,
}

STANDARD_NORMAL = nn.initializers.normal(1.0)

# How a network takes notice of classes.
G_CONDITIONINGS = ("none", "concat", "batch_norm")
D_CONDITIONINGS = ("none", "concat", "class_fake", "auxiliary", "projection")


class DOutput(NamedTuple):
    """What a discriminator returns.

    `logits` f[B], before any sigmoid; `features` f[B, F], the activations the logits are read from; `heads`, further
    outputs f[B, n] by name.
    """

    logits: Array
    features: Array
    heads: dict[str, Array]


class Architecture(NamedTuple):
    """A generator/discriminator pair.

    Both modules take plain attributes: `base_features`, `channel_multipliers`, `kernel_sizes`, `spectral_norm`,
    `batch_norm`, `axis_name` (of synchronized batch norm), `dtype`, `num_classes`, `conditioning` (from
    `G_CONDITIONINGS` or `D_CONDITIONINGS`) and `embedding_dim` (see `condition` and `see_label`). The generator also
    takes `shape` (of one example), `output` and `codes` (how many numbers at the end of its z are InfoGAN's codes
    rather than noise), the discriminator `minibatch_stddev` (examples in a group; 0: none) and `heads` (names and
    widths of further outputs). They are called as `generator(z, label, train=...)` and
    `discriminator(x, label, train=...) -> DOutput`, with `label` i32[B], or None for those that need none.

    `check(shape, channel_multipliers, g_kernel_sizes, d_kernel_sizes)` raises `UserError` for what they cannot make.
    `convolutional` says that there are convolutions, which decide what runs fast on a CPU.
    `lacks` names the switches of `ModelConfig` that must be off, because there is nothing to switch.
    """

    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]
    check: Callable[..., None]
    convolutional: bool = True
    lacks: tuple[str, ...] = ()


def check_residual(
    name: str,
    sizes: Collection[int],
    shape: Sequence[int],
    channel_multipliers: Sequence[int],
    g_kernel_sizes: Sequence[int],
    d_kernel_sizes: Sequence[int],
) -> None:
    """Refuses what a residual architecture has no layout for.

    Raises:
      UserError: not square images of a size in `sizes`, kernels other than 3x3 (the configuration's default, which is
        meant for another architecture, stands for 3x3 too), or a list of widths.
    """
    if len(shape) != 3 or shape[0] != shape[1] or shape[0] not in sizes:
        what = "x".join(map(str, shape))
        raise UserError(
            f"model.architecture {name!r} cannot make examples of shape {what}: data.image_size must be one of "
            f"{', '.join(map(str, sizes))}."
        )
    if channel_multipliers:
        raise UserError(
            f"model.channel_multipliers is {tuple(channel_multipliers)}, but the two networks of {name} have no "
            "common list of widths: leave it empty and set model.base_features."
        )
    for key, given in (("g_kernel_sizes", g_kernel_sizes), ("d_kernel_sizes", d_kernel_sizes)):
        if tuple(given) not in ((3,), (4,)):
            raise UserError(f"model.{key} is {tuple(given)}, but all kernels of {name} are 3x3: leave it out.")


class Conditioned(Protocol):
    """The attributes of a module that `condition` and `see_label` read."""

    num_classes: int
    conditioning: str
    embedding_dim: int
    dtype: Any


class Discriminating(Conditioned, Protocol):
    """The attributes of a discriminator that `see_batch` and `read_out` read."""

    spectral_norm: bool
    minibatch_stddev: int
    heads: tuple[tuple[str, int], ...]


def widen(x: Array) -> Array:
    """At least float32, for all that leaves a network."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


# The functions below are the beginning and the end of a network's compact method, and make their layers in it.


def condition(
    g: Conditioned,
    z: Array,
    label: Array | None,
    *,
    train: bool,
    embedding_init: nn.initializers.Initializer = STANDARD_NORMAL,
) -> tuple[Array, Array | None]:
    """A generator's input z' [B, .] and the vector y [B, .] that its batch norm depends on, if any.

    `concat`: z' = [z, embedding of the label], `embedding_dim` numbers that start as N(0, 1), as z does.
    `batch_norm`: y is the label, one-hot, which makes of each layer's gamma(y) an embedding of its own.
    """
    if g.conditioning == "concat":
        embedding = _embedding(g, label, g.embedding_dim, train, embedding_init)
        return jnp.concatenate([z, embedding.astype(z.dtype)], -1), None
    return z, _one_hot(g, label) if g.conditioning == "batch_norm" else None


def see_label(d: Conditioned, x: Array, label: Array | None, *, train: bool) -> Array:
    """A discriminator's input. With `concat`, an embedding of the label is one more map of images [B, H, W, C + 1], or
    `embedding_dim` more numbers of points [B, F + embedding_dim]."""
    if d.conditioning != "concat":
        return x
    shape = (*x.shape[1:-1], 1) if x.ndim == 4 else (d.embedding_dim,)
    embedding = _embedding(d, label, math.prod(shape), train)
    return jnp.concatenate([x, embedding.reshape(len(x), *shape).astype(x.dtype)], -1)


def see_batch(d: Discriminating, x: Array, *, train: bool) -> Array:
    """A discriminator's last maps [B, ..., C], mixed with that of `jaxgan.nn.minibatch.minibatch_stddev` where asked
    for, by a 1x1 convolution and leaky ReLU: before a linear layer it could only shift all logits alike."""
    if not d.minibatch_stddev:
        return x
    x = minibatch_stddev(x, d.minibatch_stddev)
    mix = Dense(x.shape[-1] - 1, True, d.spectral_norm, d.dtype, nn.initializers.he_normal(), name="minibatch")
    return nn.leaky_relu(mix(x, train=train), 0.2)


def read_out(
    d: Discriminating,
    features: Array,
    label: Array | None,
    *,
    train: bool,
    kernel_init: nn.initializers.Initializer = DCGAN_INIT,
    projection_init: nn.initializers.Initializer | None = None,
) -> DOutput:
    """What a discriminator says of features h [B, F], in at least float32 whatever `d.dtype`: what losses make of
    logits is their differences, and from 256 to 512 bfloat16 has steps of 2.

    * `none`, `concat`: logits f = w.h + b.
    * `projection`: logits f + <embed(y), h>. Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637, equation 4.
    * `auxiliary`: f, and a head `class` [B, K] of logits. Odena et al. 2017, https://arxiv.org/abs/1610.09585.
    * `class_fake`: a head `class_fake` [B, K + 1] of logits l, the last for generated examples, and
      logits = logsumexp(l_1 .. l_K) - l_fake, whose sigmoid is softmax's P(real).
      Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 5.

    Args:
      d: the discriminator whose compact method calls this.
      features: of the last hidden layer.
      label: i32[B], which only `projection` needs.
      train: whether spectral norm may move.
      kernel_init: of all kernels,
      projection_init: but for the embedding, where it is given.
    """

    def dense(inputs: Array, width: int, name: str | None = None, bias: bool = True, init=kernel_init) -> Array:
        return Dense(width, bias, d.spectral_norm, kernel_init=init, name=name)(inputs, train=train)

    features = widen(features)
    heads = {name: dense(features, width, f"head_{name}") for name, width in d.heads}
    if d.conditioning == "class_fake":
        heads["class_fake"] = dense(features, d.num_classes + 1, "class_fake")
        logits = jax.nn.logsumexp(heads["class_fake"][:, :-1], axis=1) - heads["class_fake"][:, -1]
        return DOutput(logits, features, heads)
    logits = dense(features, 1)[:, 0]
    if d.conditioning == "auxiliary":
        heads["class"] = dense(features, d.num_classes, "class")
    if d.conditioning == "projection":
        one_hot, width = _one_hot(d, label), features.shape[-1]
        embedding = dense(one_hot, width, "projection", False, projection_init or kernel_init)
        logits += (embedding * features).sum(1)
    return DOutput(logits, features, heads)


def _one_hot(module: Conditioned, label: Array | None) -> Array:
    """f32[B, K]. An embedding is a product with it, whose gradient needs no scattered sums: those of a GPU come out
    another each time."""
    if label is None:
        raise UserError(f"a network with conditioning {module.conditioning!r} needs labels: pass `label`, one per row.")
    return jax.nn.one_hot(label, module.num_classes, dtype=jnp.float32)


def _embedding(
    module: Conditioned,
    label: Array | None,
    features: int,
    train: bool,
    kernel_init: nn.initializers.Initializer = STANDARD_NORMAL,
) -> Array:
    layer = Dense(features, False, dtype=module.dtype, kernel_init=kernel_init, name="embedding")
    return layer(_one_hot(module, label), train=train)
