"""The benchmarked games: a configuration and the shape of its examples for each name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jaxgan.config.config import Config, as_config, load_file

BATCH_SIZE = 64
RING = Path(__file__).resolve().parents[1] / "configs" / "ring.py"

# Overrides of the defaults: base_features 64, spectral norm in D, batch norm in G, EMA, one D-step per G-step.
# The sides get arrays, so the source of data is never opened, except by the loop, which trains on the default one.
OVERRIDES: dict[str, dict[str, Any]] = {
    "dcgan28": {"model": {"architecture": "dcgan"}, "loss": {"name": "non_saturating"}},
    "dcgan32": {"model": {"architecture": "dcgan"}, "loss": {"name": "non_saturating"}, "data": {"image_size": 32}},
    "resnet32": {"model": {"architecture": "sngan_resnet"}, "loss": {"name": "hinge"}, "data": {"image_size": 32}},
}
SHAPES: dict[str, tuple[int, ...]] = {
    "dcgan28": (28, 28, 1),
    "dcgan32": (32, 32, 3),
    "resnet32": (32, 32, 3),
    "ring": (2,),
}
GAMES = tuple(SHAPES)


def config_of(game: str, batch_size: int = BATCH_SIZE) -> Config:
    """Builds the configuration of a game; the ring's is that of `configs/ring.py`."""
    config = as_config(load_file(str(RING)) if game == "ring" else OVERRIDES[game])
    return dataclasses.replace(config, train=dataclasses.replace(config.train, batch_size=batch_size))
