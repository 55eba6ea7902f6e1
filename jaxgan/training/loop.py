"""Trains a run: restores it or starts it, compiles its step once, makes steps, and rolls it back where it is asked to.

`fit` trains until one of five things ends it, and returns the state and why it ended. `train` calls it, decides whether
the run is to be rolled back, and if so from where, and calls it again.
"""

from __future__ import annotations

import os
import time
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
from jaxgan.devices import compilation
from jaxgan.devices.cpu import check_divisible, collectives_at_once
from jaxgan.devices.devices import AXIS, Devices, scan_steps
from jaxgan.devices.packing import packed
from jaxgan.errors import Interrupted, NonFiniteError, UserError
from jaxgan.evaluation.reference import Reference
from jaxgan.evaluation.run_data import RunData
from jaxgan.evaluation.scorer import Scorer
from jaxgan.monitor.doctor import Finding, span, words
from jaxgan.runs import directory as workdirs
from jaxgan.runs import named_modules, rollback, score_log
from jaxgan.runs import outcome as outcomes
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.runs.outcome import COMPLETE, INTERRUPTED, NON_FINITE, PROBLEM, SCORES, WhyEnded
from jaxgan.runs.rollback import Attempt
from jaxgan.runs.writers import JsonlWriter, SummaryWriter, metric_writers
from jaxgan.sampling.grid import drawable, save_png
from jaxgan.steps import train_step
from jaxgan.steps.gan import GAN, build, init, make_hyper
from jaxgan.steps.randomness import Keys, seed_keys
from jaxgan.steps.state import GANState
from jaxgan.training import actions, pictures, preflight
from jaxgan.training.actions import Actions, Due
from jaxgan.training.doctor import Watch
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

    Example, which trains on images of your own for a few steps and then goes on to the tenth::

        import jaxgan, numpy as np

        images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), np.uint8)
        model = {"architecture": "mlp", "base_features": 8}
        for num_steps in (5, 10):
            settings = {"model": model, "train": {"num_steps": num_steps, "batch_size": 8}}
            state = jaxgan.train(settings, "runs/noise", source=images)
        generated = jaxgan.load("runs/noise").images(4)  # uint8 [4, 8, 8, 1]

    Args:
      config: a `Config`, a `ConfigDict` from `jaxgan.defaults()`, or nested dictionaries.
      workdir: gets `config.json`, `metrics.jsonl`, TensorBoard events, `checkpoints/`, `samples/`, `curves.png`.
      source: examples in place of `config.data`: a `Source`, images uint8 [N, H, W(, C)] or floats in the output's
        range, or a pair of such images and labels.
      generator, discriminator: Linen modules in place of `config.model`'s; see `jaxgan.build`.
      writers: further clu metric writers, which get every scalar and picture.

    Returns:
      The state at the end. A run that was rolled back (`monitor.on_finding`) goes on in the directory `attempt_1`
      inside of its own, by the same call; then the state is that of the newest attempt.

    Raises:
      UserError: a configuration, data set, checkpoint or workdir that cannot be used, in one sentence.
      NonFiniteError: a scalar became NaN or infinite; the last good checkpoint stays.
      Interrupted: SIGTERM or Ctrl-C came; it has the state, which was saved.
    """
    run = Path(workdir)
    config, note = workdirs.continued(run, as_config(config))
    if note:
        print(note, flush=True)
    devices = Devices()  # first, since it sets the number of XLA's threads, which nothing changes later
    cache = compilation.use_cache()
    with compilation.mending(cache):
        game = _prepare(config, devices, source, generator, discriminator, writers, cache)
        return _run_attempts(game, run, config)


class Game(NamedTuple):
    """What all attempts at a run have in common, so that nothing is compiled twice."""

    gan: GAN
    devices: Devices
    source: Source
    example: dict[str, Any]  # what `config.json` records of the data
    scorer: Scorer | None
    programs: dict[bool, Callable]  # the call that makes steps, with and without the penalties
    writers: Sequence[metric_writers.MetricWriter]
    own: tuple[nn.Module | None, nn.Module | None]  # the caller's modules
    cache: Path | None  # where compiled programs are kept

    def donor(self, attempt: Attempt) -> GANState | None:
        """The state whose weights an attempt starts from, by `train.init_from`."""
        return find_donor(attempt.workdir, attempt.config, self.gan, self.devices, *self.own)


class Outcome(NamedTuple):
    """The end of `fit`.

    Attributes:
      state: at the end; None where it is not finite, since the steps have consumed all that were before.
      why_ended: what `outcome.json` records.
      problem: of the doctor's, where one ended the run.
      error: to be raised, where a scalar was not finite.
      interrupted: whether SIGTERM or Ctrl-C came, besides whatever else ended the run.
      stepped: whether any step was made.
    """

    state: GANState | None
    why_ended: WhyEnded
    problem: Finding | None = None
    error: NonFiniteError | None = None
    interrupted: bool = False
    stepped: bool = True


def _prepare(
    config: Config,
    devices: Devices,
    source: Source | np.ndarray | tuple | None,
    generator: nn.Module | None,
    discriminator: nn.Module | None,
    writers: Sequence[metric_writers.MetricWriter],
    cache: Path | None,
) -> Game:
    """Loads the data and builds the game, before the workdir is touched; refuses what cannot work."""
    if jax.process_count() > 1:
        raise UserError(
            f"Training runs in one process, with any number of devices, but there are {jax.process_count()} processes: "
            "start one."
        )
    check_divisible(config.train.batch_size, len(devices.devices))
    devices.check_scan(config.train.steps_per_call, ARCHITECTURES[config.model.architecture].convolutional)
    data = RunData(config, None if source is None else as_source(source), scored=bool(config.eval.every))
    examples = data.trained
    check_range(examples, config.model.output)
    check_groups(config, len(devices.devices))
    devices.check_threads(collectives_at_once(config))
    gan = build(config, examples.shape, AXIS, generator, discriminator, len(examples.class_names))
    preflight.check_classes(config, examples)
    return Game(
        gan,
        devices,
        examples,
        workdirs.describe(examples, bool(gan.num_classes)),
        Scorer(Reference(data, devices), gan) if config.eval.every else None,
        _programs(config, gan, devices),
        writers,
        (generator, discriminator),
        cache,
    )


def _programs(config: Config, gan: GAN, devices: Devices) -> dict[bool, Callable]:
    # Whether a step has the penalties is decided here, between two programs, of which the second may never be compiled.
    k = config.train.steps_per_call
    return {p: devices.map(packed(scan_steps(partial(train_step, gan, penalize=p), k))) for p in (True, False)}


def _run_attempts(game: Game, run: Path, config: Config) -> GANState:
    """Trains the newest attempt at a run, and further ones for as long as it is rolled back."""
    attempt = rollback.newest(run, config)
    donor = game.donor(attempt)  # before the workdir is touched
    with ExitStack() as stack:
        note = stack.enter_context(_opened(run, config, game))
        attempt = rollback.newest(run, config)  # again: who held the directory until now may have rolled it back
        while True:
            if attempt.workdir != run:
                note = stack.enter_context(_opened(attempt.workdir, attempt.config, game))
            if note:
                print(note, flush=True)
            outcome = fit(game, attempt, donor)
            outcomes.record(attempt.workdir, outcome.why_ended)
            problem = outcome.problem
            rolls_back = problem is not None and not rollback.why_not(attempt, problem)
            if problem is None or not rolls_back or outcome.interrupted:
                return _conclude(attempt, outcome, rolls_back)
            del outcome  # the next attempt needs the memory
            attempt = _roll_back(game, attempt, problem)
            donor = game.donor(attempt)


@contextmanager
def _opened(run: Path, config: Config, game: Game) -> Iterator[str | None]:
    """Holds the workdir of a run that is new or the recorded one; gives what is to be said of that."""
    with workdirs.locked(run):
        modules = named_modules.names(*game.own)
        yield workdirs.open_run(run, config, game.example, game.devices.description, modules)


def _roll_back(game: Game, attempt: Attempt, problem: Finding) -> Attempt:
    """Makes the next attempt, and says what is changed in it."""
    target = game.devices.abstract(jax.eval_shape(partial(init, game.gan, jax.random.key(0))))
    attempt = rollback.roll_back(attempt, problem, rollback.rank(attempt), target)
    said = rollback.sentence(rollback.intervention(attempt.workdir))
    print(f"rolled back into {attempt.workdir}. {said}", flush=True)
    return attempt


def _conclude(attempt: Attempt, outcome: Outcome, rolls_back: bool) -> GANState:
    """Says why the run ended, as a line or as an error, and returns its state."""
    why, last = outcome.why_ended, attempt.config.train.num_steps
    way_on = rollback.why_not(attempt, outcome.problem) if outcome.problem else ""
    if outcome.error:
        error, advice = outcome.error, f" {way_on[0].upper()}{way_on[1:]}." if way_on else ""
        raise NonFiniteError(f"{error}{advice}", error.step, error.scalars) from None
    assert outcome.state is not None
    reason = {
        SCORES: f", since at step {why.step} {why.reason}",
        PROBLEM: f", since at step {outcome.problem.reported if outcome.problem else 0} there was a problem, "
        f"{why.reason}: {way_on}",
    }.get(why.kind, "")
    sentence = f"step {why.step} of {last}{reason}."
    if outcome.interrupted:
        complete = why.kind != INTERRUPTED and not rolls_back
        text = sentence if complete else f"step {why.step} of {last}: run the same command, or make the same call, to "
        text = f"interrupted and saved at {text}" + ("" if complete else "go on.")
        raise Interrupted(text, outcome.state, complete)
    if not outcome.stepped:
        print(f"{attempt.workdir} is complete: {sentence}", flush=True)
    elif why.step < last:
        print(f"ended early: {sentence}", flush=True)
    return outcome.state


def fit(game: Game, attempt: Attempt, donor: GANState | None = None) -> Outcome:
    """Trains one attempt at a run until it ends, and says why it ended.

    Args:
      game: static, compiled and loaded parts.
      attempt: its workdir is held by `_opened`.
      donor: the state whose weights a new run starts from, or None.
    """
    (run, config, number), gan = attempt, game.gan
    with ExitStack() as stack:
        keys = seed_keys(config.seed, number)
        checkpoints = Checkpoints(run, config.train.keep, rollback.rank(attempt), rollback.spread(config))
        stack.callback(checkpoints.close)
        state = first_state(gan, game.devices, keys, donor, checkpoints, run)
        first = int(state.step)
        watch = Watch(run, config.loss.name, len(game.source.class_names) if gan.num_classes else 0, first)
        # Settings may have changed since the run ended, so that it goes on now.
        if why := _why_ended(attempt, first, watch.problem):
            return Outcome(state, why, watch.problem if why.kind == PROBLEM else None, stepped=False)
        outcomes.forget(run)
        if not number and not first:
            preflight.look(run, config, gan, state, game.source, len(game.devices.devices))
        own: list[Any] = [SummaryWriter(os.fspath(run)), JsonlWriter(run / "metrics.jsonl")]
        for each in own:
            stack.callback(each.close)
        writer = metric_writers.MultiWriter([*own, *game.writers])
        try:
            return _steps(game, attempt, keys, state, checkpoints, watch, writer)
        except NonFiniteError as error:
            writer.write_scalars(error.step, error.scalars)
            writer.flush()
            watch.end(error.step, error.scalars)
            good = checkpoints.steps()
            saved = f"The last good checkpoint is step {good[-1]}'s." if good else "There is no checkpoint yet."
            bad = ", ".join(f"{name} is {value}" for name, value in error.scalars.items() if not np.isfinite(value))
            told = NonFiniteError(f"{error} {saved}", error.step, error.scalars)
            return Outcome(None, WhyEnded(NON_FINITE, error.step, bad), _fault(attempt, watch), told)


def _fault(attempt: Attempt, watch: Watch) -> Finding | None:
    """The finding to answer where a scalar was not finite: the first problem where that alone is rolled back."""
    found = [found for found in watch.doctor.findings if found.kind == "non_finite"]
    return watch.problem if attempt.config.monitor.on_finding == "roll_back" or not found else found[0]


def _why_ended(attempt: Attempt, step: int, problem: Finding | None, scored: bool = True) -> WhyEnded | None:
    """Decides whether a run ends at a step: the one rule, before the first step and after each.

    Args:
      attempt: at the run.
      step: that it is at.
      problem: the doctor's first so far.
      scored: whether there may be new scores.
    """
    config = attempt.config
    if scored and (stop := score_log.why_ended(attempt.workdir / score_log.FILE, config.eval, step)):
        return WhyEnded(SCORES, step, stop[1])
    if step >= config.train.num_steps:
        return WhyEnded(COMPLETE, step)
    if problem is not None and config.monitor.on_finding != "warn":
        return WhyEnded(PROBLEM, step, f"{words(problem.kind)} {span(problem)}")
    return None


def _steps(
    game: Game,
    attempt: Attempt,
    keys: Keys,
    state: GANState,
    checkpoints: Checkpoints,
    watch: Watch,
    writer: metric_writers.MetricWriter,
) -> Outcome:
    """Makes steps, and does what is due after each of them, until the run ends."""
    (run, config, _), devices, t = attempt, game.devices, attempt.config.train
    first, last, k, n = int(state.step), t.num_steps, t.steps_per_call, game.gan.d_steps_per_g_step
    key, hyper = devices.put(keys.train), devices.put(make_hyper(config))
    batch_of = _batches(game, attempt)
    progress, curves = actions.Progress(last, t.batch_size), pictures.Curves(run, last)
    every = _schedule(game, attempt, keys, checkpoints, writer, watch, progress, curves)
    if config.monitor.histograms_every:
        histograms = pictures.Histograms(game.gan, devices, key, hyper, batch_of, writer)
        every.append(Due(histograms, (config.monitor.histograms_every,)))
    due = Actions(every, last)
    before: Mapping[str, Any] = {}
    if not first:
        due.before_first_step(state)
        if t.sample_every and (seen := _real(game, attempt, state, key, hyper, batch_of(0))) is not None:
            save_png(run / "samples" / "real.png", seen)
            writer.write_images(0, {"real": seen})
    _announce(game, first)

    def batches(call: int) -> dict[str, np.ndarray]:
        return devices.shard([batch_of(i) for i in range(call * k * n, (call + 1) * k * n)])

    why, started, profiling = None, time.monotonic(), actions.profiling(run, t.profile_at, t.profile_steps)
    with interruptible() as interrupted, metric_writers.ensure_flushes(writer), profiling as profile:
        stream = prefetch(batches, first // k, last // k)
        for step, batch in zip(range(first + k, last + 1, k), stream, strict=True):
            state, metrics = game.programs[step % game.gan.interval == 0](state, batch, key, hyper)
            # The call before has ended by now, so that looking at it keeps no device waiting.
            actions.check_finite(step - k, before)
            before = metrics
            if step == first + k:
                jax.block_until_ready(metrics)  # the first call compiles: the clock starts after it
                print(f"compiled in {time.monotonic() - started:.1f} s", flush=True)
                progress.start(step)
            for each in range(step - k + 1, step + 1):
                profile(each)
            values = due(step, state, metrics)
            why = _why_ended(attempt, step, watch.problem, scored="scores" in values)
            if why is None and interrupted.is_set():
                why = WhyEnded(INTERRUPTED, step)
            if why is not None:
                if step < last:
                    due.close(step, state, metrics, values)
                    curves.draw(watch.doctor.findings)
                break
        stream.close()
    assert why is not None
    problem = watch.problem if why.kind == PROBLEM else None
    return Outcome(state, why, problem, interrupted=interrupted.is_set())


def _announce(game: Game, first: int) -> None:
    """Says what is trained on, and what the run waits for now."""
    kept = f", and kept in {game.cache} for the next start" if game.cache else ""
    print(
        f"{game.source.summary}\n"
        f"training on {game.source.name}, {len(game.devices.devices)} device(s), from step {first}\n"
        f"compiling the step: about 10 s for small networks, minutes for large ones{kept} ...",
        flush=True,
    )


def _batches(game: Game, attempt: Attempt) -> Callable[[int], dict[str, np.ndarray]]:
    """A function from the number of a D-step to its global batch."""
    config = attempt.config
    return partial(
        make_batch,
        game.source,
        seed=config.seed + (attempt.number << 32),  # each attempt has an order of its own
        batch_size=config.train.batch_size,
        output=config.model.output,
        horizontal_flip=config.data.horizontal_flip,
    )


def _real(game: Game, attempt: Attempt, state: GANState, key, hyper, batch: dict[str, np.ndarray]) -> np.ndarray | None:
    return pictures.draw_real(game.gan, game.devices, state, key, hyper, batch, attempt.config.model.output)


def _schedule(
    game: Game,
    attempt: Attempt,
    keys: Keys,
    checkpoints: Checkpoints,
    writer: metric_writers.MetricWriter,
    watch: Watch,
    progress: actions.Progress,
    curves: pictures.Curves,
) -> list[Due]:
    """Lists what is done when, in no particular order."""
    (run, config, _), (gan, source, scorer) = attempt, (game.gan, game.source, game.scorer)
    t, e, output = config.train, config.eval, config.model.output
    saved = (t.checkpoint_every, e.every) if scorer else (t.checkpoint_every,)
    found = [
        Due(actions.StepScalars(), (t.log_every,)),
        Due(actions.Diversity(gan, keys.sample, output, source), (t.log_every,)),
        Due(progress, (t.log_every,)),
        Due(actions.Log(writer), last=True),
        Due(watch),
        Due(curves, (t.sample_every,)),
        Due(actions.OnHost(), saved, last=True),
        Due(actions.Save(checkpoints, e.best_metric), saved, last=True),
    ]
    if scorer:
        found.append(Due(actions.Evaluate(scorer, run), (e.every,)))
    if t.sample_every:
        found.append(
            Due(pictures.Samples(gan, keys.sample, output, source, run, writer), (t.sample_every,), first=True)
        )
        if gan.codes and drawable(gan.shape):
            found.append(Due(pictures.Sweeps(gan, keys.sample, output, source, run, writer), (t.sample_every,)))
    return found
