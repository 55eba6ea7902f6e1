"""A CPU's cores as devices: how many, and with how many threads."""

from __future__ import annotations

import os
import re

import jax

from jaxgan.architectures import ARCHITECTURES
from jaxgan.config.config import Config
from jaxgan.config.constraints import coupled_terms, groups_in_batch
from jaxgan.devices.memory import keep_memory
from jaxgan.errors import UserError

# A CPU device that waits for others in a collective holds a thread of XLA's one pool, which by default has as many as
# there are cores. If all threads wait, virtual devices do so for ever: seen with 2 devices and 2 threads, and with 4
# devices and 6. Where k collectives can wait at once, all devices but one may be waiting in each of them, so that
# k (devices - 1) + 1 threads are enough. More get in each other's way: measured 71 ms a step with 2, 12 % more with 3
# and 81 ms with 5.
COLLECTIVES = 4  # at once, of a step of which nothing is known


def _virtual_devices() -> int:
    """How many devices the CPU has been asked to become so far."""
    flag = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    return max(getattr(jax.config, "jax_num_cpu_devices", 1), *map(int, flag), 1)


def provide_threads() -> None:
    """For virtual devices that a caller has set up, in a notebook say; too late once JAX has computed something."""
    if _virtual_devices() > 1:
        os.environ.setdefault("PJRT_NPROC", str(_threads(_virtual_devices(), COLLECTIVES)))


def _threads(devices: int, collectives: int) -> int:
    return max(collectives * (devices - 1) + 1, devices)


def use_cpu_devices(requested: int | None, batch_size: int, collectives: int = COLLECTIVES) -> None:
    """Makes each CPU core a device, which is faster than one device with threads. Call it before JAX computes anything.

    XLA:CPU runs elementwise work on one thread, so data parallelism over virtual devices with single-threaded
    convolutions wins. Has no effect on accelerators.

    Args:
      requested: number of devices; None: the largest number of this process's cores that divides the batch.
      batch_size: of the run, global.
      collectives: how many of a step's collectives can wait for other devices at the same time; with less than the
        truth the step may hang. See `collectives_at_once`.

    Raises:
      UserError: fewer than one device, or a batch that does not divide by them.
    """
    if requested is not None:
        check_divisible(batch_size, requested)
        count = requested
    else:
        count = max(n for n in range(1, _cores() + 1) if batch_size % n == 0)
    jax.config.update("jax_num_cpu_devices", count)
    if count > 1:
        os.environ["PJRT_NPROC"] = str(_threads(count, collectives))
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    keep_memory()


def use_cpu_devices_for(config: Config, requested: int | None = None) -> None:
    """`use_cpu_devices` as fits a run: one device where there are no convolutions.

    Such steps are too short for meetings: 3.9 ms on two devices, 2.7 on one (three layers of 128 units, 64 points).
    """
    if requested is None and not ARCHITECTURES[config.model.architecture].convolutional:
        requested = 1
    # What is chosen freely must also leave the groups whole in which D sees examples.
    divided = groups_in_batch(config) if requested is None else config.train.batch_size
    use_cpu_devices(requested, divided, collectives_at_once(config))


def _cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def collectives_at_once(config: Config) -> int:
    """How many of a step's collectives can wait for other devices at the same time; see `use_cpu_devices`.

    One, where each depends on the one before it. Batch norm of D on real and on generated examples, means inside of a
    loss, the parts of a batch, and the images of further D-steps, which depend on nothing, go side by side.
    """
    n = (config.train.d_steps_per_g_step or 1) * config.train.accumulate
    chained = n == 1 and not config.model.d_batch_norm and not coupled_terms(config)
    return 1 if chained else n + 3


def check_divisible(batch_size: int, devices: int) -> None:
    """Refuses a global batch that cannot be split evenly.

    Raises:
      UserError: naming both numbers and the nearest batch sizes that work.
    """
    if devices < 1:
        raise UserError(f"the number of devices is {devices}: it must be at least 1.")
    if batch_size % devices:
        below = batch_size // devices * devices
        allowed = f"{below} or {below + devices}" if below else str(devices)
        raise UserError(
            f"train.batch_size is {batch_size}, which {devices} devices cannot share evenly: use {allowed}."
        )
