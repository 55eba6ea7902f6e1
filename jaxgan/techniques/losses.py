"""Adversarial losses: pairs of pure functions of logits, and the dict `LOSSES`.

Everywhere `r = D(x)` and `f = D(G(z))` are logits before any sigmoid, of any equal shape, and
`sp(t) = softplus(t) = log(1 + exp(t))`. Losses are minimized, are computed in at least float32 and stay
exact for logits of either sign as large as float32 holds, because none of them takes the logarithm of a probability.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
Mean = Callable[[Array], Array]  # over the global batch; a map over devices passes one that averages over them
sp = jax.nn.softplus


class GANLoss(NamedTuple):
    """The two losses of one game, each `(real_logits, fake_logits, mean=jnp.mean) -> scalar`.

    `relativistic` says that the generator's loss reads `real_logits` too, so that steps of other losses
    need not compute them. `coupled` says that a mean over the batch goes into each example's term, so that the loss of
    a batch is not the mean of the losses of its parts.

    `term` is one example's loss `(logit, target)` where examples have targets, 1 for real and 0 for generated, that
    `targeted_d` and `targeted_g` can move; None where only the sign or the difference of logits counts. `saturating`
    says that G maximizes D's loss on its examples rather than minimizes their loss as real ones.
    `boundary` is the logit of an undecided D; None where logits have no absolute level. `sides`, of losses without
    `term`, gives what each example adds to D's loss, `(real_logits, fake_logits) -> (terms, terms)`; None where it
    compares logits or just adds them.
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
    """Both in at least float32.

    Raises:
      ValueError: the shapes differ, which broadcasting would turn into a wrong mean without a word.
    """
    if jnp.shape(real_logits) != jnp.shape(fake_logits):
        raise ValueError(
            f"real_logits {jnp.shape(real_logits)} and fake_logits {jnp.shape(fake_logits)} differ in shape."
        )
    dtype = jnp.promote_types(jnp.result_type(real_logits, fake_logits), jnp.float32)
    return jnp.asarray(real_logits, dtype), jnp.asarray(fake_logits, dtype)


def minimax_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """E[sp(-r) + sp(f)], the cross entropy of "real" and "fake". Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661

    >>> round(float(minimax_d(jnp.zeros(4), jnp.zeros(4))), 4)  # 2 log 2
    1.3863
    """
    r, f = logits_pair(real_logits, fake_logits)
    return mean(sp(-r)) + mean(sp(f))


def minimax_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """-E sp(f) = E log(1 - sigmoid(f)); vanishes where D is sure (f very negative). Goodfellow et al. 2014."""
    _, f = logits_pair(real_logits, fake_logits)
    return -mean(sp(f))


def non_saturating_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """E sp(-f) = -E log sigmoid(f): the same fixed point, a full gradient where D is sure. Goodfellow et al. 2014."""
    _, f = logits_pair(real_logits, fake_logits)
    return mean(sp(-f))


def least_squares_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """1/2 E (r - 1)^2 + 1/2 E f^2. Mao et al. 2017, https://arxiv.org/abs/1611.04076"""
    r, f = logits_pair(real_logits, fake_logits)
    return 0.5 * mean(jnp.square(r - 1)) + 0.5 * mean(jnp.square(f))


def least_squares_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """1/2 E (f - 1)^2. Mao et al. 2017."""
    _, f = logits_pair(real_logits, fake_logits)
    return 0.5 * mean(jnp.square(f - 1))


def wasserstein_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """E f - E r, for a D that is Lipschitz by some constraint. Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875"""
    r, f = logits_pair(real_logits, fake_logits)
    return mean(f) - mean(r)


def wasserstein_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """-E f. Arjovsky et al. 2017; also the generator's side of the hinge loss."""
    _, f = logits_pair(real_logits, fake_logits)
    return -mean(f)


def hinge_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """E relu(1 - r) + E relu(1 + f). Lim & Ye 2017, https://arxiv.org/abs/1705.02894

    >>> float(hinge_d(jnp.array([2.0, 0.0]), jnp.array([-2.0, -2.0])))
    0.5
    """
    real, fake = hinge_sides(*logits_pair(real_logits, fake_logits))
    return mean(real) + mean(fake)


def hinge_sides(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """relu(1 - r) and relu(1 + f), per example."""
    return jax.nn.relu(1 - real_logits), jax.nn.relu(1 + fake_logits)


def relativistic_paired_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """E sp(-(r - f)), over pairs. Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734; R3GAN 2024, https://arxiv.org/abs/2501.05441"""
    r, f = logits_pair(real_logits, fake_logits)
    return mean(sp(f - r))


def relativistic_paired_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """E sp(-(f - r)): D's loss with the roles swapped."""
    return relativistic_paired_d(fake_logits, real_logits, mean)


def relativistic_average_d(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """1/2 E[sp(-(r - E f)) + sp(f - E r)]; both inner means are over the global batch. Jolicoeur-Martineau 2018."""
    r, f = logits_pair(real_logits, fake_logits)
    return 0.5 * (mean(sp(mean(f) - r)) + mean(sp(f - mean(r))))


def relativistic_average_g(real_logits: Array, fake_logits: Array, mean: Mean = jnp.mean) -> Array:
    """D's loss with the roles swapped. Jolicoeur-Martineau 2018."""
    return relativistic_average_d(fake_logits, real_logits, mean)


def cross_entropy(logits: Array, targets: Array) -> Array:
    """t sp(-l) + (1 - t) sp(l), per example: t = 1 gives exactly sp(-l) and t = 0 exactly sp(l), both for finite l.

    >>> float(cross_entropy(jnp.float32(1e30), jnp.float32(1.0)))
    0.0
    """
    return targets * sp(-logits) + (1 - targets) * sp(logits)


def squared_error(logits: Array, targets: Array) -> Array:
    """1/2 (l - t)^2, per example."""
    return 0.5 * jnp.square(logits - targets)


def d_terms(
    loss: GANLoss,
    real_logits: Array,
    fake_logits: Array,
    real_targets: Array | float = 1.0,
    fake_targets: Array | float = 0.0,
    mean: Mean = jnp.mean,
) -> tuple[Array, Array] | None:
    """What real and what generated examples add to D's loss, to look at; arguments as in `targeted_d`.

    None where the loss compares logits, and for Wasserstein's, whose terms are the mean logits.
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
    """E term(r, t_r) + E term(f, t_f): D's loss with a target for each example.

    With targets of exactly 1 and 0 it and its gradient equal `loss.d` bit for bit (but for the sign of a zero).

    Args:
      loss: one that has a `term`.
      real_logits, fake_logits: [B].
      real_targets, fake_targets: [B] or scalars, in [0, 1].
      mean: over the global batch.

    Raises:
      ValueError: the loss has no targets, or shapes differ.
    """
    term = _term(loss)
    r, f = logits_pair(real_logits, fake_logits)
    return mean(term(r, _like(real_targets, r))) + mean(term(f, _like(fake_targets, f)))


def targeted_g(
    loss: GANLoss, fake_logits: Array, real_target: Array, fake_target: Array, mean: Mean = jnp.mean
) -> Array:
    """E term(f, t_real), or -E term(f, t_fake) for the saturating loss: G's loss with the targets of either kind.

    G wants its examples taken for real ones; saturating, it wants D's loss on them large. Flipped labels, (0, 1) for
    (1, 0), so turn sp(-f) into sp(f) and -sp(f) into -sp(-f): G follows D to the other side.

    Args:
      loss: one that has a `term`.
      fake_logits: [B].
      real_target, fake_target: scalars: what D's loss calls a real and a generated example.
      mean: over the global batch.

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
        raise ValueError("this loss compares logits without target labels, so there are no targets to move.")
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
