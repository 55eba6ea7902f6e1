"""Checks jaxgan on the accelerator of this machine in one run: `make accelerator-check`.

It compares convolutions, spectral norm, losses, penalties and whole steps with the CPU, checks that a run resumes bit
for bit, and times training steps beside PyTorch and beside the roofline bound. It needs no network, says what it leaves
out for lack of a package or of time, and writes one JSON file and a Markdown table. On a CPU it runs in a small
setting, which shows that the check itself works; the times of that setting say nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

MODELS = ("dcgan32", "resnet32", "biggan64", "r3gan64")
TWINS = ("dcgan32", "resnet32")  # the models that have a PyTorch twin
DTYPES = ("float32", "bfloat16")
PARTS = ("numbers", "resume", "speed", "torch", "population")
MINUTES = 8.0
RESUME_FLAGS = "--xla_gpu_deterministic_ops=true"
PACKAGES = ("torch", "libtpu")  # that a part needs and may do without
# |ours - reference| / |reference| in float32 with full-precision products. Sums are ordered otherwise on each device.
CLOSE = 1e-4
STEP_CLOSE = 1e-3


class Row(NamedTuple):
    """One line of the result.

    Attributes:
      part: one of `PARTS`.
      name: what was measured.
      value: the figure; None where there is none.
      unit: of the figure.
      limit: largest value that passes; None for figures that are only reported.
      note: what a reader has to know, such as why there is no figure.
    """

    part: str
    name: str
    value: float | None
    unit: str = ""
    limit: float | None = None
    note: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is a limit that the value does not keep, NaN included."""
        return self.limit is not None and not (self.value is not None and self.value <= self.limit)


@dataclasses.dataclass(frozen=True)
class Setting:
    """Sizes of the check; the small ones are for a CPU."""

    batch_size: int = 64
    steps: int = 50
    base_features: int | None = None  # None: the model's usual width
    members: int = 16

    @classmethod
    def small(cls) -> Setting:
        """The setting for a CPU, where only the check itself is on trial."""
        return cls(batch_size=4, steps=2, base_features=4, members=2)


def config_of(model: str, dtype: str, setting: Setting) -> tuple[Any, tuple[int, ...]]:
    """Builds the configuration of a model, and gives the shape of its examples."""
    from jaxgan.config.config import Config

    games: dict[str, dict[str, dict[str, Any]]] = {
        "dcgan32": {"model": {"architecture": "dcgan"}},
        "resnet32": {"model": {"architecture": "sngan_resnet"}, "loss": {"name": "hinge"}},
        "biggan64": {"model": {"architecture": "biggan", "z_dim": 120}, "loss": {"name": "hinge"}},
        "r3gan64": {
            "model": {"architecture": "r3gan", "g_batch_norm": False, "d_spectral_norm": False},
            "loss": {"name": "relativistic_paired"},
            "regularizers": {"r1": 1.0, "r2": 1.0},
        },
    }
    values = games[model]
    size = int(model[-2:])
    values["data"] = {"image_size": size}
    values["train"] = {"batch_size": setting.batch_size, "dtype": dtype, "d_steps_per_g_step": 1}
    if setting.base_features:
        values["model"]["base_features"] = setting.base_features
    return Config.from_dict(values), (size, size, 3)


# Numbers against the CPU.


def relative(ours: Any, reference: Any) -> float:
    """Computes the largest |a - b| / |b| over the leaves of two trees (2-norm); |a| where b is 0, NaN if any is."""
    import jax
    import numpy as np

    worst = 0.0
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
        x, y = (np.asarray(leaf, np.float64) for leaf in (a, b))
        size = float(np.linalg.norm(y))
        error = float(np.linalg.norm(x - y)) / (size or 1.0)
        if math.isnan(error):
            return error
        worst = max(worst, error)
    return worst


def on_both(function: Callable[..., Any], *arguments: Any) -> float:
    """Gives the `relative` difference between a function's results on the accelerator and on the CPU.

    Both multiply in full precision.
    """
    import jax

    found = []
    for device in (jax.devices()[0], jax.devices("cpu")[0]):
        with jax.default_matmul_precision("highest"), jax.default_device(device):
            found.append(jax.device_get(jax.jit(function)(*jax.device_put(arguments, device))))
    return relative(*found)


def numbers(setting: Setting) -> Iterator[Row]:
    """Compares layers, losses, penalties and steps with the CPU."""
    import jax
    import jax.numpy as jnp

    from jaxgan.architectures import DOutput
    from jaxgan.nn.layers import Conv, ConvTranspose
    from jaxgan.techniques.losses import LOSSES
    from jaxgan.techniques.penalties import PENALTIES

    key = jax.random.key(0)
    n = setting.batch_size
    x = jax.random.normal(key, (n, 16, 16, 8))
    layers: dict[str, Any] = {
        "conv 3x3": Conv(16, 3),
        "conv 4x4, stride 2": Conv(16, 4, stride=2),
        "conv 4x4, stride 2, spectral norm": Conv(16, 4, stride=2, spectral_norm=True),
        "transposed conv 4x4, stride 2": ConvTranspose(16, 4, stride=2),
    }
    for name, layer in layers.items():
        variables = layer.init(jax.random.key(1), x, train=False)

        def penalized(params: Any, x: Any, layer: Any = layer, variables: Any = variables) -> Any:
            def loss(x: Any) -> Any:
                return jnp.sum(jnp.tanh(layer.apply({**variables, "params": params}, x, train=False)))

            return loss(x) + 0.5 * jnp.sum(jax.grad(loss)(x) ** 2)  # second derivatives, as in R1

        value = on_both(jax.value_and_grad(penalized, (0, 1)), variables["params"], x)
        yield Row("numbers", f"{name}, first and second derivatives", value, "relative", CLOSE)
    logits = jax.random.normal(key, (2, 64)) * 3
    for name, pair in LOSSES.items():
        value = on_both(lambda r, f, p=pair: [jax.value_and_grad(g, (0, 1))(r, f) for g in (p.d, p.g)], *logits)
        yield Row("numbers", f"loss {name}", value, "relative", CLOSE)
    weight = jax.random.normal(jax.random.key(2), (16 * 16 * 8, 1)) / 45

    def apply(x: Any) -> Any:
        logits = jnp.tanh(x.reshape(len(x), -1) @ weight)[:, 0]
        return DOutput(logits, logits, {})

    keys = jax.random.split(jax.random.key(3), n)
    for name, penalty in PENALTIES.items():
        value = on_both(lambda real, fake, k, f=penalty: f(apply, real, fake, k, jnp.mean), x, -x, keys)
        yield Row("numbers", f"penalty {name}", value, "relative", CLOSE)
    for model in MODELS:
        config, shape = config_of(model, "float32", setting)
        step, state, batch, hyper = a_step(config, shape)
        value = on_both(lambda *args, s=step: s(*args)[1], state, batch, jax.random.key(5), hyper)
        yield Row("numbers", f"scalars of a {model} step", value, "relative", STEP_CLOSE)


def a_step(config: Any, shape: tuple[int, ...], members: int = 0) -> tuple[Callable[..., Any], Any, Any, Any]:
    """Builds a step on one device with its state, a batch and its hyper; with `members`, a state of so many seeds."""
    from functools import partial

    import jax
    import jax.numpy as jnp

    from jaxgan.steps import train_step
    from jaxgan.steps.gan import build, init, make_hyper

    gan = build(config, shape)
    leading = (gan.d_steps_per_g_step, config.train.batch_size)
    image = jax.random.uniform(jax.random.key(4), (*leading, *shape), jnp.float32, -1, 1)
    batch = {"image": image, "label": jnp.zeros(leading, jnp.int32)}
    keys = jax.random.split(jax.random.key(0), members) if members else jax.random.key(0)
    make = partial(init, gan)
    state = jax.jit(jax.vmap(make) if members else make)(keys)
    return partial(train_step, gan), state, batch, make_hyper(config)


# Resuming.


def resume(setting: Setting) -> Iterator[Row]:
    """Trains a run whole and in two processes, and compares the ends bit by bit."""
    with tempfile.TemporaryDirectory() as place:
        checksums = []
        for name, stops in (("whole", (12,)), ("halves", (6, 12))):
            for steps in stops:
                done = worker("train", os.path.join(place, name), str(steps), flags=RESUME_FLAGS)
            checksums.append(done["checksum"])
    note = f"with XLA_FLAGS={RESUME_FLAGS}"
    yield Row("resume", "DCGAN with spectral norm, 12 steps against 6 + 6", float(len({*checksums}) - 1), "", 0.0, note)


def train(workdir: str, steps: str) -> dict[str, Any]:
    """Trains the run of `resume` and gives a checksum of its state."""
    import jax

    import jaxgan
    from jaxgan.runs.checkpoints import digest

    values = {
        "model": {"base_features": 8, "z_dim": 16},
        "train": {"num_steps": int(steps), "batch_size": 16, "sample_every": 0, "checkpoint_every": 6},
    }
    return {"checksum": digest(jax.device_get(jaxgan.train(values, workdir)))}


# Speed.


def timed(run: Callable[[], Any], steps: int) -> float:
    """Milliseconds for one of `steps` calls after a warm-up; `run` returns when its work is done."""
    run()
    start = time.perf_counter()
    for _ in range(steps):
        run()
    return 1e3 * (time.perf_counter() - start) / steps


def speed(setting: Setting) -> Iterator[Row]:
    """Times a step of each model in each precision, and gives the roofline bound where the device's peaks are known."""
    import jax

    from benchmarks.cost.accelerators import PEAKS, seconds, size_of
    from jaxgan.devices.devices import scan_steps

    per_call = 1 if jax.default_backend() == "cpu" else 10
    for model in MODELS:
        for dtype in DTYPES:
            config, shape = config_of(model, dtype, setting)
            step, state, batch, hyper = a_step(config, shape)
            batches = jax.tree.map(lambda x, k=per_call: jax.numpy.concatenate([x] * k), batch)
            program = jax.jit(scan_steps(step, per_call), donate_argnums=0)
            key = jax.random.key(0)
            start = time.perf_counter()
            compiled = program.lower(state, batches, key, hyper).compile()
            yield Row("speed", f"{model}, {dtype}: compiling", time.perf_counter() - start, "s")
            held = [state]

            def call(held=held, compiled=compiled, batches=batches, key=key, hyper=hyper) -> None:
                held[0], metrics = compiled(held[0], batches, key, hyper)
                jax.block_until_ready(metrics)

            name = f"{model}, {dtype}, batch {setting.batch_size}"
            yield Row("speed", name, timed(call, setting.steps) / per_call, "ms per step")
            cost = jax.jit(step).lower(held[0], batch, key, hyper).cost_analysis() or {}
            kind = jax.devices()[0].device_kind
            for peak_name, peak in PEAKS.items():
                if peak_name.partition(",")[0] in kind and cost.get("flops"):
                    least = seconds(cost["flops"], size_of((held[0], batch)) + size_of(held[0]), peak)
                    yield Row("speed", f"{name}: bound by {peak_name}", 1e3 * least, "ms per step", note="computed")


def torch(setting: Setting) -> Iterator[Row]:
    """Times the PyTorch twins on the same device, eager (channels-last) and compiled."""
    import jax

    if importlib.util.find_spec("torch") is None:
        yield Row("torch", "PyTorch twins", None, note="not run: torch is not installed")
        return
    on_cpu = jax.default_backend() == "cpu"
    for model in TWINS:
        for way in ("eager",) if on_cpu else ("eager", "compile"):
            done = worker("twin", model, way, json.dumps(dataclasses.asdict(setting)))
            name = f"{model}, float32, batch {setting.batch_size}, PyTorch {way} on {done.get('device')}"
            yield Row("torch", name, done.get("ms"), "ms per step", note=done.get("why", ""))


def twin(model: str, way: str, setting_json: str) -> dict[str, Any]:
    """Times one PyTorch twin; `why` says why there is no time."""
    import torch as t

    from benchmarks.parity.twins import Twin

    setting = Setting(**json.loads(setting_json))
    device = "cuda" if t.cuda.is_available() else "cpu"
    config, shape = config_of(model, "float32", setting)
    t.set_default_device(device)
    t.backends.cuda.matmul.allow_tf32 = t.backends.cudnn.allow_tf32 = True  # JAX's default precision on such a GPU
    game = Twin(config, shape, compile=way == "compile")
    image = t.rand(setting.batch_size, shape[2], *shape[:2]).mul(2).sub(1)
    images = [image.contiguous(memory_format=t.channels_last)]

    def call() -> None:
        game.train_step(images, [t.randn(setting.batch_size, config.model.z_dim)])
        if device == "cuda":
            t.cuda.synchronize()

    for _ in range(3):
        call()
    return {"ms": timed(call, setting.steps), "device": device}


def population(setting: Setting) -> Iterator[Row]:
    """Times a step of several seeds under `vmap`, per member, beside the step of one."""
    import jax

    from jaxgan.config.config import Config

    ring = {
        "data": {"source": "synthetic", "name": "ring"},
        "model": {"architecture": "mlp", "output": "linear", "z_dim": 2, "g_batch_norm": False},
        "train": {"batch_size": 4 * setting.batch_size, "d_steps_per_g_step": 1},
    }
    games = {"mlp, points": (Config.from_dict(ring), (2,)), "dcgan32": config_of("dcgan32", "float32", setting)}
    for name, (config, shape) in games.items():
        for members in (0, setting.members):
            step, state, batch, hyper = a_step(config, shape, members)
            mapped = jax.vmap(step, (0, None, None, None)) if members else step
            program = jax.jit(mapped, donate_argnums=0)
            held = [state]

            def call(held=held, program=program, batch=batch, hyper=hyper) -> None:
                held[0], metrics = program(held[0], batch, jax.random.key(1), hyper)
                jax.block_until_ready(metrics)

            said = f"{members} members by vmap" if members else "one run"
            each = timed(call, setting.steps) / (members or 1)
            yield Row("population", f"{name}: {said}", each, "ms per member's step")


RUNS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "numbers": numbers,
    "resume": resume,
    "speed": speed,
    "torch": torch,
    "population": population,
}
WORKERS: dict[str, Callable[..., dict[str, Any]]] = {"train": train, "twin": twin}


def worker(name: str, *arguments: str, flags: str = "") -> dict[str, Any]:
    """Runs one of `WORKERS` in a process of its own, which does not reserve the GPU's memory.

    Raises:
      RuntimeError: the process failed; with the last line that it printed.
    """
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flags}".strip()
    command = [sys.executable, "-m", "benchmarks.cost.accelerator_check", "--worker", name, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"{name} failed: {last[:300]}")
    return json.loads(done.stdout.splitlines()[-1])


def check(setting: Setting, parts: tuple[str, ...], minutes: float) -> tuple[dict[str, Any], list[Row]]:
    """Runs the parts one after the other until the time is up; a part that fails becomes a failed row."""
    import jax

    end = time.monotonic() + 60 * minutes
    devices = jax.devices()
    about = {
        "device": devices[0].device_kind,
        "platform": devices[0].platform,
        "devices": len(devices),
        "jax": jax.__version__,
        "python": sys.version.split()[0],
        "setting": dataclasses.asdict(setting),
        "missing": [name for name in PACKAGES if importlib.util.find_spec(name) is None],
    }
    rows: list[Row] = []
    for part in parts:
        print(f"{part} ...", flush=True)
        try:
            for row in RUNS[part](setting):
                rows.append(row)
                print(f"  {line(row)}", flush=True)
                if time.monotonic() > end:
                    rows.append(Row(part, "the rest", None, note=f"left out: {minutes:g} minutes are over"))
                    break
        except Exception as error:  # any fault of the accelerator's is a result of the check
            said = " ".join(str(error).split())[:300]
            rows.append(Row(part, "did not finish", None, limit=0.0, note=f"{type(error).__name__}: {said}"))
            print(f"  {line(rows[-1])}", flush=True)
    return about, rows


def line(row: Row) -> str:
    """Formats a row for the terminal."""
    value = "" if row.value is None else f"{row.value:.3g} {row.unit}"
    verdict = "FAILED" if row.failed else "ok" if row.limit is not None else ""
    return "  ".join(filter(None, (row.name, value, verdict, row.note)))


def table(about: dict[str, Any], rows: list[Row]) -> str:
    """Formats the result as Markdown."""
    head = [
        f"One {about['device']} ({about['devices']} device(s), jax {about['jax']}).",
        f"Not installed: {', '.join(about['missing']) or 'nothing'}.",
        "",
        "| part | what | value | limit | result |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        value = "" if row.value is None else f"{row.value:.3g} {row.unit}"
        limit = "" if row.limit is None else f"{row.limit:g}"
        result = "FAILED" if row.failed else "ok" if row.limit is not None else ""
        head.append(f"| {row.part} | {row.name} | {value} | {limit} | {' '.join(filter(None, (result, row.note)))} |")
    return "\n".join(head)


def main() -> int:
    """Runs the check; the exit code is 1 if a figure is over its limit or a part did not finish."""
    parser = argparse.ArgumentParser(prog="make accelerator-check", description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated; default: all")
    parser.add_argument("--out", type=Path, default=Path("accelerator_check.json"), help="the JSON file to write")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="no further measurement starts after these")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.worker:
        print(json.dumps(WORKERS[flags.worker[0]](*flags.worker[1:])))
        return 0
    parts = tuple(part.strip() for part in flags.parts.split(","))
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"--parts has {unknown[0]!r}: the parts are {', '.join(PARTS)}")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # The CPU is what the numbers are compared with.
    if (platforms := os.environ.get("JAX_PLATFORMS")) and "cpu" not in platforms.split(","):
        os.environ["JAX_PLATFORMS"] = f"{platforms},cpu"
    import jax

    setting = Setting.small() if jax.default_backend() == "cpu" else Setting()
    about, rows = check(setting, parts, flags.minutes)
    flags.out.write_text(json.dumps({**about, "rows": [row._asdict() for row in rows]}, indent=1) + "\n")
    print(f"\n{table(about, rows)}\n\nwritten to {flags.out}")
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
