"""The keys of the section `train`: the training loop."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import check_fields, key
from jaxgan.errors import UserError

ORDERS = ("d_first", "g_first")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class TrainConfig:
    """The training loop. A step is one generator update with its discriminator updates."""

    num_steps: int = key(10_000, "Number of steps.", least=1)
    batch_size: int = key(64, "Number of examples in a batch, over all devices and processes.", least=1)
    accumulate: int = key(
        1,
        "Number of parts of the batch whose gradients are computed one after the other, to save memory. With batch "
        "norm each part has means of its own, and which examples it holds depends on the number of devices.",
        least=1,
    )
    d_steps_per_g_step: int | None = key(
        None, "Number of discriminator updates in a step; None takes that of d_optim.preset.", least=1
    )
    order: str = key("d_first", "Which network is updated first in a step.", allowed=ORDERS)
    ema_decay: float = key(
        0.999, "Decay of the moving average of G's parameters; 0 switches averaging off.", least=0, below=1
    )
    dtype: str = key(
        "float32",
        "Number format of the computation. Parameters, D's outputs, losses and spectral norms stay float32.",
        allowed=DTYPES,
    )
    log_every: int = key(100, "Steps between two lines of the log.", least=1)
    sample_every: int = key(500, "Steps between two grids of samples; 0 means never.", least=0)
    checkpoint_every: int = key(1000, "Steps between two checkpoints; 0 saves one at the end only.", least=0)
    keep: int = key(2, "Number of the newest checkpoints that stay.", least=1)
    init_from: str = key("", "Workdir of another run, whose weights this one starts from; empty starts at random.")
    profile_at: int = key(0, "Step from which a profiler trace of a few steps is written; 0 means never.", least=0)
    steps_per_call: int = key(
        1,
        "Number of steps in one compiled call, for accelerators, where the host cannot keep up with short steps. All "
        "else happens between calls, so all intervals must be multiples of it. On a CPU it is refused for networks "
        "with convolutions.",
        least=1,
    )

    def __post_init__(self):
        check_fields(self, "train")
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

    @property
    def profile_steps(self) -> int:
        """Number of steps in a profiler trace, which begins and ends inside a call and must hold a whole one."""
        return max(5, 2 * self.steps_per_call)
