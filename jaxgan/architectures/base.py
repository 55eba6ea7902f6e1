"""Defines the interface of all architectures, and the layers at their beginning and their end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.nn.layers import DCGAN_INIT, Dense
from jaxgan.nn.minibatch import minibatch_stddev

Array = jax.Array

# The generator's last function. Ranges: tanh (-1, 1), sigmoid (0, 1), linear unbounded.
OUTPUT_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "linear": lambda x: x,
}

STANDARD_NORMAL = nn.initializers.normal(1.0)

# Ways of conditioning a network on classes; `condition`, `see_label` and `read_out` say what each does.
G_CONDITIONINGS = ("none", "concat", "batch_norm")
D_CONDITIONINGS = ("none", "concat", "class_fake", "auxiliary", "projection")


class DOutput(NamedTuple):
    """Holds what a discriminator returns.

    Attributes:
      logits: f[B], before any sigmoid.
      features: f[B, F], the activations from which the last layer computes the logits.
      heads: further outputs f[B, n] by name.
    """

    logits: Array
    features: Array
    heads: dict[str, Array]


class Architecture(NamedTuple):
    """Holds a generator and a discriminator that belong together.

    They are called as `generator(z, label, train=...)` and `discriminator(x, label, train=...) -> DOutput`, where
    `label` is i32[B], or None if the network needs no labels. Both modules have these attributes:

    * `base_features`, `channel_multipliers`, `kernel_sizes`, `spectral_norm`, `batch_norm`, `dtype`, `num_classes`;
    * `axis_name`: mapped device axis over which batch norm is synchronized;
    * `conditioning`: one of `G_CONDITIONINGS` or `D_CONDITIONINGS`;
    * `embedding_dim`: see `condition` and `see_label`.

    The generator also has `shape` (of one example), `output` (from `OUTPUT_ACTIVATIONS`) and `codes` (how many numbers
    at the end of its input are InfoGAN's codes, not noise). The discriminator also has `minibatch_stddev` (number of
    examples in a group; 0 leaves it out) and `heads` (names and widths of further outputs).

    Attributes:
      generator, discriminator: the modules' classes.
      check: function `(shape, channel_multipliers, g_kernel_sizes, d_kernel_sizes)` that raises `UserError` for
        examples or settings that the pair does not support.
      convolutional: whether there are convolutions, which decide what runs fast on a CPU.
      lacks: names of the switches of `ModelConfig` that must be off, because the networks have no such layers.
    """

    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]
    check: Callable[..., None]
    convolutional: bool = True
    lacks: tuple[str, ...] = ()


def check_sides(name: str, sizes: Mapping[int, int], shape: Sequence[int]) -> None:
    """Refuses images that an architecture has no layout for.

    The smaller side chooses the layout. The larger side is made of proportionally longer maps, so it must be halved as
    often without a rest.

    Args:
      name: of the architecture.
      sizes: the smaller side in pixels -> how many times the networks halve it.
      shape: of one example.

    Raises:
      UserError: the examples are no images, or have another side.
    """
    sides = tuple(shape[:2])
    if len(shape) == 3 and min(sides) in sizes and max(sides) % 2 ** sizes[min(sides)] == 0:
        return
    allowed = ", ".join(map(str, sizes))
    more = ""
    if len(shape) == 3 and min(sides) in sizes:
        more = f", and the larger side beside {min(sides)} a multiple of {2 ** sizes[min(sides)]}"
    raise UserError(
        f"model.architecture {name!r} cannot make examples of shape {'x'.join(map(str, shape))}: data.image_size must "
        f"be one of {allowed}, or height and width of which the smaller is one of these{more}."
    )


def check_residual(
    name: str,
    sizes: Mapping[int, int],
    shape: Sequence[int],
    channel_multipliers: Sequence[int],
    g_kernel_sizes: Sequence[int],
    d_kernel_sizes: Sequence[int],
) -> None:
    """Refuses examples and settings for which a residual architecture has no layout.

    Raises:
      UserError: `check_sides` refuses the shape, a list of widths is given, or kernels are not 3x3. The configuration's
        default (4,) is meant for `dcgan` and stands for 3x3 here.
    """
    check_sides(name, sizes, shape)
    if channel_multipliers:
        raise UserError(
            f"model.channel_multipliers is {tuple(channel_multipliers)}, but the two networks of {name} have no "
            "common list of widths: leave it empty, and set model.base_features for wider or narrower networks."
        )
    for key, given in (("g_kernel_sizes", g_kernel_sizes), ("d_kernel_sizes", d_kernel_sizes)):
        if tuple(given) not in ((3,), (4,)):
            raise UserError(f"model.{key} is {tuple(given)}, but all kernels of {name} are 3x3: leave the key out.")


class Conditioned(Protocol):
    """Names the attributes of a module that `condition` and `see_label` read."""

    num_classes: int
    conditioning: str
    embedding_dim: int
    dtype: Any


class Discriminating(Conditioned, Protocol):
    """Names the attributes of a discriminator that `see_batch` and `read_out` read."""

    spectral_norm: bool
    minibatch_stddev: int
    heads: tuple[tuple[str, int], ...]


def widen(x: Array) -> Array:
    """Casts to at least float32, for everything that leaves a network."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


# Call the functions below in a network's compact method: they create layers in it.


def condition(
    g: Conditioned,
    z: Array,
    label: Array | None,
    *,
    train: bool,
    embedding_init: nn.initializers.Initializer = STANDARD_NORMAL,
) -> tuple[Array, Array | None]:
    """Returns a generator's input z' [B, .], and the vector y [B, .] that its batch norm depends on, or None.

    * `none`: z' = z.
    * `concat`: z' = [z, embedding of the label]. The embedding has `embedding_dim` numbers, which by default start as
      N(0, 1), like z.
    * `batch_norm`: z' = z, and y is the one-hot label. Each layer's gamma(y) and beta(y) then are embeddings of their
      own.
    """
    if g.conditioning == "concat":
        embedding = _embedding(g, label, g.embedding_dim, train, embedding_init)
        return jnp.concatenate([z, embedding.astype(z.dtype)], -1), None
    return z, _one_hot(g, label) if g.conditioning == "batch_norm" else None


def see_label(d: Conditioned, x: Array, label: Array | None, *, train: bool) -> Array:
    """Returns a discriminator's input, to which `concat` adds an embedding of the label.

    Images [B, H, W, C] get one more map, [B, H, W, C + 1]; points get more numbers, [B, F + embedding_dim].
    """
    if d.conditioning != "concat":
        return x
    shape = (*x.shape[1:-1], 1) if x.ndim == 4 else (d.embedding_dim,)
    embedding = _embedding(d, label, math.prod(shape), train)
    return jnp.concatenate([x, embedding.reshape(len(x), *shape).astype(x.dtype)], -1)


def see_batch(d: Discriminating, x: Array, *, train: bool) -> Array:
    """Returns a discriminator's last maps [B, ..., C], mixed with the map of `minibatch_stddev` if there is one.

    A 1x1 convolution and leaky ReLU mix them. Without these, the map would reach the last linear layer directly and
    could only shift all logits of a group alike.
    """
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
    """Computes a discriminator's output from its features h [B, F], in at least float32 whatever `d.dtype` is.

    Losses depend on differences of logits, which bfloat16 would round away: between 256 and 512 it has steps of 2.

    * `none`, `concat`: logits f = w.h + b.
    * `projection`: logits f + <embed(y), h>. Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637, equation 4.
    * `auxiliary`: f, and a head `class` [B, K] of logits. Odena et al. 2017, https://arxiv.org/abs/1610.09585.
    * `class_fake`: a head `class_fake` [B, K + 1] of logits l, the last of which is for generated examples, and
      logits = logsumexp(l_1 .. l_K) - l_fake, whose sigmoid is the softmax's probability of any real class.
      Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 5.

    The last layer always has a bias, though R3GAN's and the 32-pixel SN-GAN's have none: one number, which relativistic
    losses do not see.

    Args:
      d: the discriminator whose compact method calls this.
      features: output of the last hidden layer.
      label: i32[B]; only `projection` needs it.
      train: whether spectral norm may update its vectors.
      kernel_init: initializer of all kernels.
      projection_init: initializer of the embedding in its place, if given.
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
    """Returns one-hot labels f32[B, K].

    An embedding is a product with them. Its gradient needs no scattered sums, whose order on a GPU differs each time.
    """
    if label is None:
        raise UserError(
            f"A network with conditioning {module.conditioning!r} needs labels: pass `label`, one for each example."
        )
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
