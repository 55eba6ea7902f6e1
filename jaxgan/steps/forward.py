"""Passes examples through the two networks: G makes them, D is shown them and judges them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.architectures import DOutput
from jaxgan.devices.collectives import global_mean
from jaxgan.errors import UserError
from jaxgan.monitor.gradients import sigma_scalars
from jaxgan.nn.spectral_norm import SPECTRAL_STATS
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.randomness import AUGMENT, CODES, NOISE, Z, latents, per_example, stream
from jaxgan.steps.state import GANState, Params, Stats
from jaxgan.techniques.augment import augment
from jaxgan.techniques.infogan import HEAD, draw
from jaxgan.techniques.label_tricks import annealed, instance_noise, unflip
from jaxgan.techniques.losses import Mean

Array = jax.Array
Batch = dict[str, Array]  # "image" f[B, ...] in the generator's output range, "label" i32[B] where there are classes
Metrics = dict[str, Array]  # scalars to log
WATCHED = "intermediates"  # Flax's collection of what modules report besides what they return


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of one update on this device, leaves [n, ...].

    Attributes:
      real: real examples.
      label: i32[n], the classes of the real examples, which the generated ones get too; None without conditioning.
      z: f32[n, gan.input_dim], inputs of G.
      indices: i32[n], positions in the global batch.
    """

    real: Array
    label: Any
    z: Array
    indices: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Update:
    """What belongs to one update of a network besides the state that it changes.

    Attributes:
      examples: on this device; where a batch goes through in parts, those of one part.
      key: typed key of this update, from which all its random numbers derive.
      step: i32[], the number of generator updates completed before the training step that this update belongs to.
      hyper: the swept scalars.
    """

    examples: Examples
    key: Array
    step: Array
    hyper: Hyper


class Objective(NamedTuple):
    """A loss and the scalars to log."""

    loss: Array
    metrics: Metrics


class Generated(NamedTuple):
    """A training pass of G.

    Attributes:
      images: what it made.
      stats: its moved statistics.
      pullback: maps the loss's derivative by the images to a tuple that holds its derivative by G's parameters.
      sigmas: the scalars of spectral norm.
    """

    images: Array
    stats: Stats
    pullback: Callable[[Array], tuple[Params]]
    sigmas: Metrics


class Shown(NamedTuple):
    """A training pass of D.

    Attributes:
      outputs: what D says, in the order in which the kinds of examples were given.
      stats: its moved statistics.
      sigmas: the scalars of spectral norm.
    """

    outputs: tuple[DOutput, ...]
    stats: Stats
    sigmas: Metrics


def examples_of(gan: GAN, batch: Batch, key: Array) -> Examples:
    """Takes a device's slice of the global batch, and draws as many inputs of G, to be given the same labels."""
    n = len(batch["image"])
    start = lax.axis_index(gan.axis_name) * n if gan.axis_name else 0
    indices = start + jnp.arange(n)
    label = batch["label"] if gan.num_classes else None
    return Examples(batch["image"], label, g_inputs(gan, stream(key, Z), indices), indices)


def g_inputs(gan: GAN, key: Array, indices: Array, truncation: float | None = None) -> Array:
    """Draws inputs of G, f32[len(indices), gan.input_dim]: latents, and InfoGAN's codes beside them."""
    z = latents(key, indices, gan.z_dim, gan.z_distribution, truncation)
    return z if gan.codes is None else jnp.concatenate([z, draw(gan.codes, stream(key, CODES), indices)], axis=-1)


def sample(gan: GAN, variables: dict[str, Any], z: Array, label: Array | None = None) -> Array:
    """Generates images with fixed statistics.

    Args:
      gan: static.
      variables: of the generator; best the average's, `state.ema.variables`.
      z: f[B, gan.input_dim]: latents, and codes beside them if there are any.
      label: i32[B], the classes to generate, if G was conditioned on classes.

    Returns:
      f[B, *gan.shape] in the range of `model.output`.

    >>> from functools import partial
    >>> import jax, jaxgan
    >>> config = jaxgan.Config.from_dict({
    ...     "data": {"source": "synthetic", "name": "ring"},
    ...     "model": {"architecture": "mlp", "output": "linear", "base_features": 4, "channel_multipliers": (1,)},
    ... })
    >>> gan = jaxgan.build(config, shape=(2,))
    >>> state = jax.jit(partial(jaxgan.init, gan))(jax.random.key(0))
    >>> z = jax.random.normal(jax.random.key(1), (5, gan.input_dim))
    >>> sample(gan, state.ema.variables, z).shape
    (5, 2)
    """
    return gan.generator.apply(variables, z, *given(label), train=False)  # type: ignore[return-value]


def generate(
    gan: GAN, params: Params, stats: Stats, z: Array, label: Array | None, move_spectral: bool = True
) -> Generated:
    """Generates examples in training mode; u and v of spectral norm take a step only with `move_spectral`."""
    mutable = [name for name in stats if move_spectral or name != SPECTRAL_STATS]

    def images(params: Params) -> tuple[Array, Stats]:
        return gan.generator.apply(  # type: ignore[return-value]
            {"params": params, **stats}, z, *given(label), train=True, mutable=[*mutable, WATCHED]
        )

    fake, pullback, moved = jax.vjp(images, params, has_aux=True)
    moved = {**stats, **moved}
    sigmas = sigma_scalars("g", gan.layers["g"], moved)
    moved.pop(WATCHED, None)
    return Generated(fake, moved, pullback, sigmas)


def generate_for(gan: GAN, state: GANState, examples: Examples) -> Generated:
    """Generates the examples of an update, or of a part of it, from the generator as it is."""
    return generate(gan, state.generator.params, state.generator.stats, examples.z, examples.label)


def given(label: Array | None) -> tuple[Array, ...]:
    """Returns labels as positional arguments, none without conditioning: a caller's own network may take no labels."""
    return () if label is None else (label,)


def show(
    gan: GAN,
    state: GANState,
    update: Update,
    params: Params,
    stats: Stats,
    examples: Mapping[int, Array],
    *,
    move_spectral: bool = False,
) -> Shown:
    """Shows examples to D in training mode, as it is to see them, and collects what it says and what is watched.

    All kinds go through in one pass, or each in a pass of its own where batch norm would mix them. They also go apart
    where a penalty passes real or generated examples through D once more: XLA finds that it is the same pass.

    Args:
      gan: static.
      state: for ADA's probability.
      update: for its labels, its randomness, its step and the strengths.
      params, stats: of D.
      examples: [n, ...] for each kind: `D_REAL`, `D_FAKE`, `G_REAL` or `G_FAKE`.
      move_spectral: whether u and v of spectral norm move, once however many passes there are.
    """
    label = update.examples.label
    seen = [as_seen(gan, state, update, kind, x) for kind, x in examples.items()]
    if len(seen) == 1 or "batch_stats" in stats or (gan.penalties and gan.interval == 1):
        out, stats, sigmas = discriminate(gan, params, stats, seen[0], label, train=True, move_spectral=move_spectral)
        outputs = [out]
        for x in seen[1:]:
            out, stats, _ = discriminate(gan, params, stats, x, label, train=True)
            outputs.append(out)
        return Shown(tuple(outputs), stats, sigmas)
    joined = jnp.concatenate([x.astype(seen[-1].dtype) for x in seen])
    labels = None if label is None else jnp.concatenate([label] * len(seen))
    out, stats, sigmas = discriminate(gan, params, stats, joined, labels, train=True, move_spectral=move_spectral)
    outputs = [jax.tree.map(lambda x, i=i: jnp.split(x, len(seen))[i], out) for i in range(len(seen))]
    return Shown(tuple(outputs), stats, sigmas)


def as_seen(gan: GAN, state: GANState, update: Update, kind: int, x: Array) -> Array:
    """Prepares examples of one kind, [n, ...], as D sees them: augmented, then noisy, then packed."""
    key, indices = update.key, update.examples.indices
    if gan.policy:
        p = state.aux["ada_p"] if gan.ada else update.hyper.augment_p
        x = augment(x, per_example(stream(key, AUGMENT, kind), indices), gan.policy, p, gan.bounds)
    if gan.noise_steps:
        sigma = annealed(update.hyper.tricks.instance_noise, update.step, gan.noise_steps)
        x = instance_noise(x, per_example(stream(key, NOISE, kind), indices), sigma)
    return pack(x, gan.packing)


def pack(x: Array, m: int) -> Array:
    """Joins each m successive examples to one, side by side in its channels: [n / m, ..., m C]. This is PacGAN.

    Lin et al. 2018, https://arxiv.org/abs/1712.04086

    >>> pack(jnp.arange(8).reshape(4, 2), 2).tolist()
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    if m == 1:
        return x
    n, *shape, channels = x.shape
    x = jnp.moveaxis(x.reshape(n // m, m, *shape, channels), 1, -2)
    return x.reshape(n // m, *shape, m * channels)


def unpack(x: Array, m: int) -> Array:
    """Undoes `pack`.

    >>> unpack(jnp.arange(8).reshape(2, 4), 2).tolist()
    [[0, 1], [2, 3], [4, 5], [6, 7]]
    """
    if m == 1:
        return x
    n, *shape, channels = x.shape
    x = jnp.moveaxis(x.reshape(n, *shape, m, channels // m), -2, 1)
    return x.reshape(n * m, *shape, channels // m)


def discriminate(
    gan: GAN, params: Params, stats: Stats, x: Array, label: Array | None, *, train: bool, move_spectral: bool = False
) -> tuple[DOutput, Stats, Metrics]:
    """Passes examples, prepared by `as_seen`, through D once.

    Args:
      gan: static.
      params, stats: of D.
      x: [n, ...].
      label: i32[n], or None without conditioning.
      train: whether statistics move.
      move_spectral: whether u and v of spectral norm move with them.

    Returns:
      D's output, its moved statistics, and the scalars of spectral norm.

    Raises:
      UserError: the caller's own discriminator lacks a head that the configured loss reads.
    """
    mutable = [name for name in stats if train and (move_spectral or name != SPECTRAL_STATS)]
    out, moved = gan.discriminator.apply(
        {"params": params, **stats}, x, *given(label), train=train, mutable=[*mutable, WATCHED]
    )
    if not isinstance(out, DOutput):  # a caller's own module may return bare logits
        out = DOutput(out, out, {})
    wanted = [{"auxiliary": "class", "class_fake": "class_fake"}.get(gan.d_conditioning), HEAD if gan.codes else None]
    if missing := [name for name in wanted if name and name not in out.heads]:
        heads = " and ".join(f"heads[{name!r}]" for name in missing)
        raise UserError(
            f"your discriminator returns {', '.join(out.heads) or 'no heads'}, but this configuration's loss reads "
            f"{heads}: return `DOutput(logits, features, heads)` with it."
        )
    stats = {**stats, **moved}
    sigmas = sigma_scalars("d", gan.layers["d"], stats)
    stats.pop(WATCHED, None)
    return out._replace(logits=out.logits.reshape(len(x))), stats, sigmas


def score(gan: GAN, hyper: Hyper, out: DOutput) -> Array:
    """Averages P(real), any flip of the labels undone."""
    probability = jnp.mean(jax.nn.sigmoid(out.logits))
    return unflip(probability, hyper.tricks.flip) if gan.label_tricks else probability


def loss_mean(gan: GAN) -> Mean:
    """Returns the loss's mean, which is over the global batch only where examples meet inside of the loss.

    Elsewhere the devices' own means are enough, because the mean of their gradients is the gradient of their mean, and
    each collective makes the devices wait for each other.
    """
    return global_mean(gan.axis_name) if gan.loss.coupled else jnp.mean
