"""What a run's generator is worth."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jaxgan.config.config import Config
from jaxgan.config.constraints import check_number, check_scores
from jaxgan.config.evaluation import DOWNSTREAM
from jaxgan.data import Source, as_source, to_floats
from jaxgan.data import load as load_source
from jaxgan.data.folder import count_resized
from jaxgan.devices.devices import AXIS, Devices
from jaxgan.errors import UserError
from jaxgan.evaluation.reference import downstream_splits, labelled_splits, load_split, show
from jaxgan.evaluation.scorer import Reference, Scorer
from jaxgan.metrics import RESAMPLES
from jaxgan.metrics.classifier import load_classifier
from jaxgan.metrics.conditional import (
    Assignment,
    ClassAccuracy,
    WithinClassDiversity,
    best_assignment_accuracy,
    class_accuracy,
    within_class_diversity,
)
from jaxgan.metrics.downstream import downstream_accuracy
from jaxgan.metrics.features import Features
from jaxgan.metrics.scores import Protocol, Score
from jaxgan.runs import directory as workdirs
from jaxgan.runs import score_log
from jaxgan.sampling.sampler import Sampler, load
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import build
from jaxgan.steps.randomness import seed_keys
from jaxgan.steps.state import GANState
from jaxgan.techniques import infogan


class Obedience(NamedTuple):
    """Whether a class-conditional generator makes what it is told, and how varied, with the judge's own accuracy."""

    accuracy: ClassAccuracy
    diversity: WithinClassDiversity
    judge: float  # share of held-out real images that the classifier is right about


class CodeMeaning(NamedTuple):
    """Whether InfoGAN's categorical code is the data's class, with the judge's own accuracy."""

    assignment: Assignment
    judge: float


def class_obedience(sampler: Sampler, per_class: int = 200, seed: int = 0) -> Obedience:
    """Judges `per_class` samples of each class against as many real examples, at most, of the held-out split.

    Raises:
      UserError: the run was not conditioned on classes, or its data have no held-out split with labels.
    """
    present = np.asarray(sampler.present, np.int64)
    if not len(present):
        raise UserError("this run was not conditioned on classes: set model.g_conditioning and model.d_conditioning.")
    judge, test = _judge(sampler)
    images = sampler.sample(per_class * len(present), seed)
    labels = present[np.arange(len(images)) % len(present)]
    chosen = np.concatenate([np.flatnonzero(test.labels == c)[:per_class] for c in present])
    real = to_floats(test.read(chosen), sampler.config.model.output)
    accuracy = class_accuracy(judge, images, labels)
    return Obedience(
        accuracy,
        within_class_diversity(judge(images)[0], labels, judge(real)[0], test.labels[chosen]),
        float(judge.accuracy or 0.0),
    )


def code_meaning(sampler: Sampler, num: int = 2000, seed: int = 0) -> CodeMeaning:
    """Judges by the classifier whether the first categorical code of InfoGAN stands for the class, whichever for which.

    Raises:
      UserError: the run has no categorical code, or its data have no held-out split with labels.
    """
    if not sampler.gan.codes or not sampler.gan.codes.categorical:
        raise UserError("this run has no categorical code: set infogan.categorical.")
    judge, _ = _judge(sampler)
    drawn = g_inputs(sampler.gan, seed_keys(seed).sample, jnp.arange(num))[:, sampler.gan.z_dim :]
    chosen = infogan.values(sampler.gan.codes, drawn)[0]
    predicted = judge(sampler.sample(num, seed))[1].argmax(axis=1)
    return CodeMeaning(best_assignment_accuracy(np.asarray(chosen), predicted), float(judge.accuracy or 0.0))


def _judge(sampler: Sampler) -> tuple[Features, Source]:
    train, test = labelled_splits(sampler.config)
    return load_classifier(train, test, output=sampler.config.model.output), test


def evaluate(
    workdir: str | os.PathLike | None = None,
    config: Config | None = None,
    checkpoint: str | int = "latest",
    folder: str | os.PathLike | None = None,
    num_samples: int | None = None,
    source: Source | np.ndarray | tuple | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> dict[str, Score]:
    """Scores a run's generator, or a folder of images, by the section `eval` of a configuration.

    Twice the same checkpoint gives the same numbers, bit for bit. A run's scores are appended to its
    `evaluation.jsonl`.

    Args:
      workdir: of the run; None: `folder` is scored against the data of `config`.
      config: whose section `eval` stands for the run's own.
      checkpoint: as in `sampling.load`.
      folder: of images, to be scored in place of the run's samples; as with all data, those of another size are
        cropped to their center square and resampled.
      num_samples: in place of `eval.num_samples`; of a folder, so many images evenly spread over it, all by
        default, and all after a sentence where there are fewer.
      source, generator, discriminator: the caller's own, if the run was trained with them.

    Returns:
      The scores by name, in the order of `eval.metrics`.

    Raises:
      UserError: neither a run nor a folder, or whatever cannot be loaded or scored, in one sentence.
    """
    state: GANState | None = None
    if workdir is not None:
        sampler = load(workdir, generator, discriminator, checkpoint)
        ours = dataclasses.replace(sampler.config, eval=config.eval if config else sampler.config.eval)
        state = sampler.state
    elif config is None or folder is None:
        raise UserError("there is nothing to evaluate: name a workdir, or a folder together with a configuration.")
    else:
        ours = config
    if num_samples is not None:
        ours = dataclasses.replace(ours, eval=dataclasses.replace(ours.eval, num_samples=num_samples))
    check_scores(ours.data, ours.model, ours.eval, folder is not None)
    given = None if source is None else as_source(source)
    real = given or load_split(ours, ours.data.split)
    if workdir is not None:
        workdirs.check_example(Path(workdir), real, bool(sampler.gan.num_classes))
    splits = downstream_splits(ours, given) if DOWNSTREAM in ours.eval.metrics else None  # first, since it may refuse
    if folder is not None:
        pixels, resized = _images(folder, real, num_samples or 0, ours)
    reference = Reference(ours, Devices(), given, resamples=RESAMPLES)
    if reference.features.accuracy is not None:
        show(f"{reference.features.name} is right about {reference.features.accuracy:.2%} of held-out images")
    examples: Callable[[], tuple[np.ndarray, np.ndarray | None]]
    if folder is not None:
        origin: dict[str, Any] = {"weights": "folder", "checkpoint": os.fspath(folder), "resized": resized}
        found = reference.scores_of_images(pixels, **origin)
        examples = partial(_floats, pixels, ours.model.output)
    else:
        assert state is not None
        scorer = Scorer(reference, build(ours, real.shape, AXIS, generator, discriminator, len(real.class_names)))
        found, origin, examples = scorer(state), scorer.origin(state), partial(scorer.images, state)
    _record(workdir, found)  # now: it stays, whatever the classifiers below refuse
    if splits:
        images, labels = examples()  # only now: the other scores keep no images
        more = _downstream(ours, *splits, images, labels, reference.protocol(len(images), **origin))
        _record(workdir, more)
        found |= more
    return found


def _record(workdir: str | os.PathLike | None, scores: dict[str, Score]) -> None:
    if workdir is None or not scores:
        return
    path = Path(workdir) / score_log.FILE
    try:
        score_log.record(path, "evaluate", scores.values())
    except OSError as error:  # the run may be another's, or on a full disk
        show(f"the scores cannot be recorded in {path} ({error.strerror}): keep what is printed here")


def _downstream(
    config: Config, train: Source, test: Source, images: np.ndarray, labels: np.ndarray | None, protocol: Protocol
) -> dict[str, Score]:
    """What generated images are worth as training data, without and with the real ones."""
    found = downstream_accuracy(images, labels, train, test, output=config.model.output)
    details = (
        f"labels {found.labels}, tested on {len(test)} held out, {found.real:.2%} after training on {len(train)} real"
    )
    protocol = dataclasses.replace(protocol, details=details)
    values = {DOWNSTREAM: found.generated, f"{DOWNSTREAM}_with_real": found.both}
    return {name: Score(name, value, "higher", protocol) for name, value in values.items()}


def _images(folder: str | os.PathLike, real: Source, most: int, config: Config) -> tuple[np.ndarray, str]:
    """The images of a folder as u8[N, H, W, C] of the data's shape, enough for the metrics, and how they were resized.

    Gray ones have as many channels as the data, and colored ones one where the data have and all channels are alike, as
    in files of programs that write gray images so.
    """
    name, shape = os.fspath(folder), real.shape
    if len(shape) != 3:
        raise UserError(f"a folder of images cannot be compared with examples of shape {shape}.")
    height, width, channels = shape
    if height != width:
        raise UserError(
            f"{real.name} has images of {height}x{width} pixels: a folder, whose images are cropped to squares, cannot "
            "be compared with them."
        )
    source = load_source(
        "folder", data_dir=name, image_size=height, max_examples=most, on_bad_image=config.data.on_bad_image
    )
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
    resized = count_resized(folder, height)
    if resized:
        show(f"{name} has {resized} images of other sizes than {height}x{width}: they are cropped and resampled")
    return images, f"the folder's images to {height}x{width}" if resized else ""


def _floats(pixels: np.ndarray, output: str) -> tuple[np.ndarray, None]:
    """Images of a folder in the range of the generator's output; they have no labels."""
    return to_floats(pixels, output), None


def table(scores: Mapping[str, Score]) -> str:
    """Scores as Markdown, with the protocol of each below."""
    lines = ["| score | value | 95 % interval | better |", "| --- | --- | --- | --- |"]
    for score in scores.values():
        interval = f"{score.interval[0]:.5g} to {score.interval[1]:.5g}" if score.interval else ""
        lines.append(f"| {score.tag.removeprefix('eval/')} | {score.value:.5g} | {interval} | {score.better} |")
    protocols: dict[str, list[str]] = {}
    for score in scores.values():
        protocols.setdefault(str(score.protocol), []).append(score.name)
    return "\n".join([*lines, "", *(f"* {', '.join(names)}: {protocol}" for protocol, names in protocols.items())])
