"""Maps a step over devices. Only this file knows which devices there are, how they are mapped and where arrays lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgan.devices.cpu import check_threads, provide_threads
from jaxgan.errors import UserError

AXIS = "batch"


def scan_steps(step: Callable, k: int) -> Callable:
    """Joins `k` calls of a step to one, so that the host waits for one program in place of k.

    Args:
      step: `(state, batch, key, hyper) -> (state, metrics)`, batch leaves [n, B, ...].
      k: number of calls; 1 gives `step` itself.

    Returns:
      A function of the same arguments whose batch leaves are [k * n, B, ...], the first step's first, and whose metrics
      are [k], one entry for each step.
    """
    if k == 1:
        return step

    def steps(state, batches, key, hyper):
        batches = jax.tree.map(lambda x: x.reshape(k, x.shape[0] // k, *x.shape[1:]), batches)
        return lax.scan(lambda state, batch: step(state, batch, key, hyper), state, batches)

    return steps


class Devices:
    """Maps a per-device step over devices with `pmap`: the state is replicated, the batch split.

    `in_axes=None, out_axes=None` keep the state replicated without a leading device axis, so that it goes to a
    checkpoint as it is. Whatever a mapped function returns must be equal on all devices: average it over `AXIS`.
    """

    def __init__(self, devices: Sequence[jax.Device] | None = None):
        provide_threads()
        self.devices = list(devices or jax.devices())
        self.local = [d for d in self.devices if d.process_index == jax.process_index()]
        # On the *local* mesh even with several processes: pmap takes process-local arrays.
        self.replicated = NamedSharding(Mesh(np.asarray(self.local), (AXIS,)), P())

    @classmethod
    def first(cls) -> Devices:
        """Takes the first device of this process alone."""
        provide_threads()  # before `local_devices` starts JAX
        return cls(jax.local_devices()[:1])

    @property
    def description(self) -> str:
        """Number and kind of the devices and a CPU's threads, as "2 x cpu, 8 threads": bit-equal runs share them."""
        kind = self.devices[0].device_kind
        threads = os.environ.get("PJRT_NPROC") or os.cpu_count()
        return f"{len(self.devices)} x {kind}" + (f", {threads} threads" if kind == "cpu" else "")

    def check_threads(self, collectives: int) -> None:
        """Refuses CPU devices that could wait for each other for ever; see `cpu.check_threads`."""
        if self.devices[0].platform == "cpu":
            check_threads(len(self.local), collectives)

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
        """Compiles `f(variables, examples)` for replicated variables and for examples as `split` returns them.

        The result has a leading axis of devices, except with `joined`: then it must be equal on all devices.
        """
        return jax.pmap(
            f,
            axis_name=AXIS,
            in_axes=(None, 0),
            out_axes=None if joined else 0,
            devices=None if self.devices == jax.devices() else self.devices,
        )

    def shard_map(self, step: Callable) -> Callable:
        """Compiles the same as `map` by the newer map, which `jax.export` takes; batch leaves are the global batch's.

        `check_vma` is off because the step averages its gradients itself: with the check on they would also be summed.
        """
        mesh = Mesh(np.asarray(self.devices), (AXIS,))
        specs = (P(), P(None, AXIS), P(), P())
        mapped = jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=(P(), P()), check_vma=False)
        return jax.jit(mapped, donate_argnums=0)

    def check_scan(self, k: int, convolutional: bool) -> None:
        """Refuses several steps in one call where that would be slower.

        XLA:CPU runs most gradients of convolutions by a slow routine wherever they stand in a loop
        (https://github.com/jax-ml/jax/issues/12868): 30 to 100 times slower, measured.

        Raises:
          UserError: `k` is more than 1, the devices are a CPU's, and the networks have convolutions.
        """
        if k > 1 and convolutional and self.devices[0].platform == "cpu":
            raise UserError(
                f"train.steps_per_call is {k}, which is for accelerators and for architectures without convolutions: "
                "on a CPU the gradients of convolutions in such a call run many times slower, so set it to 1."
            )

    def replicate(self, make: Callable[[], Any]) -> Any:
        """Runs `make()` as one compiled program that leaves its arrays on every device."""
        return jax.jit(make, out_shardings=self.replicated)()

    def put(self, tree: Any) -> Any:
        """Copies a tree of arrays to every device."""
        return jax.device_put(tree, self.replicated)

    def abstract(self, tree: Any) -> Any:
        """Describes a replicated tree by shapes, types and places: the target of a restore on any number of devices."""
        return jax.tree.map(partial(_abstract, sharding=self.replicated), tree)

    def split(self, examples: Any) -> Any:
        """Reshapes leaves [B, ...] to [devices, B / devices, ...]."""
        n = len(self.local)
        return jax.tree.map(lambda x: x.reshape(n, len(x) // n, *x.shape[1:]), examples)

    def shard(self, batches: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Stacks n batches with leaves [B, ...] to one with leaves [devices, n, B / devices, ...]."""

        def split(*leaves: np.ndarray) -> np.ndarray:
            parts = [x.reshape(len(self.local), len(x) // len(self.local), *x.shape[1:]) for x in leaves]
            return np.stack(parts, axis=1)

        return jax.tree.map(split, *batches)


def _abstract(x: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
