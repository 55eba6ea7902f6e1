"""Makes the state that a run begins with: from its checkpoint, fresh, or with another run's weights."""

from __future__ import annotations

import dataclasses
import os
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax

from jaxgan.config.config import Config
from jaxgan.devices.devices import Devices
from jaxgan.errors import UserError, shown
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.sampling.sampler import restore_last
from jaxgan.steps.gan import GAN, init
from jaxgan.steps.randomness import Keys
from jaxgan.steps.state import GANState, NetState


def first_state(
    gan: GAN, devices: Devices, keys: Keys, donor: GANState | None, checkpoints: Checkpoints, run: Path
) -> GANState:
    """Restores the newest whole checkpoint, or else makes a fresh state, with the donor's weights if there is one."""
    make = partial(init, gan, keys.init)
    restored = checkpoints.restore(devices.abstract(jax.eval_shape(make)), repair=True)
    if restored is not None:
        print(f"resuming {run} from step {restored[0]}", flush=True)
        return restored[1]
    state = devices.replicate(make)
    _show_parameters(state)
    if donor is not None:
        state = _take_weights(state, donor)
        checkpoints.save(0, state)  # so that a later change of the other run changes nothing here
    return state


def find_donor(
    run: Path,
    config: Config,
    gan: GAN,
    devices: Devices,
    generator: nn.Module | None,
    discriminator: nn.Module | None,
) -> GANState | None:
    """Restores the last state of the run whose weights this one starts from, `train.init_from`.

    Returns:
      The state; None where this run has a checkpoint of its own, or starts from no other run.

    Raises:
      UserError: there is no such run, or its networks are not the same as ours.
    """
    workdir = config.train.init_from
    if not workdir or any(path.name.isdigit() for path in run.glob("checkpoints/*")):
        return None
    donor = restore_last(os.path.expanduser(workdir), devices, generator, discriminator)

    def shapes(state: GANState) -> dict[str, tuple[int, ...]]:
        nets = {"generator": state.generator.variables, "discriminator": state.discriminator.variables}
        leaves = jax.tree_util.tree_leaves_with_path(nets)
        return {".".join(str(key.key) for key in path): leaf.shape for path, leaf in leaves}

    ours, theirs = shapes(jax.eval_shape(partial(init, gan, jax.random.key(0)))), shapes(donor)
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            raise UserError(
                f"train.init_from {shown(workdir)} has other networks: {name} is {theirs.get(name, 'absent')} there "
                f"and {ours.get(name, 'absent')} here. Give this run that one's section model, or leave init_from out."
            )
    return donor


def _take_weights(state: GANState, donor: GANState) -> GANState:
    """Puts another state's weights and statistics into this one; optimizers and step start anew."""

    def take(ours: NetState, theirs: NetState) -> NetState:
        return dataclasses.replace(ours, params=theirs.params, stats=theirs.stats)

    return dataclasses.replace(
        state,
        generator=take(state.generator, donor.generator),
        discriminator=take(state.discriminator, donor.discriminator),
        ema=donor.ema,
    )


def _show_parameters(state: GANState) -> None:
    from clu import parameter_overview

    for name, net in (("generator", state.generator), ("discriminator", state.discriminator)):
        print(f"{name}:\n{parameter_overview.get_parameter_overview(net.params, include_stats=False)}", flush=True)
