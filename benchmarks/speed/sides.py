"""Defines the sides of the comparison: each prepares a game in its own process and runs timed steps of it.

A process imports the libraries of its own side only, so that its memory is that side's.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.side import Side
from jaxgan.config.config import Config

NUM_BATCHES = 4  # different ones, in turn


def cores() -> int:
    """Counts the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def examples(config: Config, shape: tuple[int, ...]) -> list[list[np.ndarray]]:
    """Makes `NUM_BATCHES` batches for every D-step, uniform in [-1, 1]: the time does not depend on the values."""
    rng = np.random.default_rng(0)
    full = (config.train.batch_size, *shape)
    n = config.train.d_steps_per_g_step or 1
    return [[rng.uniform(-1, 1, full).astype(np.float32) for _ in range(n)] for _ in range(NUM_BATCHES)]


class _JaxSide(Side):
    _step: Callable[..., Any]
    _state: Any
    _arguments: tuple[Any, Any]  # key and hyper
    _batches: itertools.cycle
    _steps_per_call = 1

    def run(self, steps: int) -> float:
        import jax

        calls = -(-steps // self._steps_per_call)
        start = time.perf_counter()
        before = None
        for _ in range(calls):
            self._state, metrics = self._step(self._state, next(self._batches), *self._arguments)
            # As the loop does: running further ahead gains no time, and takes the memory of every step under way.
            jax.block_until_ready(before)
            before = metrics
        jax.block_until_ready((self._state, metrics))
        return (time.perf_counter() - start) * steps / (calls * self._steps_per_call)


def kept(step: Callable[..., Any], only: tuple[str, ...]) -> Callable[..., Any]:
    """Restricts the scalars that `step` returns to the named ones."""

    def run(*args: Any) -> tuple[Any, dict[str, Any]]:
        state, metrics = step(*args)
        return state, {name: metrics[name] for name in only}

    return run


@functools.cache  # once in a process
def provide_devices(config: Config) -> None:
    """Sets up CPU devices as the command line does before JAX starts."""
    from jaxgan.devices.cpu import use_cpu_devices_for

    use_cpu_devices_for(config)


class Jaxgan(_JaxSide):
    """The step as `jaxgan.train` runs it: on its devices, and as many in one call as the configuration says.

    With `only`, it returns no other scalars, and the compiler leaves out what they alone need; `layers` is whether it
    returns those of layers, if the configuration does.
    """

    def __init__(self, config: Config, shape: tuple[int, ...], only: tuple[str, ...] = (), layers: bool = True):
        provide_devices(config)
        from jaxgan.devices.devices import AXIS, Devices, scan_steps
        from jaxgan.devices.packing import packed
        from jaxgan.steps import train_step
        from jaxgan.steps.gan import build, init, make_hyper
        from jaxgan.steps.randomness import seed_keys

        devices, keys = Devices(), seed_keys(config.seed)
        gan = build(config, shape, AXIS)
        gan = dataclasses.replace(gan, watch_layers=gan.watch_layers and layers)
        self._state = devices.replicate(functools.partial(init, gan, keys.init))
        self._steps_per_call = k = config.train.steps_per_call
        step = scan_steps(functools.partial(train_step, gan), k)
        self._step = devices.map(packed(kept(step, only) if only else step))
        self._arguments = devices.put(keys.train), devices.put(make_hyper(config))
        labels = np.zeros(config.train.batch_size, np.int32)
        self._batches = itertools.cycle(
            [devices.shard([{"image": x, "label": labels} for x in xs * k]) for xs in examples(config, shape)]
        )


class StockFlax(_JaxSide):
    """Stock Flax layers under plain `jax.jit` with donation, on one CPU device with a thread per core."""

    def __init__(self, config: Config, shape: tuple[int, ...]):
        import jax

        from benchmarks.speed.flax_twins import twins
        from jaxgan.steps import train_step
        from jaxgan.steps.gan import build, init, make_hyper
        from jaxgan.steps.randomness import seed_keys

        keys = seed_keys(config.seed)
        generator, discriminator = twins(config, shape)
        gan = build(config, shape, generator=generator, discriminator=discriminator)
        self._state = jax.jit(functools.partial(init, gan))(keys.init)
        self._step = jax.jit(functools.partial(train_step, gan), donate_argnums=0)
        self._arguments = keys.train, make_hyper(config)
        batches = [
            {"image": np.stack(xs), "label": np.zeros(np.shape(xs)[:2], np.int32)} for xs in examples(config, shape)
        ]
        self._batches = itertools.cycle(jax.device_put(batches))


class Torch(Side):
    """The PyTorch twin with a thread per core, eager or through `torch.compile`; `tuned` sets malloc as jaxgan does."""

    def __init__(self, config: Config, shape: tuple[int, ...], compile: bool = False, tuned: bool = False):
        if tuned:
            from jaxgan.devices.memory import keep_memory

            keep_memory()
        import torch

        # XLA does so too; threads started later inherit it.
        torch.set_flush_denormal(True)
        torch.set_num_threads(cores())
        from benchmarks.parity.twins import Twin

        torch.manual_seed(config.seed)
        self._twin = Twin(config, shape, compile=compile)
        self._z_shape = (config.train.batch_size, config.model.z_dim)
        batches = [[torch.from_numpy(x) for x in xs] for xs in examples(config, shape)]
        if len(shape) == 3:  # NHWC in memory is what torch calls channels-last
            batches = [[x.permute(0, 3, 1, 2) for x in xs] for xs in batches]
        self._batches = itertools.cycle(batches)

    def run(self, steps: int) -> float:
        import torch

        start = time.perf_counter()
        for _ in range(steps):
            images = next(self._batches)
            self._twin.train_step(images, [torch.randn(self._z_shape) for _ in images])
        return time.perf_counter() - start


def loop(config: Config, shape: tuple[int, ...]) -> Side:
    """Makes `jaxgan.train` on the default data a side."""
    provide_devices(config)
    from benchmarks.speed.loop import Loop

    del shape
    return Loop(config)


SIDES: dict[str, Callable[[Config, tuple[int, ...]], Side]] = {
    "jaxgan": Jaxgan,
    "torch": Torch,
    "torch_compile": functools.partial(Torch, compile=True),
    "torch_tuned": functools.partial(Torch, tuned=True),
    "flax": StockFlax,
    "loop": loop,
}
