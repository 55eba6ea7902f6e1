"""Directories of runs as training leaves them, made without training."""

import json
from functools import partial
from pathlib import Path

import jax
import numpy as np

from jaxgan.config.config import Config
from jaxgan.data import load
from jaxgan.metrics.scores import Protocol, Score
from jaxgan.monitor.doctor import Advice, Finding
from jaxgan.runs import directory, score_log
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.sampling.grid import grid, save_png
from jaxgan.steps.gan import build, init

IMAGES = {
    "data": {"name": "digits", "image_size": 8},
    "model": {"architecture": "mlp", "z_dim": 3, "base_features": 8, "g_batch_norm": False},
    "train": {"num_steps": 600},
}
POINTS = {
    "data": {"source": "synthetic", "name": "ring"},
    "model": {"architecture": "mlp", "output": "linear", "base_features": 8, "g_batch_norm": False},
    "train": {"num_steps": 600},
}


def begin(path: Path, values: dict) -> Path:
    """A run that has its `config.json` and nothing else."""
    config = Config.from_dict(values)
    source = load(config.data.source, name=config.data.name, image_size=config.data.image_size)
    path.mkdir(parents=True)
    directory.open_run(path, config, directory.describe(source, False), "1 x cpu")
    return path


def add_checkpoint(path: Path, step: int) -> None:
    record = directory.read(path)
    gan = build(record["config"], tuple(record["example"]["shape"]))
    state = jax.jit(partial(init, gan))(jax.random.key(0))
    checkpoints = Checkpoints(path, keep=1)
    checkpoints.save(step, state)
    checkpoints.close()


def add_curves(path: Path, last: int = 600, every: int = 10, best: int = 400) -> None:
    """Losses, scores, gradients by layer, and an evaluation that is best at a step."""
    rows = []
    for step in range(every, last + 1, every):
        row = {"step": step, "loss/d": 1.2, "loss/g": 0.7 + 1 / step, "score/real": 0.6, "score/fake": 0.4}
        for net in "gd":
            row |= {f"grad_norm/{net}{layer}": 1.0 + step / 100 for layer in ("", "/bottom", "/Dense_1", "/top")}
        if step % 100 == 0:
            row["eval/fd_1k_cnn_embedded_digits"] = 10 + abs(step - best) / 10
        rows.append(json.dumps(row))
    (path / "metrics.jsonl").write_text("\n".join(rows) + "\n")


def score(step: int, value: float, name: str = "fd", better: str = "lower", **protocol) -> Score:
    named = {"n_fake": 1000, "step": step, "data": "embedded/digits", **protocol}
    return Score(
        name, value, better, Protocol("cnn_embedded_digits", "0123456789abcdef", split="train", n_real=1437, **named)
    )


def add_scores(path: Path, **protocol) -> None:
    for step, value in ((200, 30.0), (400, 10.0), (600, 20.0)):
        scores = [
            score(step, value, **protocol),
            score(step, value / 100, "recall", "higher", details="k=3", **protocol),
        ]
        score_log.record(path / score_log.FILE, "train", scores)


def add_samples(path: Path, steps=(0, 200, 400, 600), size: int = 8) -> None:
    for i, step in enumerate(steps):
        images = np.random.RandomState(i).randint(0, 255, (64, size, size, 1)).astype(np.uint8)
        save_png(path / "samples" / f"step_{step:08d}.png", grid(images))


def whole(path: Path, values: dict = IMAGES) -> Path:
    """A run of images with all that there can be."""
    begin(path, values)
    add_checkpoint(path, 600)
    add_curves(path)
    add_scores(path)
    add_samples(path)
    return path


def finding(
    severity: str = "problem", step: int = 300, until: int | None = None, kind: str = "mode_collapse"
) -> Finding:
    """What the doctor gives."""
    advice = (Advice("Update D more often.", "A. Author, https://example.org/gans."),)
    words = "All samples are <alike> & equal."
    return Finding(kind, severity, step, step, until, {"diversity": 0.25}, words, advice)
