"""The keys of the sections `g_optim` and `d_optim`: each network's optimizer."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import Names, check_fields, key
from jaxgan.errors import UserError


@dataclass(frozen=True)
class OptimConfig:
    """The optimizer of one network: Adam with every constant tunable."""

    preset: str = key(
        "C",
        "Column of the SN-GAN paper's table of settings; it supplies learning_rate, b1, b2 and, for D, "
        "train.d_steps_per_g_step where they are None.",
        allowed=Names("jaxgan.techniques.optim", "PRESETS"),
    )
    learning_rate: float | None = key(None, "Learning rate; None takes the preset's.", least=0)
    schedule: str = key(
        "constant",
        "How the learning rate moves from learning_rate to schedule_end x learning_rate.",
        allowed=Names("jaxgan.techniques.optim", "SCHEDULES"),
    )
    schedule_steps: int = key(
        0,
        "Length of the schedule in generator steps, whatever train.num_steps is; at least 1 with a schedule.",
        least=0,
    )
    schedule_end: float = key(0.0, "Part of the learning rate that is left when the schedule has ended.", least=0)
    b1: float | None = key(None, "Decay of Adam's mean of gradients; None takes the preset's.", least=0, below=1)
    b2: float | None = key(
        None, "Decay of Adam's mean of squared gradients; None takes the preset's.", least=0, below=1
    )
    # A gradient of 1e-19 has a square that float32 turns into 0, so the update is the gradient divided by eps alone.
    eps: float = key(1e-8, "Added to the root of the mean square before dividing (usual: 1e-8 to 1e-4).", least=1e-16)
    eps_root: float = key(0.0, "Added under that root; with kind 'adamax' it must be 0.", least=0)
    kind: str = key(
        "adam",
        "Adam, or its variant with the maximum norm in place of the mean square (adamax).",
        allowed=Names("jaxgan.techniques.optim", "KINDS"),
    )

    def validate(self, section: str) -> None:
        """Checks all fields; `section` is `g_optim` or `d_optim`, for the message."""
        check_fields(self, section)
        if self.kind == "adamax" and self.eps_root:
            raise UserError(
                f"{section}.eps_root is {self.eps_root}, but {section}.kind 'adamax' takes no root: set it to 0, or "
                "the kind to 'adam'."
            )
        if self.schedule != "constant" and self.schedule_steps < 1:
            raise UserError(f"{section}.schedule {self.schedule!r} needs its length: set {section}.schedule_steps.")
