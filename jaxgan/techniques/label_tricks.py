"""Tricks with labels and inputs, every strength a traced scalar: one compiled step serves an ablation over them.

A target is what D's loss calls an example: 1 real, 0 generated. Targets go into `losses.targeted_d` and
`losses.targeted_g`. With every strength 0 they are exactly 1 and 0, and the losses the plain ones bit for bit.
"""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

Array = jax.Array


@flax.struct.dataclass
class TrickHyper:
    """The strengths, scalars; 0 is off.

    * `smoothing` s: the real target is 1 - s, one-sided: the generated target stays 0. Were it b > 0, the best D would
      be ((1 - s) p_data + b p_G) / (p_data + p_G), whose numerator rewards G for staying where p_G is large and p_data
      is not. D's step only. Salimans et al. 2016, https://arxiv.org/abs/1606.03498
    * `soft_real`, `soft_fake` w: targets drawn from U(1 - w, 1) and U(0, w), per example, D's step only.
    * `flip`, 0 or 1: t becomes 1 - t everywhere, in G's step too: generated examples are 1, real ones 0.
    * `noisy_real`, `noisy_fake` p: with probability p, per example, a target is exchanged for one of the other kind,
      D's step only.
    * `instance_noise` sigma at step 0: N(0, sigma^2) on all that D sees. Sonderby et al. 2017,
      https://arxiv.org/abs/1610.04490
    """

    smoothing: Array
    soft_real: Array
    soft_fake: Array
    flip: Array
    noisy_real: Array
    noisy_fake: Array
    instance_noise: Array


def d_targets(tricks: TrickHyper, keys: Array) -> tuple[Array, Array]:
    """The targets of D's step, of the strengths' type: for real examples [B], for generated ones [B].

    Smoothing and softness belong to the kind of an example, so flipped labels leave them with it: the real target
    1 - s becomes s. A noisy label takes the whole target of the other kind: smoothing does not follow it to 0.

    Args:
      tricks: the strengths.
      keys: typed keys [B], one per example of the global batch.
    """
    # Drawn in float32 whatever the strengths' type: a run in float64 sees the same labels.
    u = jax.vmap(lambda key: jax.random.uniform(key, (4,), jnp.float32))(keys)
    soft = u.astype(tricks.smoothing.dtype)
    real = 1 - tricks.smoothing - tricks.soft_real * soft[:, 0]
    fake = tricks.soft_fake * soft[:, 1]
    labels = (
        jnp.where(u[:, 2] < tricks.noisy_real, fake, real),
        jnp.where(u[:, 3] < tricks.noisy_fake, real, fake),
    )
    return unflip(labels[0], tricks.flip), unflip(labels[1], tricks.flip)


def g_targets(tricks: TrickHyper) -> tuple[Array, Array]:
    """What G's loss calls a real and a generated example: scalars 1 and 0, or flipped 0 and 1."""
    one = jnp.ones_like(tricks.flip)
    return unflip(one, tricks.flip), unflip(1 - one, tricks.flip)


def unflip(score: Array, flip: Array) -> Array:
    """1 - score where labels are flipped: P(real) of a D that calls real examples 0. Its own inverse."""
    return jnp.where(flip > 0, 1 - score, score)


def instance_noise(x: Array, keys: Array, sigma: Array) -> Array:
    """x + sigma n with n ~ N(0, 1) per coordinate, of x's type; exactly x where sigma is 0.

    Args:
      x: [B, ...], real or generated examples; each kind takes keys of its own.
      keys: typed keys [B], one per example of the global batch.
      sigma: scalar, in units of x; see `annealed`.
    """
    noise = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], jnp.float32))(keys)
    return x + (sigma * noise).astype(x.dtype)


def annealed(sigma: Array, step: Array, steps: int | Array) -> Array:
    """sigma (1 - step / steps), and 0 from `steps` on.

    >>> [float(annealed(jnp.float32(0.5), jnp.int32(step), 100)) for step in (0, 50, 100, 300)]
    [0.5, 0.25, 0.0, 0.0]
    """
    # A quotient of int32s is float32 even where all else is float64.
    progress = jnp.asarray(step, float) / jnp.maximum(steps, 1)
    return sigma * jnp.maximum(1 - progress, 0)
