"""Scores a trained generator, or a folder of images."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np

from jaxgan.config.config import Config, as_config
from jaxgan.config.constraints import check_number, check_scores
from jaxgan.config.evaluation import DOWNSTREAM
from jaxgan.data import Source, as_source, to_floats
from jaxgan.data import load as load_source
from jaxgan.devices.devices import AXIS, Devices
from jaxgan.errors import UserError
from jaxgan.evaluation.reference import Reference
from jaxgan.evaluation.run_data import RunData
from jaxgan.evaluation.scorer import Scorer
from jaxgan.metrics import RESAMPLES
from jaxgan.metrics.classifier import RECIPE, show
from jaxgan.metrics.downstream import downstream_accuracy
from jaxgan.metrics.scores import Protocol, Score
from jaxgan.runs import directory as workdirs
from jaxgan.runs import score_log
from jaxgan.sampling.sampler import load
from jaxgan.steps.gan import build

Examples = Source | np.ndarray | tuple


def evaluate(
    workdir: str | os.PathLike,
    config=None,
    checkpoint: str | int = "latest",
    num_samples: int | None = None,
    source: Examples | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> dict[str, Score]:
    """Scores the generator of a run, and appends the scores to the run's `evaluation.jsonl`.

    The same checkpoint gives the same numbers each time, bit for bit on the same machine and number of devices.

        scores = jaxgan.evaluate("runs/digits", num_samples=1000)
        print(scores["fd"].value, scores["fd"].interval, scores["fd"].protocol)

    Args:
      workdir: of the run.
      config: a configuration whose section `eval` replaces the run's own: a `Config`, a `ConfigDict`, or nested
        dictionaries.
      checkpoint: "latest", "best", or the step of one; see `jaxgan.load`.
      num_samples: number of generated examples, in place of `eval.num_samples`.
      source: the examples that the run was trained on, if the caller gave `train` its own.
      generator, discriminator: the caller's own modules, if the run was trained with them.

    Returns:
      The scores by name, in the order of `eval.metrics`.

    Raises:
      UserError: in one sentence, what cannot be loaded or scored and what to do about it.
    """
    sampler = load(workdir, generator, discriminator, checkpoint)
    ours = _with_scores(sampler.config, config, num_samples)
    check_scores(ours.data, ours.model, ours.eval)
    data = RunData(ours, None if source is None else as_source(source))
    real, state = data.trained, sampler.state
    workdirs.check_example(Path(workdir), real, bool(sampler.gan.num_classes))
    splits = data.downstream_splits() if DOWNSTREAM in ours.eval.metrics else None  # before the work: it may refuse
    reference = _reference(data)
    scorer = Scorer(reference, build(ours, real.shape, AXIS, generator, discriminator, len(real.class_names)))
    found = scorer(state)
    _record(workdir, found)  # now, so that the scores stay, whatever the classifiers below refuse
    if splits:
        images, labels = scorer.images(state)  # generated again, because the other scores keep no images
        more = _downstream(ours, *splits, images, labels, reference.protocol(len(images), **scorer.origin(state)))
        _record(workdir, more)
        found |= more
    return found


def score_folder(
    folder: str | os.PathLike,
    config=None,
    *,
    workdir: str | os.PathLike | None = None,
    num_images: int | None = None,
    source: Examples | None = None,
) -> dict[str, Score]:
    """Scores a folder of images, such as another library's samples, against the data of a configuration or of a run.

        jaxgan.score_folder("samples/", {"data": {"source": "folder", "data_dir": "photos", "image_size": 64}})

    Args:
      folder: the images. Those of another size than the data's are cropped to their center square and resampled, as
        all images are, and the protocol says so.
      config: a `Config`, a `ConfigDict`, or nested dictionaries; section `data` names the real examples, section
        `eval` the scores. With `workdir`, only its section `eval` is used, and may be left out.
      workdir: a run whose data the folder is compared with; the scores are appended to its `evaluation.jsonl`.
      num_images: number of images to score, evenly spread over the folder; None: all.
      source: real examples in place of `config.data`.

    Returns:
      The scores by name, in the order of `eval.metrics`.

    Raises:
      UserError: in one sentence, what cannot be loaded or scored and what to do about it.
    """
    if workdir is not None:
        ours = _with_scores(workdirs.read(workdir)["config"], config)
    elif config is not None:
        ours = as_config(config)
    else:
        raise UserError("score_folder needs data to compare the folder with: give config= or workdir=.")
    check_scores(ours.data, ours.model, ours.eval, folder=True)
    data = RunData(ours, None if source is None else as_source(source))
    if workdir is not None:
        conditioned = "classes" in workdirs.read(workdir)["example"]
        workdirs.check_example(Path(workdir), data.trained, conditioned)
    splits = data.downstream_splits() if DOWNSTREAM in ours.eval.metrics else None  # before the work: it may refuse
    pixels, resized = _images(folder, data.trained, num_images or 0, ours)
    reference = _reference(data)
    origin: dict[str, Any] = {"weights": "folder", "checkpoint": os.fspath(folder), "resized": resized}
    found = reference.scores_of_images(pixels, **origin)
    _record(workdir, found)  # now, so that the scores stay, whatever the classifiers below refuse
    if splits:
        images = to_floats(pixels, ours.model.output)
        more = _downstream(ours, *splits, images, None, reference.protocol(len(images), **origin))
        _record(workdir, more)
        found |= more
    return found


def _with_scores(run: Config, config, num_samples: int | None = None) -> Config:
    """The configuration of a run with the section `eval` of another one, and another number of samples."""
    section = run.eval if config is None else as_config(config).eval
    if num_samples is not None:
        section = dataclasses.replace(section, num_samples=num_samples)
    return dataclasses.replace(run, eval=section)


def _reference(data: RunData) -> Reference:
    reference = Reference(data, Devices(), resamples=RESAMPLES)
    if reference.features.accuracy is not None:
        show(f"{reference.features.name} classifies {reference.features.accuracy:.2%} of held-out images rightly")
    return reference


def _record(workdir: str | os.PathLike | None, scores: dict[str, Score]) -> None:
    if workdir is None or not scores:
        return
    path = Path(workdir) / score_log.FILE
    try:
        score_log.record(path, "evaluate", scores.values())
    except OSError as error:  # the run may be another user's, or the disk full
        show(f"the scores cannot be written to {path} ({error.strerror}): keep what is printed here")


def _downstream(
    config: Config, train: Source, test: Source, images: np.ndarray, labels: np.ndarray | None, protocol: Protocol
) -> dict[str, Score]:
    """Scores generated images as training data for a classifier, alone and together with the real ones."""
    found = downstream_accuracy(images, labels, train, test, output=config.model.output)
    details = (
        f"labels {found.labels}, tested on {len(test)} held out, {found.real:.2%} after training on {len(train)} real, "
        f"recipe {RECIPE} of classifiers"
    )
    protocol = dataclasses.replace(protocol, details=details)
    values = {DOWNSTREAM: found.generated, f"{DOWNSTREAM}_with_real": found.both}
    return {name: Score(name, value, "higher", protocol) for name, value in values.items()}


def _images(folder: str | os.PathLike, real: Source, most: int, config: Config) -> tuple[np.ndarray, str]:
    """Reads the images of a folder as u8[N, H, W, C] of the data's shape, and says how they were resized, if they were.

    Gray images get as many channels as the data have. Colored images become gray where the data are gray and all
    channels are equal, because some programs write gray images that way.
    """
    name, shape = os.fspath(folder), real.shape
    if len(shape) != 3:
        raise UserError(
            f"A folder of images cannot be compared with {real.name}, whose examples have the shape {shape}."
        )
    height, width, channels = shape
    d = config.data
    source = load_source(
        "folder",
        data_dir=name,
        split="",  # sub-folders are neither splits nor classes here: all images are scored
        labels="none",
        image_size=(height, width),
        max_examples=most,
        on_bad_image=d.on_bad_image,
        fit=d.fit,
        background=d.background,
        channels=4 if channels == 4 else 0,
    )
    show(f"{name}: {source.summary}")
    check_number(config.eval.metrics, len(source), f"the number of images in {name}")
    if len(source) < most:
        show(f"{name} has {len(source)} images, fewer than the {most} asked for: all are scored")
    images = source.read(np.arange(len(source)))
    if channels == 1 and (images == images[..., :1]).all():
        images = images[..., :1]
    elif images.shape[-1] == 1:
        images = np.repeat(images, channels, axis=-1)
    if images.shape[-1] != channels:
        raise UserError(f"{name} has images of shape {images.shape[1:]}, but {real.name} has {shape}.")
    resized = 0 if source.resized is None else int(source.resized.sum())
    if resized:
        how = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}[d.fit]
        show(
            f"{resized} of the {len(source)} images of {name} that are scored are not {height}x{width} pixels: they "
            f"are {how} and resampled"
        )
    said = "" if d.fit == "crop" else f", {d.fit}"
    return images, f"the folder's images to {height}x{width}{said}" if resized else ""


def table(scores: Mapping[str, Score]) -> str:
    """Formats scores as a Markdown table, with their protocols below."""
    lines = ["| score | value | 95 % interval | better |", "| --- | --- | --- | --- |"]
    for score in scores.values():
        interval = f"{score.interval[0]:.5g} to {score.interval[1]:.5g}" if score.interval else ""
        lines.append(f"| {score.tag.removeprefix('eval/')} | {score.value:.5g} | {interval} | {score.better} |")
    protocols: dict[str, list[str]] = {}
    for score in scores.values():
        protocols.setdefault(str(score.protocol), []).append(score.name)
    return "\n".join([*lines, "", *(f"* {', '.join(names)}: {protocol}" for protocol, names in protocols.items())])
