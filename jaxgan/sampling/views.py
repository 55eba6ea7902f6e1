"""Draws pictures of what a generator has learned: paths between latents, classes, codes, and nearest real images."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxgan.data import Source, to_floats
from jaxgan.errors import UserError
from jaxgan.metrics.features import Features
from jaxgan.monitor.curves import draw_paths
from jaxgan.sampling.grid import GAP, cells, grid, read_png, to_uint8
from jaxgan.sampling.sampler import Sampler
from jaxgan.techniques.infogan import sweep

BLOCK = 1024  # real examples compared at a time
PARALLEL = 1e-6  # sine of the angle below which an arc is a line
DOTS = 40  # on a path through the plane


def linear(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Interpolates along lines, (1 - t) a + t b: from latents f[N, z] at times f[T] to f[N, T, z]."""
    return (1 - t)[:, None] * a[:, None] + t[:, None] * b[:, None]


def spherical(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Interpolates along arcs, [sin((1 - t) w) a + sin(t w) b] / sin w with the angle w between a and b: f[N, T, z].

    Halfway between two normal latents a line passes near the origin, where hardly any latent is drawn; an arc keeps
    their length. Parallel or opposite latents are joined by a line. Shoemake 1985; White 2016,
    https://arxiv.org/abs/1609.04468

    >>> spherical(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([0.5])).round(4).tolist()
    [[[0.7071, 0.7071]]]
    """
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.clip((a * b).sum(axis=1) / np.maximum(lengths, np.finfo(float).tiny), -1, 1)
    angle = np.arccos(cosine)[:, None, None]
    sine = np.sin(angle)
    flat = (np.abs(sine) < PARALLEL) | (lengths == 0)[:, None, None]
    weights = [np.sin(x[:, None] * angle) / np.where(flat, 1, sine) for x in (1 - t, t)]
    arc = weights[0] * a[:, None] + weights[1] * b[:, None]
    return np.where(flat, linear(a, b, t), arc)


def interpolations(
    sampler: Sampler,
    way: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] = spherical,
    rows: int = 6,
    columns: int = 10,
    seed: int = 0,
    real: np.ndarray | None = None,
) -> np.ndarray:
    """Draws what G makes along the way from one latent to another, one pair of latents in each row.

    The latents are those of `sampler.sample(2 * rows, seed)`: the first half is paired with the second. Along a row,
    InfoGAN's codes stay those of the first latent, and the class stays the same; each row has the next class. In the
    plane the paths are drawn as lines, over the points `real` if given.

    Raises:
      UserError: examples that are neither images that a picture can show nor points.
    """
    z_dim, points = sampler.gan.z_dim, sampler.gan.shape == (2,)
    if not points:
        _images_only(sampler)
    columns = DOTS if points else columns
    inputs = sampler.inputs(2 * rows, seed)
    path = way(inputs[:rows, :z_dim], inputs[rows:, :z_dim], np.linspace(0, 1, columns))
    codes = np.repeat(inputs[:rows, None, z_dim:], columns, axis=1)
    labels = np.repeat(np.resize(sampler.present, rows), columns) if sampler.present else None
    made = sampler.of_inputs(np.concatenate([path, codes], axis=2).reshape(rows * columns, -1), labels)
    if points:
        return draw_paths(real, made.reshape(rows, columns, 2))
    return grid(to_uint8(made, sampler.config.model.output), columns)


def class_grid(sampler: Sampler, rows: int = 8, columns: int = 10, seed: int = 0) -> np.ndarray:
    """Draws the run's first `columns` classes, one in each column, with the same latent along each row.

    The latents are those of `sampler.sample(rows, seed)`.

    Raises:
      UserError: the run has no classes, or makes no images that a picture can show.
    """
    _images_only(sampler)
    classes = sampler.present[:columns]
    if not classes:
        raise UserError("this run was not conditioned on classes: there is no grid of them.")
    inputs = np.repeat(sampler.inputs(rows, seed), len(classes), axis=0)
    return grid(to_uint8(sampler.of_inputs(inputs, np.tile(classes, rows)), sampler.config.model.output), len(classes))


def code_sweep(sampler: Sampler, code: int, rows: int = 8, columns: int = 9, seed: int = 0) -> np.ndarray:
    """Draws the effect of one of InfoGAN's codes: along each row the code takes its values, and all else stays.

    Args:
      sampler: of the run.
      code: number of the code; categorical codes come first.
      rows: number of latents, those of `sampler.sample(rows, seed)`; with classes, each row has the next class.
      columns: number of values of a continuous code, over the range that it is drawn from; a categorical code takes
        all its values.
      seed: of the latents.

    Raises:
      UserError: the run has no such code, or makes no images that a picture can show.
    """
    _images_only(sampler)
    codes = sampler.gan.codes
    number = len(codes.categorical) + codes.continuous if codes else 0
    if codes is None or not 0 <= code < number:
        there = f"from 0 to {number - 1}" if number else "of InfoGAN, and this run has none"
        raise UserError(f"code is {code}: it must be the number of a code, {there}.")
    inputs = np.asarray(sweep(codes, jnp.asarray(sampler.inputs(rows, seed)), code, columns))
    labels = np.repeat(np.resize(sampler.present, rows), len(inputs) // rows) if sampler.present else None
    return grid(to_uint8(sampler.of_inputs(inputs, labels), sampler.config.model.output), len(inputs) // rows)


def _images_only(sampler: Sampler) -> None:
    shape = sampler.gan.shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise UserError(f"this run makes examples of shape {shape}, which no picture can show.")


class Neighbors(NamedTuple):
    """The nearest examples of each query.

    Attributes:
      indices: i64[N, k], numbers of the examples, the nearest first.
      distances: f64[N, k], Euclidean.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest_examples(
    images: np.ndarray, source: Source, k: int, features: Features | None = None, output: str = "tanh"
) -> Neighbors:
    """Finds the k images of a source that are nearest to each of u8[N, H, W, C], by features or else by pixels.

    Args:
      images: queries.
      source: images of the same shape.
      k: number of neighbors, at most the number of examples.
      features: network whose features are compared; None compares the bytes of pixels.
      output: range of images that are not bytes, and of those that the network takes.
    """

    def represent(x: np.ndarray) -> np.ndarray:
        seen = _bytes(x, output) if features is None else features(to_floats(x, output))[0]
        return seen.reshape(len(x), -1).astype(np.float64)

    queries = represent(images)
    indices, squared = np.zeros((len(images), 0), np.int64), np.zeros((len(images), 0))
    for start in range(0, len(source), BLOCK):
        numbers = np.arange(start, min(start + BLOCK, len(source)))
        real = represent(source.read(numbers))
        distances = np.stack([np.square(real - query).sum(axis=1) for query in queries])
        indices = np.concatenate([indices, np.broadcast_to(numbers, distances.shape)], axis=1)
        squared = np.concatenate([squared, distances], axis=1)
        nearest = np.argsort(squared, axis=1, kind="stable")[:, :k]
        indices, squared = np.take_along_axis(indices, nearest, 1), np.take_along_axis(squared, nearest, 1)
    return Neighbors(indices, np.sqrt(squared))


def neighbors(
    sampler: Sampler, source: Source, features: Features | None = None, rows: int = 8, k: int = 7, seed: int = 0
) -> np.ndarray:
    """Draws a generated image at the left of each row, and the nearest real images at its right.

    Raises:
      UserError: the run makes no images.
    """
    images = sampler.images(rows, seed)
    output, width = sampler.config.model.output, images.shape[2]
    found = nearest_examples(images, source, min(k, len(source)), features, output)
    real = [_bytes(source.read(numbers), output) for numbers in found.indices]
    shown = [np.concatenate([image[None], near]) for image, near in zip(images, real, strict=True)]
    picture = grid(np.concatenate(shown), len(real[0]) + 1)
    return np.insert(picture, [width + 2 * GAP] * (width // 4), 255, axis=1)  # sets the generated ones apart


def _bytes(images: np.ndarray, output: str) -> np.ndarray:
    return images if images.dtype == np.uint8 else to_uint8(images, output)


def sample_files(workdir: Path) -> dict[int, Path]:
    """Lists the pictures of samples of a run by step, in order."""
    found = {}
    for path in (workdir / "samples").glob("step_*.png"):
        if match := re.fullmatch(r"step_(\d+)\.png", path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def code_files(workdir: Path) -> dict[int, Path]:
    """Lists the newest picture of each of InfoGAN's codes, by the number of the code."""
    found = {}
    for path in sorted((workdir / "samples").glob("step_*_code_*.png")):
        if match := re.fullmatch(r"step_\d+_code_(\d+)\.png", path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def strip(files: Sequence[Path], height: int, width: int, rows: int = 4) -> np.ndarray:
    """Draws the same latents over time: the first images of each picture of samples, one picture to a column.

    Raises:
      ValueError: a picture that is damaged, or no grid of images of that size.
    """
    columns = []
    for file in files:
        shown = cells(read_png(file), height, width)
        columns.append(shown.reshape(-1, *shown.shape[2:])[:rows])
    return grid(np.concatenate(np.stack(columns, axis=1)), len(files))
