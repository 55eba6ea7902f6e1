"""Defines minibatch standard deviation, which shows a discriminator how much the examples of a group differ."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError


def minibatch_stddev(x: jax.Array, group: int) -> jax.Array:
    """Appends to `x` one feature map with s, which says how much the examples of a group differ.

    s is the mean over positions and channels of sqrt(var + 1e-8), where var is the variance over the group. Groups are
    contiguous runs of the batch, not every n-th example as in the authors' program. So real and generated examples,
    which are the halves of one pass, and examples on different devices never share a group if the size of each part is
    a multiple of `group`.

    Args:
      x: [B, ..., C].
      group: number of examples in a group, which divides B.

    Returns:
      [B, ..., C + 1], of the type of `x`.

    Raises:
      UserError: `group` does not divide B.

    >>> minibatch_stddev(jnp.array([[1.0], [3.0], [5.0], [5.0]]), 2)[:, 1].round(2).tolist()
    [1.0, 1.0, 0.0, 0.0]

    Source: Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 3, where a 3x3 convolution follows; here a
    1x1 convolution (`jaxgan.architectures.base.see_batch`).
    """
    if len(x) % group:
        raise UserError(
            f"model.minibatch_stddev is {group}, but {len(x)} examples do not divide into groups of {group}: set "
            "train.batch_size so that the batch of each device is a multiple of it."
        )
    # In at least float32, because squares in bfloat16 would lose the small differences that a collapse leaves.
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32)).reshape(-1, group, *x.shape[1:])
    deviation = jnp.sqrt(jnp.var(wide, axis=1) + 1e-8)
    s = deviation.reshape(len(deviation), -1).mean(1).repeat(group).astype(x.dtype)
    return jnp.concatenate([x, jnp.broadcast_to(s.reshape(-1, *(1,) * (x.ndim - 1)), (*x.shape[:-1], 1))], -1)
