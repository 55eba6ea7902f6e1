"""Defines tricks with labels and inputs. Every strength is a traced scalar, so one compiled step serves an ablation.

A target is the label of an example in D's loss: 1 for real, 0 for generated. Targets are arguments of
`losses.targeted_d` and `losses.targeted_g`. If every strength is 0, targets are exactly 1 and 0, and the losses equal
the plain ones bit for bit.
"""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

Array = jax.Array


@flax.struct.dataclass
class TrickHyper:
    """Holds the strength of each trick, scalars; 0 is off.

    All but `flip` and `instance_noise` act in D's step only.

    Attributes:
      smoothing: s, which lowers the real target to 1 - s. It is one-sided: the generated target stays 0. With a
        generated target b > 0, the best D would be ((1 - s) p_data + b p_G) / (p_data + p_G), whose numerator rewards
        G for staying where p_G is large and p_data is small. Salimans et al. 2016, https://arxiv.org/abs/1606.03498
      soft_real, soft_fake: w, which draws the targets of each example from U(1 - w, 1) or from U(0, w).
      flip: 1 turns every target t into 1 - t, in G's step too: generated examples are 1 and real ones 0.
      noisy_real, noisy_fake: probability that an example gets a target of the other kind.
      instance_noise: standard deviation at step 0 of normal noise on everything that D sees. Sonderby et al. 2017,
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
    """Draws the targets of D's step, [B] for real and [B] for generated examples, in the strengths' type.

    Flipping keeps smoothing and softness with the kind of example they belong to: the real target 1 - s becomes s. A
    noisy label is the full target of the other kind: a smoothed real example becomes 0, not s.

    Args:
      tricks: the strengths.
      keys: typed keys [B], one for each example of the global batch.
    """
    # Always drawn in float32, so that a run in float64 sees the same labels.
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
    """Returns the targets of a real and of a generated example in G's loss: scalars 1 and 0, or 0 and 1 if flipped."""
    one = jnp.ones_like(tricks.flip)
    return unflip(one, tricks.flip), unflip(1 - one, tricks.flip)


def unflip(score: Array, flip: Array) -> Array:
    """Returns 1 - score if labels are flipped, else score: P(real), also of a D whose real examples have target 0.

    It is its own inverse.
    """
    return jnp.where(flip > 0, 1 - score, score)


def instance_noise(x: Array, keys: Array, sigma: Array) -> Array:
    """Returns x + sigma n with n ~ N(0, 1) in each coordinate, in x's type; exactly x if sigma is 0.

    Args:
      x: [B, ...], real or generated examples.
      keys: typed keys [B], one for each example of the global batch; real and generated examples need different keys.
      sigma: scalar, in units of x; see `annealed`.
    """
    noise = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], jnp.float32))(keys)
    return x + (sigma * noise).astype(x.dtype)


def annealed(sigma: Array, step: Array, steps: int | Array) -> Array:
    """Returns sigma (1 - step / steps), and 0 from `steps` on.

    >>> [float(annealed(jnp.float32(0.5), jnp.int32(step), 100)) for step in (0, 50, 100, 300)]
    [0.5, 0.25, 0.0, 0.0]
    """
    # Cast first, because the quotient of two int32 is float32 even in a float64 run.
    progress = jnp.asarray(step, float) / jnp.maximum(steps, 1)
    return sigma * jnp.maximum(1 - progress, 0)
