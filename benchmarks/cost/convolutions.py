"""Times the forms of `jaxgan.nn.conv_dispatch` against stock convolutions, in turn on one core: `python -m
benchmarks.cost.convolutions`.

GFLOP/s are counted as those of the convolution as it is usually written, whatever a form really computes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

ROUNDS, TURN_SECONDS = 7, 0.05


class Convolution(NamedTuple):
    """One layer of a game, with the share of the batch that one of two devices gets."""

    kind: str  # a name of PRODUCTS
    images: int
    size: int  # of the image with the higher resolution
    inputs: int
    outputs: int


# What one output and pair of channels costs as usually written, in products.
PRODUCTS = {"3x3": 9, "4x4, stride 2": 16, "3x3, then averaged": 4 * 9, "enlarged, then 3x3": 9}
LAYERS = (
    Convolution("4x4, stride 2", 64, 28, 1, 64),
    Convolution("4x4, stride 2", 64, 14, 64, 128),
    Convolution("4x4, stride 2", 32, 14, 64, 128),
    Convolution("4x4, stride 2", 64, 32, 3, 64),
    Convolution("4x4, stride 2", 64, 16, 64, 128),
    Convolution("4x4, stride 2", 64, 8, 128, 256),
    Convolution("4x4, stride 2", 32, 32, 64, 128),
    Convolution("3x3", 32, 32, 128, 128),
    Convolution("3x3", 32, 16, 128, 128),
    Convolution("3x3", 64, 16, 64, 64),
    Convolution("3x3", 64, 8, 64, 64),
    Convolution("enlarged, then 3x3", 32, 32, 128, 128),
    Convolution("enlarged, then 3x3", 32, 8, 128, 128),
    Convolution("3x3, then averaged", 64, 32, 64, 64),
)


def programs(layer: Convolution) -> Iterator[tuple[str, Callable, Callable, tuple]]:
    """Compiles, for each derivative, the stock program and the chosen one; gives both with their name and arguments."""
    import jax
    import jax.numpy as jnp

    from jaxgan.nn import conv, conv_dispatch

    def stock(x, kernel):
        if layer.kind == "enlarged, then 3x3":
            x = x.repeat(2, axis=1).repeat(2, axis=2)
        y = conv_dispatch.strided(x, kernel, 2 if layer.kind == "4x4, stride 2" else 1)
        if layer.kind == "3x3, then averaged":
            b, h, w, c = y.shape
            y = y.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
        return y

    by_kind: dict[str, Callable] = {
        "3x3": conv.conv,
        "4x4, stride 2": partial(conv.conv, stride=2),
        "3x3, then averaged": conv.conv_pool,
        "enlarged, then 3x3": conv.upsample_conv,
    }
    chosen = by_kind[layer.kind]
    keys, k = jax.random.split(jax.random.key(0), 3), 4 if layer.kind == "4x4, stride 2" else 3
    size = layer.size // 2 if layer.kind == "enlarged, then 3x3" else layer.size
    x = jax.random.normal(keys[0], (layer.images, size, size, layer.inputs))
    kernel = 0.05 * jax.random.normal(keys[1], (k, k, layer.inputs, layer.outputs))
    y = jax.eval_shape(stock, x, kernel)
    g = jax.random.normal(keys[2], y.shape)

    def by_image(f):
        return lambda x, kernel, g: jax.vjp(lambda x: f(x, kernel), jnp.zeros_like(x))[1](g)[0]

    def by_kernel(f):
        return lambda x, kernel, g: jax.vjp(lambda kernel: f(x, kernel), jnp.zeros_like(kernel))[1](g)[0]

    yield "forward", lambda x, k, g: stock(x, k), lambda x, k, g: chosen(x, k), (x, kernel, g)
    yield "by image", by_image(stock), by_image(chosen), (x, kernel, g)
    yield "by kernel", by_kernel(stock), by_kernel(chosen), (x, kernel, g)


def seconds(candidates: list[Callable], arguments: tuple) -> list[float]:
    """Times the programs in interleaved rounds, and gives the shortest time of each."""
    import jax

    compiled = [jax.jit(f).lower(*arguments).compile() for f in candidates]
    best = [float("inf")] * len(compiled)
    for f in compiled:
        jax.block_until_ready(f(*arguments))
    for _ in range(ROUNDS):
        for i, f in enumerate(compiled):
            calls, start = 0, time.perf_counter()
            while calls == 0 or time.perf_counter() - start < TURN_SECONDS:
                jax.block_until_ready(f(*arguments))
                calls += 1
            best[i] = min(best[i], (time.perf_counter() - start) / calls)
    return best


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from jaxgan.devices.cpu import use_cpu_devices

    use_cpu_devices(2, 2)  # the fast forms are for devices of one core each; both share the one here
    print("| convolution | images, size, channels | derivative | stock ms (GFLOP/s) | chosen ms (GFLOP/s) | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for layer in LAYERS:
        pixels = layer.images * layer.size**2 // (1 if layer.kind in ("3x3", "enlarged, then 3x3") else 4)
        work = 2 * pixels * PRODUCTS[layer.kind] * layer.inputs * layer.outputs / 1e9
        what = f"{layer.images}, {layer.size}x{layer.size}, {layer.inputs} to {layer.outputs}"
        for name, stock, chosen, arguments in programs(layer):
            slow, fast = seconds([stock, chosen], arguments)
            times = " | ".join(f"{1000 * s:.2f} ({work / s:.0f})" for s in (slow, fast))
            print(f"| {layer.kind} | {what} | {name} | {times} | {slow / fast:.2f} |", flush=True)


if __name__ == "__main__":
    main()
