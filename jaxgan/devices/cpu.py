"""Makes each core of a CPU a device, and gives XLA enough threads for them."""

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
# there are cores, and at least as many as devices. If all threads wait, they wait for ever: seen with 2 devices and 2
# threads, and with 4 devices and 6. Where k collectives can wait at once, all devices but one may be waiting in each of
# them, so that k (devices - 1) + 1 threads are enough. More get in each other's way: measured 71 ms a step with 2, 12 %
# more with 3 and 81 ms with 5.
THREADS = "PJRT_NPROC"  # the environment variable for their number, read when JAX starts its devices
COLLECTIVES = 4  # that can wait at once in a step of which nothing is known


def use_cpu_devices(requested: int | None, batch_size: int, collectives: int = COLLECTIVES) -> None:
    """Makes each CPU core a device, which is faster than one device with threads. Call it before JAX computes anything.

    XLA:CPU runs elementwise work on one thread, so data parallelism over virtual devices with single-threaded
    convolutions wins. Accelerators are not affected.

    Args:
      requested: number of devices; None: the largest number of this process's cores that divides the batch.
      batch_size: size of the run's global batch.
      collectives: number of the step's collectives that can wait for other devices at the same time, see
        `collectives_at_once`. Too low a number can deadlock the step.

    Raises:
      UserError: fewer than one device, a batch that does not divide by them, or JAX has started with another number.
    """
    if requested is not None:
        check_divisible(batch_size, requested)
        count = requested
    else:
        count = max(n for n in range(1, _cores() + 1) if batch_size % n == 0)
    if has_started():
        if jax.local_devices()[0].platform == "cpu" and jax.local_device_count() != count:
            raise UserError(
                f"JAX has started with {jax.local_device_count()} CPU device(s), which cannot become {count} any more: "
                "start Python again and call use_cpu_devices before anything is computed."
            )
    else:
        jax.config.update("jax_num_cpu_devices", count)
        if count > 1:
            os.environ[THREADS] = str(threads_for(count, collectives))
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    keep_memory()


def use_cpu_devices_for(config: Config, requested: int | None = None) -> None:
    """Calls `use_cpu_devices` as fits a run: with one device where there are no convolutions.

    Such steps are too short for devices to wait for each other: 3.9 ms on two devices, 2.7 ms on one (three layers of
    128 units, 64 points).
    """
    if requested is None and not ARCHITECTURES[config.model.architecture].convolutional:
        requested = 1
    # A number that is free to choose must leave the groups whole in which D sees examples.
    divided = groups_in_batch(config) if requested is None else config.train.batch_size
    use_cpu_devices(requested, divided, collectives_at_once(config))


def collectives_at_once(config: Config) -> int:
    """Counts the step's collectives that can wait for other devices at the same time; see `use_cpu_devices`.

    That is 1 where each collective depends on the one before it. Side by side go batch norm of D on real and on
    generated examples, means inside of a loss, and batch norm of G over examples that depend on nothing: those of
    further D-steps, and of each part of a batch, which lazy penalties and G's step generate again.
    """
    train, parts = config.train, config.train.accumulate
    n = (train.d_steps_per_g_step or 1) * parts
    if n == 1 and not config.model.d_batch_norm and not coupled_terms(config):
        return 1
    if parts == 1:
        return n + 3
    return n * (2 if config.regularizers.interval > 1 else 1) + 2 * parts + 1


def has_started() -> bool:
    """Says whether JAX has started its devices, after which their number and their threads are fixed."""
    before = _asked_for()
    try:
        jax.config.update("jax_num_cpu_devices", 2 if before == 1 else 1)  # refused once there are devices
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", before)
    return False


def provide_threads() -> None:
    """Asks for enough threads for virtual devices that a caller has set up, in a notebook say, before JAX starts."""
    flag = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    devices = max(_asked_for(), *map(int, flag), 1)
    if devices > 1 and THREADS not in os.environ and not has_started():
        os.environ[THREADS] = str(threads_for(devices, COLLECTIVES))


def check_threads(devices: int, collectives: int) -> None:
    """Refuses virtual devices that could wait for each other for ever, because JAX has started with too few threads.

    Args:
      devices: number of this process's CPU devices.
      collectives: number of the step's collectives that can wait at the same time.

    Raises:
      UserError: saying how many threads there are and how many it takes.
    """
    there, needed = threads(devices), threads_for(devices, collectives)
    if devices > 1 and there < needed:
        raise UserError(
            f"JAX has started with {there} threads for {devices} CPU devices, which could wait for each other "
            f"for ever: start Python again, with the environment variable {THREADS}={needed} or with a call of "
            "jaxgan.devices.cpu.use_cpu_devices_for(config) before anything is computed."
        )


def _asked_for() -> int:
    """Number of CPU devices that JAX's configuration asks for; -1: none."""
    return getattr(jax.config, "jax_num_cpu_devices")  # noqa: B009, JAX's own types do not know it


def threads_for(devices: int, collectives: int) -> int:
    """Computes how many threads keep so many devices from waiting for ever."""
    return max(collectives * (devices - 1) + 1, devices)


def threads(devices: int) -> int:
    """Number of threads of XLA's pool once it has started with so many CPU devices."""
    return max(int(os.environ.get(THREADS) or _cores()), devices)


def _cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
