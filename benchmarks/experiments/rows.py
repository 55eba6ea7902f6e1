"""Lists every technique with the configuration keys that switch it on, in a game of real digits."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxgan.architectures import ARCHITECTURES
from jaxgan.config.config import Config, as_config

Overrides = dict[str, Any]

COMMON: Overrides = {
    "model.base_features": 16,
    "model.z_dim": 32,
    "train.num_steps": 300,
    "train.log_every": 50,
    "train.sample_every": 0,
    "train.checkpoint_every": 0,
}
# What does not depend on the network is tried on the cheapest one: dense, three layers of 128, 8x8 digits.
DENSE: Overrides = COMMON | {
    "data.name": "digits",
    "data.image_size": 8,
    "model.architecture": "mlp",
    "model.channel_multipliers": (8, 8, 8),
}
DCGAN: Overrides = COMMON | {"data.image_size": 28, "train.batch_size": 32}
SIZE_32: Overrides = COMMON | {"data.image_size": 32, "train.batch_size": 16}
BASES: dict[str, Overrides] = {"dense 8x8": DENSE, "dcgan 28x28": DCGAN, "28x28": DCGAN, "32x32": SIZE_32}


class Row(NamedTuple):
    """A technique: its group, the keys that switch it on, and the game it is tried in."""

    section: str
    overrides: Overrides
    base: str = "dense 8x8"

    def config(self, **more: Any) -> Config:
        """Builds the configuration; `more` are keys of the section `train`."""
        train = {f"train.{key}": value for key, value in more.items()}
        return config_of(BASES[self.base] | self.overrides | train)

    @property
    def line(self) -> str:
        """The flags to write after `--config=FILE`."""
        return " ".join(f"--config.{key}={_text(value)}" for key, value in self.overrides.items()) or "(the default)"


def config_of(overrides: Overrides) -> Config:
    """Builds a `Config` from keys with dots.

    >>> config_of({"loss.name": "hinge", "seed": 3}).loss.name
    'hinge'
    """
    nested: dict[str, Any] = {}
    for key, value in overrides.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return as_config(nested)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


NO_SN: Overrides = {"model.d_spectral_norm": False}
CLASSES: Overrides = {"model.g_conditioning": "concat"}
BATCH_NORM: Overrides = {"model.g_conditioning": "batch_norm"}


def _losses() -> dict[str, Row]:
    plain = ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge")
    names = (*plain, "relativistic_paired", "relativistic_average")
    return {name: Row("losses", {"loss.name": name}) for name in names}


def _tricks() -> dict[str, Row]:
    tricks: dict[str, Overrides] = {
        "one-sided label smoothing": {"targets.smoothing": 0.1},
        "soft random labels": {"targets.soft_real": 0.1, "targets.soft_fake": 0.1},
        "flipped labels": {"targets.flip": True},
        "noisy labels": {"targets.noisy_real": 0.05, "targets.noisy_fake": 0.05},
        "noisy labels for real only": {"targets.noisy_real": 0.05},
        "flipped and soft and noisy labels": {
            "targets.flip": True,
            "targets.soft_real": 0.1,
            "targets.soft_fake": 0.1,
            "targets.noisy_real": 0.05,
            "targets.noisy_fake": 0.05,
        },
        "smoothing of least squares": {"loss.name": "least_squares", "targets.smoothing": 0.1},
        "smoothing of minimax": {"loss.name": "minimax", "targets.smoothing": 0.1},
        "instance noise": {"targets.instance_noise": 0.1, "targets.instance_noise_steps": 200},
        "one class": {"data.classes": (3,)},
        "100 examples": {"data.max_examples": 100},
    }
    return {name: Row("tricks", overrides) for name, overrides in tricks.items()}


def _constraints() -> dict[str, Row]:
    wasserstein = NO_SN | {"loss.name": "wasserstein"}
    constraints: dict[str, Overrides] = {
        "no constraint": NO_SN,
        "spectral norm in D and G": {"model.d_spectral_norm": True, "model.g_spectral_norm": True},
        "weight clipping": wasserstein | {"regularizers.clip": 0.01},
        "WGAN-GP": wasserstein | {"regularizers.wgan_gp": 10.0},
        "DRAGAN": NO_SN | {"regularizers.dragan": 10.0},
        "LeCam": {"loss.name": "hinge", "regularizers.lecam": 0.3},
        "R1": NO_SN | {"regularizers.r1": 1.0},
        "R1 and R2": NO_SN | {"regularizers.r1": 0.1, "regularizers.r2": 0.1, "loss.name": "relativistic_paired"},
        "lazy R1": NO_SN | {"regularizers.r1": 1.0, "regularizers.interval": 10},
        "feature matching alone": {"regularizers.feature_matching": 1.0, "loss.g_adversarial_weight": 0.0},
        "feature matching beside the loss": {"regularizers.feature_matching": 0.1},
        "minibatch standard deviation": {"model.minibatch_stddev": 4},
        "packing 2": {"model.packing": 2},
        "packing 4": {"model.packing": 4},
    }
    rows = {name: Row("constraints", overrides) for name, overrides in constraints.items()}
    rows["WGAN-GP through convolutions"] = Row("constraints", constraints["WGAN-GP"], "dcgan 28x28")
    return rows


def _conditioning() -> dict[str, Row]:
    rows = {
        f"G {g['model.g_conditioning']} + D {d}": Row("conditioning", g | {"model.d_conditioning": d})
        for g in (CLASSES, BATCH_NORM)
        for d in ("concat", "class_fake", "auxiliary", "projection")
    }
    rows["AC-GAN with half the class loss"] = Row(
        "conditioning", CLASSES | {"model.d_conditioning": "auxiliary", "loss.class_weight": 0.5}
    )
    rows["InfoGAN"] = Row("conditioning", {"infogan.categorical": (10,), "infogan.continuous": 2})
    rows["InfoGAN that reads z back"] = Row(
        "conditioning",
        {
            "infogan.categorical": (10, 2),
            "infogan.continuous": 2,
            "infogan.distribution": "normal",
            "infogan.reconstruct_z": True,
            "infogan.learning_rate": 1e-3,
        },
    )
    return rows


def _architectures() -> dict[str, Row]:
    def row(overrides: Overrides, base: str = "dcgan 28x28") -> Row:
        return Row("architectures", overrides, base)

    resnet = {"model.architecture": "sngan_resnet", "loss.name": "hinge"}
    sagan = {"model.architecture": "sagan", "loss.name": "hinge", "model.g_spectral_norm": True}
    # Its layers are four times as wide as base_features.
    biggan = sagan | BATCH_NORM | {"model.architecture": "biggan", "model.base_features": 4}
    r3gan = {
        "model.architecture": "r3gan",
        "model.g_batch_norm": False,
        "model.d_spectral_norm": False,
        "loss.name": "relativistic_paired",
        "regularizers.r1": 0.1,
        "regularizers.r2": 0.1,
    }
    return {
        "mlp": row({"model.architecture": "mlp"}, "dense 8x8"),
        "dcgan": row({"model.architecture": "dcgan"}),
        "kernels per layer and net": row({"model.g_kernel_sizes": (3, 5), "model.d_kernel_sizes": (5, 4)}),
        "the same width everywhere": row({"model.channel_multipliers": (1, 1)}),
        "sigmoid output": row({"model.output": "sigmoid"}),
        "batch norm in D": row({"model.d_batch_norm": True, "model.d_spectral_norm": False}),
        "no batch norm": row({"model.g_batch_norm": False}),
        "sngan_resnet": row(resnet, "28x28"),
        "sagan": row(sagan, "32x32"),
        "biggan": row(biggan | {"model.d_conditioning": "projection"}, "32x32"),
        "r3gan": row(r3gan, "32x32"),
    }


def _augmentation() -> dict[str, Row]:
    rows = {name: Row("augmentation", {"augment.policy": (name,)}) for name in ("color", "translation", "cutout")}
    policy: Overrides = {"augment.policy": ("color", "translation", "cutout")}
    rows["DiffAugment"] = Row("augmentation", policy, "dcgan 28x28")
    rows["ADA"] = Row("augmentation", policy | {"augment.ada": True, "augment.ada_kimg": 10.0})
    return rows


def _optimization() -> dict[str, Row]:
    def both(**values: Any) -> Overrides:
        return {f"{net}_optim.{key}": value for net in "gd" for key, value in values.items()}

    optimization: dict[str, Overrides] = {f"preset {name}": both(preset=name) for name in "ABCDEF"}
    optimization |= {
        "b1 0 and b2 0.9": both(b1=0.0, b2=0.9),
        "eps 1e-4": both(eps=1e-4),
        "eps_root 1e-8": both(eps_root=1e-8),
        "Adamax": both(kind="adamax"),
        "linear schedule": both(schedule="linear", schedule_steps=300),
        "cosine schedule": both(schedule="cosine", schedule_steps=200, schedule_end=0.1),
        "TTUR": {"g_optim.learning_rate": 1e-4, "d_optim.learning_rate": 4e-4},
        "two D steps per G step": {"train.d_steps_per_g_step": 2},
        "G first": {"train.order": "g_first"},
        "no average of G": {"train.ema_decay": 0.0},
        "gradient accumulation": {"train.accumulate": 4, "model.g_batch_norm": False},
        "batch of 256": {"train.batch_size": 256},
        "uniform latents": {"model.z_distribution": "uniform"},
        "latents of 128": {"model.z_dim": 128},
        "several steps in a call": {"train.steps_per_call": 10},
    }
    rows = {name: Row("optimization", overrides) for name, overrides in optimization.items()}
    for name, row in _architectures().items():
        if name in ARCHITECTURES:
            rows[f"bfloat16 {name}"] = Row("optimization", row.overrides | {"train.dtype": "bfloat16"}, row.base)
    return rows


TECHNIQUES: dict[str, Row] = (
    _losses() | _tricks() | _constraints() | _conditioning() | _architectures() | _augmentation() | _optimization()
)
