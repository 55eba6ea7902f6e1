"""Defines the penalties and constraints on the discriminator, and the dict `PENALTIES` of gradient penalties.

Each gradient penalty is a function `(apply, real, fake, keys, mean=jnp.mean) -> scalar`, to be multiplied by its
weight. `apply` maps a batch of examples to the discriminator's `DOutput` with its statistics held fixed. `keys` [B] are
typed keys, one for each example of the global batch. `mean(x, axis=None)` averages over the global batch. A gradient
penalty needs the gradient of each logit by its own example, so D must not mix examples: no batch norm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

Array = jax.Array
Mean = Callable[..., Array]


def squared_gradient_norm(apply: Callable, x: Array) -> Array:
    """Returns |grad_x D(x)|^2 of each example, [B], in at least float32. D must not mix examples."""
    gradient = jax.grad(lambda x: jnp.sum(_wide(apply(x).logits)))(x)
    return jnp.sum(jnp.square(_wide(gradient)), axis=tuple(range(1, gradient.ndim)))


def distance_from_unit_gradient(apply: Callable, x: Array) -> Array:
    """Returns (|grad_x D(x)| - 1)^2 of each example, [B]; where the gradient is zero, 1 with a zero derivative."""
    squared = squared_gradient_norm(apply, x)
    zero = squared == 0
    # The root's derivative at 0 is infinite, and 0 times infinity would be NaN, even in a branch `where` discards.
    norm = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squared)))
    return jnp.square(norm - 1)


def r1(apply: Callable, real: Array, fake: Array, keys: Array, mean: Mean = jnp.mean) -> Array:
    """Returns 1/2 E |grad D(x)|^2 at real examples. Mescheder et al. 2018, https://arxiv.org/abs/1801.04406"""
    del fake, keys
    return 0.5 * mean(squared_gradient_norm(apply, real))


def r2(apply: Callable, real: Array, fake: Array, keys: Array, mean: Mean = jnp.mean) -> Array:
    """Returns 1/2 E |grad D(x)|^2 at generated examples.

    Mescheder et al. 2018, https://arxiv.org/abs/1801.04406; R3GAN uses it with `r1`,
    https://arxiv.org/abs/2501.05441
    """
    del real, keys
    return 0.5 * mean(squared_gradient_norm(apply, fake))


def wgan_gp(apply: Callable, real: Array, fake: Array, keys: Array, mean: Mean = jnp.mean) -> Array:
    """Returns E (|grad D(u x + (1 - u) G(z))| - 1)^2 with one u ~ U(0, 1) for each example. Its usual weight is 10.

    The penalty of a constant D is 1. Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028
    """
    u = jax.vmap(lambda key: jax.random.uniform(key, (1,) * (real.ndim - 1), jnp.float32))(keys)
    u = u.astype(fake.dtype)
    return mean(distance_from_unit_gradient(apply, u * real + (1 - u) * fake))


def dragan(apply: Callable, real: Array, fake: Array, keys: Array, mean: Mean = jnp.mean) -> Array:
    """Returns E (|grad D(x + 1/2 std(x) U)| - 1)^2 with U ~ U(0, 1) in each coordinate. Its usual weight is 10.

    std is one number, over all coordinates of the global batch of real examples. This is the noise of the authors'
    program, which then takes a random point between x and the noisy x; that only makes the noise smaller. The article
    has normal noise instead. Kodali et al. 2017, https://arxiv.org/abs/1705.07215
    """
    del fake
    x = _wide(real)
    std = jnp.sqrt(mean(jnp.square(x - mean(x))))
    u = jax.vmap(lambda key: jax.random.uniform(key, x.shape[1:], jnp.float32))(keys)
    return mean(distance_from_unit_gradient(apply, x + 0.5 * std * u.astype(x.dtype)))


class Penalty(NamedTuple):
    """Holds a gradient penalty and the properties that the steps need.

    Attributes:
      value: the function.
      stream: number of its random stream. It never changes, so that neither other penalties nor their order change what
        is drawn.
      at: kind of example, "real" or "fake", if gradients are taken at examples of one kind only. They can then be taken
        before augmentation and through it. None: they are taken at examples as D sees them.
      coupled: whether examples of a batch meet in it, so that `mean` must average over all devices.
    """

    value: Callable[..., Array]
    stream: int
    at: Literal["real", "fake"] | None = None
    coupled: bool = False


PENALTIES: dict[str, Penalty] = {
    "r1": Penalty(r1, stream=0, at="real"),
    "r2": Penalty(r2, stream=1, at="fake"),
    "wgan_gp": Penalty(wgan_gp, stream=2),
    "dragan": Penalty(dragan, stream=3, coupled=True),
}


@flax.struct.dataclass
class LeCamAverages:
    """Holds moving averages of D's mean logits, without bias from their start.

    Each is the mean of all batches' mean logits with weights (1 - decay) decay^age, divided by the sum of the weights.
    So the first update sets it to the first batch's mean.

    Attributes:
      real: a_R, the average on real examples.
      fake: a_F, the average on generated examples.
      weight: sum of the weights, 0 before the first update and 1 in the long run.
    """

    real: Array
    fake: Array
    weight: Array

    @classmethod
    def start(cls) -> LeCamAverages:
        """Returns the averages before the first update, which mean nothing yet."""
        return cls(jnp.zeros(()), jnp.zeros(()), jnp.zeros(()))

    def update(
        self, real_logits: Array, fake_logits: Array, decay: float = 0.99, mean: Mean = jnp.mean
    ) -> LeCamAverages:
        """Returns the averages after one more batch; no gradient flows through them."""
        weight = decay * self.weight + (1 - decay)
        share = (1 - decay) / weight

        def moved(average: Array, logits: Array) -> Array:
            new = jax.lax.stop_gradient(mean(_wide(logits)))
            return (average + share * (new - average)).astype(average.dtype)

        return LeCamAverages(moved(self.real, real_logits), moved(self.fake, fake_logits), weight)


def lecam(
    real_logits: Array, fake_logits: Array, averages: LeCamAverages, mean: Mean = jnp.mean, *, relu: bool = False
) -> Array:
    """Returns E (r - a_F)^2 + E (f - a_R)^2, which keeps D's logits near the averages of the other kind.

    Meant for little data. Call it with the averages *after* their update by the same logits, as the authors' StyleGAN2
    program does.

    Args:
      real_logits, fake_logits: [B].
      averages: a_R and a_F.
      mean: average over the global batch.
      relu: return E relu(r - a_F)^2 + E relu(a_R - f)^2 instead, as the authors' program does and their article does
        not. Examples that D still places on the wrong side of the other kind's average then cost nothing.

    Tseng et al. 2021, https://arxiv.org/abs/2104.03310
    """
    real, fake = _wide(real_logits) - averages.fake, averages.real - _wide(fake_logits)
    if relu:
        real, fake = jax.nn.relu(real), jax.nn.relu(fake)
    return mean(jnp.square(real)) + mean(jnp.square(fake))


def feature_matching(real_features: Array, fake_features: Array, mean: Mean = jnp.mean) -> Array:
    """Returns |E h(x) - E h(G(z))|^2, a loss of G: the squared differences of the means of D's features h, summed.

    It is not a mean over examples, so on several devices `mean` must average over all of them.

    Args:
      real_features, fake_features: [B, ...], equal in shape except for B.
      mean: `mean(x, axis=0)` averages over the global batch.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498, equation 3.
    """
    difference = mean(_wide(real_features), axis=0) - mean(_wide(fake_features), axis=0)
    return jnp.sum(jnp.square(difference))


def clip_params(params, c: Array):
    """Clips every parameter, biases too, to [-c, c]; call it after each update of D.

    Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, with c = 0.01.
    """
    return jax.tree.map(lambda p: jnp.clip(p, -c, c).astype(p.dtype), params)


def _wide(x: Array) -> Array:
    return jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))
