"""Loads the Inception-v3 of published Frechet Inception Distances and Inception Scores from its file for PyTorch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from flax import traverse_util

from jaxgan.errors import UserError, suggest
from jaxgan.files import read_bytes
from jaxgan.metrics import weights
from jaxgan.metrics.features import Features, check_output, to_levels
from jaxgan.metrics.resize import RESIZES, resize_images
from jaxgan.metrics.torch_file import read_state_dict

SIDE, NUM_CLASSES = 299, 1008
BLOCK = 32  # images at a time, which take 180 MB in the largest layer
# Of pt_inception-2015-12-05-6726825d.pth, all of it: a file with the same first digits can be made.
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
EXACT = jax.lax.Precision.HIGHEST  # accelerators would multiply with 8 or 11 bits by default
RECIPE = 1  # raise it with any change of how weights are converted
# Name one with any change of what a resize gives: scores and cached features of before are others.
RESIZE_RECIPES: dict[str, tuple[str, ...]] = {"tf1": (), "clean": ("clipped",)}
# What PyTorch calls Flax's parameters and statistics.
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
# In weight files but not in the network: counters, a classifier for training only, and the bias of the logits.
UNUSED = ("num_batches_tracked", "AuxLogits.", "fc.bias")

Array = jax.Array


class ConvNorm(nn.Module):
    """A convolution without bias, batch normalization by stored statistics, ReLU.

    Attributes:
      features, kernel: of the convolution.
      stride: None: 1, with the border padded so that the size stays; otherwise nothing is padded.
    """

    features: int
    kernel: tuple[int, int]
    stride: int | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        padding = "VALID" if self.stride else "SAME"
        conv = nn.Conv(
            self.features, self.kernel, self.stride or 1, padding, use_bias=False, precision=EXACT, name="conv"
        )
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(conv(x)))


def _chain(x: Array, *layers: tuple) -> Array:
    """One `ConvNorm` after the other, each by its name, features, kernel and perhaps stride."""
    for name, features, kernel, *stride in layers:
        x = ConvNorm(features, kernel if isinstance(kernel, tuple) else (kernel, kernel), *stride, name=name)(x)
    return x


def _average(x: Array) -> Array:
    """Means over 3x3, at the border of those pixels alone that are there."""
    there = [np.convolve(np.ones(n), np.ones(3), "same") for n in x.shape[1:3]]
    share = np.outer(*there)[None, :, :, None] / 9
    return nn.avg_pool(x, (3, 3), padding="SAME") / share.astype(np.float32)


def _maximum(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), padding="SAME")


def _halve(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), strides=(2, 2))


def _join(*branches: Array) -> Array:
    return jnp.concatenate(branches, axis=-1)


class MixedA(nn.Module):
    """35x35: branches of 1x1, 5x5, two 3x3, and an average."""

    pool_features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            _chain(x, ("branch1x1", 64, 1)),
            _chain(x, ("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
            _chain(x, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
            _chain(_average(x), ("branch_pool", self.pool_features, 1)),
        )


class MixedB(nn.Module):
    """35x35 to 17x17."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            _chain(x, ("branch3x3", 384, 3, 2)),
            _chain(x, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2)),
            _halve(x),
        )


class MixedC(nn.Module):
    """17x17: branches of 1x1, one and two 7x7 as rows and columns, and an average."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        w, row, column = self.width, (1, 7), (7, 1)
        return _join(
            _chain(x, ("branch1x1", 192, 1)),
            _chain(x, ("branch7x7_1", w, 1), ("branch7x7_2", w, row), ("branch7x7_3", 192, column)),
            _chain(
                x,
                ("branch7x7dbl_1", w, 1),
                ("branch7x7dbl_2", w, column),
                ("branch7x7dbl_3", w, row),
                ("branch7x7dbl_4", w, column),
                ("branch7x7dbl_5", 192, row),
            ),
            _chain(_average(x), ("branch_pool", 192, 1)),
        )


class MixedD(nn.Module):
    """17x17 to 8x8."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            _chain(x, ("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)),
            _chain(
                x,
                ("branch7x7x3_1", 192, 1),
                ("branch7x7x3_2", 192, (1, 7)),
                ("branch7x7x3_3", 192, (7, 1)),
                ("branch7x7x3_4", 192, 3, 2),
            ),
            _halve(x),
        )


class MixedE(nn.Module):
    """8x8: branches that end in a row and a column beside each other, and a pool."""

    pool: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        single = _chain(x, ("branch3x3_1", 384, 1))
        double = _chain(x, ("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3))
        return _join(
            _chain(x, ("branch1x1", 320, 1)),
            _chain(single, ("branch3x3_2a", 384, (1, 3))),
            _chain(single, ("branch3x3_2b", 384, (3, 1))),
            _chain(double, ("branch3x3dbl_3a", 384, (1, 3))),
            _chain(double, ("branch3x3dbl_3b", 384, (3, 1))),
            _chain(self.pool(x), ("branch_pool", 192, 1)),
        )


class Inception(nn.Module):
    """Inception-v3 (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567) as TensorFlow's graph of 2015-12-05 has it.

    That graph differs from the paper and from torchvision: averages leave out the padding, the pool of the last block
    is a maximum, and there are 1008 classes. The names are those of the weight file.
    """

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """f32[B, 299, 299, 3], bytes v as (v - 128) / 128, to features f32[B, 2048] and logits f32[B, 1008]."""
        x = _chain(x, ("Conv2d_1a_3x3", 32, 3, 2), ("Conv2d_2a_3x3", 32, 3, 1), ("Conv2d_2b_3x3", 64, 3))
        x = _chain(_halve(x), ("Conv2d_3b_1x1", 80, 1), ("Conv2d_4a_3x3", 192, 3, 1))
        x = _halve(x)  # 35x35
        for name, pool_features in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = MixedA(pool_features, name=name)(x)
        x = MixedB(name="Mixed_6a")(x)
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = MixedC(width, name=name)(x)
        x = MixedD(name="Mixed_7a")(x)
        x = MixedE(_average, name="Mixed_7b")(x)
        x = MixedE(_maximum, name="Mixed_7c")(x)
        features = x.mean(axis=(1, 2))
        # Published Inception Scores leave the bias out (https://github.com/openai/improved-gan/issues/39).
        logits = nn.Dense(NUM_CLASSES, use_bias=False, precision=EXACT, name="fc")
        return features, logits(features)


def load_inception(
    path: str | os.PathLike,
    shape: tuple[int, int, int],
    output: str = "tanh",
    resize: str = "tf1",
    sha256: str = SHA256,
    cache_dir: str | os.PathLike | None = None,
) -> Features:
    """Loads Inception-v3 as published Frechet Inception Distances and Inception Scores use it.

    The features are the 2048 means of the last block; the logits, of 1008 classes, are without their layer's bias, as
    in published Inception Scores. Images become what a file of them would hold, 256 levels; grey ones become three
    equal channels. They are resized to 299x299, and a byte v enters the network as (v - 128) / 128, as in TensorFlow's
    graph (pytorch-fid takes v / 127.5 - 1 and another resize, and so gives slightly other distances).

    The features' name is "inception_v3", with "_clean" for the other resize, and the beginning of their SHA-256 for
    other weights: those scores are not comparable. Nothing is downloaded. A converted copy is cached.

    Args:
      path: of the weights for PyTorch, `pt_inception-2015-12-05-6726825d.pth` of
        https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights.
      shape: (H, W, C) of the images, with 1 or 3 channels.
      output: the generator's, whose range the images have: "tanh", "sigmoid" or "linear".
      resize: "tf1", as in Heusel et al. 2017, https://arxiv.org/abs/1706.08500, or "clean", as in Parmar et al. 2022,
        https://arxiv.org/abs/2104.11222.
      sha256: the file's SHA-256, in hexadecimal digits, or how it must begin; "" for any file.
      cache_dir: None: `$JAXGAN_CACHE`, or `~/.cache/jaxgan`.

    Raises:
      UserError: an unknown output or resize, another number of channels, or a file that cannot be read, has another
        SHA-256, is damaged, asks to run code, or has not the tensors of Inception-v3.
    """
    check_output(output)
    if resize not in RESIZES:
        raise suggest("The resize", resize, RESIZES)
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise UserError(f"Inception-v3 takes images of 1 or 3 channels, but these are of shape {tuple(shape)}.")
    data, digest = _read(Path(path).expanduser(), sha256)
    key = f"{digest}-{RECIPE}"
    cached = weights.cache_path(f"inception_v3-{digest[:16]}-{RECIPE}.npz", cache_dir)
    if found := weights.recall(cached, key):
        variables = found[0]
    else:
        variables = convert(read_state_dict(data, str(path)), str(path))
        weights.remember(cached, variables, key, sha256=digest)
    parts = ("inception_v3", "" if digest == SHA256 else digest[:8], "" if resize == "tf1" else resize)
    name = "_".join(part for part in parts if part)
    return Features(name, shape, variables, partial(_apply, output, resize), block=BLOCK, recipe=RESIZE_RECIPES[resize])


def _read(path: Path, sha256: str) -> tuple[bytes, str]:
    """The file's contents and their SHA-256."""
    try:
        data = read_bytes(path)
    except OSError as error:
        raise UserError(f"The weights of Inception-v3 cannot be read from {path} ({error.strerror}).") from None
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(sha256.lower()):
        raise UserError(
            f"The SHA-256 of {path} is {digest}, but eval.inception_sha256 asks for {sha256[:64]}: the file is "
            "another one, or damaged. To use other weights on purpose, set the key to their SHA-256."
        )
    logging.info("Inception-v3 by the weights %s with SHA-256 %s.", path, digest)
    return data, digest


def convert(state: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    """Converts the named tensors of a PyTorch file to Flax variables of `Inception`; `name` stands for it in errors.

    Raises:
      UserError: tensors are missing, not known, or of another shape.
    """
    image = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    tree = traverse_util.flatten_dict(jax.eval_shape(Inception().init, jax.random.key(0), image))
    named = {".".join((*path[1:-1], LEAVES[path[-1]])): path for path in tree}
    used = {key: value for key, value in state.items() if not any(part in key for part in UNUSED)}
    for problem, keys in (("lacks", named.keys() - used), ("has, beside those,", used.keys() - named)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise UserError(f"{name} must hold the tensors of Inception-v3, but {problem} {min(keys)}{more}.")
    flat = {}
    for key, path in named.items():
        value, shape = used[key], tree[path].shape
        if path[-1] == "kernel":  # PyTorch has outputs and inputs first
            shape = (shape[-1], shape[-2], *shape[:-2])
        if value.shape != shape:
            raise UserError(f"{key} in {name} has the shape {value.shape}, but Inception-v3 needs {shape}.")
        value = value.transpose(*range(2, value.ndim), 1, 0) if path[-1] == "kernel" else value
        flat[path] = np.ascontiguousarray(value, np.float32)
    return traverse_util.unflatten_dict(flat)


def _apply(output: str, resize: str, variables: dict[str, Any], images: Array) -> tuple[Array, Array]:
    outputs: Any = Inception().apply(variables, _prepare(output, resize, images))
    return outputs


def _prepare(output: str, resize: str, images: Array) -> Array:
    """Images in the range of `output` as the network takes them, f32[B, 299, 299, 3]."""
    resized = resize_images(to_levels(images, output), SIDE, RESIZES[resize])
    return (jnp.repeat(resized, 3 // resized.shape[-1], axis=-1) - 128) / 128
