"""Tiny runs with scores, which several tests look at."""

import numpy as np
from PIL import Image

from jaxgan.config.config import Config
from jaxgan.data import Source
from jaxgan.devices.devices import AXIS, Devices
from jaxgan.evaluation.reference import Reference
from jaxgan.evaluation.run_data import RunData
from jaxgan.evaluation.scorer import Scorer
from jaxgan.runs.score_log import training_scores
from jaxgan.steps.gan import build

EVAL = {"every": 2, "num_samples": 24, "features": "random", "metrics": ["fd"]}


def tiny(**overrides) -> Config:
    values = {
        "data": {"name": "digits", "image_size": 8, "max_examples": 50},
        "model": {"architecture": "mlp", "z_dim": 3, "base_features": 4, "channel_multipliers": [1]},
        "train": {"num_steps": 6, "batch_size": 8, "log_every": 3, "sample_every": 0, "checkpoint_every": 0, "keep": 1},
        "eval": dict(EVAL),
    }
    for key, value in overrides.items():
        section, name = key.split("__")
        values[section][name] = value
    return Config.from_dict(values)


def values(workdir) -> dict[int, float]:
    return {s.protocol.step: s.value for s in training_scores(workdir / "evaluation.jsonl", "fd")}


def scorer(config: Config, devices: Devices | None = None) -> Scorer:
    return Scorer(reference(config, devices=devices), build(config, (8, 8, 1), AXIS, num_classes=10))


def reference(config: Config, source: Source | None = None, devices: Devices | None = None) -> Reference:
    return Reference(RunData(config, source), devices or Devices())


def folder_of(path, seed) -> Config:
    """Twelve unlabelled images below a directory of its own, always called the same, and a configuration of them."""
    path.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(np.random.RandomState(seed).randint(0, 256, (12, 8, 8), np.uint8)):
        Image.fromarray(image).save(path / f"{i:02d}.png")
    return tiny(data__source="folder", data__data_dir=str(path), data__max_examples=0)
