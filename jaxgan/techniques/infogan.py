"""Draws InfoGAN's codes, which G gets beside the noise, and defines the loss of D's head that predicts them.

Chen et al. 2016, https://arxiv.org/abs/1606.03657
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

Array = jax.Array
DISTRIBUTIONS = ("uniform", "normal")
HEAD = "codes"  # name of D's head, which has `Codes.outputs` outputs


class Codes(NamedTuple):
    """Describes the codes of a game.

    Attributes:
      categorical: number of values of each categorical code, all equally likely.
      continuous: number of continuous codes.
      distribution: distribution of the continuous codes, `uniform` for U(-1, 1) or `normal` for N(0, 1).
      z_dim: length of the noise if D's head predicts it too, like continuous codes; 0 if it does not.
    """

    categorical: tuple[int, ...]
    continuous: int
    distribution: str
    z_dim: int = 0

    @property
    def width(self) -> int:
        """Length of the vector of codes: the categorical ones one-hot, then the continuous ones."""
        return sum(self.categorical) + self.continuous

    @property
    def outputs(self) -> int:
        """Width of D's head: logits of the categorical codes, then values of the continuous codes and of the noise."""
        return self.width + self.z_dim


def draw(codes: Codes, key: Array, indices: Array) -> Array:
    """Draws codes f32[len(indices), width], those of each example from `fold_in(key, index)`."""

    def one(index: Array) -> Array:
        keys = jax.random.split(jax.random.fold_in(key, index), len(codes.categorical) + 1)
        parts = [
            jax.nn.one_hot(jax.random.randint(k, (), 0, n), n, dtype=jnp.float32)
            for k, n in zip(keys[:-1], codes.categorical, strict=True)
        ]
        shape = (codes.continuous,)
        if codes.distribution == "uniform":
            parts.append(jax.random.uniform(keys[-1], shape, jnp.float32, -1, 1))
        else:
            parts.append(jax.random.normal(keys[-1], shape, jnp.float32))
        return jnp.concatenate(parts)

    return jax.vmap(one)(indices)


def values(codes: Codes, drawn: Array) -> list[Array]:
    """Returns the value of each categorical code, i32[B], from codes [B, width]."""
    return [jnp.argmax(part, axis=-1) for part in _parts(codes, drawn)[: len(codes.categorical)]]


def sweep(codes: Codes, inputs: Array, code: int, columns: int) -> Array:
    """Returns inputs of G, [rows * columns, z_dim + width], in which one code varies along each row and the rest stays.

    Args:
      codes: the codes of the game.
      inputs: [rows, z_dim + width], noise and then codes as drawn.
      code: number of the code that varies, counting the categorical ones first.
      columns: number of values of a continuous code, evenly spaced from -1 to 1 (`uniform`) or -2 to 2 (`normal`). A
        categorical code takes each of its values instead.
    """
    k = len(codes.categorical)
    start = inputs.shape[1] - codes.width + sum(codes.categorical[:code]) + max(code - k, 0)
    if code < k:
        taken = jnp.eye(codes.categorical[code])
    else:
        bound = 1.0 if codes.distribution == "uniform" else 2.0
        taken = jnp.linspace(-bound, bound, columns)[:, None]
    rows = jnp.repeat(inputs, len(taken), axis=0)
    return rows.at[:, start : start + taken.shape[1]].set(jnp.tile(taken, (len(inputs), 1)))


def code_losses(codes: Codes, predicted: Array, inputs: Array) -> dict[str, Array]:
    """Compares what D's head predicts with the codes; returns batch means in at least float32, by name.

    * `info/categorical`: sum over the categorical codes of the cross entropy, in nats. The mutual information of the
      codes and the image is at least sum log K minus this.
    * `info/continuous`: (prediction - value)^2, averaged over the continuous codes.
    * `info/z`: the same for the noise, if it is predicted. It is a mean of its own, so that the noise, which has more
      numbers than the codes, does not outweigh them.

    Args:
      codes: the codes of the game.
      predicted: [B, outputs], D's head.
      inputs: [B, z_dim + width], G's inputs: noise, then codes.
    """
    predicted = predicted.astype(jnp.promote_types(predicted.dtype, jnp.float32))
    z, drawn = jnp.split(inputs, [inputs.shape[-1] - codes.width], axis=-1)
    *logits, estimates = _parts(codes, predicted)
    *chosen, wanted = _parts(codes, drawn)
    estimates, noise = jnp.split(estimates, [codes.continuous], axis=-1)
    losses = {}
    if codes.categorical:
        terms = (optax.softmax_cross_entropy(a, b.astype(a.dtype)) for a, b in zip(logits, chosen, strict=True))
        losses["info/categorical"] = jnp.mean(sum(terms, jnp.zeros((), predicted.dtype)))
    if codes.continuous:
        losses["info/continuous"] = jnp.mean(jnp.square(estimates - wanted))
    if codes.z_dim:
        losses["info/z"] = jnp.mean(jnp.square(noise - z))
    return losses


def _parts(codes: Codes, x: Array) -> list[Array]:
    """Splits the last axis into one array for each categorical code and one for everything continuous."""
    ends = [sum(codes.categorical[: i + 1]) for i in range(len(codes.categorical))]
    return jnp.split(x, ends, axis=-1)
