"""The loop: restore or start, compile once, step, and do what is due."""

from __future__ import annotations

import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jaxgan import actions, history
from jaxgan import workdir as workdirs
from jaxgan.architectures import ARCHITECTURES
from jaxgan.checkpoint import Checkpoints
from jaxgan.combinations import check_groups
from jaxgan.config import Config, as_config
from jaxgan.data import Source, as_source, check_range, make_batch, prefetch
from jaxgan.draws import Keys, seed_keys
from jaxgan.errors import UserError
from jaxgan.gan import GAN, build, make_hyper
from jaxgan.histograms import Histograms
from jaxgan.judge import load_split
from jaxgan.parallel import AXIS, Devices, check_divisible, scan_steps
from jaxgan.scalars import packed
from jaxgan.scoring import Reference, Scorer
from jaxgan.start import find_donor, first_state
from jaxgan.state import GANState
from jaxgan.steps import train_step
from jaxgan.writers import JsonlWriter, SummaryWriter, metric_writers, periodic_actions


def train(
    config,
    workdir: str | os.PathLike,
    source: Source | np.ndarray | tuple | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    writers: Sequence[metric_writers.MetricWriter] = (),
) -> GANState:
    """Trains, or goes on training, the run in a directory. The same call resumes it bit for bit.

    Args:
      config: a `Config`, a `ConfigDict` from `config.defaults()`, or nested dictionaries.
      workdir: gets `config.json`, `metrics.jsonl`, TensorBoard events, `checkpoints/`, `samples/`, `curves.png`.
      source: examples in place of `config.data`: a `Source`, images uint8 [N, H, W(, C)] or floats in the output's
        range, or a pair of such images and labels.
      generator, discriminator: Linen modules in place of `config.model`'s; see `gan.build`.
      writers: further clu metric writers, given every scalar and picture.

    Returns:
      The state at the end, or after SIGTERM or Ctrl-C the state just saved, with `state.step < config.train.num_steps`.

    Raises:
      UserError: a configuration, data set, checkpoint or workdir that cannot be used, in one sentence.
      NonFiniteError: a scalar became NaN or infinite; the last good checkpoint stays.
    """
    config = as_config(config)
    if jax.process_count() > 1:
        raise UserError(f"training runs in one process, with any number of devices; here are {jax.process_count()}.")
    devices = Devices()
    check_divisible(config.train.batch_size, len(devices.devices))
    devices.check_scan(config.train.steps_per_call, ARCHITECTURES[config.model.architecture].convolutional)
    given = None if source is None else as_source(source)
    source = given or load_split(config, config.data.split)
    check_range(source, config.model.output)
    check_groups(config, len(devices.devices))
    gan = build(config, source.shape, AXIS, generator, discriminator, len(source.class_names))
    run = Path(workdir)
    keys = seed_keys(config.seed)
    donor = None
    started = any(path.name.isdigit() for path in run.glob("checkpoints/*"))
    if config.train.init_from and not started:  # before the workdir is touched
        donor = find_donor(config.train.init_from, gan, devices, keys, generator, discriminator)
    with ExitStack() as stack:
        stack.enter_context(workdirs.locked(run))
        note = workdirs.open_run(run, config, workdirs.describe(source, bool(gan.num_classes)), devices.description)
        if note:
            print(note, flush=True)
        scorer = Scorer(Reference(config, devices, given), gan) if config.eval.every else None
        # Without evaluations from here on, what was best before still stays.
        rank = scorer.rank if scorer else history.rank(run / history.FILE, config.eval.best_metric)
        checkpoints = Checkpoints(run, config.train.keep, rank)
        stack.callback(checkpoints.close)
        state = first_state(gan, devices, keys, donor, checkpoints, run)
        step = int(state.step)
        if ended := is_complete(config, run, step):
            print(f"{run} is complete: {ended}", flush=True)
            return state
        own: list[Any] = [SummaryWriter(os.fspath(run)), JsonlWriter(run / "metrics.jsonl")]
        for each in own:
            stack.callback(each.close)
        writer = metric_writers.MultiWriter([*own, *writers])
        try:
            state = _loop(config, gan, devices, keys, source, state, checkpoints, scorer, writer, run)
        except actions.NonFiniteError as error:
            good = checkpoints.steps()
            last = f"The last good checkpoint is step {good[-1]}'s." if good else "There is no checkpoint yet."
            raise actions.NonFiniteError(f"{error} {last}") from None
        step = int(state.step)
    if ended := is_complete(config, run, step):
        if step < config.train.num_steps:
            print(f"ended early: {ended}", flush=True)
    else:
        print(
            f"interrupted and saved at step {step} of {config.train.num_steps}: run the same command to go on.",
            flush=True,
        )
    return state


def is_complete(config: Config, workdir: str | os.PathLike, step: int) -> str:
    """Why a run that is at this step does not go on, as a sentence; empty if it does."""
    stopped = history.why_ended(Path(workdir) / history.FILE, config.eval, step)
    if stopped:
        return f"step {step} of {config.train.num_steps}, since at step {stopped[0]} {stopped[1]}."
    return f"step {step} of {config.train.num_steps}." if step >= config.train.num_steps else ""


def _loop(
    config: Config,
    gan: GAN,
    devices: Devices,
    keys: Keys,
    source: Source,
    state: GANState,
    checkpoints: Checkpoints,
    scorer: Scorer | None,
    writer: metric_writers.MetricWriter,
    run: Path,
) -> GANState:
    t = config.train
    first, k, n, every = int(state.step), t.steps_per_call, gan.d_steps_per_g_step, config.eval.every
    progress, save = actions.Progress(t.num_steps, t.batch_size), actions.Save(checkpoints, writer)
    due = _actions(config, gan, keys, source, state, scorer, progress, save, writer, run)
    make = partial(
        make_batch,
        source,
        seed=config.seed,
        batch_size=t.batch_size,
        output=config.model.output,
        horizontal_flip=config.data.horizontal_flip,
    )

    def batches(call: int) -> dict[str, np.ndarray]:
        return devices.shard([make(i) for i in range(call * k * n, (call + 1) * k * n)])

    # Whether a step has the penalties is decided here, between two programs, of which the second may never be compiled.
    programs = {p: devices.map(packed(scan_steps(partial(train_step, gan, penalize=p), k))) for p in (True, False)}
    key, hyper = devices.put(keys.train), devices.put(make_hyper(config))
    if config.monitor.histograms_every:
        histograms = Histograms(gan, devices, key, hyper, make, writer)
        due.append(actions.at_steps(config.monitor.histograms_every, t.num_steps, histograms))
    before: Mapping[str, Any] = {}
    print(
        f"training on {source.name} ({len(source)} examples), {len(devices.devices)} device(s), "
        f"from step {first}; compiling ...",
        flush=True,
    )
    with _interruptible() as interrupted, metric_writers.ensure_flushes(writer):
        stream = prefetch(batches, first // k, t.num_steps // k)
        for step, batch in zip(range(first + k, t.num_steps + 1, k), stream, strict=True):
            state, metrics = programs[step % gan.interval == 0](state, batch, key, hyper)
            # The call before has ended by now, so that looking at it keeps no device waiting.
            actions.check_finite(step - k, before)
            before = metrics
            if step == first + k:
                jax.block_until_ready(metrics)  # the first call compiles: the clock starts after it
                progress.start(step)
            for each in range(step - k + 1, step + 1):  # clu's actions want to see all, though only the last can be due
                for action in due:
                    action(each, state=state, metrics=metrics)
            if interrupted.is_set() or (scorer and step % every == 0 and is_complete(config, run, step)):
                save(step, state=state, metrics=metrics)
                break
        stream.close()
    return state


def _actions(
    config: Config,
    gan: GAN,
    keys: Keys,
    source: Source,
    state: GANState,
    scorer: Scorer | None,
    progress: actions.Progress,
    save: actions.Save,
    writer: metric_writers.MetricWriter,
    run: Path,
) -> list[Callable[..., Any]]:
    """All that is to be called after every step, in this order; a new run's first picture is drawn here."""
    t = config.train
    due: list[Callable[..., Any]] = []
    if t.sample_every:
        samples = actions.Samples(gan, keys.sample, config.model.output, source, run, writer)
        if int(state.step) == 0:
            samples(0, state=state, metrics={})
        # Before the log, which then holds the samples' scalars in the same line.
        due.append(actions.at_steps(t.sample_every, t.num_steps, samples))
        if gan.codes and actions.drawable(gan):
            sweeps = actions.Sweeps(gan, keys.sample, config.model.output, source, run, writer)
            due.append(actions.at_steps(t.sample_every, t.num_steps, sweeps))
    every = config.eval.every
    if scorer:
        due.append(actions.at_steps(every, t.num_steps, actions.Evaluate(scorer, writer, save, run)))
    due += [
        actions.at_steps(t.log_every, t.num_steps, actions.Log(writer)),
        actions.at_steps(t.log_every, t.num_steps, progress),
        actions.at_steps(t.sample_every, t.num_steps, actions.Curves(run)),
        actions.at_steps(t.checkpoint_every, t.num_steps, save),
        *([actions.at_steps(every, t.num_steps, save)] if scorer else []),
    ]
    if t.profile_at:
        profile = periodic_actions.Profile(
            logdir=os.fspath(run),
            num_profile_steps=t.profile_steps,
            profile_duration_ms=None,
            first_profile=t.profile_at,
            every_secs=None,
        )
        due.append(lambda step, **_: profile(step))
    return due


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Within, the first SIGTERM or Ctrl-C only sets the event; a second one does what it always does."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # where Python takes no signal handlers
        yield event
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number, frame) -> None:
        restore()
        event.set()
        print(f"{signal.Signals(number).name}: finishing the step and saving ...", flush=True)

    for number in before:
        signal.signal(number, handle)
    try:
        yield event
    finally:
        restore()


class _CallableModule(types.ModuleType):
    """`jaxgan.train` names this module and, to a reader of the documentation, the function: let it be both."""

    def __call__(self, *args, **kwargs) -> GANState:
        return train(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
