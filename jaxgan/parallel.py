"""The only file that knows of devices: which there are, the axis name, the map over them, where arrays lie."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgan.architectures import ARCHITECTURES
from jaxgan.combinations import groups_in_batch
from jaxgan.config import Config
from jaxgan.errors import UserError
from jaxgan.memory import keep_memory
from jaxgan.steps import collectives_at_once

AXIS = "batch"

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


def _provide_threads() -> None:
    """For virtual devices that a caller has set up, in a notebook say; too late once JAX has computed something."""
    if _virtual_devices() > 1:
        os.environ.setdefault("PJRT_NPROC", str(_threads(_virtual_devices(), COLLECTIVES)))


def _threads(devices: int, collectives: int) -> int:
    return max(collectives * (devices - 1) + 1, devices)


_provide_threads()


def use_cpu_devices(requested: int | None, batch_size: int, collectives: int = COLLECTIVES) -> None:
    """Makes each CPU core a device, which is faster than one device with threads. Call it before JAX computes anything.

    XLA:CPU runs elementwise work on one thread, so data parallelism over virtual devices with single-threaded
    convolutions wins. Has no effect on accelerators.

    Args:
      requested: number of devices; None: the largest number of this process's cores that divides the batch.
      batch_size: of the run, global.
      collectives: how many of a step's collectives can wait for other devices at the same time; with less than the
        truth the step may hang. See `steps.collectives_at_once`.

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


def scan_steps(step: Callable, k: int) -> Callable:
    """`k` calls of a step as one, so that the host is asked once for all of them.

    Args:
      step: `(state, batch, key, hyper) -> (state, metrics)`, batch leaves [n, B, ...].
      k: how many; 1 gives `step` itself.

    Returns:
      A function of the same arguments whose batch leaves are [k * n, B, ...], those of the first step first, and whose
      metrics are [k], one of each step.
    """
    if k == 1:
        return step

    def steps(state, batches, key, hyper):
        batches = jax.tree.map(lambda x: x.reshape(k, x.shape[0] // k, *x.shape[1:]), batches)
        return lax.scan(lambda state, batch: step(state, batch, key, hyper), state, batches)

    return steps


class Devices:
    """Maps a per-device step over devices with `pmap`; state replicated, batch split.

    `in_axes=None, out_axes=None` keep the state truly replicated, without a leading device axis, so that it goes to
    a checkpoint as it is. Whatever a mapped function returns must be equal on all devices: average it over `AXIS`.
    """

    def __init__(self, devices: Sequence[jax.Device] | None = None):
        _provide_threads()
        self.devices = list(devices or jax.devices())
        self.local = [d for d in self.devices if d.process_index == jax.process_index()]
        # On the *local* mesh even with several processes: pmap takes process-local arrays.
        self.replicated = NamedSharding(Mesh(np.asarray(self.local), (AXIS,)), P())

    @property
    def description(self) -> str:
        """How many of which kind, and a CPU's threads, such as "2 x cpu, 8 threads": what bit-equal runs share."""
        kind = self.devices[0].device_kind
        threads = os.environ.get("PJRT_NPROC") or os.cpu_count()
        return f"{len(self.devices)} x {kind}" + (f", {threads} threads" if kind == "cpu" else "")

    def map(self, step: Callable) -> Callable:
        """Compiles `step(state, batch, key, hyper) -> (state, metrics)`; the state is donated."""
        return jax.pmap(
            step,
            axis_name=AXIS,
            in_axes=(None, 0, None, None),
            out_axes=(None, None),
            donate_argnums=0,
            devices=None if self.devices == jax.devices() else self.devices,
        )

    def map_examples(self, f: Callable, joined: bool = False) -> Callable:
        """Compiles `f(variables, examples)` for replicated variables and examples as `split` gives them.

        What it returns has a leading axis of devices too; with `joined` it is equal on all devices, and has none.
        """
        return jax.pmap(
            f,
            axis_name=AXIS,
            in_axes=(None, 0),
            out_axes=None if joined else 0,
            devices=None if self.devices == jax.devices() else self.devices,
        )

    def shard_map(self, step: Callable) -> Callable:
        """The same by the newer map, which `jax.export` takes: there batch leaves are those of the global batch.

        `check_vma` is off because the step averages its gradients itself: with the check on they would be summed too.
        """
        mesh = Mesh(np.asarray(self.devices), (AXIS,))
        specs = (P(), P(None, AXIS), P(), P())
        mapped = jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=(P(), P()), check_vma=False)
        return jax.jit(mapped, donate_argnums=0)

    def check_scan(self, k: int, convolutional: bool) -> None:
        """Refuses several steps in one call where that does not pay.

        XLA:CPU runs most gradients of convolutions by a slow routine wherever they stand in a loop
        (https://github.com/jax-ml/jax/issues/12868): 30 to 100 times slower, measured.

        Raises:
          UserError: `k` is more than 1, the devices are a CPU's, and the networks have convolutions.
        """
        if k > 1 and convolutional and self.devices[0].platform == "cpu":
            raise UserError(
                f"train.steps_per_call is {k}, which is for accelerators and for architectures without convolutions: "
                f"on a CPU the gradients of convolutions in such a call run many times slower, so set it to 1."
            )

    def replicate(self, make: Callable[[], Any]) -> Any:
        """`make()` compiled as one program, its arrays on every device."""
        return jax.jit(make, out_shardings=self.replicated)()

    def put(self, tree: Any) -> Any:
        """A copy of a tree of arrays on every device."""
        return jax.device_put(tree, self.replicated)

    def abstract(self, tree: Any) -> Any:
        """Shapes, types and places of a replicated tree: the target of a restore on whatever devices there are."""
        return jax.tree.map(partial(_abstract, sharding=self.replicated), tree)

    def split(self, examples: Any) -> Any:
        """Leaves [B, ...] -> [devices, B / devices, ...]."""
        n = len(self.local)
        return jax.tree.map(lambda x: x.reshape(n, len(x) // n, *x.shape[1:]), examples)

    def shard(self, batches: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """This process's slices of n batches, leaves [B, ...] -> one leaf [devices, n, B / devices, ...]."""

        def split(*leaves: np.ndarray) -> np.ndarray:
            parts = [x.reshape(len(self.local), len(x) // len(self.local), *x.shape[1:]) for x in leaves]
            return np.stack(parts, axis=1)

        return jax.tree.map(split, *batches)


def _abstract(x: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
