"""Builds the networks of `jaxgan.architectures` from stock Flax layers, as any Flax user would write them.

They have the same layers, sizes and initializers as ours, and run by the same `train_step`: what differs in time is
what `jaxgan.nn` and one device per core are worth. Discriminators return bare logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax

from jaxgan.architectures.base import OUTPUT_ACTIVATIONS
from jaxgan.architectures.dcgan import SMALLEST, multipliers
from jaxgan.architectures.sngan_resnet import LAYOUTS
from jaxgan.config.config import Config
from jaxgan.nn.blocks import INIT as GLOROT
from jaxgan.nn.blocks import RESIDUAL_INIT
from jaxgan.nn.spectral_norm import SPECTRAL_STATS

Array = jax.Array
Layer = Callable[[Array], Array]

DCGAN_INIT = nn.initializers.normal(0.02)
HE_NORMAL = nn.initializers.he_normal()


def batch_norm_relu(x: Array, train: bool) -> Array:
    return nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x))


def maybe_spectral(module: nn.Module, layer: nn.Module, normalized: bool, train: bool) -> Layer:
    """Makes a layer of `module`, spectrally normalized if asked; u moves where its collection is mutable."""
    if not normalized:
        return layer  # type: ignore[return-value]
    move = train and module.is_mutable_collection(SPECTRAL_STATS)
    return partial(nn.SpectralNorm(layer, collection_name=SPECTRAL_STATS), update_stats=move)


class DCGANGenerator(nn.Module):
    shape: tuple[int, int, int]
    base_features: int
    output: str

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        size = SMALLEST[self.shape[0]]
        widths = [self.base_features * m for m in multipliers(self.shape[0], ())]
        x = nn.Dense(size * size * widths[-1], use_bias=False, kernel_init=DCGAN_INIT)(z)
        x = batch_norm_relu(x.reshape(-1, size, size, widths[-1]), train)
        for features in reversed(widths[:-1]):
            x = nn.ConvTranspose(features, (4, 4), (2, 2), use_bias=False, kernel_init=DCGAN_INIT)(x)
            x = batch_norm_relu(x, train)
        x = nn.ConvTranspose(self.shape[-1], (4, 4), (2, 2), kernel_init=DCGAN_INIT)(x)
        return OUTPUT_ACTIVATIONS[self.output](x)


class DCGANDiscriminator(nn.Module):
    base_features: int
    spectral_norm: bool

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        for multiplier in multipliers(x.shape[1], ()):
            conv = nn.Conv(self.base_features * multiplier, (4, 4), (2, 2), kernel_init=DCGAN_INIT)
            x = nn.leaky_relu(maybe_spectral(self, conv, self.spectral_norm, train)(x), 0.2)
        dense = nn.Dense(1, kernel_init=DCGAN_INIT)
        return maybe_spectral(self, dense, self.spectral_norm, train)(x.reshape(len(x), -1))


class ResNetBlock(nn.Module):
    features: int
    resample: str | None
    sees_image: bool = False
    batch_norm: bool = False
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        def activate(x):
            return batch_norm_relu(x, train) if self.batch_norm else nn.relu(x)

        def conv(x, size, init):
            layer = nn.Conv(self.features, (size, size), use_bias=not self.batch_norm, kernel_init=init)
            return maybe_spectral(self, layer, self.spectral_norm, train)(x)

        def resample(x, way):
            if self.resample != way:
                return x
            return x.repeat(2, axis=1).repeat(2, axis=2) if way == "up" else nn.avg_pool(x, (2, 2), (2, 2))

        h = resample(x if self.sees_image else activate(x), "up")
        h = resample(conv(activate(conv(h, 3, RESIDUAL_INIT)), 3, RESIDUAL_INIT), "down")
        # The shortcut's convolution commutes with resampling and is cheaper at the low resolution.
        x = resample(x, "down")
        x = conv(x, 1, GLOROT) if self.resample or x.shape[-1] != self.features else x
        return h + resample(x, "up")


class ResNetGenerator(nn.Module):
    shape: tuple[int, int, int]
    base_features: int
    output: str

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        first, *widths = (self.base_features * m for m in LAYOUTS[self.shape[0]].generator)
        x = nn.Dense(4 * 4 * first, kernel_init=GLOROT)(z).reshape(-1, 4, 4, first)
        for features in widths:
            x = ResNetBlock(features, "up", batch_norm=True)(x, train=train)
        x = nn.Conv(self.shape[-1], (3, 3), kernel_init=GLOROT)(batch_norm_relu(x, train))
        return OUTPUT_ACTIVATIONS[self.output](x)


class ResNetDiscriminator(nn.Module):
    base_features: int
    spectral_norm: bool

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        layout = LAYOUTS[x.shape[1]]
        for i, multiplier in enumerate(layout.discriminator):
            resample = "down" if i < layout.halvings else None
            block = ResNetBlock(self.base_features * multiplier, resample, i == 0, False, self.spectral_norm)
            x = block(x, train=train)
        dense = nn.Dense(1, kernel_init=GLOROT)
        return maybe_spectral(self, dense, self.spectral_norm, train)(nn.relu(x).sum((1, 2)))


class MLPGenerator(nn.Module):
    shape: tuple[int, ...]
    base_features: int
    output: str

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        x = z
        for _ in range(3):
            x = nn.relu(nn.Dense(self.base_features, kernel_init=HE_NORMAL)(x))
        x = nn.Dense(math.prod(self.shape), kernel_init=HE_NORMAL)(x)
        return OUTPUT_ACTIVATIONS[self.output](x).reshape(-1, *self.shape)


class MLPDiscriminator(nn.Module):
    base_features: int
    spectral_norm: bool

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        x = x.reshape(len(x), -1)
        for _ in range(3):
            dense = nn.Dense(self.base_features, kernel_init=HE_NORMAL)
            x = nn.leaky_relu(maybe_spectral(self, dense, self.spectral_norm, train)(x), 0.2)
        return maybe_spectral(self, nn.Dense(1, kernel_init=HE_NORMAL), self.spectral_norm, train)(x)


TWINS: dict[str, tuple[Any, Any]] = {
    "dcgan": (DCGANGenerator, DCGANDiscriminator),
    "sngan_resnet": (ResNetGenerator, ResNetDiscriminator),
    "mlp": (MLPGenerator, MLPDiscriminator),
}


def twins(config: Config, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    """Builds generator and discriminator for `gan.build`, for the configurations that the benchmark runs."""
    m = config.model
    generator, discriminator = TWINS[m.architecture]
    return generator(shape, m.base_features, m.output), discriminator(m.base_features, m.d_spectral_norm)
