"""Generators whose examples are known, for the tests of pictures and measures of samples."""

import dataclasses
from types import SimpleNamespace

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jaxgan.config.config import Config, DataConfig, ModelConfig
from jaxgan.data import from_arrays
from jaxgan.steps.gan import build
from jaxgan.steps.state import AveragedNet
from support.loops import Small


class Constant(nn.Module):
    """A generator that shows its latents: pixel i of an image is w z_i."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, z, *, train: bool):
        return self.param("w", nn.initializers.ones, ()) * z.reshape(-1, *self.shape)


class Circle(nn.Module):
    """A generator of points on a circle around 0 of radius w."""

    @nn.compact
    def __call__(self, z, *, train: bool):
        return self.param("w", nn.initializers.ones, ()) * z / jnp.linalg.norm(z, axis=-1, keepdims=True)


def state_of(w: float):
    """As far as a picture needs it; whatever reads the live weights would fail."""
    return SimpleNamespace(ema=AveragedNet({"w": jnp.float32(w)}, {}))


def images_gan(channels: int):
    config = dataclasses.replace(Config(), model=ModelConfig(z_dim=16 * channels))
    gan = build(config, (4, 4, channels), None, Constant((4, 4, channels)), Small())
    return gan, from_arrays(np.zeros((4, 4, 4, channels), np.uint8))


def points_gan():
    data = DataConfig(source="synthetic", name="ring")
    model = ModelConfig(architecture="mlp", output="linear", z_dim=2, g_batch_norm=False, d_spectral_norm=False)
    config = dataclasses.replace(Config(), data=data, model=model)
    return build(config, (2,), None, Circle(), Small())
