"""A game in which D wins at once, since G stays as it is, and thresholds that see it within few steps."""

from typing import Any

import numpy as np

from jaxgan.config.config import Config
from jaxgan.monitor.doctor import thresholds
from jaxgan.training.loop import train

MODEL = {"architecture": "mlp", "z_dim": 2, "base_features": 32, "channel_multipliers": (1,), "output": "linear"}
MODEL |= {"g_batch_norm": False, "d_spectral_norm": False}
TRAIN = {"num_steps": 60, "batch_size": 8, "steps_per_call": 5, "log_every": 5, "sample_every": 0}
TRAIN |= {"checkpoint_every": 10, "keep": 3}


def game(on_finding: str = "warn", attempts: int = 3, **changes: Any) -> Config:
    """Its configuration, with other values of sections, or of keys of the section `train`."""
    values: dict[str, Any] = {
        "data": {"source": "synthetic", "name": "ring", "max_examples": 64},
        "model": MODEL,
        "g_optim": {"learning_rate": 0.0},
        "d_optim": {"learning_rate": 0.03},
        "train": TRAIN,
        "eval": {},
        "loss": {},
        "monitor": {"on_finding": on_finding, "max_attempts": attempts},
    }
    for name, value in changes.items():
        if isinstance(value, dict):
            values[name] = {**values[name], **value}
        else:
            values["train"] = {**values["train"], name: value}
    return Config.from_dict(values)


def run(config: Config, workdir, **arguments):
    """Trains on points far away from those that G makes."""
    points = 3 + np.random.RandomState(0).standard_normal((64, 2)).astype(np.float32)
    return train(config, workdir, source=points, **arguments)


def haste(monkeypatch) -> None:
    """Verdicts after tens of steps in place of thousands."""
    values = {"PATIENCE": 15, "WINDOW": 10, "WINDOW_POINTS": 3, "D_LOSS_ZERO": 0.3, "LOSS_LASTING": 20}
    for name, value in values.items():
        monkeypatch.setattr(thresholds, name, value)


class Interrupt(BaseException):
    """A writer that ends the run, as a fault of the machine would, while a step is being logged; raises itself.

    `attempt` says at which time that the step is logged: later attempts come to the same steps again.
    """

    def __init__(self, at: int, attempt: int = 0):
        self.at, self.left = at, attempt

    def write_scalars(self, step, scalars):
        if step == self.at and "loss/d" in scalars:  # other actions write of the same step
            self.left -= 1
            if self.left < 0:
                raise self

    def __getattr__(self, name):
        return lambda *args, **kwargs: None
