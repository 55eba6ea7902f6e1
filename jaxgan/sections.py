"""The sections of a configuration: every key there is, its default, its meaning and what it may be."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from jaxgan.checks import at_least, check_types, one_of
from jaxgan.errors import UserError

OUTPUTS = ("tanh", "sigmoid", "linear")
Z_DISTRIBUTIONS = ("normal", "uniform")
ORDERS = ("d_first", "g_first")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from."""

    source: str = "embedded"  # embedded | folder | npz | synthetic | tfds
    name: str = "mnist"  # the data set within the source; empty for folder and npz
    split: str = "train"
    data_dir: str = ""  # TFDS' directory, the folder of images, or the .npz file
    image_size: int = 28  # height = width in pixels after resize and center crop; 0: the source's own
    classes: tuple[int | str, ...] = ()  # keep only these, by number or name; empty: all
    max_examples: int = 0  # keep only the first n; 0: all
    horizontal_flip: bool = False  # mirror each image with probability 1/2
    on_bad_image: str = "error"  # error | skip: what a corrupt or tiny file in a folder does

    def __post_init__(self):
        from jaxgan.data import SOURCES

        check_types(self, "data")
        one_of("data.source", self.source, SOURCES)
        one_of("data.on_bad_image", self.on_bad_image, ("error", "skip"))
        at_least("data.image_size", self.image_size, 0)
        at_least("data.max_examples", self.max_examples, 0)
        if not self.name and self.source not in ("folder", "npz"):
            raise UserError(f"data.name is empty, but data.source {self.source!r} needs the name of a data set.")
        if self.source in ("folder", "npz") and not self.data_dir:
            raise UserError(f"data.source {self.source!r} needs data.data_dir, the path to read from.")
        if self.horizontal_flip and self.source == "synthetic":
            raise UserError("data.horizontal_flip mirrors images, but synthetic data are points; set it to False.")


@dataclass(frozen=True)
class ModelConfig:
    """The two networks."""

    architecture: str = "dcgan"
    z_dim: int = 128
    z_distribution: str = "normal"  # normal N(0, 1) | uniform U(-1, 1)
    base_features: int = 64
    channel_multipliers: tuple[int, ...] = ()  # of base_features, from the largest image down; empty: doubling
    g_kernel_sizes: tuple[int, ...] = (4,)  # one for all layers, or one per layer from the input on
    d_kernel_sizes: tuple[int, ...] = (4,)
    output: str = "tanh"  # tanh: images in [-1, 1] | sigmoid: [0, 1] | linear: points
    g_spectral_norm: bool = False
    d_spectral_norm: bool = True
    g_batch_norm: bool = True
    d_batch_norm: bool = False
    # How the networks take notice of the examples' classes; both or neither.
    g_conditioning: str = "none"  # none | concat: an embedding beside z | batch_norm: gains and biases for each class
    d_conditioning: str = "none"  # none | concat: an embedding as a further map | class_fake | auxiliary | projection
    embedding_dim: int = 128  # length of the embeddings that are concatenated with z or points, and of biggan's
    minibatch_stddev: int = 0  # examples in a group, whose standard deviation D sees; 0: it does not

    def __post_init__(self):
        from jaxgan.architectures import ARCHITECTURES, D_CONDITIONINGS, G_CONDITIONINGS

        check_types(self, "model")
        one_of("model.architecture", self.architecture, ARCHITECTURES)
        one_of("model.z_distribution", self.z_distribution, Z_DISTRIBUTIONS)
        one_of("model.output", self.output, OUTPUTS)
        at_least("model.z_dim", self.z_dim, 1)
        at_least("model.base_features", self.base_features, 1)
        at_least("model.embedding_dim", self.embedding_dim, 1)
        for name in ARCHITECTURES[self.architecture].lacks:
            if getattr(self, name):
                raise UserError(f"model.{name} is True, but {self.architecture} has no such layers: set it to False.")
        self._check_conditioning(G_CONDITIONINGS, D_CONDITIONINGS)
        for multiplier in self.channel_multipliers:
            at_least("model.channel_multipliers", multiplier, 1)
        for name in ("g_kernel_sizes", "d_kernel_sizes"):
            sizes = getattr(self, name)
            if not sizes or any(size not in (3, 4, 5) for size in sizes):
                raise UserError(
                    f"model.{name} is {sizes}: allowed are 3, 4 and 5, one for all layers or one per layer."
                )

    def _check_conditioning(self, of_g: tuple[str, ...], of_d: tuple[str, ...]) -> None:
        one_of("model.g_conditioning", self.g_conditioning, of_g)
        one_of("model.d_conditioning", self.d_conditioning, of_d)
        if self.d_conditioning != "none" and self.g_conditioning == "none":
            raise UserError(
                f"model.d_conditioning {self.d_conditioning!r} judges generated examples by their class, which only a "
                f"class-conditional generator gives them: set model.g_conditioning to one of {', '.join(of_g[1:])}."
            )
        if self.g_conditioning != "none" and self.d_conditioning == "none":
            raise UserError(
                f"model.g_conditioning is {self.g_conditioning!r}, but a discriminator that knows of no classes leaves "
                f"the generator free to ignore them: set model.d_conditioning to one of {', '.join(of_d[1:])}."
            )
        if self.g_conditioning == "batch_norm" and not self.g_batch_norm:
            raise UserError("model.g_conditioning 'batch_norm' needs model.g_batch_norm, which is False.")
        if self.minibatch_stddev and self.minibatch_stddev < 2:
            raise UserError(
                f"model.minibatch_stddev is {self.minibatch_stddev}: it must be 0 (none) or a group of at least 2."
            )


@dataclass(frozen=True)
class LossConfig:
    """The adversarial loss."""

    name: str = "non_saturating"

    def __post_init__(self):
        from jaxgan.losses import LOSSES

        check_types(self, "loss")
        one_of("loss.name", self.name, LOSSES)


@dataclass(frozen=True)
class RegularizersConfig:
    """Penalties on the discriminator, by weight; 0 leaves one out of the compiled program."""

    r1: float = 0.0  # gamma/2 E |grad D(x)|^2 on real examples
    r2: float = 0.0  # the same on generated ones

    def __post_init__(self):
        check_types(self, "regularizers")
        for f in dataclasses.fields(self):
            at_least(f"regularizers.{f.name}", getattr(self, f.name), 0)


@dataclass(frozen=True)
class OptimConfig:
    """Adam of one network. None means: the preset's value."""

    preset: str = "C"  # A-F of the SN-GAN paper: learning rate, b1, b2 (and D steps per G step)
    learning_rate: float | None = None
    schedule: str = "constant"  # constant | linear | cosine: from learning_rate to schedule_end x learning_rate
    schedule_steps: int = 0  # the schedule's own horizon in G steps, whatever train.num_steps is
    schedule_end: float = 0.0
    b1: float | None = None
    b2: float | None = None
    eps: float = 1e-8
    eps_root: float = 0.0
    kind: str = "adam"  # adam | adamax

    def validate(self, section: str) -> None:
        """Checks types and ranges; `section` is `g_optim` or `d_optim`, for the message."""
        from jaxgan.optim import KINDS, SCHEDULES

        one_of(f"{section}.schedule", self.schedule, SCHEDULES)
        one_of(f"{section}.kind", self.kind, KINDS)
        at_least(f"{section}.learning_rate", self.learning_rate or 0, 0)
        at_least(f"{section}.schedule_end", self.schedule_end, 0)
        at_least(f"{section}.eps_root", self.eps_root, 0)
        for name in ("b1", "b2"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise UserError(f"{section}.{name} is {value}: it must be at least 0 and less than 1.")
        if not self.eps > 0:
            raise UserError(f"{section}.eps is {self.eps}: it must be greater than 0 (usual: 1e-8 to 1e-4).")
        if self.kind == "adamax" and self.eps_root:
            raise UserError(f"{section}.eps_root is {self.eps_root}: adamax takes no root, so it must be 0.")
        if self.schedule != "constant" and self.schedule_steps < 1:
            raise UserError(f"{section}.schedule {self.schedule!r} needs {section}.schedule_steps of at least 1.")
        at_least(f"{section}.schedule_steps", self.schedule_steps, 0)


@dataclass(frozen=True)
class TrainConfig:
    """The loop. A step is one generator update with its discriminator updates."""

    num_steps: int = 10_000
    batch_size: int = 64  # global: over all devices and processes
    d_steps_per_g_step: int | None = None  # None: the preset's of d_optim
    order: str = "d_first"  # d_first | g_first
    ema_decay: float = 0.999
    dtype: str = "float32"  # of the computation: float32 | bfloat16; parameters, losses and SN stay float32
    log_every: int = 100
    sample_every: int = 500  # 0: never
    checkpoint_every: int = 1000  # 0: only at the end
    keep: int = 2  # newest checkpoints that stay
    init_from: str = ""  # another run's workdir, whose weights this one starts from
    profile_at: int = 0  # write a profiler trace of `profile_steps` steps from this step on; 0: never
    # Steps in one compiled call, with the data of all of them on the device: for accelerators, where a step is so short
    # that the host cannot keep up. All else happens between calls, so the intervals are multiples of it. A CPU gains
    # where there are no convolutions, and loses where there are.
    steps_per_call: int = 1

    def __post_init__(self):
        check_types(self, "train")
        one_of("train.order", self.order, ORDERS)
        one_of("train.dtype", self.dtype, DTYPES)
        for name in ("num_steps", "batch_size", "log_every", "keep", "steps_per_call"):
            at_least(f"train.{name}", getattr(self, name), 1)
        if self.d_steps_per_g_step is not None:  # `Config` fills in the preset's
            at_least("train.d_steps_per_g_step", self.d_steps_per_g_step, 1)
        for name in ("sample_every", "checkpoint_every", "profile_at"):
            at_least(f"train.{name}", getattr(self, name), 0)
        for name in ("num_steps", "log_every", "sample_every", "checkpoint_every", "profile_at"):
            if getattr(self, name) % self.steps_per_call:
                raise UserError(
                    f"train.{name} is {getattr(self, name)}: it must be a multiple of train.steps_per_call, "
                    f"{self.steps_per_call}."
                )
        if self.profile_at and self.profile_at + self.profile_steps > self.num_steps:
            raise UserError(
                f"train.profile_at is {self.profile_at}: its {self.profile_steps} steps must end by train.num_steps, "
                f"{self.num_steps}."
            )
        if not 0 <= self.ema_decay < 1:
            raise UserError(
                f"train.ema_decay is {self.ema_decay}: it must be at least 0 (no averaging) and less than 1."
            )

    @property
    def profile_steps(self) -> int:
        """How long a trace is: it begins and ends in the middle of a call, and one is to be in it as a whole."""
        return max(5, 2 * self.steps_per_call)


@dataclass(frozen=True)
class EvalConfig:
    """Scores during training: nothing to set yet."""
