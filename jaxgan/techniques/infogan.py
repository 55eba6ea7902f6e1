"""InfoGAN's codes: what G is told besides noise, and the loss by which D's heads read it back.

Chen et al. 2016, https://arxiv.org/abs/1606.03657
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

Array = jax.Array
DISTRIBUTIONS = ("uniform", "normal")
HEAD = "codes"  # D's, with one output for each of `Codes.outputs`


class Codes(NamedTuple):
    """Which codes there are.

    Attributes:
      categorical: the number of values of each categorical code, drawn evenly.
      continuous: how many continuous codes there are.
      distribution: of those, `uniform` U(-1, 1) or `normal` N(0, 1).
      z_dim: of the noise where it is to be read back too, as if it were continuous codes; 0: it is not.
    """

    categorical: tuple[int, ...]
    continuous: int
    distribution: str
    z_dim: int = 0

    @property
    def width(self) -> int:
        """How many numbers they are: categorical ones one-hot, then the continuous."""
        return sum(self.categorical) + self.continuous

    @property
    def outputs(self) -> int:
        """How many numbers D's head has: logits of the categorical ones, then the values of all others."""
        return self.width + self.z_dim


def draw(codes: Codes, key: Array, indices: Array) -> Array:
    """The codes f32[len(indices), width], each example's drawn from `fold_in(key, index)`."""

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
    """Of codes [B, width] the number of each categorical one, i32[B]."""
    return [jnp.argmax(part, axis=-1) for part in _parts(codes, drawn)[: len(codes.categorical)]]


def sweep(codes: Codes, inputs: Array, code: int, columns: int) -> Array:
    """G's inputs [rows * columns, z_dim + width]: along each row one code takes all its values, all else stays.

    Args:
      codes: which there are.
      inputs: [rows, z_dim + width], noise, then codes as drawn.
      code: its number, the categorical ones first.
      columns: how many values of a continuous code, evenly from -1 to 1, or -2 to 2 where it is normal; of a
        categorical one all there are.
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
    """What D's head says of the codes against what they were, batch means of at least float32.

    `info/categorical`: the sum over categorical codes of the cross entropy, in nats: the mutual information of code
    and image is at least the sum of log K less this. `info/continuous`: (prediction - value)^2, averaged over the
    continuous codes. `info/z`: the same of the noise where it is read back, so that the codes, of which there are
    fewer, keep their weight.

    Args:
      codes: which there are.
      predicted: [B, outputs], of the discriminator.
      inputs: [B, z_dim + width], of the generator: noise, then codes.
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
    """One array for each categorical code, and one for all that is continuous."""
    ends = [sum(codes.categorical[: i + 1]) for i in range(len(codes.categorical))]
    return jnp.split(x, ends, axis=-1)
