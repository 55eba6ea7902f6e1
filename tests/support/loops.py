"""Short runs that the tests of the loop share, and modules of a caller's own."""

import signal

import flax.linen as nn
import jax
from numpy.testing import assert_array_equal

from jaxgan.config.config import Config

TINY = {
    "data": {"name": "digits", "image_size": 8, "max_examples": 50},
    "model": {"architecture": "mlp", "z_dim": 3, "base_features": 4, "channel_multipliers": [1]},
    "train": {"num_steps": 6, "batch_size": 8, "log_every": 1, "sample_every": 0, "checkpoint_every": 2},
}


def tiny(**overrides) -> Config:
    values = {section: dict(content) for section, content in TINY.items()}
    for key, value in overrides.items():
        section, name = key.split("__")
        values.setdefault(section, {})[name] = value
    return Config.from_dict(values)


def assert_same_state(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(assert_array_equal, jax.device_get(a), jax.device_get(b))


# The same from the command line, with a configuration of `configs/`.
FLAGS = [
    "--config=configs/mnist_unconditional.py",
    "--config.model.architecture=mlp",
    "--config.data.name=digits",
    "--config.data.image_size=8",
    "--config.model.base_features=8",
    "--config.train.batch_size=8",
    "--config.train.num_steps=3",
    "--config.train.sample_every=0",
    "--config.eval.every=0",
]


class Signal:
    """A writer that sends this process one signal while a step is being logged."""

    def __init__(self, number: int, at: int):
        self.number, self.at, self.sent = number, at, False

    def write_scalars(self, step, scalars):
        if step == self.at and not self.sent:
            self.sent = True  # a second one would end the process
            signal.raise_signal(self.number)

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


class Broken(nn.Module):
    """A generator whose output grows without bound."""

    @nn.compact
    def __call__(self, z, *, train):
        w = self.param("w", nn.initializers.ones, ())
        return (jax.numpy.ones((len(z), 8, 8, 1)) * z.mean()) * jax.numpy.exp(w * 40) ** 3


class Small(nn.Module):
    """A discriminator of the caller's own, returning bare logits [B, 1]."""

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(1)(x.reshape(len(x), -1))
