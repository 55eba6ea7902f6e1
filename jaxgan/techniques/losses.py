"""Defines the adversarial losses, pairs of pure functions of logits, and the dict `LOSSES`.

In all formulas `r = D(x)` and `f = D(G(z))` are logits, before any sigmoid, of equal shape, and
`sp(t) = softplus(t) = log(1 + exp(t))`. Losses are minimized and computed in at least float32. They are accurate for
logits of either sign up to the largest that float32 holds, because none of them takes the logarithm of a probability.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
Mean = Callable[[Array], Array]  # averages over the global batch; under a map over devices also over the devices
sp = jax.nn.softplus


class GANLoss(NamedTuple):
    """Holds the losses of D and of G and the properties of this pair that the steps need.

    Attributes:
      d, g: losses `(real_logits, fake_logits, mean=jnp.mean) -> scalar`.
      relativistic: whether G's loss reads `real_logits` too. If not, the step does not compute them.
      coupled: whether each example's term contains a mean over the batch, so that the loss of a batch is not the mean
        of the losses of its parts.
      term: loss of one example, `(logit, target) -> loss`, with target 1 for real and 0 for generated examples.
        `targeted_d` and `targeted_g` call it with other targets. None if the loss has no targets.
      saturating: whether G maximizes D's loss on generated examples, instead of minimizing the loss of these examples
        taken as real.
      boundary: logit at which D is undecided; None if logits have no absolute level.
      sides: for losses without `term`, `(real_logits, fake_logits) -> (terms, terms)`, the contribution of each example
        to D's loss. None if the loss compares real with generated logits or only averages logits.
    """

    d: Callable[..., Array]
    g: Callable[..., Array]
    relativistic: bool = False
    coupled: bool = False
    term: Callable[[Array, Array], Array] | None = None
    saturating: bool = False
    boundary: float | None = None
    sides: Callable[[Array, Array], tuple[Array, Array]] | None = None


def logits_pair(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """Casts both to the same type of at least float32.

    Raises:
      ValueError: the shapes differ. Broadcasting would silently give a wrong mean.
    """
    if jnp.shape(real_logits) != jnp.shape(fake_logits):
        raise ValueError(
            f"real_logits {jnp.shape(real_logits)} and fake_logits {jnp.shape(fake_logits)} differ in shape."
        )
    dtype = jnp.promote_types(jnp.result_type(real_logits, fake_logits), jnp.float32)
    return jnp.asarray(real_logits, dtype), jnp.asarray(fake_logits, dtype)


def minimax_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns E[sp(-r) + sp(f)], the cross entropy of D's decision between real and generated.

    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661

    >>> round(float(minimax_d(jnp.zeros(4), jnp.zeros(4))), 4)  # 2 log 2
    1.3863
    """
    r, f = logits_pair(real_logits, fake_logits)
    return mean(sp(-r)) + mean(sp(f))


def minimax_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns -E sp(f) = E log(1 - sigmoid(f)), whose gradient vanishes where D is sure (f very negative).

    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661
    """
    _, f = logits_pair(real_logits, fake_logits)
    return -mean(sp(f))


def non_saturating_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns E sp(-f) = -E log sigmoid(f), which has the fixed point of `minimax_g` and a gradient where D is sure.

    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661
    """
    _, f = logits_pair(real_logits, fake_logits)
    return mean(sp(-f))


def least_squares_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns 1/2 E (r - 1)^2 + 1/2 E f^2. Mao et al. 2017, https://arxiv.org/abs/1611.04076"""
    r, f = logits_pair(real_logits, fake_logits)
    return 0.5 * mean(jnp.square(r - 1)) + 0.5 * mean(jnp.square(f))


def least_squares_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns 1/2 E (f - 1)^2. Mao et al. 2017, https://arxiv.org/abs/1611.04076"""
    _, f = logits_pair(real_logits, fake_logits)
    return 0.5 * mean(jnp.square(f - 1))


def wasserstein_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns E f - E r. D must be Lipschitz by some constraint, or the loss has no lower bound.

    Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875
    """
    r, f = logits_pair(real_logits, fake_logits)
    return mean(f) - mean(r)


def wasserstein_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns -E f, also G's loss beside `hinge_d`. Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875"""
    _, f = logits_pair(real_logits, fake_logits)
    return -mean(f)


def hinge_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns E relu(1 - r) + E relu(1 + f). Lim & Ye 2017, https://arxiv.org/abs/1705.02894

    >>> float(hinge_d(jnp.array([2.0, 0.0]), jnp.array([-2.0, -2.0])))
    0.5
    """
    real, fake = hinge_sides(*logits_pair(real_logits, fake_logits))
    return mean(real) + mean(fake)


def hinge_sides(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """Returns relu(1 - r) and relu(1 + f) of each example."""
    return jax.nn.relu(1 - real_logits), jax.nn.relu(1 + fake_logits)


def relativistic_paired_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns E sp(-(r - f)) over pairs of a real and a generated example.

    Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734; Huang et al. 2024 (R3GAN),
    https://arxiv.org/abs/2501.05441
    """
    r, f = logits_pair(real_logits, fake_logits)
    return mean(sp(f - r))


def relativistic_paired_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns E sp(-(f - r)), D's loss with the roles swapped."""
    return relativistic_paired_d(fake_logits, real_logits, mean)


def relativistic_average_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns 1/2 E[sp(-(r - E f)) + sp(f - E r)], with the inner means over the global batch.

    Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734
    """
    r, f = logits_pair(real_logits, fake_logits)
    return 0.5 * (mean(sp(mean(f) - r)) + mean(sp(f - mean(r))))


def relativistic_average_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """Returns D's loss with the roles swapped. Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734"""
    return relativistic_average_d(fake_logits, real_logits, mean)


def cross_entropy(logits: Array, targets: Array) -> Array:
    """Returns t sp(-l) + (1 - t) sp(l) of each example.

    For finite l, t = 1 gives exactly sp(-l) and t = 0 exactly sp(l).

    >>> float(cross_entropy(jnp.float32(1e30), jnp.float32(1.0)))
    0.0
    """
    return targets * sp(-logits) + (1 - targets) * sp(logits)


def squared_error(logits: Array, targets: Array) -> Array:
    """Returns 1/2 (l - t)^2 of each example."""
    return 0.5 * jnp.square(logits - targets)


def d_terms(
    loss: GANLoss,
    real_logits: Array,
    fake_logits: Array,
    real_targets: Array | float = 1.0,
    fake_targets: Array | float = 0.0,
    mean: Mean = jnp.mean,
) -> tuple[Array, Array] | None:
    """Returns the parts of D's loss from real and from generated examples, for logging; arguments as in `targeted_d`.

    Returns None for losses that compare logits, and for `wasserstein`, whose parts are the mean logits.
    """
    r, f = logits_pair(real_logits, fake_logits)
    if loss.term is not None:
        return mean(loss.term(r, _like(real_targets, r))), mean(loss.term(f, _like(fake_targets, f)))
    if loss.sides is not None:
        real, fake = loss.sides(r, f)
        return mean(real), mean(fake)
    return None


def targeted_d(
    loss: GANLoss,
    real_logits: Array,
    fake_logits: Array,
    real_targets: Array,
    fake_targets: Array,
    mean: Mean = jnp.mean,
) -> Array:
    """Returns E term(r, t_r) + E term(f, t_f), D's loss with a target for each example.

    With targets of exactly 1 and 0, this and its gradient equal `loss.d` bit for bit, except for the sign of a zero.

    Args:
      loss: a loss with a `term`.
      real_logits, fake_logits: [B].
      real_targets, fake_targets: [B] or scalars, in [0, 1].
      mean: average over the global batch.

    Raises:
      ValueError: the loss has no targets, or shapes differ.
    """
    term = _term(loss)
    r, f = logits_pair(real_logits, fake_logits)
    return mean(term(r, _like(real_targets, r))) + mean(term(f, _like(fake_targets, f)))


def targeted_g(
    loss: GANLoss, fake_logits: Array, real_target: Array, fake_target: Array, mean: Mean = jnp.mean
) -> Array:
    """Returns G's loss with given targets: E term(f, t_real), or -E term(f, t_fake) for a saturating loss.

    G minimizes the loss of its examples taken as real; with a saturating loss it maximizes D's loss on them. With
    flipped labels, targets (0, 1) instead of (1, 0), sp(-f) becomes sp(f) and -sp(f) becomes -sp(-f), as D's logits
    have changed sign too.

    Args:
      loss: a loss with a `term`.
      fake_logits: [B].
      real_target, fake_target: scalars, the targets of a real and of a generated example.
      mean: average over the global batch.

    Raises:
      ValueError: the loss has no targets.
    """
    term = _term(loss)
    _, f = logits_pair(fake_logits, fake_logits)
    if loss.saturating:
        return -mean(term(f, _like(fake_target, f)))
    return mean(term(f, _like(real_target, f)))


def _term(loss: GANLoss) -> Callable[[Array, Array], Array]:
    if loss.term is None:
        raise ValueError("This loss has no targets that could be changed: use one of LOSSES that has a `term`.")
    return loss.term


def _like(targets: Array | float, logits: Array) -> Array:
    if jnp.shape(targets) not in ((), jnp.shape(logits)):
        raise ValueError(f"targets {jnp.shape(targets)} and logits {jnp.shape(logits)} differ in shape.")
    return jnp.asarray(targets, logits.dtype)


LOSSES: dict[str, GANLoss] = {
    "minimax": GANLoss(minimax_d, minimax_g, term=cross_entropy, saturating=True, boundary=0.0),
    "non_saturating": GANLoss(minimax_d, non_saturating_g, term=cross_entropy, boundary=0.0),
    "least_squares": GANLoss(least_squares_d, least_squares_g, term=squared_error, boundary=0.5),
    "wasserstein": GANLoss(wasserstein_d, wasserstein_g),
    "hinge": GANLoss(hinge_d, wasserstein_g, boundary=0.0, sides=hinge_sides),
    "relativistic_paired": GANLoss(relativistic_paired_d, relativistic_paired_g, relativistic=True),
    "relativistic_average": GANLoss(relativistic_average_d, relativistic_average_g, relativistic=True, coupled=True),
}
