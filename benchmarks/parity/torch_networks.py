"""The networks of `jaxgan.architectures` in PyTorch, as one would write them there: NCHW, channels-last in memory.

Nothing here imports JAX, whose memory is not to count as PyTorch's where the two are compared.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from jaxgan.config.model import ModelConfig

# DCGAN: image size -> size of the smallest feature map.
SMALLEST = {28: 7, 32: 4, 64: 4, 128: 4}
# ResNet: image size -> widths of generator and discriminator in `base_features`, and how many blocks halve the image.
LAYOUTS = {32: ((2, 2, 2, 2), (1, 1, 1, 1), 2)}
OUTPUT_ACTIVATIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "linear": lambda x: x}


class BatchNorm(nn.BatchNorm2d):
    """Batch norm of [B, C, ...] as in torch, with jaxgan's running variance; `moves` says whether statistics move.

    torch's running variance follows the unbiased variance b of the batch, jaxgan's the biased one, b (n - 1) / n.
    Since 0.9 r + 0.1 b (n - 1) / n = (0.9 r n / (n - 1) + 0.1 b) (n - 1) / n, two multiplications of vectors
    around the fused kernel make the one of the other.
    """

    moves = True
    running_mean: Tensor  # torch allows their absence
    running_var: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, eps=self.eps)
        if not self.moves:
            return F.batch_norm(x, None, None, self.weight, self.bias, True, eps=self.eps)
        n = x.numel() / x.shape[1]
        variance = self.running_var * (n / (n - 1))
        y = F.batch_norm(x, self.running_mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
        with torch.no_grad():
            torch.mul(variance, (n - 1) / n, out=self.running_var)
        return y


def spectral(layer: nn.Module, use: bool) -> nn.Module:
    """Puts a layer under torch's own spectral norm, with jaxgan's guard against division by zero."""
    return parametrizations.spectral_norm(layer, eps=1e-12) if use else layer


def conv(inputs: int, outputs: int, size: int, stride: int = 1, bias: bool = True, sn: bool = False) -> nn.Module:
    return spectral(nn.Conv2d(inputs, outputs, size, stride, padding=(size - 1) // 2, bias=bias), sn)


def dcgan_layers(m: ModelConfig, size: int) -> tuple[list[int], list[int], list[int]]:
    """Lists widths and kernel sizes per layer: D's from the largest image down, G's from the smallest up."""
    count = (size // SMALLEST[size]).bit_length() - 1
    widths = [m.base_features * x for x in m.channel_multipliers or [min(2**i, 8) for i in range(count)]]
    d_sizes, g_sizes = (
        list(sizes) * count if len(sizes) == 1 else list(sizes) for sizes in (m.d_kernel_sizes, m.g_kernel_sizes)
    )
    return widths, d_sizes, g_sizes


class MLPGenerator(nn.Module):
    def __init__(self, m: ModelConfig, shape: tuple[int, ...]):
        super().__init__()
        widths = [m.z_dim, *(m.base_features * x for x in m.channel_multipliers or (1, 1, 1))]
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers.append(nn.Linear(a, b, bias=not m.g_batch_norm))
            layers += [BatchNorm(b)] if m.g_batch_norm else []
            layers.append(nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], math.prod(shape)))
        self.shape, self.output = shape, OUTPUT_ACTIVATIONS[m.output]

    def forward(self, z: Tensor) -> Tensor:
        x = self.output(self.layers(z))
        # Both sides number pixels row by row and channels last, so that weights are exchanged without a shuffle.
        return x.view(-1, *self.shape).permute(0, 3, 1, 2) if len(self.shape) == 3 else x


class MLPDiscriminator(nn.Module):
    def __init__(self, m: ModelConfig, shape: tuple[int, ...]):
        super().__init__()
        widths = [math.prod(shape), *(m.base_features * x for x in m.channel_multipliers or (1, 1, 1))]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            norm = m.d_batch_norm and i > 0
            layers.append(spectral(nn.Linear(a, b, bias=not norm), m.d_spectral_norm))
            layers += [BatchNorm(b)] if norm else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*layers, spectral(nn.Linear(widths[-1], 1), m.d_spectral_norm))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(pixels_last(x)).view(-1)


class DCGANGenerator(nn.Module):
    def __init__(self, m: ModelConfig, shape: tuple[int, ...]):
        super().__init__()
        widths, _, sizes = dcgan_layers(m, shape[0])
        self.size, bias = SMALLEST[shape[0]], not m.g_batch_norm
        self.dense = nn.Linear(m.z_dim, self.size**2 * widths[-1], bias=bias)
        layers: list[nn.Module] = []
        for i, (k, a) in enumerate(zip(sizes, reversed(widths), strict=True), 1):
            last = i == len(widths)
            layers += [BatchNorm(a)] if m.g_batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            b = shape[-1] if last else widths[-1 - i]
            layers.append(nn.ConvTranspose2d(a, b, k, 2, (k - 1) // 2, k % 2, bias=bias or last))
        self.layers, self.output = nn.Sequential(*layers), OUTPUT_ACTIVATIONS[m.output]

    def forward(self, z: Tensor) -> Tensor:
        return self.output(self.layers(pixels_first(self.dense(z), self.size)))


class DCGANDiscriminator(nn.Module):
    def __init__(self, m: ModelConfig, shape: tuple[int, ...]):
        super().__init__()
        widths, sizes, _ = dcgan_layers(m, shape[0])
        layers: list[nn.Module] = []
        for i, (k, a, b) in enumerate(zip(sizes, [shape[-1], *widths[:-1]], widths, strict=True)):
            norm = m.d_batch_norm and i > 0
            layers.append(conv(a, b, k, 2, not norm, m.d_spectral_norm))
            layers += [BatchNorm(b)] if norm else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*layers)
        self.dense = spectral(nn.Linear(SMALLEST[shape[0]] ** 2 * widths[-1], 1), m.d_spectral_norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(pixels_last(self.layers(x))).view(-1)


class Block(nn.Module):
    """The residual block of `jaxgan.architectures.sngan_resnet`; see there."""

    def __init__(self, inputs: int, outputs: int, resample: str | None, sees_image: bool, batch_norm: bool, sn: bool):
        super().__init__()
        norm = batch_norm and not sees_image
        self.resample, self.sees_image = resample, sees_image
        self.norms = nn.ModuleList([BatchNorm(inputs), BatchNorm(outputs)] if norm else [nn.Identity()] * 2)
        self.conv1 = conv(inputs, outputs, 3, bias=not norm, sn=sn)
        self.conv2 = conv(outputs, outputs, 3, bias=not batch_norm, sn=sn)
        learned = resample or inputs != outputs
        self.shortcut = conv(inputs, outputs, 1, bias=not batch_norm, sn=sn) if learned else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        # ReLU may not overwrite x, which the shortcut reads too, but it may overwrite what batch norm made of x.
        h = x if self.sees_image else F.relu(self.norms[0](x), inplace=isinstance(self.norms[0], BatchNorm))
        h = F.interpolate(h, scale_factor=2, mode="nearest") if self.resample == "up" else h
        h = self.conv2(F.relu(self.norms[1](self.conv1(h)), inplace=True))
        # 1x1 convolutions commute with both ways of resampling and are cheaper at the low resolution.
        if self.resample == "up":
            return h + F.interpolate(self.shortcut(x), scale_factor=2, mode="nearest")
        if self.resample == "down":
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        return h + self.shortcut(x)


class ResNetGenerator(nn.Module):
    def __init__(self, m: ModelConfig, shape: tuple[int, ...]):
        super().__init__()
        widths = [m.base_features * x for x in LAYOUTS[shape[0]][0]]
        self.dense = nn.Linear(m.z_dim, 4 * 4 * widths[0])
        self.blocks = nn.Sequential(
            *(Block(a, b, "up", False, m.g_batch_norm, False) for a, b in itertools.pairwise(widths))
        )
        self.norm = BatchNorm(widths[-1]) if m.g_batch_norm else nn.Identity()
        self.conv, self.output = conv(widths[-1], shape[-1], 3), OUTPUT_ACTIVATIONS[m.output]

    def forward(self, z: Tensor) -> Tensor:
        x = self.blocks(pixels_first(self.dense(z), 4))
        return self.output(self.conv(F.relu(self.norm(x), inplace=True)))


class ResNetDiscriminator(nn.Module):
    def __init__(self, m: ModelConfig, shape: tuple[int, ...]):
        super().__init__()
        (_, multipliers, halvings), sn = LAYOUTS[shape[0]], m.d_spectral_norm
        widths = [shape[-1], *(m.base_features * x for x in multipliers)]
        self.blocks = nn.Sequential(
            *(
                Block(a, b, "down" if i < halvings else None, i == 0, m.d_batch_norm, sn)
                for i, (a, b) in enumerate(itertools.pairwise(widths))
            )
        )
        self.norm = BatchNorm(widths[-1]) if m.d_batch_norm else nn.Identity()
        self.dense = spectral(nn.Linear(widths[-1], 1), sn)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(F.relu(self.norm(self.blocks(x)), inplace=True).sum((2, 3))).view(-1)


def pixels_first(x: Tensor, size: int) -> Tensor:
    """[B, size * size * C] -> [B, C, size, size], channels-last in memory without a copy."""
    return x.view(len(x), size, size, -1).permute(0, 3, 1, 2)


def pixels_last(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H * W * C], as jaxgan flattens; a view where x is channels-last. Points stay points."""
    return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x


NETWORKS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "mlp": (MLPGenerator, MLPDiscriminator),
    "dcgan": (DCGANGenerator, DCGANDiscriminator),
    "sngan_resnet": (ResNetGenerator, ResNetDiscriminator),
}
