"""How they are trained: optimizers and loop."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import at_least, check_types, one_of
from jaxgan.errors import UserError

ORDERS = ("d_first", "g_first")
DTYPES = ("float32", "bfloat16")


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
        from jaxgan.techniques.optim import KINDS, SCHEDULES

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
    # Parts of the batch whose gradients are computed one after the other, for want of memory. With batch norm each part
    # has means of its own, and which examples are in it depends on the number of devices.
    accumulate: int = 1
    d_steps_per_g_step: int | None = None  # None: the preset's of d_optim
    order: str = "d_first"  # d_first | g_first
    ema_decay: float = 0.999
    dtype: str = (
        "float32"  # of the computation: float32 | bfloat16; parameters, D's outputs, losses and SN stay float32
    )
    log_every: int = 100
    sample_every: int = 500  # 0: never
    checkpoint_every: int = 1000  # 0: only at the end
    keep: int = 2  # newest checkpoints that stay
    init_from: str = ""  # another run's workdir, whose weights this one starts from
    profile_at: int = 0  # write a profiler trace of `profile_steps` steps from this step on; 0: never
    # Steps in one compiled call, with the data of all of them on the device: for accelerators, where a step is so short
    # that the host cannot keep up. All else happens between calls, so the intervals are multiples of it. On a CPU it is
    # for networks without convolutions, and refused for others.
    steps_per_call: int = 1

    def __post_init__(self):
        check_types(self, "train")
        one_of("train.order", self.order, ORDERS)
        one_of("train.dtype", self.dtype, DTYPES)
        for name in ("num_steps", "batch_size", "log_every", "keep", "steps_per_call", "accumulate"):
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
