"""`Twin`: the training step of `jaxgan.steps` in PyTorch, with every advantage that a PyTorch user would take.

The generator's pass for the last D-step is the G-step's too (its graph is kept), other D-steps generate without
a graph, real and fake go through D together where nothing forbids it, the G-step computes no gradients of D's weights
and iterates no spectral norm, Adam is fused, and the average is one `torch._foreach` call.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import parametrize

from benchmarks.parity.torch_networks import NETWORKS, BatchNorm
from jaxgan.config.config import Config
from jaxgan.config.optim import OptimConfig
from jaxgan.errors import UserError

if TYPE_CHECKING:
    from jaxgan.steps.state import GANState


def sp(t: Tensor) -> Tensor:
    """Computes log(1 + exp(t)); `F.softplus` itself turns linear at 20, an error of 1e-10 that float64 would show."""
    return -F.logsigmoid(-t)


class Loss(NamedTuple):
    """A loss as in `jaxgan.techniques.losses.GANLoss`: functions of the logits of real and of generated examples."""

    d: Callable[[Tensor, Tensor], Tensor]
    g: Callable[[Tensor, Tensor], Tensor]
    relativistic: bool = False


def minimax_d(r: Tensor, f: Tensor) -> Tensor:
    return sp(-r).mean() + sp(f).mean()


def relativistic_paired(r: Tensor, f: Tensor) -> Tensor:
    return sp(f - r).mean()


def relativistic_average(r: Tensor, f: Tensor) -> Tensor:
    return 0.5 * (sp(f.mean() - r).mean() + sp(f - r.mean()).mean())


LOSSES = {
    "minimax": Loss(minimax_d, lambda r, f: -sp(f).mean()),
    "non_saturating": Loss(minimax_d, lambda r, f: sp(-f).mean()),
    "least_squares": Loss(
        lambda r, f: 0.5 * (r - 1).square().mean() + 0.5 * f.square().mean(), lambda r, f: 0.5 * (f - 1).square().mean()
    ),
    "wasserstein": Loss(lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
    "hinge": Loss(lambda r, f: F.relu(1 - r).mean() + F.relu(1 + f).mean(), lambda r, f: -f.mean()),
    "relativistic_paired": Loss(relativistic_paired, lambda r, f: relativistic_paired(f, r), True),
    "relativistic_average": Loss(relativistic_average, lambda r, f: relativistic_average(f, r), True),
}

# As in `jaxgan.techniques.optim`: progress in [0, 1] -> how much of the way to the last learning rate is gone.
SCHEDULES = {"constant": lambda t: 0.0, "linear": lambda t: t, "cosine": lambda t: 0.5 * (1 - math.cos(math.pi * t))}


class Twin:
    """One game in PyTorch.

    Args:
      config: of the game; Adam without `eps_root`, computing in float32.
      shape: of one example as jaxgan has it, (H, W, C) or (features,).
      dtype: of parameters and computation.
      compile: send the two networks' passes with their losses through `torch.compile`.

    Raises:
      UserError: the configuration asks for what the twin has not got.
    """

    def __init__(
        self, config: Config, shape: tuple[int, ...], dtype: torch.dtype = torch.float32, compile: bool = False
    ):
        for section, optim in (("g_optim", config.g_optim), ("d_optim", config.d_optim)):
            if optim.kind != "adam" or optim.eps_root:
                raise UserError(f"{section}: the PyTorch twin has only the kind 'adam', without eps_root.")
        if config.train.dtype != "float32":
            raise UserError(f"train.dtype is {config.train.dtype!r}: the PyTorch twin computes in 'float32'.")
        self._config, self._shape = config, tuple(shape)
        networks = [network(config.model, self._shape) for network in NETWORKS[config.model.architecture]]
        self.generator, self.discriminator = (
            network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for network in networks
        )
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.g_optimizer = _adam(self.generator, config.g_optim)
        self.d_optimizer = _adam(self.discriminator, config.d_optim)
        self.step = 0
        self._loss = LOSSES[config.loss.name]
        self._penalties = [config.regularizers.r1, config.regularizers.r2]
        self._d_params = list(self.discriminator.parameters())
        self._spectral = [
            layer.parametrizations.weight[0]
            for layer in self.discriminator.modules()
            if parametrize.is_parametrized(layer, "weight")
        ]
        self._g_norms, self._d_norms = (
            [layer for layer in network.modules() if isinstance(layer, BatchNorm)]
            for network in (self.generator, self.discriminator)
        )
        self._moving, self._averaged = _floats(self.generator), _floats(self.average)
        # Batch norm would mix real and fake, and the gradient of one half only is cheaper without the other.
        self._apart = bool(self._d_norms) or bool(self._penalties[0]) != bool(self._penalties[1])
        self._generate = torch.compile(self.generator) if compile else self.generator
        self._d_loss = torch.compile(self._d_loss_eager) if compile else self._d_loss_eager
        self._g_loss = torch.compile(self._g_loss_eager) if compile else self._g_loss_eager

    def load(self, state: GANState) -> None:
        """Sets the twin to jaxgan's state."""
        from benchmarks.parity import convert

        convert.load(self, state)

    def unload(self) -> GANState:
        """Converts the state to jaxgan's, with NumPy arrays as leaves."""
        from benchmarks.parity import convert

        return convert.unload(self, self._config, self._shape)

    def train_step(self, images: list[Tensor], zs: list[Tensor]) -> dict[str, Tensor]:
        """Makes a D-step for each of `images` and `zs`, and a G-step on the examples and latents of the nearest one.

        Args:
          images: [B, C, H, W] each, channels-last in memory, or points [B, features].
          zs: [B, z_dim] each.

        Returns:
          "loss/d" of the last D-step and "loss/g".
        """
        metrics = {}
        g_first = self._config.train.order == "g_first"
        if g_first:
            metrics["loss/g"] = self._g_step(images[0], self._generate(zs[0]))
        for i, (real, z) in enumerate(zip(images, zs, strict=True), 1):
            shared = not g_first and i == len(zs)  # with the G-step: the parameters are still the same then
            for norm in self._g_norms:
                norm.moves = shared  # only the G-step moves G's statistics
            with contextlib.nullcontext() if shared else torch.no_grad():
                fake = self._generate(z)
            metrics["loss/d"] = self._d_step(real, fake.detach())
        for norm in self._g_norms:
            norm.moves = True
        if not g_first:
            metrics["loss/g"] = self._g_step(images[-1], fake)
        return metrics

    def _d_step(self, real: Tensor, fake: Tensor) -> Tensor:
        loss = self._d_loss(real, fake)
        loss.backward()
        self._update(self.d_optimizer, self._config.d_optim)
        return loss.detach()

    def _g_step(self, real: Tensor, fake: Tensor) -> Tensor:
        self._freeze_discriminator(True)
        loss = self._g_loss(real, fake)
        loss.backward()
        self._freeze_discriminator(False)
        self._update(self.g_optimizer, self._config.g_optim)
        decay = min(self._config.train.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self._averaged, self._moving, 1 - decay)
        self.step += 1
        return loss.detach()

    def _d_loss_eager(self, real: Tensor, fake: Tensor) -> Tensor:
        # Within `cached` a second pass reads the weights that the first has normalized, so u and v move once.
        with parametrize.cached() if self._apart else contextlib.nullcontext():
            if self._apart:
                passes = [self._judge(x, bool(w)) for x, w in zip((real, fake), self._penalties, strict=True)]
            else:
                outputs = self._judge(torch.cat([real, fake]), any(self._penalties))
                passes = list(zip(*(x.chunk(2) for x in outputs), strict=True))
        loss = self._loss.d(passes[0][0], passes[1][0])
        for (_, slope), weight in zip(passes, self._penalties, strict=True):
            loss = loss + 0.5 * weight * slope.mean() if weight else loss
        return loss

    def _judge(self, x: Tensor, penalized: bool) -> tuple[Tensor, Tensor]:
        """Computes logits and, if `penalized`, the squared norm of each one's gradient by its example, in one pass."""
        if not penalized:
            logits = self.discriminator(x)
            return logits, logits  # the second is not read
        if torch.compiler.is_compiling():

            def total(x: Tensor) -> tuple[Tensor, Tensor]:
                logits = self.discriminator(x)
                return logits.sum(), logits

            gradient, logits = torch.func.grad(total, has_aux=True)(x)
        else:
            x = x.detach().requires_grad_()
            logits = self.discriminator(x)
            (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return logits, gradient.square().sum(tuple(range(1, x.ndim)))

    def _g_loss_eager(self, real: Tensor, fake: Tensor) -> Tensor:
        with parametrize.cached() if self._loss.relativistic else contextlib.nullcontext():
            real_logits = self.discriminator(real) if self._loss.relativistic else fake
            return self._loss.g(real_logits, self.discriminator(fake))

    def _freeze_discriminator(self, frozen: bool) -> None:
        """Freezes D for the G-step: no weight gradients, no power iteration, no update of its statistics."""
        for parameter in self._d_params:
            parameter.requires_grad = not frozen
        for norm in self._spectral:
            norm.training = not frozen
        for norm in self._d_norms:
            norm.moves = not frozen

    def _update(self, optimizer: torch.optim.Optimizer, o: OptimConfig) -> None:
        progress = min(self.step / max(o.schedule_steps, 1), 1.0)
        factor = 1 - (1 - o.schedule_end) * SCHEDULES[o.schedule](progress)
        optimizer.param_groups[0]["lr"] = o.learning_rate * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _adam(network: torch.nn.Module, o: OptimConfig) -> torch.optim.Adam:
    assert o.learning_rate is not None and o.b1 is not None and o.b2 is not None  # the preset's, if not the user's
    return torch.optim.Adam(network.parameters(), o.learning_rate, (o.b1, o.b2), o.eps, fused=True)


def _floats(network: torch.nn.Module) -> list[Tensor]:
    """Lists the averaged tensors: parameters and batch statistics."""
    return [*network.parameters(), *(x for x in network.buffers() if x.is_floating_point())]
