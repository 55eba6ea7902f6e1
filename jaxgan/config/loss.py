"""What the two networks are trained towards."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from jaxgan.config.fields import at_least, check_types, one_of, within
from jaxgan.errors import UserError


@dataclass(frozen=True)
class LossConfig:
    """The adversarial loss."""

    name: str = "non_saturating"
    g_adversarial_weight: float = 1.0  # in G's loss; 0: feature matching or the class loss alone
    class_weight: float = 1.0  # of the class loss where model.d_conditioning is 'auxiliary'

    def __post_init__(self):
        from jaxgan.techniques.losses import LOSSES

        check_types(self, "loss")
        one_of("loss.name", self.name, LOSSES)
        at_least("loss.g_adversarial_weight", self.g_adversarial_weight, 0)
        at_least("loss.class_weight", self.class_weight, 0)


@dataclass(frozen=True)
class TargetsConfig:
    """Tricks with labels (for losses that have targets) and inputs, by strength; see
    `jaxgan.techniques.label_tricks.TrickHyper`."""

    smoothing: float = 0.0  # real target 1 - this
    soft_real: float = 0.0  # real targets ~ U(1 - this, 1)
    soft_fake: float = 0.0  # generated targets ~ U(0, this)
    flip: bool = False  # generated examples are 1, real ones 0
    noisy_real: float = 0.0  # probability that a real example is labeled as generated
    noisy_fake: float = 0.0  # and the other way round
    instance_noise: float = 0.0  # standard deviation, in units of the images, of noise on all that D sees
    instance_noise_steps: int = 0  # G steps until it is gone, linearly
    # Keep the tricks in the compiled program at strength 0 too, so that an ablation over strengths needs one
    # compilation; instance noise where it has steps.
    traced: bool = False

    def __post_init__(self):
        check_types(self, "targets")
        for name in ("smoothing", "soft_real", "soft_fake"):
            within(f"targets.{name}", getattr(self, name), 0, 0.5)  # beyond, a target is nearer the other kind's
        for name in ("noisy_real", "noisy_fake"):
            within(f"targets.{name}", getattr(self, name), 0, 1)
        for name in ("instance_noise", "instance_noise_steps"):
            at_least(f"targets.{name}", getattr(self, name), 0)
        if self.smoothing and self.soft_real:
            raise UserError(
                f"targets.smoothing is {self.smoothing} and targets.soft_real {self.soft_real}: both lower the real"
                " target, so set one of them to 0."
            )
        if self.instance_noise and not self.instance_noise_steps:
            raise UserError(
                f"targets.instance_noise is {self.instance_noise}: it needs targets.instance_noise_steps of at least 1,"
                " the steps until it is gone."
            )

    @property
    def label_tricks(self) -> tuple[str, ...]:
        """The names of the tricks with labels that are on."""
        names = ("smoothing", "soft_real", "soft_fake", "flip", "noisy_real", "noisy_fake")
        return tuple(name for name in names if getattr(self, name))


@dataclass(frozen=True)
class RegularizersConfig:
    """Penalties by weight, and constraints on the discriminator; 0 leaves one out of the compiled program."""

    r1: float = 0.0  # gamma/2 E |grad D(x)|^2 on real examples
    r2: float = 0.0  # the same on generated ones
    wgan_gp: float = 0.0  # E (|grad D| - 1)^2 between real and generated examples; usual: 10
    dragan: float = 0.0  # the same near real examples; usual: 10
    interval: int = 1  # the gradient penalties above every this many steps, scaled by as much; usual: 1 or 16
    lecam: float = 0.0  # D's logits near where those of the other kind were; usual: 0.3 with hinge
    lecam_relu: bool = False  # LeCam as its authors' program has it: no cost on the wrong side of the other average
    feature_matching: float = 0.0  # in G's loss: |E h(x) - E h(G(z))|^2
    clip: float = 0.0  # D's parameters within [-this, this]; usual: 0.01

    def __post_init__(self):
        check_types(self, "regularizers")
        for f in dataclasses.fields(self):
            at_least(f"regularizers.{f.name}", getattr(self, f.name), 1 if f.name == "interval" else 0)
        if self.lecam_relu and not self.lecam:
            raise UserError(
                "regularizers.lecam_relu is True, but there is no LeCam penalty: set regularizers.lecam to its weight,"
                " such as 0.3, or lecam_relu to False."
            )
        if self.interval > 1 and not self.gradient_penalties:
            raise UserError(
                f"regularizers.interval is {self.interval}, but there is no gradient penalty to apply that seldom: set"
                " the weight of one, or interval to 1."
            )

    @property
    def gradient_penalties(self) -> tuple[str, ...]:
        """The names of the penalties on per-example gradients that are on."""
        from jaxgan.techniques.penalties import PENALTIES

        return tuple(name for name in PENALTIES if getattr(self, name))


@dataclass(frozen=True)
class AugmentConfig:
    """Differentiable augmentation of all that D sees (DiffAugment), its probability fixed or adaptive (ADA)."""

    policy: tuple[str, ...] = ()  # color, translation, cutout; empty: none
    p: float | None = None  # of each, for each image; with ada where it starts. None: 1, with ada 0
    ada: bool = False  # move p so that D overfits by as much as ada_target
    ada_target: float = 0.6  # of the mean sign of D's logits on real examples
    ada_kimg: float = 500.0  # thousands of real examples that would take p from 0 to 1

    def __post_init__(self):
        from jaxgan.techniques.augment import AUGMENTATIONS

        check_types(self, "augment")
        for name in self.policy:
            one_of("augment.policy", name, AUGMENTATIONS)
        if len(set(self.policy)) < len(self.policy):
            raise UserError(f"augment.policy is {self.policy}: name each augmentation once.")
        within("augment.p", self.first_p, 0, 1)
        within("augment.ada_target", self.ada_target, -1, 1)
        if not self.ada_kimg > 0:
            raise UserError(f"augment.ada_kimg is {self.ada_kimg}: it must be greater than 0.")
        if self.ada and not self.policy:
            raise UserError("augment.ada adapts the probability of augmentations: name some in augment.policy.")

    @property
    def first_p(self) -> float:
        """The probability at step 0."""
        return (0.0 if self.ada else 1.0) if self.p is None else self.p
