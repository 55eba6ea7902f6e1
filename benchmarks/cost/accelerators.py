"""Computes the step time that accelerators would allow at best: `python -m benchmarks.cost.accelerators
[--models=dcgan28,ring]`.

Computed, not measured: this runs on any machine, and nothing of it on an accelerator. A step of one device cannot take
less than its operations at the peak rate, nor less than its bytes at the peak bandwidth (the roofline).

Operations are counted by XLA in the program as lowered for the TPU, which has the accelerator's form of every layer.
Bytes are given twice. At least, state and batch are read and the new state is written, once each. At most, every
instruction reads its operands from main memory and writes its result there; of the program after fusion, as the TPU's
compiler leaves it, where libtpu is installed (it compiles without a TPU: `pip install "jax[tpu]"`), else before fusion.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from benchmarks.games import SHAPES, config_of
from jaxgan.config.config import Config
from jaxgan.errors import UserError, suggest
from jaxgan.steps import train_step
from jaxgan.steps.gan import build, init, make_hyper
from jaxgan.steps.randomness import seed_keys

MODELS = ("dcgan28", "dcgan32", "dcgan64", "resnet32", "ring")
BATCH_SIZES = (64, 256)  # of one device
TOPOLOGY = "v5e:2x2"  # the smallest that libtpu describes by default; one of its chips is compiled for


class Peak(NamedTuple):
    """The vendor's peak rates, in operations and bytes per second."""

    flops: float
    bandwidth: float


# Dense rates of the H100 SXM5 by what multiplies: bfloat16; TF32, JAX's default for float32; float32 outside of the
# tensor cores. NVIDIA H100 Tensor Core GPU Architecture (white paper), table of H100 SXM5, and the data sheet:
# https://resources.nvidia.com/en-us-tensor-core/nvidia-tensor-core-gpu-datasheet (with sparsity: twice as much).
# The TPU multiplies bfloat16, which is JAX's default for float32 there. https://cloud.google.com/tpu/docs/v5e
PEAKS = {
    "H100, bfloat16": Peak(989.4e12, 3.35e12),
    "H100, TF32": Peak(494.7e12, 3.35e12),
    "H100, float32": Peak(66.9e12, 3.35e12),
    # The H200 computes at the same rates and has faster memory: https://www.nvidia.com/en-us/data-center/h200/
    "H200, bfloat16": Peak(989.4e12, 4.8e12),
    "H200, TF32": Peak(494.7e12, 4.8e12),
    "H200, float32": Peak(66.9e12, 4.8e12),
    "TPU v5e": Peak(197e12, 819e9),
}


class Work(NamedTuple):
    """Operations and bytes of one training step on one device."""

    flops: float  # multiplications and additions apart
    least: float  # bytes that must be moved: state and batch read, state written
    most: float  # bytes, were nothing kept on the chip between two instructions


def seconds(flops: float, moved: float, peak: Peak) -> float:
    """Gives the roofline bound: the larger of computing time and moving time, each at its peak rate.

    >>> seconds(6.0, 1.0, Peak(flops=2.0, bandwidth=1.0)), seconds(6.0, 5.0, Peak(flops=2.0, bandwidth=1.0))
    (3.0, 5.0)
    """
    return max(flops / peak.flops, moved / peak.bandwidth)


def config_and_shape(model: str, batch_size: int) -> tuple[Config, tuple[int, ...]]:
    """Builds the configuration of a model, and gives the shape of its examples."""
    if model != "dcgan64":
        return config_of(model, batch_size), SHAPES[model]
    config = config_of("dcgan32", batch_size)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=64)), (64, 64, 3)


def work(config: Config, shape: tuple[int, ...]) -> Work:
    """Counts a step of one device, of which `config.train.batch_size` is the share."""
    gan = build(config, shape)

    def make():
        leading = (gan.d_steps_per_g_step, config.train.batch_size)
        batch = {"image": jnp.zeros((*leading, *shape)), "label": jnp.zeros(leading, jnp.int32)}
        keys = seed_keys(config.seed)
        return init(gan, keys.init), batch, keys.train, make_hyper(config)

    step = jax.jit(partial(train_step, gan), donate_argnums=0)
    arguments = jax.eval_shape(make)
    lowered = step.trace(*arguments).lower(lowering_platforms=("tpu",)).cost_analysis()
    most = _compiled_bytes(step, arguments) if has_libtpu() else lowered["bytes accessed"]
    return Work(lowered["flops"], size_of(arguments) + size_of(jax.eval_shape(step, *arguments)), most)


def has_libtpu() -> bool:
    """Whether the TPU's compiler is installed."""
    return importlib.util.find_spec("libtpu") is not None


def _compiled_bytes(step, arguments) -> float:
    from jax.experimental import topologies

    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # there is no TPU to ask after
    chip = SingleDeviceSharding(topologies.get_topology_desc(TOPOLOGY, platform="tpu").devices[0])
    placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=chip), arguments)
    return step.lower(*placed).compile().cost_analysis()["bytes accessed"]


def size_of(tree: Any) -> int:
    """Counts the bytes of all arrays of a tree, except random keys."""
    leaves = [x for x in jax.tree.leaves(tree) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
    return sum(x.size * np.dtype(x.dtype).itemsize for x in leaves)


def render(rows: Sequence[tuple[str, int, Work]], fused: bool) -> str:
    """Formats (model, batch per device, work) as a Markdown table."""
    most = "after fusion" if fused else "before fusion"
    head = ["model", "batch per device", "GFLOP", "MB at least", f"MB {most}", "FLOP / byte", *PEAKS]
    lines = [head, ["---"] * len(head)]
    for model, batch_size, w in rows:
        times = [_range(1e3 * seconds(w.flops, w.least, p), 1e3 * seconds(w.flops, w.most, p)) for p in PEAKS.values()]
        counts = [_short(x) for x in (w.flops / 1e9, w.least / 1e6, w.most / 1e6)]
        lines.append([model, str(batch_size), *counts, _range(w.flops / w.most, w.flops / w.least), *times])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _range(low: float, high: float) -> str:
    texts = [_short(x) for x in (low, high)]
    return " to ".join(dict.fromkeys(texts))


def _short(x: float) -> str:
    return np.format_float_positional(x, precision=2, fractional=False, trim="-")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cost.accelerators", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--models", help=f"comma-separated, of {', '.join(MODELS)}; default: all")
    names = [name.strip() for name in (parser.parse_args().models or "").split(",") if name.strip()]
    for name in names:
        if name not in MODELS:
            raise suggest("--models", name, MODELS)
    jax.config.update("jax_platforms", "cpu")
    chosen = [(model, size) for model in names or MODELS for size in BATCH_SIZES]
    rows = [(model, size, work(*config_and_shape(model, size))) for model, size in chosen]
    print("Computed, not measured: ms per training step at best, from both counts of bytes.\n")
    print(render(rows, has_libtpu()))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(f"benchmarks: {error}") from None
