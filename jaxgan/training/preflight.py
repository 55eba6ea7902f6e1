"""Looks at settings, data and both networks before the first step, which changes nothing of the training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.config.config import Config, as_config
from jaxgan.config.constraints import without_effect
from jaxgan.data import Source, as_source, check_range, make_batch, to_floats
from jaxgan.data.source import permutation
from jaxgan.errors import UserError, shown
from jaxgan.files import DAMAGES, read_json, typed, write_json
from jaxgan.monitor import preflight as checks
from jaxgan.monitor.doctor.findings import SEVERITIES
from jaxgan.monitor.doctor.history import WITHOUT_LEVEL
from jaxgan.monitor.preflight import Facts, Remark
from jaxgan.steps.forward import discriminate, g_inputs, given, pack
from jaxgan.steps.gan import GAN
from jaxgan.steps.randomness import seed_keys
from jaxgan.steps.state import GANState

FILE = "preflight.json"
WITHOUT_EFFECT = "key_without_effect"  # the kind of the one remark that needs no numbers
SEED = 0  # of the latents, and of the choice of examples; the training draws its own
EXAMPLES, STREAMED = 4096, 256  # most examples looked at: those in memory, and those read from disk
VALUES = 2**24  # most values in all these examples together
BATCH = 32  # about as many examples of each kind pass through the networks
PRINTED = ("warning", "problem")  # other remarks are in the file and in the report only


def preflight(
    config, gan: GAN, state: GANState, source: Source | np.ndarray | tuple, devices: int | None = None
) -> list[Remark]:
    """Lists what is off with settings, data, batches and networks, each in a sentence; an empty list: nothing is.

    Args:
      config: the run's configuration, as `train` takes it.
      gan, state: built from it; the state is neither changed nor donated.
      source: the training examples, as `train` takes them.
      devices: number of devices that share a batch; None: all there are, if the game is mapped over them.

    Raises:
      UserError: examples or networks that training would refuse too.
    """
    config = as_config(config)
    check_range(as_source(source), config.model.output)
    return _remarks(config, facts(config, gan, state, source, devices))


def facts(config, gan: GAN, state: GANState, source: Source | np.ndarray | tuple, devices: int | None = None) -> Facts:
    """Measures the numbers that `preflight` judges, by their names in `monitor.preflight.measurements`.

    Arguments are those of `preflight`. The networks are not measured where another run's weights are taken over
    (`train.init_from`), nor the logits where a loss gives them no level.
    """
    config, source = as_config(config), as_source(source)
    devices = devices or (jax.device_count() if gan.axis_name else 1)
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
    found |= checks.of_networks(*_outputs(config, gan, state, source), *bounds)
    if config.loss.name in WITHOUT_LEVEL:
        found = {name: value for name, value in found.items() if name not in ("logit_size", "gap")}
    return found


def _remarks(config: Config, known: Facts) -> list[Remark]:
    unread = [Remark(WITHOUT_EFFECT, "warning", {}, sentence) for sentence in without_effect(config)]
    return unread + checks.remarks(known)


def _some(source: Source) -> np.ndarray:
    """Reads examples by a fixed permutation, because a data set may be stored in the order of its classes."""
    most = EXAMPLES if isinstance(source.examples, np.ndarray) else STREAMED
    most = max(1, min(most, VALUES // int(np.prod(source.shape))))
    return source.read(np.sort(permutation(len(source), SEED)[:most]))


def _batches(config: Config, gan: GAN, state: GANState, examples: int, devices: int) -> Facts:
    t, part = config.train, config.train.batch_size // config.train.accumulate
    normalized = [part] if "batch_stats" in state.generator.stats else []
    normalized += [part // gan.packing] if "batch_stats" in state.discriminator.stats else []
    return checks.of_batches(
        examples,
        t.batch_size,
        t.num_steps * gan.d_steps_per_g_step,
        min(normalized, default=None),
        part // devices if devices > 1 else None,
        bool(gan.policy) if len(gan.shape) == 3 else None,
    )


def _outputs(config: Config, gan: GAN, state: GANState, source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes, in training mode, examples f[N, ...] of G, and D's logits f[M] of real and of generated ones."""
    group = gan.packing * max(1, config.model.minibatch_stddev)
    n = group * max(1, min(BATCH, config.train.batch_size) // group)
    batch = make_batch(source, 0, seed=SEED, batch_size=n, output=config.model.output)
    label = batch["label"] if gan.num_classes else None
    nets = (state.generator.variables, state.discriminator.variables)
    g, d = jax.tree.map(lambda x: x.addressable_data(0), nets)  # one device does; more would compile longer
    fake = _compiled(gan, _examples, g, (np.arange(n), label))(g, (np.arange(n), label))
    judge = _compiled(gan, _logits, d, (batch["image"], label))
    return fake, judge(d, (batch["image"], label)), judge(d, (fake, label))


def _compiled(gan: GAN, f: Callable[..., jax.Array], variables: dict[str, Any], x: Any) -> Callable[..., np.ndarray]:
    """Compiles `f(gan, variables, x)` for arguments like these, on one device."""

    def batched(x: Any) -> Any:  # batch norm's mean over devices is then over an axis of one
        return jax.tree.map(lambda x: x[None], x)

    mapped = jax.jit(jax.vmap(partial(f, gan), in_axes=(None, 0), axis_name=gan.axis_name))
    # For a program that runs once or twice, XLA:CPU's best code takes longer to make than it saves. At level 0 some
    # convolutions take 15 times as long.
    options: Any = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    program = mapped.lower(variables, batched(x)).compile(options)
    return lambda variables, x: jax.device_get(program(variables, batched(x)))[0]


def _examples(gan: GAN, variables: dict[str, Any], x: tuple[jax.Array, jax.Array | None]) -> jax.Array:
    """Generates the examples with these numbers and labels; the statistics that the pass moves are dropped."""
    indices, label = x
    z = g_inputs(gan, seed_keys(SEED).train, indices)
    mutable = [name for name in variables if name != "params"]
    fake: Any = gan.generator.apply(variables, z, *given(label), train=True, mutable=mutable)[0]
    return fake.astype(jnp.float32)  # NumPy has no bfloat16


def _logits(gan: GAN, variables: dict[str, Any], x: tuple[jax.Array, jax.Array | None]) -> jax.Array:
    """Computes D's logits of examples with these labels."""
    examples, label = x
    stats = {name: value for name, value in variables.items() if name != "params"}
    packed = pack(examples, gan.packing)
    out, *_ = discriminate(gan, variables["params"], stats, packed, label, train=True, move_spectral=True)
    return out.logits.astype(jnp.float32)


def check_classes(config: Config, source: Source) -> None:
    """Refuses to condition on classes where all examples are of one.

    Raises:
      UserError: saying how to go on.
    """
    present = np.unique(source.labels)
    if config.model.g_conditioning == "none" or len(present) > 1:
        return
    names = [source.class_names[label] for label in present if label < len(source.class_names)]
    raise UserError(
        f"model.g_conditioning is {config.model.g_conditioning!r}, but all {len(source):,} examples of {source.name} "
        f"are of one class{f', {shown(names[0])}' if names else ''}: set model.g_conditioning and "
        "model.d_conditioning to 'none', or give examples of two classes or more."
    )


def look(workdir: Path, config: Config, gan: GAN, state: GANState, source: Source, devices: int) -> None:
    """Prints what is off, unless `monitor.preflight` is off, and records it with the data's summary."""
    known: Facts = {}
    found: list[Remark] = []
    if config.monitor.preflight:
        known = facts(config, gan, state, source, devices)
        found = _remarks(config, known)
    for remark in found:
        if remark.severity in PRINTED:
            print(f"preflight {remark.severity}: {remark.sentence}", flush=True)
    remarks = [remark._asdict() for remark in found]
    write_json(workdir / FILE, {"data": source.summary, "remarks": remarks, "facts": known})


def recorded(workdir: Path, damage: list[str] | None = None) -> list[Remark]:
    """Reads what was found before a run's first step; nothing where that is not on record.

    Remarks that cannot be read are passed over; a sentence about them is added to `damage`.
    """
    path, found = workdir / FILE, []
    try:
        for remark in read_json(path)["remarks"]:
            if remark["severity"] not in SEVERITIES:
                raise ValueError("the severity is not known")
            found.append(typed(Remark, remark))
    except FileNotFoundError:
        pass
    except (OSError, *DAMAGES):
        if damage is not None:
            damage.append(f"{path} is damaged: it is passed over.")
    return found


def recorded_summary(workdir: Path) -> str:
    """Reads what of the data is used, in one line; empty where it is not on record."""
    try:
        text = read_json(workdir / FILE)["data"]
    except (OSError, *DAMAGES):
        return ""
    return text if isinstance(text, str) else ""
