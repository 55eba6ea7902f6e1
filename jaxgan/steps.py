"""The training steps: pure functions `(gan, state, batch, key, hyper) -> (state, metrics)`.

They see one device's slice of the global batch. All that leaves a step is averaged over `gan.axis_name`, so that
replicas stay equal; all randomness is drawn per example from its index in the *global* batch, so that the number
of devices changes nothing but rounding.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.architectures import DOutput
from jaxgan.config import Config
from jaxgan.gan import GAN, Hyper
from jaxgan.losses import LOSSES
from jaxgan.nn.spectral_norm import SPECTRAL_STATS
from jaxgan.state import GANState, NetState, Params, Stats, ema_update

Array = jax.Array
Batch = dict[str, Array]  # "image" f[B, ...] in the generator's output range, "label" i32[B]
Metrics = dict[str, Array]

# What a step's key is split for, by name: a new purpose takes a new number and moves no other stream.
Z, PENALTY = range(2)


class Keys(NamedTuple):
    """A run's three streams of randomness."""

    init: Array
    train: Array
    sample: Array


def seed_keys(seed: int) -> Keys:
    """The streams of a seed, which is all that is ever kept of them."""
    return Keys(*jax.random.split(jax.random.key(seed), 3))


def latents(key: Array, indices: Array, z_dim: int, distribution: str, truncation: float | None = None) -> Array:
    """One latent per index, each drawn from `fold_in(key, index)`: f32[len(indices), z_dim].

    Args:
      key: one key for all.
      indices: i32[n]; equal indices give equal latents, whatever stands beside them.
      z_dim: length of a latent.
      distribution: `normal` N(0, 1) or `uniform` U(-1, 1).
      truncation: keep every coordinate within [-truncation, truncation] by drawing it from the distribution
        conditioned on that (Brock et al. 2019, https://arxiv.org/abs/1809.11096); None: do not.
    """

    def one(index):
        k = jax.random.fold_in(key, index)
        if distribution == "uniform":
            bound = 1.0 if truncation is None else min(truncation, 1.0)
            return jax.random.uniform(k, (z_dim,), jnp.float32, -bound, bound)
        if truncation is None:
            return jax.random.normal(k, (z_dim,), jnp.float32)
        return jax.random.truncated_normal(k, -truncation, truncation, (z_dim,), jnp.float32)

    return jax.vmap(one)(indices)


def sample(gan: GAN, variables: dict[str, Any], z: Array) -> Array:
    """Images for latents z [B, z_dim], with the statistics in `variables` (best `state.ema.variables`)."""
    return gan.generator.apply(variables, z, train=False)  # type: ignore[return-value]


def d_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """One discriminator update. Generator, average, `step` and `aux` leave it bit-identical.

    `key` belongs to this update alone: `train_step` derives it from the seed, the step and the update's number.
    """
    return _update_d(gan, state, batch["image"], _generate(gan, state.generator, key, batch).images, key, hyper)


def g_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """One generator update with its average. The discriminator leaves it bit-identical; `step` grows by one.

    With the `key` and `batch` of a D-step it sees that step's latents and real examples, as the usual loops do.
    """
    return _update_g(gan, state, batch["image"], _generate(gan, state.generator, key, batch), hyper)


def train_step(gan: GAN, state: GANState, batch: Batch, key: Array, hyper: Hyper) -> tuple[GANState, Metrics]:
    """`gan.d_steps_per_g_step` D-steps and one G-step, in `gan.order`.

    Args:
      gan: static.
      state: donated by the caller who compiles this.
      batch: leaves [n, B, ...], the examples of D-step i at i.
      key: the run's seed key, the same at every step; what is drawn depends on it and on `state.step` only.
      hyper: the swept scalars.

    Returns:
      The next state, and the metrics of the G-step and of the last D-step.
    """
    n = gan.d_steps_per_g_step
    step_key = jax.random.fold_in(key, state.step)
    keys = [jax.random.fold_in(step_key, i) for i in range(n)]
    batches = [jax.tree.map(lambda x, i=i: x[i], batch) for i in range(n)]
    # Unrolled rather than scanned: on CPU a convolution inside a scan loses its threads, and n is small.
    if gan.order == "g_first":
        state, metrics = g_step(gan, state, batches[0], keys[0], hyper)
        for batch, key in zip(batches, keys, strict=True):
            state, d_metrics = d_step(gan, state, batch, key, hyper)
        return state, metrics | d_metrics
    for batch, key in zip(batches[:-1], keys[:-1], strict=True):
        state, _ = d_step(gan, state, batch, key, hyper)
    # The generator is the same in the last D-step and in the G-step after it, and so are its latents: it runs once.
    generated = _generate(gan, state.generator, keys[-1], batches[-1])
    real = batches[-1]["image"]
    state, d_metrics = _update_d(gan, state, real, generated.images, keys[-1], hyper)
    state, g_metrics = _update_g(gan, state, real, generated, hyper)
    return state, d_metrics | g_metrics


def collectives_at_once(config: Config) -> int:
    """How many of a step's collectives can wait for other devices at the same time; see `parallel.use_cpu_devices`.

    One, where each depends on the one before it. Batch norm of D on real and on generated examples, means inside of a
    loss, and the images of further D-steps, which depend on nothing, go side by side.
    """
    n = config.train.d_steps_per_g_step or 1
    chained = n == 1 and not config.model.d_batch_norm and not LOSSES[config.loss.name].coupled
    return 1 if chained else n + 3


def _update_d(
    gan: GAN, state: GANState, real: Array, fake: Array, key: Array, hyper: Hyper
) -> tuple[GANState, Metrics]:
    """`d_step` on given examples."""

    def loss_fn(params: Params):
        real_out, fake_out, stats = _discriminate_both(gan, params, state.discriminator.stats, real, fake)
        loss = gan.loss.d(real_out.logits, fake_out.logits, mean=_mean(gan))
        penalties = {}
        for i, (name, penalty) in enumerate(gan.regularizers.items()):

            def apply(x):
                return _discriminate(gan, params, stats, x, train=False)[0]

            penalty_key = jax.random.fold_in(jax.random.fold_in(key, PENALTY), i)
            penalties[name] = penalty(apply, real, fake, penalty_key)
            loss += hyper.regularizers[name].astype(loss.dtype) * penalties[name]
        return loss, (real_out, fake_out, stats, penalties)

    (loss, (real_out, fake_out, stats, penalties)), grads = jax.value_and_grad(loss_fn, has_aux=True)(
        state.discriminator.params
    )
    metrics = {
        "loss/d": loss,
        "score/real": jnp.mean(jax.nn.sigmoid(real_out.logits)),
        "score/fake": jnp.mean(jax.nn.sigmoid(fake_out.logits)),
        "logits/real": jnp.mean(real_out.logits),
        "logits/fake": jnp.mean(fake_out.logits),
        **{f"penalty/{name}": value for name, value in penalties.items()},
    }
    grads, stats, metrics = _synchronize(gan, (grads, stats, metrics))
    factor = gan.d_schedule(state.step)
    discriminator = _update(gan.d_tx, hyper.d_optim, factor, state.discriminator, grads, stats)
    return dataclasses.replace(state, discriminator=discriminator), {**metrics, "grad_norm/d": optax.tree.norm(grads)}


class _Generated(NamedTuple):
    """Images of a training pass, moved statistics, and the derivative: d loss / d images -> (d loss / d params,)."""

    images: Array
    stats: Stats
    pullback: Callable[[Array], tuple[Params]]


def _update_g(gan: GAN, state: GANState, real: Array, generated: _Generated, hyper: Hyper) -> tuple[GANState, Metrics]:
    """`g_step` on given examples."""
    d = state.discriminator

    def loss_fn(fake: Array) -> Array:
        fake_logits = _discriminate(gan, d.params, d.stats, fake, train=True)[0].logits
        if gan.loss.relativistic:
            real_logits = _discriminate(gan, d.params, d.stats, real, train=True)[0].logits
        else:
            real_logits = fake_logits  # never read
        return gan.loss.g(real_logits, fake_logits, mean=_mean(gan))

    loss, by_images = jax.value_and_grad(loss_fn)(generated.images)
    grads, stats, loss = _synchronize(gan, (*generated.pullback(by_images), generated.stats, loss))
    factor = gan.g_schedule(state.step)
    generator = _update(gan.g_tx, hyper.g_optim, factor, state.generator, grads, stats)
    ema = ema_update(state.ema, generator, state.step, hyper.ema_decay)
    state = dataclasses.replace(state, step=state.step + 1, generator=generator, ema=ema)
    return state, {"loss/g": loss, "grad_norm/g": optax.tree.norm(grads)}


def _z(gan: GAN, key: Array, n: int) -> Array:
    """This device's slice of the global batch of latents."""
    start = lax.axis_index(gan.axis_name) * n if gan.axis_name else 0
    return latents(jax.random.fold_in(key, Z), start + jnp.arange(n), gan.z_dim, gan.z_distribution)


def _generate(gan: GAN, net: NetState, key: Array, batch: Batch) -> _Generated:
    """As many images as there are real ones, in training mode; a D-step drops all but the images."""
    z = _z(gan, key, len(batch["image"]))

    def images(params: Params) -> tuple[Array, Stats]:
        return gan.generator.apply({"params": params, **net.stats}, z, train=True, mutable=list(net.stats))  # type: ignore[return-value]

    fake, pullback, moved = jax.vjp(images, net.params, has_aux=True)
    return _Generated(fake, {**net.stats, **moved}, pullback)


def _discriminate(
    gan: GAN, params: Params, stats: Stats, x: Array, *, train: bool, move_spectral: bool = False
) -> tuple[DOutput, Stats]:
    """D's output and its moved statistics; u and v of spectral norm move only where asked."""
    mutable = [name for name in stats if train and (move_spectral or name != SPECTRAL_STATS)]
    out, moved = gan.discriminator.apply({"params": params, **stats}, x, train=train, mutable=mutable)
    if not isinstance(out, DOutput):  # a caller's own module may return bare logits
        out = DOutput(out, out, {})
    return out._replace(logits=out.logits.reshape(len(x))), {**stats, **moved}


def _discriminate_both(
    gan: GAN, params: Params, stats: Stats, real: Array, fake: Array
) -> tuple[DOutput, DOutput, Stats]:
    """D on real and fake in one pass, or in two where batch norm would mix them; u and v move once either way.

    In two also where a penalty passes real or fake through D once more: XLA finds that it is the same pass.
    """
    if "batch_stats" in stats or gan.regularizers:
        real_out, stats = _discriminate(gan, params, stats, real, train=True, move_spectral=True)
        fake_out, stats = _discriminate(gan, params, stats, fake, train=True)
        return real_out, fake_out, stats
    both = jnp.concatenate([real.astype(fake.dtype), fake])
    out, stats = _discriminate(gan, params, stats, both, train=True, move_spectral=True)
    real_out, fake_out = (jax.tree.map(lambda x, half=half: jnp.split(x, 2)[half], out) for half in (0, 1))
    return real_out, fake_out, stats


def _update(tx, hyper, factor: Array, net: NetState, grads: Params, stats: Stats) -> NetState:
    """One optimizer step on the gradients of the global batch."""
    transformation = tx(hyper.replace(learning_rate=hyper.learning_rate * factor))
    updates, opt_state = transformation.update(grads, net.opt_state, net.params)
    return NetState(optax.apply_updates(net.params, updates), stats, opt_state)


def _mean(gan: GAN) -> Callable[[Array], Array]:
    """The loss's mean. Over the global batch only where examples meet inside of it: each collective is a meeting, and
    the mean of the devices' gradients is the gradient of their mean."""
    return (lambda x: _synchronize(gan, jnp.mean(x))) if gan.loss.coupled else jnp.mean


def _synchronize(gan: GAN, tree):
    """The tree's mean over the devices, leaves of one type in one collective: many small ones cost a meeting each.

    Integers, such as a counter of a caller's own module, have no mean of their type: the largest is taken.
    """
    if gan.axis_name is None:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):  # in the same order in every process
        places = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        reduce = lax.pmean if jnp.issubdtype(dtype, jnp.inexact) else lax.pmax
        flat = reduce(jnp.concatenate([leaves[i].ravel() for i in places]), gan.axis_name)
        ends = itertools.accumulate(leaves[i].size for i in places)
        for i, end in zip(places, ends, strict=True):
            leaves[i] = flat[end - leaves[i].size : end].reshape(leaves[i].shape)
    return jax.tree.unflatten(structure, leaves)
