"""jaxgan: GAN training in JAX.

import jaxgan
state = jaxgan.train({"train": {"num_steps": 1000}}, "runs/digits")
images = jaxgan.load("runs/digits").images(64)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxgan.config.config import Config, defaults
    from jaxgan.errors import Interrupted, NonFiniteError, UserError
    from jaxgan.evaluation.diagnose import diagnose
    from jaxgan.evaluation.evaluate import evaluate, score_folder
    from jaxgan.reporting import report
    from jaxgan.sampling.sampler import Sampler, load
    from jaxgan.steps import d_step, g_step, sample, train_step
    from jaxgan.steps.gan import build, init, make_hyper
    from jaxgan.training.loop import train

__version__ = "0.1.0"

_HOMES = {
    "Config": "jaxgan.config.config",
    "Interrupted": "jaxgan.errors",
    "NonFiniteError": "jaxgan.errors",
    "Sampler": "jaxgan.sampling.sampler",
    "UserError": "jaxgan.errors",
    "build": "jaxgan.steps.gan",
    "d_step": "jaxgan.steps",
    "defaults": "jaxgan.config.config",
    "diagnose": "jaxgan.evaluation.diagnose",
    "evaluate": "jaxgan.evaluation.evaluate",
    "g_step": "jaxgan.steps",
    "init": "jaxgan.steps.gan",
    "load": "jaxgan.sampling.sampler",
    "make_hyper": "jaxgan.steps.gan",
    "report": "jaxgan.reporting",
    "sample": "jaxgan.steps",
    "score_folder": "jaxgan.evaluation.evaluate",
    "train": "jaxgan.training.loop",
    "train_step": "jaxgan.steps",
}
__all__ = [
    "Config",
    "Interrupted",
    "NonFiniteError",
    "Sampler",
    "UserError",
    "build",
    "d_step",
    "defaults",
    "diagnose",
    "evaluate",
    "g_step",
    "init",
    "load",
    "make_hyper",
    "report",
    "sample",
    "score_folder",
    "train",
    "train_step",
]


def __getattr__(name: str):
    """Imports JAX and the rest only when first used, so that `import jaxgan` and `--help` are quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxgan' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
