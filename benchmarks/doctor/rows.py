"""Names runs broken on purpose and healthy runs, and says on which of them thresholds may be fitted."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.experiments.rows import Overrides, config_of
from jaxgan.architectures import mlp
from jaxgan.config.config import Config
from jaxgan.steps.gan import GAN
from jaxgan.techniques.losses import GANLoss

STEPS = 4000
SEEDS_BROKEN, SEEDS_HEALTHY = range(3), range(4)

RING: Overrides = {
    "data.source": "synthetic",
    "data.name": "ring",
    "model.architecture": "mlp",
    "model.output": "linear",
    "model.z_dim": 2,
    "model.base_features": 64,
    "model.g_batch_norm": False,
    "model.d_spectral_norm": False,
    "train.batch_size": 128,
    "train.ema_decay": 0.99,
} | {
    f"{net}_optim.{key}": value for net in "gd" for key, value in {"learning_rate": 1e-3, "b1": 0.0, "b2": 0.99}.items()
}
DIGITS: Overrides = {
    "data.name": "digits",
    "data.image_size": 8,
    "model.architecture": "mlp",
    "model.base_features": 128,
    "model.z_dim": 32,
    "train.batch_size": 64,
    "train.ema_decay": 0.99,
    "g_optim.learning_rate": 5e-4,
    "d_optim.learning_rate": 5e-4,
}
RP: Overrides = {"loss.name": "relativistic_paired", "regularizers.r1": 0.1, "regularizers.r2": 0.1}
FREE: Overrides = {"model.d_spectral_norm": False}


def both(key: str, value: Any) -> Overrides:
    """Makes the same setting of both optimizers."""
    return {f"g_optim.{key}": value, f"d_optim.{key}": value}


class Row(NamedTuple):
    """A run: its configuration and, for a broken one, how it is broken and which kinds of finding name that.

    `gan` changes the built game, `data` the examples and `labels` the labels; `generator` and `discriminator` make
    modules, of the examples' shape, in place of the configuration's.
    """

    overrides: Overrides
    kinds: tuple[str, ...] = ()
    gan: Callable[[GAN], GAN] | None = None
    data: Callable[[np.ndarray], np.ndarray] | None = None
    labels: Callable[[np.ndarray], np.ndarray] | None = None
    generator: Callable[[tuple[int, ...]], nn.Module] | None = None
    discriminator: Callable[[], nn.Module] | None = None

    def config(self, seed: int) -> Config:
        """Builds the configuration for a seed."""
        return config_of(self.overrides | {"seed": seed})


class Deaf(nn.Module):
    """A generator that ignores its latents."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, z: jax.Array, *, train: bool) -> jax.Array:
        """Makes B times the same image, with noise too small to be seen, of z [B, z_dim]."""
        image = mlp.Generator(self.shape)(jnp.ones_like(z), train=train)
        return image + 1e-3 * jnp.tanh(z[:, :1]).reshape(-1, *(1 for _ in self.shape))


def game_of(d: Callable, g: Callable) -> Callable[[GAN], GAN]:
    """Replaces both losses by the means of `d` and `g`, functions of real and fake logits."""
    return lambda gan: dataclasses.replace(
        gan, loss=GANLoss(lambda r, f, mean=jnp.mean: mean(d(r, f)), lambda r, f, mean=jnp.mean: mean(g(r, f)))
    )


def _log_sigmoid_by_hand(logits: jax.Array) -> jax.Array:
    return jnp.log(jax.nn.sigmoid(logits))


def _shuffled(labels: np.ndarray) -> np.ndarray:
    return np.random.RandomState(0).permutation(labels)


sp = jax.nn.softplus
STRONG = ("discriminator_too_strong", "d_loss_near_zero")
BROKEN: dict[str, Row] = {
    "d_lr_no_sn": Row(DIGITS | FREE | {"d_optim.learning_rate": 1e-2}, (*STRONG, "exploding_loss")),
    "tiny_g": Row(DIGITS, (*STRONG, "imbalance", "mode_collapse"), generator=lambda s: mlp.Generator(s, 1)),
    "saturating": Row(
        DIGITS
        | FREE
        | {
            "loss.name": "minimax",
            "d_optim.learning_rate": 2e-3,
            "train.d_steps_per_g_step": 5,
            "train.batch_size": 32,
        },
        (*STRONG, "vanishing_gradient"),
    ),
    "clip_hard": Row(RING | {"loss.name": "wasserstein", "regularizers.clip": 1e-4}, ("vanishing_gradient",)),
    "lr_high": Row(
        RING | {"loss.name": "non_saturating"} | both("learning_rate", 0.05),
        ("exploding_loss", "discriminator_too_strong", "mode_collapse", "mode_hopping", "non_finite"),
    ),
    "one_mode_g": Row(DIGITS, ("mode_collapse", "mode_hopping"), generator=Deaf),
    "eps_large_g": Row(RING | {"loss.name": "non_saturating", "regularizers.r1": 0.1, "g_optim.eps": 1e4}, STRONG),
    "label_bug": Row(
        DIGITS,
        ("generator_too_strong", "d_loss_near_zero"),
        gan=game_of(lambda r, f: sp(-r) + sp(-f), lambda r, f: sp(-f)),
    ),
    "wrong_range": Row(DIGITS, (*STRONG, "exploding_loss"), data=lambda x: 8 * (x + 1)),  # the file's own 0..16
    "d_weak": Row(
        RING | {"loss.name": "non_saturating"},
        ("generator_too_strong", "mode_collapse", "mode_hopping"),
        discriminator=lambda: mlp.Discriminator(1, (1,)),
    ),
    "g_lr_0": Row(DIGITS | FREE | {"g_optim.learning_rate": 0.0}, (*STRONG, "imbalance")),
    "d_lr_0": Row(
        RING | {"loss.name": "non_saturating", "d_optim.learning_rate": 0.0},
        ("generator_too_strong", "mode_collapse", "exploding_loss"),
    ),
    "b1_high": Row(
        RING | {"loss.name": "non_saturating"} | both("b1", 0.99) | both("learning_rate", 5e-3),
        ("exploding_loss", "discriminator_too_strong", "mode_collapse", "mode_hopping", "non_finite"),
    ),
    "wasserstein_free": Row(DIGITS | FREE | {"loss.name": "wasserstein"}, ("exploding_loss", "non_finite")),
    "few_examples": Row(DIGITS | {"data.max_examples": 20}, ("memorization",)),
    "shuffled_labels": Row(
        DIGITS | {"model.g_conditioning": "batch_norm", "model.d_conditioning": "projection"},
        ("ignored_condition",),
        labels=_shuffled,
    ),
    "log_by_hand": Row(
        DIGITS | FREE | {"d_optim.learning_rate": 1e-2},
        ("non_finite",),
        gan=game_of(
            lambda r, f: -_log_sigmoid_by_hand(r) - _log_sigmoid_by_hand(-f), lambda r, f: -_log_sigmoid_by_hand(f)
        ),
    ),
    "small_data": Row(
        DIGITS | FREE | {"data.max_examples": 100}, (*STRONG, "late_degradation", "memorization", "imbalance")
    ),
    "g_sign_bug": Row(
        RING | {"loss.name": "non_saturating"},
        (*STRONG, "exploding_loss", "mode_collapse"),
        gan=game_of(lambda r, f: sp(-r) + sp(f), lambda r, f: sp(f)),
    ),
    "r1_huge": Row(
        RING | {"loss.name": "non_saturating", "regularizers.r1": 1e4},
        ("generator_too_strong", "vanishing_gradient", "mode_collapse"),
    ),
}
HEALTHY: dict[str, Row] = {
    "ring_relativistic": Row(RING | RP),
    "ring_relativistic_average": Row(RING | RP | {"loss.name": "relativistic_average"}),
    "ring_ns_r1_r2": Row(RING | RP | {"loss.name": "non_saturating"}),
    "ring_hinge_r1_r2": Row(RING | RP | {"loss.name": "hinge"}),
    "ring_ls_r1_r2": Row(RING | RP | {"loss.name": "least_squares"}),
    "ring_wgan_gp": Row(RING | {"loss.name": "wasserstein", "regularizers.wgan_gp": 1.0}),
    "digits_sn_ns": Row(DIGITS),
    "digits_sn_hinge": Row(DIGITS | {"loss.name": "hinge"}),
    "digits_sn_ls": Row(DIGITS | {"loss.name": "least_squares"}),
    "digits_ttur": Row(DIGITS | {"g_optim.learning_rate": 2e-4, "d_optim.learning_rate": 8e-4}),
    "digits_smoothing": Row(DIGITS | {"targets.smoothing": 0.1}),
    "digits_r1": Row(DIGITS | FREE | {"regularizers.r1": 1.0}),
    "digits_wgan_gp": Row(DIGITS | FREE | {"loss.name": "wasserstein", "regularizers.wgan_gp": 10.0}),
    "digits_dragan": Row(DIGITS | FREE | {"regularizers.dragan": 10.0}),
    "digits_relativistic": Row(DIGITS | FREE | RP),
    "digits_conditional": Row(DIGITS | {"model.g_conditioning": "batch_norm", "model.d_conditioning": "projection"}),
}


def halves(names: Iterable[str]) -> dict[str, str]:
    """Assigns "fitting" or "reporting" to the names in turn, sorted by their SHA-256.

    Fixed before the first run: thresholds are fitted on the one half only, and what is reported is of the other.

    >>> halves(["a", "b"])
    {'b': 'fitting', 'a': 'reporting'}
    """
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return {name: ("fitting", "reporting")[i % 2] for i, name in enumerate(order)}
