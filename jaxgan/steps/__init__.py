"""One training step, as pure functions."""

from jaxgan.steps.steps import d_step, g_step, info_step, penalty_step, sample, train_step

__all__ = ["d_step", "g_step", "info_step", "penalty_step", "sample", "train_step"]
