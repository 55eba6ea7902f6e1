"""The keys of the sections `loss`, `targets`, `regularizers` and `augment`: what the two networks minimize."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import Names, check_fields, key
from jaxgan.errors import UserError


@dataclass(frozen=True)
class LossConfig:
    """The adversarial loss."""

    name: str = key(
        "non_saturating", "Pair of losses that D and G minimize.", allowed=Names("jaxgan.techniques.losses", "LOSSES")
    )
    g_adversarial_weight: float = key(
        1.0, "Weight of the adversarial loss in G's loss; 0 leaves feature matching or the class loss alone.", least=0
    )
    class_weight: float = key(1.0, "Weight of the class loss, with model.d_conditioning 'auxiliary'.", least=0)

    def __post_init__(self):
        check_fields(self, "loss")


@dataclass(frozen=True)
class TargetsConfig:
    """Tricks with D's target labels, for losses that have them, and noise on its inputs, by strength."""

    # Beyond 0.5 a target would be nearer to that of the other kind of examples.
    smoothing: float = key(0.0, "How much the target of real examples is below 1.", least=0, most=0.5)
    soft_real: float = key(0.0, "Targets of real examples are drawn from U(1 - this, 1).", least=0, most=0.5)
    soft_fake: float = key(0.0, "Targets of generated examples are drawn from U(0, this).", least=0, most=0.5)
    flip: bool = key(False, "Whether generated examples have the target 1 and real ones 0.")
    noisy_real: float = key(0.0, "Probability that a real example has the target of a generated one.", least=0, most=1)
    noisy_fake: float = key(0.0, "Probability that a generated example has the target of a real one.", least=0, most=1)
    instance_noise: float = key(
        0.0, "Standard deviation at step 0, in units of the images, of noise added to all that D sees.", least=0
    )
    instance_noise_steps: int = key(0, "Generator steps in which that noise falls to 0, evenly.", least=0)
    traced: bool = key(
        False,
        "Whether the compiled program holds the tricks at strength 0 too, so that trying several strengths needs one "
        "compilation; instance noise only where it has steps.",
    )

    def __post_init__(self):
        check_fields(self, "targets")
        if self.smoothing and self.soft_real:
            raise UserError(
                f"targets.smoothing is {self.smoothing} and targets.soft_real {self.soft_real}: both lower the target "
                "of real examples, so set one of them to 0."
            )
        if self.instance_noise and not self.instance_noise_steps:
            raise UserError(
                f"targets.instance_noise is {self.instance_noise}: set targets.instance_noise_steps to the number of "
                "steps in which it falls to 0."
            )

    @property
    def label_tricks(self) -> tuple[str, ...]:
        """The names of the tricks with labels that are on."""
        names = ("smoothing", "soft_real", "soft_fake", "flip", "noisy_real", "noisy_fake")
        return tuple(name for name in names if getattr(self, name))


@dataclass(frozen=True)
class RegularizersConfig:
    """Penalties by weight, and constraints on D; what is 0 is left out of the compiled program."""

    r1: float = key(0.0, "Gamma of R1, gamma/2 E |grad D(x)|^2 on real examples.", least=0)
    r2: float = key(0.0, "Gamma of R2, the same on generated examples.", least=0)
    wgan_gp: float = key(0.0, "Weight of E (|grad D| - 1)^2 between real and generated examples (usual: 10).", least=0)
    dragan: float = key(0.0, "Weight of E (|grad D| - 1)^2 near real examples (usual: 10).", least=0)
    interval: int = key(
        1,
        "Steps between two uses of the gradient penalties above, whose weights are multiplied by it (usual: 1 or 16).",
        least=1,
    )
    before_augmentation: bool = key(
        True,
        "Whether R1 and R2 are taken at the images before augmentation and through it, as StyleGAN2-ADA and R3GAN do; "
        "else at the augmented images.",
    )
    lecam: float = key(
        0.0,
        "Weight of LeCam, which keeps D's logits near the moving average of those of the other kind of examples "
        "(usual: 0.3 with hinge).",
        least=0,
    )
    lecam_relu: bool = key(
        False, "Whether LeCam is as in its authors' program, without cost on the wrong side of the other average."
    )
    feature_matching: float = key(0.0, "Weight in G's loss of |E h(x) - E h(G(z))|^2, h being D's features.", least=0)
    clip: float = key(0.0, "Bound on the size of each of D's parameters (usual: 0.01); 0 means none.", least=0)

    def __post_init__(self):
        check_fields(self, "regularizers")
        if self.lecam_relu and not self.lecam:
            raise UserError(
                "regularizers.lecam_relu is True, but there is no LeCam penalty: set regularizers.lecam to its weight, "
                "such as 0.3, or lecam_relu to False."
            )
        if self.interval > 1 and not self.gradient_penalties:
            raise UserError(
                f"regularizers.interval is {self.interval}, but there is no gradient penalty to apply that seldom: set "
                "the weight of one, or regularizers.interval to 1."
            )

    @property
    def gradient_penalties(self) -> tuple[str, ...]:
        """The names of the penalties on per-example gradients that are on."""
        from jaxgan.techniques.penalties import PENALTIES

        return tuple(name for name in PENALTIES if getattr(self, name))


@dataclass(frozen=True)
class AugmentConfig:
    """Differentiable augmentation of all that D sees (DiffAugment), with a fixed or an adaptive probability (ADA)."""

    policy: tuple[str, ...] = key(
        (), "Augmentations to apply; empty means none.", allowed=Names("jaxgan.techniques.augment", "AUGMENTATIONS")
    )
    p: float | None = key(
        None,
        "Probability of each augmentation for each image, with ada the first one; None means 1, with ada 0.",
        least=0,
        most=1,
    )
    ada: bool = key(False, "Whether the probability adapts until D overfits by as much as ada_target says.")
    ada_target: float = key(0.6, "Mean sign of D's logits on real examples that ada aims for.", least=-1, most=1)
    ada_kimg: float = key(
        500.0,
        "Thousands of real examples in which ada can move the probability from 0 to 1; it never exceeds 1.",
        above=0,
    )
    ada_interval: int = key(
        4, "Minibatches of D after which ada moves the probability, by the signs of all of them.", least=1
    )

    def __post_init__(self):
        check_fields(self, "augment")
        if len(set(self.policy)) < len(self.policy):
            raise UserError(f"augment.policy is {self.policy}: name each augmentation once.")
        if self.ada and not self.policy:
            raise UserError(
                "augment.ada adapts the probability of augmentations, but there are none: name some in augment.policy, "
                "or set augment.ada to False."
            )

    @property
    def first_p(self) -> float:
        """The probability at step 0."""
        return (0.0 if self.ada else 1.0) if self.p is None else self.p
