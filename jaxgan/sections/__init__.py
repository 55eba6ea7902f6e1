"""The sections of a configuration: every key there is, its default, its meaning and what it may be."""

from jaxgan.sections.data import DataConfig
from jaxgan.sections.eval import EvalConfig
from jaxgan.sections.loss import AugmentConfig, LossConfig, RegularizersConfig, TargetsConfig
from jaxgan.sections.model import InfoganConfig, ModelConfig
from jaxgan.sections.monitor import MonitorConfig
from jaxgan.sections.train import OptimConfig, TrainConfig

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "EvalConfig",
    "InfoganConfig",
    "LossConfig",
    "ModelConfig",
    "MonitorConfig",
    "OptimConfig",
    "RegularizersConfig",
    "TargetsConfig",
    "TrainConfig",
]
