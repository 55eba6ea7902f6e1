"""A look at the data and at both networks before the first step. It changes nothing of the training."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.config import Config, as_config
from jaxgan.data import Source, as_source, make_batch, to_floats
from jaxgan.data.examples import permutation
from jaxgan.draws import seed_keys
from jaxgan.gan import GAN
from jaxgan.monitor import preflight as checks
from jaxgan.monitor.doctor.run import WITHOUT_LEVEL
from jaxgan.monitor.preflight import Facts, Remark
from jaxgan.parallel import Devices
from jaxgan.passes import discriminate_both, g_inputs, given, pack
from jaxgan.state import GANState

FILE = "preflight.json"
SEED = 0  # of the latents, and of which examples are looked at: no draw of the training's is used
EXAMPLES, STREAMED = 4096, 256  # that are looked at, at most; fewer where they have to be read from disk
VALUES = 2**24  # of all of them together, at most
BATCH = 64  # examples of each kind that pass through the networks, about
PRINTED = ("warning", "problem")  # what is only to be known is in the file, and in the report


def preflight(
    config,
    gan: GAN,
    state: GANState,
    source: Source | np.ndarray | tuple,
    devices: Devices | None = None,
) -> list[Remark]:
    """What is off with data, batches and networks, each in a sentence; an empty list where nothing is.

    Args:
      config: of the run, as `train` takes it.
      gan, state: built from it; the state is neither changed nor donated.
      source: what it is to be trained on, as `train` takes it.
      devices: that a game with a `gan.axis_name` is mapped over; None: all.

    Raises:
      UserError: examples or networks that training would refuse too.
    """
    return checks.remarks(facts(config, gan, state, source, devices))


def facts(
    config,
    gan: GAN,
    state: GANState,
    source: Source | np.ndarray | tuple,
    devices: Devices | None = None,
) -> Facts:
    """The numbers that `preflight` judges, by their names in `monitor.preflight.facts`; arguments as there.

    The scale of the networks is not looked at where another run's weights are taken over (`train.init_from`), nor that
    of the logits where they have no level.
    """
    config, source = as_config(config), as_source(source)
    devices = Devices() if devices is None and gan.axis_name else devices
    bounds = gan.bounds if config.model.output != "linear" else (-np.inf, np.inf)
    images = len(gan.shape) == 3
    looked_at = to_floats(_some(source), config.model.output)
    found = checks.of_images(looked_at, *bounds) if images else checks.of_points(looked_at)
    found |= checks.of_labels(
        source.labels, len(config.data.classes) or len(source.class_names), conditional=bool(gan.num_classes)
    )
    found |= _batches(config, gan, state, len(source), devices)
    if found["data_not_finite"] or config.train.init_from:
        return found
    found |= checks.of_networks(*_outputs(config, gan, state, source, devices), *bounds)
    if config.loss.name in WITHOUT_LEVEL:
        found = {name: value for name, value in found.items() if name not in ("logit_size", "gap")}
    return found


def _some(source: Source) -> np.ndarray:
    """Examples by a fixed permutation, so that what is stored in some order is seen from all over."""
    most = EXAMPLES if isinstance(source.examples, np.ndarray) else STREAMED
    most = max(1, min(most, VALUES // int(np.prod(source.shape))))
    return source.read(np.sort(permutation(len(source), SEED)[:most]))


def _batches(config: Config, gan: GAN, state: GANState, examples: int, devices: Devices | None) -> Facts:
    t, part = config.train, config.train.batch_size // config.train.accumulate
    normalized = [part] if "batch_stats" in state.generator.stats else []
    normalized += [part // gan.packing] if "batch_stats" in state.discriminator.stats else []
    return checks.of_batches(
        examples,
        t.batch_size,
        t.num_steps * gan.d_steps_per_g_step,
        min(normalized, default=None),
        part // len(devices.devices) if devices else None,
        bool(gan.policy) if len(gan.shape) == 3 else None,
    )


def _outputs(
    config: Config, gan: GAN, state: GANState, source: Source, devices: Devices | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """G's examples f[N, ...], and D's logits f[M] of real examples and of those, from one compiled pass."""
    whole = gan.packing * max(1, config.model.minibatch_stddev) * (len(devices.devices) if devices else 1)
    n = whole * max(1, min(BATCH, config.train.batch_size) // whole)
    batch: dict[str, Any] = make_batch(source, 0, seed=SEED, batch_size=n, output=config.model.output)
    batch["index"] = np.arange(n)
    nets = (state.generator, state.discriminator)
    variables = tuple(net.variables for net in nets)
    if devices is None:
        return jax.device_get(jax.jit(partial(_pass, gan))(variables, batch))
    made = jax.device_get(devices.map_examples(partial(_pass, gan))(variables, devices.split(batch)))
    return tuple(x.reshape(-1, *x.shape[2:]) for x in made)  # type: ignore[return-value]


def _pass(gan: GAN, variables: tuple[dict[str, Any], dict[str, Any]], batch: dict[str, jax.Array]):
    """One pass in training mode; the statistics that it moves are dropped."""
    g, d = variables
    label = batch["label"] if gan.num_classes else None
    z = g_inputs(gan, seed_keys(SEED).train, batch["index"])
    fake: Any = gan.generator.apply(g, z, *given(label), train=True, mutable=[name for name in g if name != "params"])[
        0
    ]
    stats = {name: value for name, value in d.items() if name != "params"}
    real, made = (pack(x, gan.packing) for x in (batch["image"], fake))
    real_out, fake_out, _ = discriminate_both(gan, d["params"], stats, real, made, label, move_spectral=True)
    # NumPy has no bfloat16.
    return tuple(x.astype(jnp.float32) for x in (fake, real_out.logits, fake_out.logits))


def look(workdir: Path, config: Config, gan: GAN, state: GANState, source: Source, devices: Devices) -> None:
    """Prints what is off, and records all in the run's `preflight.json`."""
    known = facts(config, gan, state, source, devices)
    found = checks.remarks(known)
    for remark in found:
        if remark.severity in PRINTED:
            print(f"preflight {remark.severity}: {remark.sentence}", flush=True)
    record = {"remarks": [remark._asdict() for remark in found], "facts": known}
    partial_path = workdir / f".{FILE}.partial"
    partial_path.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(partial_path, workdir / FILE)


def recorded(workdir: Path) -> list[Remark]:
    """What was found before a run's first step; nothing where that is not on record."""
    try:
        return [Remark(**remark) for remark in json.loads((workdir / FILE).read_bytes())["remarks"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
