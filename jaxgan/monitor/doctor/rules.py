"""Defines the rules by kind, each a pure function of a run's curves so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxgan.monitor.doctor import thresholds as t
from jaxgan.monitor.doctor.evaluations import ignored_condition, late_degradation, latest, memorization
from jaxgan.monitor.doctor.history import RELATIVISTIC, Run, Sign


class Rule(NamedTuple):
    """Decides whether something is wrong: `check(run, held)` returns what it sees at the latest step, or None.

    It has seen the same for `held` steps without a break. `explanation` is filled in with the evidence.
    """

    check: Callable[[Run, int], Sign | None]
    explanation: str


def non_finite(run: Run, held: int) -> Sign | None:
    """Sees any value that is NaN or infinite, at whatever step."""
    return Sign("problem", run.now, {"scalars": len(run.bad)}) if run.bad else None


def discriminator_too_strong(run: Run, held: int) -> Sign | None:
    """D is sure of nearly every example of either kind."""
    real, fake = run.median("score/real"), run.median("score/fake")
    if real is None or fake is None or not run.has_level:
        return None
    # Less will do where nothing has come of it since the start.
    if real - fake < t.SURE and not (real - fake > t.SURE_AND_STUCK and run.stuck()):
        return None
    return Sign(_by_time(run, held), run.began, {"score_real": real, "score_fake": fake})


def generator_too_strong(run: Run, held: int) -> Sign | None:
    """D takes generated examples for real: more than real ones, or nearly all."""
    real, fake = run.median("score/real"), run.median("score/fake")
    if real is None or fake is None or not run.has_level or run.loss in RELATIVISTIC:
        return None
    loss_g = run.median("loss/g")
    fooled = fake > t.FOOLED and loss_g is not None and loss_g < t.NO_LOSS_G
    if not fooled and fake - real < t.WORSE_THAN_CHANCE:
        return None
    return Sign(_by_time(run, held), run.began, {"score_real": real, "score_fake": fake})


def vanishing_gradient(run: Run, held: int) -> Sign | None:
    """The norm of G's gradient, or of its first layer's, is nearly 0, or a tiny part of what it was."""
    names = ("grad_norm/g", "grad_norm/g/bottom")
    for name in names:
        now, first = run.median(name), run.at_first(name)
        if now is None or first is None:
            continue
        if now < t.NO_GRADIENT or now < t.VANISHED * first:
            return Sign(_by_time(run, held), run.began, {"norm": now, "norm_at_first": first})
    return None


def d_loss_near_zero(run: Run, held: int) -> Sign | None:
    """D's loss is nearly 0, for losses whose lower bound is 0."""
    loss = run.median(run.d_loss)
    if loss is None or not run.has_level or loss >= t.D_LOSS_ZERO:
        return None
    return Sign(_by_time(run, held, least=t.LOSS_LASTING), run.began, {"loss_d": loss})


def exploding_loss(run: Run, held: int) -> Sign | None:
    """A loss is large, and many times what it was; G's loss counts only where losses have a lower bound."""
    for name in (run.d_loss, "loss/g") if run.has_level else (run.d_loss,):
        values, first = run.lately(name), run.at_first(name)
        if values is None or first is None:
            continue
        # A high quantile, because some explode now and then.
        now = float(np.quantile(np.abs(values), 0.9))
        if now > t.LARGE_LOSS and now > t.GROWN * first:
            return Sign(_by_time(run, held), run.began, {"loss": now, "loss_at_first": first})
    return None


def mode_collapse(run: Run, held: int) -> Sign | None:
    """Generated examples are much nearer to each other than the data's are."""
    began, diversity = _diversity(run)
    if diversity is None or diversity >= t.COLLAPSING:
        return None
    # Diversity is a measurement, not a loss, so that no evaluation has to confirm it.
    lasts = diversity < t.COLLAPSED and held >= max(t.LASTING, t.LASTING_SHARE * run.now)
    return Sign("problem" if lasts else "warning", began, {"diversity": diversity})


def mode_hopping(run: Run, held: int) -> Sign | None:
    """Examples are of few modes at a time while G's loss jumps: D learns one mode, and G goes to the next."""
    (began, diversity), losses = _diversity(run), run.lately("loss/g")
    if diversity is None or diversity >= t.COLLAPSING or losses is None or not run.has_level:
        return None
    swing = _swing(losses)
    return Sign("warning", began, {"diversity": diversity, "swing": swing}) if swing > t.HOPS else None


def _diversity(run: Run) -> tuple[float, float | None]:
    """Returns when the diversity of lately began, and that diversity: as logged, or else by the last evaluations."""
    logged = run.median("diversity/fake")
    if logged is not None:
        return run.began, logged
    return latest("eval/diversity", run) or (run.began, None)


def runaway_samples(run: Run, held: int) -> Sign | None:
    """Generated examples are much farther from each other than the data's are."""
    began, diversity = _diversity(run)
    if diversity is None or diversity <= t.SCATTERED:
        return None
    return Sign(_by_time(run, held), began, {"diversity": diversity})


def imbalance(run: Run, held: int) -> Sign | None:
    """D's loss is a tiny part of G's, which jumps."""
    loss_d, losses = run.median(run.d_loss), run.lately("loss/g")
    if loss_d is None or losses is None or not run.has_level:
        return None
    loss_g = float(np.median(losses))
    # Of two terms, as the articles say: half of it compares with G's one.
    if loss_g <= t.IMBALANCE * loss_d / 2 or loss_g <= 0:
        return None
    swing = _swing(losses)
    evidence = {"loss_d": loss_d, "loss_g": loss_g, "swing": swing}
    severity = _by_time(run, held, t.IMBALANCE_SHARE, t.LOSS_LASTING) if swing > t.SWING else "info"
    return Sign(severity, run.began, evidence)


def _swing(values: np.ndarray) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def _by_time(run: Run, held: int, share: float = t.LASTING_SHARE, least: int = t.LASTING) -> str:
    """Returns "problem" if it has lasted, in steps and as a share of the run, and no evaluation contradicts."""
    return "problem" if held >= max(least, share * run.now) and not run.spared() else "warning"


RULES: dict[str, Rule] = {
    "non_finite": Rule(
        non_finite,
        "{scalars:.0f} of the scalars are NaN or infinite. From here on every parameter is, and nothing is learned.",
    ),
    "discriminator_too_strong": Rule(
        discriminator_too_strong,
        "D gives real examples {score_real:.3f} on average and generated ones {score_fake:.3f}: it is sure of nearly "
        "all. G then learns little from it, and where the loss saturates nothing. If it stays so, the game has failed "
        "to converge.",
    ),
    "generator_too_strong": Rule(
        generator_too_strong,
        "D gives generated examples {score_fake:.3f} on average and real ones {score_real:.3f}: it takes the former "
        "for real. What G learns from a D that is fooled so easily is seldom what the data look like.",
    ),
    "vanishing_gradient": Rule(
        vanishing_gradient,
        "The norm of G's gradient is {norm:.2g}, after {norm_at_first:.2g} in the first steps. Learning has become "
        "slow or has stopped.",
    ),
    "d_loss_near_zero": Rule(
        d_loss_near_zero,
        "D's loss is {loss_d:.2g}: it tells real from generated examples without error. Some runs recover or even "
        "improve in this state; most do not.",
    ),
    "exploding_loss": Rule(
        exploding_loss,
        "A loss reaches {loss:.3g} lately, after {loss_at_first:.3g} in the first steps. Logits of this size mean that "
        "a network runs away, or that the optimizer takes steps far too large.",
    ),
    "mode_collapse": Rule(
        mode_collapse,
        "Generated examples differ from each other {diversity:.2f} times as much as the data do. G makes a few kinds "
        "of example, whatever latents it gets.",
    ),
    "mode_hopping": Rule(
        mode_hopping,
        "Generated examples differ from each other {diversity:.2f} times as much as the data do, while G's loss swings "
        "by {swing:.2g}. G goes from one kind of example to the next as D learns to reject them.",
    ),
    "runaway_samples": Rule(
        runaway_samples,
        "Generated examples differ from each other {diversity:.3g} times as much as the data do: they lie beyond the "
        "data, or are noise. Nothing that D says calls G back.",
    ),
    "imbalance": Rule(
        imbalance,
        "D's loss is {loss_d:.2g} where G's is {loss_g:.2g}, with swings of {swing:.2g}. The lower one should not be "
        "lower by far: one network cannot keep up with the other.",
    ),
    "late_degradation": Rule(
        late_degradation,
        "The score was {best:.4g} at step {best_step:.0f} and is {now:.4g} now; the last evaluations are all at least "
        "{ratio:.2f} times as bad. Runs seldom come back from there.",
    ),
    "memorization": Rule(
        memorization,
        "Generated examples are {ratio:.2f} times as far from the nearest training example as held-out data are. G "
        "reproduces what it was trained on.",
    ),
    "ignored_condition": Rule(
        ignored_condition,
        "{accuracy:.1%} of the generated examples are of the class asked for, where chance gives {chance:.1%}. G makes "
        "little or no use of its condition.",
    ),
}
