"""Draws images from a finished or running run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.config.config import Config
from jaxgan.data.images import SUFFIXES
from jaxgan.devices.devices import Devices
from jaxgan.errors import FULL, UserError, listed, shown
from jaxgan.monitor.curves import draw_points
from jaxgan.runs import directory as workdirs
from jaxgan.runs import named_modules
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.runs.score_log import FILE, rank
from jaxgan.sampling.grid import drawable, grid, save_png, to_uint8
from jaxgan.steps import sample
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import GAN, build, init
from jaxgan.steps.randomness import seed_keys
from jaxgan.steps.state import GANState

BATCH = 64


class Sampler:
    """Draws examples from a run's averaged generator. `jaxgan.load` makes one.

        sampler = jaxgan.load("runs/digits")
        images = sampler.images(64, seed=1)  # u8[64, 28, 28, 1]
        sampler.save("samples.png", 64, seed=1)  # the same, as one picture
        sampler.save("samples/", 1000)  # one PNG per image

    Attributes:
      config: configuration of the run.
      gan: static part of the run: modules, optimizers, sizes.
      state: arrays of the checkpoint.
      step: number of completed generator updates.
      classes: names of the classes that the run is conditioned on, by number.
      present: numbers of the classes that have examples. Samples go through these classes one after the other.
    """

    def __init__(
        self, config: Config, gan: GAN, state: GANState, classes: Sequence[str] = (), present: Sequence[int] = ()
    ):
        self.config, self.gan, self.state, self.step = config, gan, state, int(state.step)
        self.classes = list(classes)
        self.present = list(present) or list(range(gan.num_classes))
        self._apply = jax.jit(lambda variables, z, label: sample(gan, variables, z, label))

    def sample(
        self, num: int, seed: int = 0, truncation: float | None = None, label: int | str | None = None
    ) -> np.ndarray:
        """Draws examples f32[num, ...] in the range of `config.model.output`: [-1, 1] for tanh, [0, 1] for sigmoid.

        Example i depends on nothing but `seed`, i, `truncation` and its label, so the first examples of many are those
        of few.

        Args:
          num: number of examples, at least 1.
          seed: of the latents.
          truncation: bound on every latent coordinate; with it, examples are less varied and more typical.
          label: name or number of the class that all examples are of; None: one class after the other, over and over.

        Raises:
          UserError: `num`, `seed` or `truncation` out of range, or `label` not a class that the run was conditioned on.
        """
        return np.concatenate(list(self._batches(num, seed, truncation, label)))

    def _labels(self, indices: jax.Array, label: int | str | None) -> jax.Array | None:
        if not self.gan.num_classes:
            if label is not None:
                raise UserError(f"label is {label!r}, but this run was not conditioned on classes: leave it out.")
            return None
        if label is None:
            return jnp.asarray(self.present, jnp.int32)[indices % len(self.present)]
        text = str(label)
        number = self.classes.index(text) if text in self.classes else int(text) if text.isdecimal() else -1
        if number not in self.present:
            there = listed(f"{self.classes[i]} ({i})" if self.classes else str(i) for i in self.present)
            raise UserError(
                f"label is {shown(label)}: it must be the name or the number of a class of the run: {there}."
            )
        return jnp.full_like(indices, number)

    def _batches(
        self, num: int, seed: int, truncation: float | None, label: int | str | None = None
    ) -> Iterator[np.ndarray]:
        if num < 1:
            raise UserError(f"num is {num}: it must be at least 1.")
        if not 0 <= seed < 2**32:
            raise UserError(f"seed is {seed}: it must be at least 0 and less than 2**32.")
        if truncation is not None and not 0 < truncation < float("inf"):
            raise UserError(f"truncation is {truncation}: it must be a finite number greater than 0.")
        key = seed_keys(seed).sample
        for start in range(0, num, BATCH):  # always whole batches, so that one program serves any number
            indices = start + jnp.arange(BATCH)
            z, labels = g_inputs(self.gan, key, indices, truncation), self._labels(indices, label)
            yield np.asarray(self._apply(self.state.ema.variables, z, labels))[: num - start]

    def inputs(self, num: int, seed: int = 0) -> np.ndarray:
        """Draws the inputs of `sample(num, seed)`: latents, then InfoGAN's codes, f32[num, z_dim + codes]."""
        return np.asarray(g_inputs(self.gan, seed_keys(seed).sample, jnp.arange(num)))

    def of_inputs(self, inputs: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Generates examples f32[N, ...] from inputs f[N, z_dim + codes] and, if the run has classes, labels i[N]."""
        examples = []
        for start in range(0, len(inputs), BATCH):  # the last one is filled up, so that one program serves any number
            places = np.minimum(np.arange(start, start + BATCH), len(inputs) - 1)
            label = None if labels is None else jnp.asarray(labels[places], jnp.int32)
            made = self._apply(self.state.ema.variables, jnp.asarray(inputs[places], jnp.float32), label)
            examples.append(np.asarray(made)[: len(inputs) - start])
        return np.concatenate(examples)

    def images(
        self, num: int, seed: int = 0, truncation: float | None = None, label: int | str | None = None
    ) -> np.ndarray:
        """Draws images as bytes, u8[num, H, W, C]; arguments as in `sample`.

        Raises:
          UserError: as `sample`; also if the run does not make images.
        """
        if len(self.gan.shape) != 3:
            raise UserError(f"This run makes examples of shape {self.gan.shape}, not images: use `Sampler.sample`.")
        output = self.config.model.output
        return np.concatenate([to_uint8(batch, output) for batch in self._batches(num, seed, truncation, label)])

    def save(
        self,
        out: str | os.PathLike,
        num: int,
        seed: int = 0,
        truncation: float | None = None,
        label: int | str | None = None,
    ) -> list[Path]:
        """Writes samples to files: images as one grid or one file each, points of the plane as a scatter plot.

        Args:
          out: a file that ends in `.png`, for one picture of all images; or a directory, for one PNG per image.
          num, seed, truncation, label: as in `sample`.

        Returns:
          The paths of the files.

        Raises:
          UserError: as `sample`; `out` is neither, or a directory with other images in it; or a PNG cannot show such
            examples.
        """
        path = Path(out)
        directory = str(out).endswith(os.sep) or path.is_dir()
        if not directory and path.suffix.lower() != ".png":
            raise UserError(f"--out {out} must end in .png for one grid, or in {os.sep} for a directory of images.")
        try:
            return self._save(path, directory, num, seed, truncation, label)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise UserError(f"--out {out} cannot be written: {error.strerror or error}. Name another place.") from None

    def _save(
        self, path: Path, directory: bool, num: int, seed: int, truncation: float | None, label: int | str | None
    ) -> list[Path]:
        if self.gan.shape == (2,) and not directory:
            points = self.sample(num, seed, truncation, label)
            draw_points(None, points, path)
            return [path]
        if len(self.gan.shape) == 3 and not drawable(self.gan.shape):
            raise UserError(
                f"a PNG cannot show examples of shape {self.gan.shape}: take the array of `Sampler.images`."
            )
        files = [path / f"{i:06d}.png" for i in range(num)] if directory else [path]
        others = (
            {file for file in path.glob("*") if file.suffix.lower() in SUFFIXES} - set(files) if directory else set()
        )
        if others:  # which whoever scores the directory would take for samples of this run
            raise UserError(f"--out {path}{os.sep} has other images, as {min(others).name}: name an empty directory.")
        images = self.images(num, seed, truncation, label)
        if not directory:
            images = grid(images, columns=min(num, max(1, round(num**0.5))))[None]
        for file, image in zip(files, images, strict=True):
            save_png(file, image)
        return files


def load(
    workdir: str | os.PathLike,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    checkpoint: str | int = "latest",
) -> Sampler:
    """Loads a checkpoint of a run as a `Sampler`, which draws images from its generator.

        images = jaxgan.load("runs/digits", checkpoint="best").images(64)

    Args:
      workdir: directory of the run; nothing in it is changed.
      generator, discriminator: the caller's own modules, if the run was trained with them.
      checkpoint: "latest", the newest checkpoint that is whole; "best", the best one by the score `eval.best_metric`
        that training computed; or the step of a checkpoint.

    Raises:
      UserError: there is no run, no such checkpoint, or none that can be read.
    """
    return Sampler(*_restore(workdir, Devices.first(), generator, discriminator, checkpoint))


def restore_last(
    workdir: str | os.PathLike, devices: Devices, generator: nn.Module | None, discriminator: nn.Module | None
) -> GANState:
    """Restores the state of a run's newest whole checkpoint onto devices.

    Raises:
      UserError: as `load`.
    """
    return _restore(workdir, devices, generator, discriminator)[2]


def _restore(
    workdir, devices, generator, discriminator, checkpoint="latest"
) -> tuple[Config, GAN, GANState, list[str], list[int]]:
    record = workdirs.read(workdir)
    config, example = record["config"], record["example"]
    named_modules.check_given(workdir, record.get(workdirs.MODULES), named_modules.names(generator, discriminator))
    classes = example.get("classes", [])
    gan = build(config, tuple(example["shape"]), None, generator, discriminator, len(classes))
    target = devices.abstract(jax.eval_shape(partial(init, gan, seed_keys(config.seed).init)))
    if not (Path(workdir) / "checkpoints").is_dir():
        raise UserError(f"{workdir} has no checkpoint yet: wait for the first, or see train.checkpoint_every.")
    checkpoints = Checkpoints(workdir)
    try:
        restored = checkpoints.restore(target, only=_step(checkpoint, checkpoints, Path(workdir), config))
    finally:
        checkpoints.close()
    if restored is None:
        raise UserError(f"{workdir} has no checkpoint yet: wait for the first, or see train.checkpoint_every.")
    return config, gan, restored[1], classes, example.get("present", [])


def _step(checkpoint: str | int, checkpoints: Checkpoints, workdir: Path, config: Config) -> int | None:
    """Returns the step of the checkpoint that is asked for; None for the newest that is whole."""
    if checkpoint == "latest":
        return None
    steps = checkpoints.steps()
    if checkpoint == "best":
        ranked = rank(workdir / FILE, config.eval.best_metric)
        best = checkpoints.best(*ranked) if ranked else None
        if best is None:
            raise UserError(
                f"{workdir} has no checkpoint with a score, so none is the best: train with eval.every set to a number "
                "of steps, or take the latest."
            )
        return best
    if not str(checkpoint).isdecimal() or int(checkpoint) not in steps:
        there = f"one of the steps {listed(steps)}" if steps else "one of its steps, of which there is none yet"
        raise UserError(f"the checkpoint is {shown(checkpoint)}: it must be latest, best, or {there}.")
    return int(checkpoint)
