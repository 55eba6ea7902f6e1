"""Small games that the tests of the steps share."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.config.config import Config
from jaxgan.devices.devices import AXIS, Devices
from jaxgan.steps import train_step
from jaxgan.steps.gan import build, init, make_hyper
from jaxgan.steps.randomness import seed_keys

CLASSES = 3  # of the batches


def config(**overrides) -> Config:
    """A small game on 8x8 images, every part of which the steps must handle switched on unless overridden."""
    values = {
        "data": {"name": "digits", "image_size": 8},
        "model": {"architecture": "mlp", "z_dim": 3, "base_features": 8, "d_batch_norm": False},
        "train": {"batch_size": 8},
    }
    for key, value in overrides.items():
        section, name = key.split("__")
        values.setdefault(section, {})[name] = value
    return Config.from_dict(values)


def small(**overrides) -> Config:
    """The same with networks of one hidden layer, for what does not depend on their depth: they compile faster."""
    return config(**{"model__channel_multipliers": (1,), "model__base_features": 4, **overrides})


def game(c: Config, axis=None, **modules):
    gan = build(c, (8, 8, 1), axis, **modules, num_classes=CLASSES)
    return gan, jax.jit(partial(init, gan))(jax.random.key(0)), make_hyper(c)


def batches(n: int, size: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.RandomState(seed)
    images = random.uniform(-1, 1, (n, size, 8, 8, 1)).astype(np.float32)
    return {"image": images, "label": random.randint(0, CLASSES, (n, size), np.int32)}


def first(batch):
    return jax.tree.map(lambda x: x[0], batch)


def same(a, b) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def moved(a, b) -> bool:
    """Whether every leaf changed."""
    return not any(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def run(c: Config, count: int, steps: int = 5, widen: bool = False):
    """The state after some steps on so many devices, and the metrics of the last."""
    devices = Devices(jax.devices()[:count])
    gan = build(c, (8, 8, 1), AXIS, num_classes=CLASSES)

    def make():
        state = init(gan, seed_keys(0).init)
        return jax.tree.map(lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, state) if widen else state

    state, step = devices.replicate(make), devices.map(partial(train_step, gan))
    key, hyper = devices.put(seed_keys(0).train), devices.put(make_hyper(c))
    for i in range(steps):
        data = batches(gan.d_steps_per_g_step, c.train.batch_size, seed=i)
        if widen:
            data["image"] = data["image"].astype(np.float64)
        parts = [jax.tree.map(lambda x, j=j: x[j], data) for j in range(gan.d_steps_per_g_step)]
        state, metrics = step(state, devices.shard(parts), key, hyper)
    return state, metrics
