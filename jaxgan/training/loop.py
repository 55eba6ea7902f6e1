"""The loop: restore or start, compile once, step, and do what is due."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from jaxgan.architectures import ARCHITECTURES
from jaxgan.config.config import Config, as_config
from jaxgan.config.constraints import check_groups
from jaxgan.data import Source, as_source, check_range, make_batch, prefetch
from jaxgan.devices.cpu import check_divisible
from jaxgan.devices.devices import AXIS, Devices, scan_steps
from jaxgan.devices.packing import packed
from jaxgan.errors import NonFiniteError, UserError
from jaxgan.evaluation.reference import Reference
from jaxgan.evaluation.run_data import RunData
from jaxgan.evaluation.scorer import Scorer
from jaxgan.monitor.doctor import Finding, first_problem
from jaxgan.runs import directory as workdirs
from jaxgan.runs import named_modules, rollback, score_log
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.runs.rollback import Attempt
from jaxgan.runs.writers import JsonlWriter, SummaryWriter, metric_writers
from jaxgan.sampling.grid import drawable
from jaxgan.steps import train_step
from jaxgan.steps.gan import GAN, build, init, make_hyper
from jaxgan.steps.randomness import Keys, seed_keys
from jaxgan.steps.state import GANState
from jaxgan.training import actions, preflight
from jaxgan.training.doctor import Watch, diagnose_log
from jaxgan.training.histograms import Histograms
from jaxgan.training.initial_state import find_donor, first_state
from jaxgan.training.signals import interruptible


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
      A run that was rolled back (`monitor.on_finding`) goes on in the directory `attempt_1` inside of its own, by the
      same call; then the state is that of the newest attempt.

    Raises:
      UserError: a configuration, data set, checkpoint or workdir that cannot be used, in one sentence.
      NonFiniteError: a scalar became NaN or infinite; the last good checkpoint stays.
    """
    run = Path(workdir)
    config, note = workdirs.continued(run, as_config(config))
    if note:
        print(note, flush=True)
    devices = Devices()  # first, since it sets the number of XLA's threads, which nothing changes later
    if jax.process_count() > 1:
        raise UserError(f"training runs in one process, with any number of devices; here are {jax.process_count()}.")
    check_divisible(config.train.batch_size, len(devices.devices))
    devices.check_scan(config.train.steps_per_call, ARCHITECTURES[config.model.architecture].convolutional)
    given = None if source is None else as_source(source)
    data = RunData(config, given, scored=bool(config.eval.every))
    source = data.trained
    check_range(source, config.model.output)
    check_groups(config, len(devices.devices))
    gan = build(config, source.shape, AXIS, generator, discriminator, len(source.class_names))
    example, modules = workdirs.describe(source, bool(gan.num_classes)), named_modules.names(generator, discriminator)
    attempt = rollback.newest(run, config)
    find = partial(find_donor, gan=gan, devices=devices, generator=generator, discriminator=discriminator)
    donor = find(attempt.workdir, attempt.config)  # before the workdir is touched
    with ExitStack() as stack:
        note = stack.enter_context(_opened(run, config, example, devices, modules))
        attempt = rollback.newest(run, config)  # again: who held the directory until now may have rolled it back
        scorer = Scorer(Reference(data, devices), gan) if config.eval.every else None
        del data  # what only the scores needed is free again
        game = Game(gan, devices, source, scorer, _programs(config, gan, devices), writers)
        while True:
            if attempt.workdir != run:
                note = stack.enter_context(_opened(attempt.workdir, attempt.config, example, devices, modules))
            if note:
                print(note, flush=True)
            state, problem = _train(game, attempt, donor)
            if problem is None:
                return state
            del state  # the next attempt needs the memory
            attempt = _rolled_back(game, attempt, problem)
            donor = find(attempt.workdir, attempt.config)


def is_complete(config: Config, workdir: str | os.PathLike, step: int) -> str:
    """Why a run whose newest attempt is at this step does not go on, as a sentence; empty if it does."""
    attempt, problem = rollback.newest(Path(workdir), config), None
    if config.monitor.on_finding != "warn":
        classes = workdirs.read(attempt.workdir)["example"].get("classes", [])
        problem = first_problem(diagnose_log(attempt.workdir, config.loss.name, len(classes), step))
    return rollback.why_ended(attempt, step, problem)


class Game(NamedTuple):
    """What all attempts at a run have in common, so that nothing is compiled twice."""

    gan: GAN
    devices: Devices
    source: Source
    scorer: Scorer | None
    programs: dict[bool, Callable]  # the call that makes steps, with and without the penalties
    writers: Sequence[metric_writers.MetricWriter]

    def rank(self, attempt: Attempt) -> tuple[str, str] | None:
        """By which score the best checkpoint is kept. Without evaluations from here on, what was best before stays."""
        recorded = attempt.workdir / score_log.FILE
        return self.scorer.rank if self.scorer else score_log.rank(recorded, attempt.config.eval.best_metric)


@contextmanager
def _opened(
    run: Path, config: Config, example: dict[str, Any], devices: Devices, modules: Mapping[str, str]
) -> Iterator[str | None]:
    """Holds the workdir of a run that is new or the recorded one; gives what is to be said of that."""
    with workdirs.locked(run):
        yield workdirs.open_run(run, config, example, devices.description, modules)


def _programs(config: Config, gan: GAN, devices: Devices) -> dict[bool, Callable]:
    # Whether a step has the penalties is decided here, between two programs, of which the second may never be compiled.
    k = config.train.steps_per_call
    return {p: devices.map(packed(scan_steps(partial(train_step, gan, penalize=p), k))) for p in (True, False)}


def _train(game: Game, attempt: Attempt, donor: GANState | None) -> tuple[GANState, Finding | None]:
    """One attempt: the state at its end, and the problem if it is to be rolled back for that."""
    (run, config, number), gan = attempt, game.gan
    keys = seed_keys(config.seed, number)
    with ExitStack() as stack:
        checkpoints = Checkpoints(run, config.train.keep, game.rank(attempt), rollback.spread(config))
        stack.callback(checkpoints.close)
        state = first_state(gan, game.devices, keys, donor, checkpoints, run)
        watch = Watch(run, config.loss.name, len(game.source.class_names) if gan.num_classes else 0, int(state.step))
        if ended := rollback.why_ended(attempt, int(state.step), watch.problem):
            print(f"{run} is complete: {ended}", flush=True)
            return state, None
        if watch.problem and config.monitor.on_finding != "warn":  # killed before it was rolled back
            return state, watch.problem
        if config.monitor.preflight and not number and not int(state.step):
            preflight.look(run, config, gan, state, game.source, len(game.devices.devices))
        own: list[Any] = [SummaryWriter(os.fspath(run)), JsonlWriter(run / "metrics.jsonl"), watch]
        for each in own:
            stack.callback(each.close)
        writer = metric_writers.MultiWriter([*own, *game.writers])
        try:
            state, interrupted = _loop(game, attempt, keys, state, checkpoints, watch, writer)
        except NonFiniteError as error:
            writer.write_scalars(error.step, error.scalars)
            writer.flush()
            watch(error.step)
            rolls = config.monitor.on_finding == "roll_back"
            if rolls and watch.problem and not rollback.why_stopped(attempt, watch.problem):
                return state, watch.problem  # nobody looks at this state, whose arrays the steps have consumed
            good = checkpoints.steps()
            last = f"The last good checkpoint is step {good[-1]}'s." if good else "There is no checkpoint yet."
            raise NonFiniteError(f"{error} {last}", error.step, error.scalars) from None
    step, last_step = int(state.step), config.train.num_steps
    if ended := rollback.why_ended(attempt, step, watch.problem):
        if step < last_step:
            print(f"ended early: {ended}", flush=True)
        return state, None
    if interrupted:
        print(f"interrupted and saved at step {step} of {last_step}: run the same command to go on.", flush=True)
        return state, None
    return state, watch.problem


def _rolled_back(game: Game, attempt: Attempt, problem: Finding) -> Attempt:
    """The next attempt, of which it is said what is changed."""
    target = game.devices.abstract(jax.eval_shape(partial(init, game.gan, jax.random.key(0))))
    attempt = rollback.roll_back(attempt, problem, game.rank(attempt), target)
    said = rollback.sentence(rollback.intervention(attempt.workdir))
    print(f"rolled back into {attempt.workdir}. {said}", flush=True)
    return attempt


def _loop(
    game: Game,
    attempt: Attempt,
    keys: Keys,
    state: GANState,
    checkpoints: Checkpoints,
    watch: Watch,
    writer: metric_writers.MetricWriter,
) -> tuple[GANState, bool]:
    """Steps to the end, or to where a signal, scores or a problem end it; and whether it was a signal."""
    (run, config, number), (gan, devices, source, scorer, programs, _) = attempt, game
    t, stops = config.train, config.monitor.on_finding != "warn"
    first, k, n, every = int(state.step), t.steps_per_call, gan.d_steps_per_g_step, config.eval.every
    progress, save = actions.Progress(t.num_steps, t.batch_size), actions.Save(checkpoints, writer)
    due = _actions(game, attempt, keys, state, progress, save, watch, writer)
    make = partial(
        make_batch,
        source,
        seed=config.seed + (number << 32),  # each attempt has an order of its own
        batch_size=t.batch_size,
        output=config.model.output,
        horizontal_flip=config.data.horizontal_flip,
    )

    def batches(call: int) -> dict[str, np.ndarray]:
        return devices.shard([make(i) for i in range(call * k * n, (call + 1) * k * n)])

    key, hyper = devices.put(keys.train), devices.put(make_hyper(config))
    if config.monitor.histograms_every:
        histograms = Histograms(gan, devices, key, hyper, make, writer)
        # First of all: what is not finite is told from here before the step is logged.
        due.insert(0, actions.at_steps(config.monitor.histograms_every, t.num_steps, histograms))
    before: Mapping[str, Any] = {}
    print(
        f"training on {source.name} ({len(source)} examples), {len(devices.devices)} device(s), "
        f"from step {first}; compiling ...",
        flush=True,
    )
    profiling = actions.profiling(run, t.profile_at, t.profile_steps)
    with interruptible() as interrupted, metric_writers.ensure_flushes(writer), profiling as profile:
        due.append(profile)
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
            scored = scorer and step % every == 0 and score_log.why_ended(run / score_log.FILE, config.eval, step)
            if interrupted.is_set() or scored or (stops and watch.problem):
                save(step, state=state, metrics=metrics)
                break
        stream.close()
    return state, interrupted.is_set()


def _actions(
    game: Game,
    attempt: Attempt,
    keys: Keys,
    state: GANState,
    progress: actions.Progress,
    save: actions.Save,
    watch: Watch,
    writer: metric_writers.MetricWriter,
) -> list[Callable[..., Any]]:
    """All that is to be called after every step, in this order; a new run's first picture is drawn here."""
    (run, config, _), (gan, _, source, scorer, _, _) = attempt, game
    t = config.train
    due: list[Callable[..., Any]] = []
    if t.sample_every:
        samples = actions.Samples(gan, keys.sample, config.model.output, source, run, writer)
        if int(state.step) == 0:
            samples(0, state=state, metrics={})
        # Before the log, which then holds the samples' scalars in the same line.
        due.append(actions.at_steps(t.sample_every, t.num_steps, samples))
        if gan.codes and drawable(gan.shape):
            sweeps = actions.Sweeps(gan, keys.sample, config.model.output, source, run, writer)
            due.append(actions.at_steps(t.sample_every, t.num_steps, sweeps))
    every = config.eval.every
    if scorer:
        due.append(actions.at_steps(every, t.num_steps, actions.Evaluate(scorer, writer, save, run)))
    diversity = actions.Diversity(gan, keys.sample, config.model.output, source, writer)
    due += [
        actions.at_steps(t.log_every, t.num_steps, diversity),
        actions.at_steps(t.log_every, t.num_steps, actions.Log(writer)),
        actions.at_steps(t.log_every, t.num_steps, progress),
        watch,  # after all that writes scalars, and before what shows or saves what was found
        actions.at_steps(t.sample_every, t.num_steps, actions.Curves(run, watch.doctor)),
        actions.at_steps(t.checkpoint_every, t.num_steps, save),
        *([actions.at_steps(every, t.num_steps, save)] if scorer else []),
    ]
    return due
