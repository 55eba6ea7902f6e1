"""Passes through the two networks: examples as G makes them, and as D is shown them and judges them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.architectures import DOutput
from jaxgan.errors import UserError
from jaxgan.monitor.gradients import sigma_scalars
from jaxgan.nn.spectral_norm import SPECTRAL_STATS
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.randomness import AUGMENT, CODES, NOISE, Z, latents, per_example, stream
from jaxgan.steps.state import GANState, Params, Stats
from jaxgan.techniques.augment import augment
from jaxgan.techniques.infogan import HEAD, draw
from jaxgan.techniques.label_tricks import annealed, instance_noise

Array = jax.Array
Batch = dict[str, Array]  # "image" f[B, ...] in the generator's output range, "label" i32[B]
WATCHED = "intermediates"  # Flax's collection of what modules tell besides what they return


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Examples:
    """What an update sees on this device: leaves [n, ...]."""

    real: Array
    label: Any  # i32[n], or None without conditioning: of the real examples, and what the generated ones are to be of
    z: Array  # G's inputs
    indices: Array  # i32, in the global batch


def examples_of(gan: GAN, batch: Batch, key: Array) -> Examples:
    """A device's slice of the global batch, with as many inputs of G and the same labels for them."""
    n = len(batch["image"])
    start = lax.axis_index(gan.axis_name) * n if gan.axis_name else 0
    indices = start + jnp.arange(n)
    label = batch["label"] if gan.num_classes else None
    return Examples(batch["image"], label, g_inputs(gan, stream(key, Z), indices), indices)


class Generated(NamedTuple):
    """Images of a training pass, moved statistics, the derivative d loss / d images -> (d loss / d params,), and
    the scalars of spectral norm."""

    images: Array
    stats: Stats
    pullback: Callable[[Array], tuple[Params]]
    sigmas: dict[str, Array]


def g_inputs(gan: GAN, key: Array, indices: Array, truncation: float | None = None) -> Array:
    """What G makes examples of, f32[len(indices), gan.input_dim]: latents, and InfoGAN's codes beside them."""
    z = latents(key, indices, gan.z_dim, gan.z_distribution, truncation)
    return z if gan.codes is None else jnp.concatenate([z, draw(gan.codes, stream(key, CODES), indices)], axis=-1)


def generate(
    gan: GAN, params: Params, stats: Stats, z: Array, label: Array | None, move_spectral: bool = True
) -> Generated:
    """Examples in training mode; u and v of spectral norm take a step with `move_spectral` only."""
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


def given(label: Array | None) -> tuple[Array, ...]:
    """The argument of a network that may know of no labels, such as a caller's own."""
    return () if label is None else (label,)


def show(gan: GAN, x: Array, key: Array, kind: int, indices: Array, state: GANState, hyper: Hyper) -> Array:
    """Examples as D sees them: augmented, then noisy, then packed.

    Args:
      gan: static.
      x: [n, ...], real or generated.
      key: of the update.
      kind: `D_REAL`, `D_FAKE`, `G_REAL` or `G_FAKE`.
      indices: i32[n], their numbers in the global batch.
      state: for the step, which noise depends on, and ADA's probability.
      hyper: for the strengths.
    """
    if gan.policy:
        p = state.aux["ada_p"] if gan.ada else hyper.augment_p
        x = augment(x, per_example(stream(key, AUGMENT, kind), indices), gan.policy, p, gan.bounds)
    if gan.noise_steps:
        sigma = annealed(hyper.tricks.instance_noise, state.step, gan.noise_steps)
        x = instance_noise(x, per_example(stream(key, NOISE, kind), indices), sigma)
    return pack(x, gan.packing)


def pack(x: Array, m: int) -> Array:
    """PacGAN: each m examples after one another become one, side by side in its channels: [n / m, ..., m C].

    Lin et al. 2018, https://arxiv.org/abs/1712.04086

    >>> pack(jnp.arange(8).reshape(4, 2), 2).tolist()
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    if m == 1:
        return x
    n, *shape, channels = x.shape
    x = jnp.moveaxis(x.reshape(n // m, m, *shape, channels), 1, -2)
    return x.reshape(n // m, *shape, m * channels)


def discriminate(
    gan: GAN, params: Params, stats: Stats, x: Array, label: Array | None, *, train: bool, move_spectral: bool = False
) -> tuple[DOutput, Stats]:
    """D's output and its moved statistics; u and v of spectral norm move only where asked."""
    out, moved = _judge(gan, params, stats, x, label, train=train, move_spectral=move_spectral)
    moved.pop(WATCHED, None)
    return out, moved


def _judge(
    gan: GAN, params: Params, stats: Stats, x: Array, label: Array | None, *, train: bool, move_spectral: bool = False
) -> tuple[DOutput, Stats]:
    """`discriminate`, with what is watched among the statistics."""
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
            f"the discriminator must return `DOutput` with {heads}, which this configuration's loss is of; it has "
            f"{', '.join(out.heads) or 'no heads'}."
        )
    return out._replace(logits=out.logits.reshape(len(x))), {**stats, **moved}


def discriminate_both(
    gan: GAN, params: Params, stats: Stats, real: Array, fake: Array, label: Array | None, *, move_spectral: bool
) -> tuple[DOutput, DOutput, Stats, dict[str, Array]]:
    """D on real and fake in one pass, or in two where batch norm would mix them; u and v move once either way.

    In two also where a penalty passes real or fake through D once more: XLA finds that it is the same pass.

    Returns:
      D's outputs, its moved statistics, and the scalars of spectral norm.
    """
    layers = gan.layers["d"]
    if "batch_stats" in stats or (gan.regularizers and gan.interval == 1):
        real_out, stats = _judge(gan, params, stats, real, label, train=True, move_spectral=move_spectral)
        sigmas = sigma_scalars("d", layers, stats)
        stats.pop(WATCHED, None)
        fake_out, stats = discriminate(gan, params, stats, fake, label, train=True)
        return real_out, fake_out, stats, sigmas
    both = jnp.concatenate([real.astype(fake.dtype), fake])
    labels = None if label is None else jnp.concatenate([label, label])
    out, stats = _judge(gan, params, stats, both, labels, train=True, move_spectral=move_spectral)
    sigmas = sigma_scalars("d", layers, stats)
    stats.pop(WATCHED, None)
    real_out, fake_out = (jax.tree.map(lambda x, half=half: jnp.split(x, 2)[half], out) for half in (0, 1))
    return real_out, fake_out, stats, sigmas
