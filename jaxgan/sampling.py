"""Images from a finished or running run: `load(workdir)` gives a `Sampler`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import workdir as workdirs
from jaxgan.checkpoint import Checkpoints
from jaxgan.config import Config
from jaxgan.errors import UserError
from jaxgan.gan import GAN, build, init
from jaxgan.grid import grid, save_png, to_uint8
from jaxgan.monitor.curves import draw_points
from jaxgan.parallel import Devices
from jaxgan.state import GANState
from jaxgan.steps import latents, sample, seed_keys

BATCH = 64


class Sampler:
    """Draws from a run's averaged generator.

    Attributes:
      config: of the run.
      gan: its static part.
      state: of its last checkpoint.
      step: completed generator updates.
    """

    def __init__(self, config: Config, gan: GAN, state: GANState):
        self.config, self.gan, self.state, self.step = config, gan, state, int(state.step)
        self._apply = jax.jit(lambda variables, z: sample(gan, variables, z))

    def sample(self, num: int, seed: int = 0, truncation: float | None = None) -> np.ndarray:
        """`num` examples f32[num, ...] in the range of `config.model.output`.

        Example i depends on `seed`, i and `truncation` alone, so the first of many are the few.

        Args:
          num: at least 1.
          seed: of the latents.
          truncation: keeps every latent coordinate within [-truncation, truncation]; less varied, more typical.

        Raises:
          UserError: `num`, `seed` or `truncation` out of range.
        """
        return np.concatenate(list(self._batches(num, seed, truncation)))

    def _batches(self, num: int, seed: int, truncation: float | None) -> Iterator[np.ndarray]:
        if num < 1:
            raise UserError(f"num is {num}: it must be at least 1.")
        if not 0 <= seed < 2**32:
            raise UserError(f"seed is {seed}: it must be at least 0 and less than 2**32.")
        if truncation is not None and not 0 < truncation < float("inf"):
            raise UserError(f"truncation is {truncation}: it must be a finite number greater than 0.")
        key = seed_keys(seed).sample
        for start in range(0, num, BATCH):  # always whole batches, so that one program serves any number
            z = latents(key, start + jnp.arange(BATCH), self.gan.z_dim, self.gan.z_distribution, truncation)
            yield np.asarray(self._apply(self.state.ema.variables, z))[: num - start]

    def images(self, num: int, seed: int = 0, truncation: float | None = None) -> np.ndarray:
        """The same as bytes, u8[num, H, W, C].

        Raises:
          UserError: as `sample`; also where the run makes no images.
        """
        if len(self.gan.shape) != 3:
            raise UserError(f"this run makes examples of shape {self.gan.shape}, not images.")
        output = self.config.model.output
        return np.concatenate([to_uint8(batch, output) for batch in self._batches(num, seed, truncation)])

    def save(self, out: str | os.PathLike, num: int, seed: int = 0, truncation: float | None = None) -> list[Path]:
        """Writes samples: one grid to `*.png`, or one PNG per image into a directory; points as a scatter plot.

        Returns:
          The files written.

        Raises:
          UserError: as `sample`; or `out` is neither.
        """
        path = Path(out)
        directory = str(out).endswith(os.sep) or path.is_dir()
        if not directory and path.suffix.lower() != ".png":
            raise UserError(f"--out {out} must end in .png for one grid, or in {os.sep} for a directory of images.")
        try:
            return self._save(path, directory, num, seed, truncation)
        except OSError as error:
            raise UserError(f"--out {out} cannot be written: {error}.") from None

    def _save(self, path: Path, directory: bool, num: int, seed: int, truncation: float | None) -> list[Path]:
        if self.gan.shape == (2,) and not directory:
            points = self.sample(num, seed, truncation)
            draw_points(None, points, path)
            return [path]
        images = self.images(num, seed, truncation)
        if not directory:
            save_png(path, grid(images, columns=min(num, max(1, round(num**0.5)))))
            return [path]
        files = [path / f"{i:06d}.png" for i in range(num)]
        for file, image in zip(files, images, strict=True):
            save_png(file, image)
        return files


def load(
    workdir: str | os.PathLike, generator: nn.Module | None = None, discriminator: nn.Module | None = None
) -> Sampler:
    """A sampler of a run's newest whole checkpoint.

    Args:
      workdir: of the run; nothing in it is changed.
      generator, discriminator: the caller's own modules, if the run was trained with them.

    Raises:
      UserError: there is no run, no checkpoint yet, or none that can be read.
    """
    config, gan, state = _restore(workdir, Devices(jax.local_devices()[:1]), generator, discriminator)
    return Sampler(config, gan, state)


def restore_last(
    workdir: str | os.PathLike, devices: Devices, generator: nn.Module | None, discriminator: nn.Module | None
) -> GANState:
    """The state of a run's newest whole checkpoint, on the given devices.

    Raises:
      UserError: as `load`.
    """
    return _restore(workdir, devices, generator, discriminator)[2]


def _restore(workdir, devices, generator, discriminator) -> tuple[Config, GAN, GANState]:
    record = workdirs.read(workdir)
    config = record["config"]
    gan = build(config, tuple(record["example"]["shape"]), None, generator, discriminator)
    target = devices.abstract(jax.eval_shape(partial(init, gan, seed_keys(config.seed).init)))
    if not (Path(workdir) / "checkpoints").is_dir():
        raise UserError(f"{workdir} has no checkpoint yet.")
    checkpoints = Checkpoints(workdir)
    try:
        restored = checkpoints.restore(target)
    finally:
        checkpoints.close()
    if restored is None:
        raise UserError(f"{workdir} has no checkpoint yet.")
    return config, gan, restored[1]
