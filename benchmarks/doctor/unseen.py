"""Names runs that no threshold of the doctor was fitted on: other games, and other ways to break them.

Written down, with the kinds that would name what is wrong, before the first of them was run.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from benchmarks.doctor.rows import DIGITS, FREE, RING, RP, STRONG, Deaf, Row, both, game_of
from benchmarks.experiments.rows import Overrides
from jaxgan.architectures import mlp

GRID: Overrides = RING | {"data.name": "grid"}
UNSTABLE = ("exploding_loss", "discriminator_too_strong", "mode_collapse", "mode_hopping", "non_finite")


def _one_label(labels: np.ndarray) -> np.ndarray:
    return np.random.RandomState(1).randint(0, 10, len(labels))


UNSEEN_BROKEN: dict[str, Row] = {
    "digits_d_tiny": Row(
        DIGITS | FREE,
        ("generator_too_strong", "mode_collapse", "mode_hopping", "runaway_samples"),
        discriminator=lambda: mlp.Discriminator(1, (1,)),
    ),
    "grid_d_tiny": Row(
        GRID | {"loss.name": "hinge"},
        ("generator_too_strong", "mode_collapse", "mode_hopping", "runaway_samples"),
        discriminator=lambda: mlp.Discriminator(2, (1,)),
    ),
    "digits_both_rates_high": Row(
        DIGITS | FREE | both("learning_rate", 0.03), (*UNSTABLE, "d_loss_near_zero", "vanishing_gradient")
    ),
    "grid_minimax_strong_d": Row(
        GRID | {"loss.name": "minimax", "d_optim.learning_rate": 5e-3, "train.d_steps_per_g_step": 5},
        (*STRONG, "vanishing_gradient", "mode_collapse"),
    ),
    "digits_clip_hard": Row(
        DIGITS | FREE | {"loss.name": "wasserstein", "regularizers.clip": 1e-4}, ("vanishing_gradient",)
    ),
    "digits_g_sign": Row(
        DIGITS,
        (*STRONG, "exploding_loss", "mode_collapse"),
        gan=game_of(lambda r, f: jnp.maximum(0, 1 - r) + jnp.maximum(0, 1 + f), lambda r, f: f),
    ),
    "grid_labels_swapped": Row(
        GRID | {"regularizers.r1": 0.1},
        ("generator_too_strong", "mode_collapse", "runaway_samples", "exploding_loss"),
        gan=game_of(lambda r, f: jnp.maximum(0, 1 + r) + jnp.maximum(0, 1 - f), lambda r, f: -f),
    ),
    "grid_one_mode": Row(GRID | RP, ("mode_collapse", "mode_hopping"), generator=Deaf),
    "digits_momentum": Row(
        DIGITS | FREE | both("b1", 0.99) | both("learning_rate", 3e-3), (*UNSTABLE, "d_loss_near_zero")
    ),
    "digits_random_labels": Row(
        DIGITS | {"model.g_conditioning": "concat", "model.d_conditioning": "concat"},
        ("ignored_condition",),
        labels=_one_label,
    ),
    "digits_thirty_examples": Row(
        DIGITS | FREE | {"data.max_examples": 30, "regularizers.r1": 0.1},
        ("memorization", *STRONG, "late_degradation"),
    ),
    "ring_d_eps_large": Row(
        RING | {"loss.name": "non_saturating", "d_optim.eps": 1e4},
        ("generator_too_strong", "mode_collapse", "runaway_samples", "exploding_loss"),
    ),
}
UNSEEN_HEALTHY: dict[str, Row] = {
    "grid_relativistic": Row(GRID | RP),
    "grid_ns_r1_r2": Row(GRID | RP | {"loss.name": "non_saturating"}),
    "ring_wide": Row(RING | RP | {"model.base_features": 128, "train.batch_size": 256}),
    "digits_sn_two_d_steps": Row(DIGITS | {"train.d_steps_per_g_step": 2}),
    "digits_sn_flipped": Row(DIGITS | {"targets.flip": True}),
    "digits_sn_packed": Row(DIGITS | {"model.packing": 2}),
    "digits_concat": Row(DIGITS | {"model.g_conditioning": "concat", "model.d_conditioning": "concat"}),
    "digits_r1_r2_hinge": Row(DIGITS | FREE | RP | {"loss.name": "hinge"}),
}
