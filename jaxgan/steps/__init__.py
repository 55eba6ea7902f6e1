"""Makes one training step, as pure functions.

To follow a step, read in this order: `train_step.py`, `d_step.py`, `g_step.py`, `forward.py` (what passes through the
networks), `update.py` (how gradients become parameters), and the file in `techniques/` that holds what is switched on.
"""

from jaxgan.steps.d_step import d_step, penalty_step
from jaxgan.steps.forward import sample
from jaxgan.steps.g_step import g_step
from jaxgan.steps.info_step import info_step
from jaxgan.steps.train_step import train_step

__all__ = ["d_step", "g_step", "info_step", "penalty_step", "sample", "train_step"]
