"""Lists what the literature advises about each kind of finding; where authors disagree, each of them is heard."""

from __future__ import annotations

from jaxgan.monitor.doctor.findings import Advice

RIGHT_WAY = '"Training GANs the right way", C. Beckham 2021, https://beckham.nz/2021/06/28/training-gans.html'
KEEP_CALM = '"Keep Calm and train a GAN. Pitfalls and Tips on training Generative Adversarial Networks"'
WOODBLOCKS = "the second part, on GANs, of a series on generative AI that makes Japanese woodblock prints"
PRACTICE = '"Generative Adversarial Networks, GANs", with observations from practice'
ALL_ABOUT = '"All About Training GAN"'

RESTRAIN_D = (
    Advice(
        "Bound D's Lipschitz constant, by spectral norm (model.d_spectral_norm=True) or a gradient penalty; a D that "
        "is bounded need not be held back, and may even be given more steps than G.",
        RIGHT_WAY,
    ),
    Advice(
        "Hold D back: soft labels (targets.soft_real=0.1, targets.soft_fake=0.1), 5 % of them false, larger kernels.",
        KEEP_CALM,
    ),
    Advice(
        "Hold D back: one-sided smoothing (targets.smoothing=0.1), noise on all that it sees (targets.instance_noise) "
        "and batches of 64 or fewer. Its learning rate, however, should be above G's (4e-4 and 1e-4).",
        ALL_ABOUT,
    ),
)
WAIT_OR_NOT = (
    Advice(
        "Wait: the first few hundred updates say little. The one exception is D's loss near 0: then restart with "
        "something changed.",
        KEEP_CALM,
    ),
    Advice("Stop if D's scores do not recover for many updates.", ALL_ABOUT),
    Advice(
        "Do not stop for the losses alone: published runs have gone on improving with D's loss near 0.",
        "training logs of POSTECH-CVLab/PyTorch-StudioGAN, https://github.com/POSTECH-CVLab/PyTorch-StudioGAN",
    ),
)
COLLAPSE = (
    Advice("Update D more often (train.d_steps_per_g_step): G has become better than D can follow.", WOODBLOCKS),
    Advice("Impair D: give it false labels for some real examples (targets.noisy_real=0.05).", ALL_ABOUT),
    Advice(
        "Show D several examples at once, by minibatch standard deviation (model.minibatch_stddev=4) or packing "
        "(model.packing=2); a larger batch and a larger D help as well.",
        PRACTICE,
    ),
    Advice("Keep the batch at 64 or below, for larger ones make D too good.", ALL_ABOUT),
)
TOO_WEAK_D = (
    Advice(
        "Give D more power, by width, depth or learning rate: a loss of G far below D's means that D is too weak.",
        RIGHT_WAY,
    ),
    Advice("Update D more often than G (train.d_steps_per_g_step).", WOODBLOCKS),
    Advice("Look at the samples: a loss of G near 0 means that garbage fools D. Rethink both networks.", PRACTICE),
)
SLOW_DOWN = Advice(
    "Lower the learning rates, get more data, or enlarge z: the usual answers where a game does not converge.",
    WOODBLOCKS,
)
ADAM_EPS = Advice(
    "Suspect Adam's eps: 1e-8 may make losses explode or grow late in training. Try 1e-6 to 1e-4 (g_optim.eps, "
    "d_optim.eps), or adamax (g_optim.kind, d_optim.kind).",
    RIGHT_WAY,
)
KEEP_THE_BEST = Advice(
    "Evaluate while training, and stop or go back to the best checkpoint when the score gets worse, as with any "
    "classifier.",
    RIGHT_WAY,
)

ADVICE: dict[str, tuple[Advice, ...]] = {
    "non_finite": (SLOW_DOWN, ADAM_EPS),
    "discriminator_too_strong": (*RESTRAIN_D, *WAIT_OR_NOT[:2]),
    "generator_too_strong": TOO_WEAK_D,
    "vanishing_gradient": (
        Advice("Use a loss of G that does not saturate (loss.name='non_saturating').", WOODBLOCKS),
        Advice(
            "Flip the labels (targets.flip=True) and soften them; it let gradients reach G's first layers.", KEEP_CALM
        ),
        RESTRAIN_D[0],
        Advice("Clip less, if weights are clipped: clipping regularizes too much.", RIGHT_WAY),
    ),
    "d_loss_near_zero": (*WAIT_OR_NOT[1:], WAIT_OR_NOT[0], *RESTRAIN_D[:2]),
    "exploding_loss": (ADAM_EPS, SLOW_DOWN, RESTRAIN_D[0]),
    "mode_collapse": COLLAPSE,
    "mode_hopping": (*COLLAPSE[2:], SLOW_DOWN),
    "runaway_samples": (*TOO_WEAK_D, SLOW_DOWN),
    "imbalance": (
        Advice(
            "D's loss should be below G's, but not by far. If it is, G may lack capacity, or a deep net its skip "
            "connections; look at the gradients' norms before changing sizes.",
            RIGHT_WAY,
        ),
        *RESTRAIN_D[1:],
    ),
    "late_degradation": (
        KEEP_THE_BEST,
        ADAM_EPS,
        Advice(
            "With few examples, augment all that D sees (augment.policy=color,translation,cutout).",
            "Zhao et al. 2020, https://arxiv.org/abs/2006.10738",
        ),
    ),
    "memorization": (
        Advice(
            "Get more data, or augment all that D sees, with a probability that follows how far D overfits "
            "(augment.ada=True).",
            "Karras et al. 2020, https://arxiv.org/abs/2006.06676",
        ),
    ),
    "ignored_condition": (
        Advice(
            "Let D predict the condition from the example, and train both networks to make that easy: auxiliary "
            "classes (model.d_conditioning='auxiliary') or InfoGAN's codes (infogan.categorical).",
            RIGHT_WAY,
        ),
        Advice("Let D tell the classes apart itself (model.d_conditioning='class_fake').", WOODBLOCKS),
    ),
}

# Kinds of which the first two pieces of advice contradict each other, so that none is shown without the other.
DISPUTED = frozenset({"discriminator_too_strong", "d_loss_near_zero", "mode_collapse", "mode_hopping"})
