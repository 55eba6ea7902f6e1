"""Combines the updates of both networks into one training step.

A step sees one device's slice of the global batch. Everything that leaves it is averaged over `gan.axis_name`, so that
the copies of the state on several devices stay equal.
"""

from __future__ import annotations

import jax

from jaxgan.steps.d_step import penalize_d, update_d
from jaxgan.steps.forward import Batch, Metrics, Update, examples_of, generate_for
from jaxgan.steps.g_step import update_g
from jaxgan.steps.gan import GAN, Hyper
from jaxgan.steps.info_step import update_by_codes
from jaxgan.steps.randomness import stream
from jaxgan.steps.state import GANState

Array = jax.Array


def train_step(
    gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper, penalize: bool = True
) -> tuple[GANState, Metrics]:
    """Makes `gan.d_steps_per_g_step` updates of D and one of G, in `gan.order`; with codes, then one on the codes.

    In either order, all of these updates belong to the step they start from, the `state.step` given: that number
    decides learning rates, the strength of instance noise, the warm-up of the average and all random numbers.

    Args:
      gan: static.
      state: donated by the caller who compiles this function.
      batch: leaves [n, B, ...] with the real examples of D's i-th update at index i, n = `gan.d_steps_per_g_step`.
      key: the run's seed key, the same at every step: all randomness derives from it and from `state.step`.
      hyper: the swept scalars.
      penalize: static; whether this step applies the penalties, where `gan.interval` is more than 1.

    Returns:
      The next state, whose `step` is one more, and the scalars of G's update and of D's last one.

    >>> from functools import partial
    >>> import jax, jaxgan
    >>> config = jaxgan.Config.from_dict({
    ...     "data": {"source": "synthetic", "name": "ring"},
    ...     "model": {"architecture": "mlp", "output": "linear", "base_features": 4, "channel_multipliers": (1,)},
    ... })
    >>> gan, hyper = jaxgan.build(config, shape=(2,)), jaxgan.make_hyper(config)
    >>> state = jax.jit(partial(jaxgan.init, gan))(jax.random.key(0))
    >>> batch = {"image": jax.random.normal(jax.random.key(1), (1, 8, 2))}  # 8 points for the one update of D
    >>> state, metrics = jax.jit(partial(train_step, gan))(state, batch, jax.random.key(2), hyper)
    >>> int(state.step), sorted(name for name in metrics if name.startswith("loss/"))
    (1, ['loss/d', 'loss/d_fake', 'loss/d_halved', 'loss/d_real', 'loss/g'])
    """
    step = state.step
    updates = []
    for i in range(gan.d_steps_per_g_step):
        own_key = stream(key, step, i)
        own_batch = jax.tree.map(lambda x, i=i: x[i], batch)
        updates.append(Update(examples_of(gan, own_batch, own_key), own_key, step, hyper))
    g_metrics: Metrics = {}
    if gan.order == "g_first":
        state, g_metrics = update_g(gan, state, updates[0])
    # Unrolled rather than scanned: on CPU a convolution inside a scan loses its threads, and there are few updates.
    for update in updates:
        # The last update of D and the update of G after it share their latents and G's parameters, so G runs once for
        # both. In parts of a batch it does not: keeping all parts would cost the memory that the parts are to save.
        generated = None if gan.accumulate > 1 else generate_for(gan, state, update.examples)
        state, metrics = update_d(gan, state, update, generated)
        if gan.interval > 1 and penalize:
            state, more = penalize_d(gan, state, update, generated)
            metrics |= more
    if gan.order == "d_first":
        state, g_metrics = update_g(gan, state, updates[-1], generated)
    metrics |= g_metrics
    if gan.codes is not None:
        state, more = update_by_codes(gan, state, updates[-1])
        metrics |= more
    return state, metrics
