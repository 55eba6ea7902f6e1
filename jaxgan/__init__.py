"""jaxgan: GAN training in JAX.

import jaxgan
state = jaxgan.train({"train": {"num_steps": 1000}}, "runs/digits")
images = jaxgan.load("runs/digits").images(64)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxgan.config import Config, defaults
    from jaxgan.errors import UserError
    from jaxgan.sampling import Sampler, load
    from jaxgan.train import train

__version__ = "0.1.0"
__all__ = ["Config", "Sampler", "UserError", "defaults", "load", "train"]

_HOMES = {
    "Config": "jaxgan.config",
    "Sampler": "jaxgan.sampling",
    "UserError": "jaxgan.errors",
    "defaults": "jaxgan.config",
    "load": "jaxgan.sampling",
    "train": "jaxgan.train",
}


def __getattr__(name: str):
    """Imports JAX and the rest only when first used, so that `import jaxgan` and `--help` are quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxgan' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(_HOMES[name])
    return module if name == "train" else getattr(module, name)  # the module `jaxgan.train` is callable
