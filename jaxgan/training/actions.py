"""Does what is due now and then while a run trains: logs, scores, checkpoints; pictures are in `pictures`.

An action is a callable whose keyword parameters are the names of the values that it needs, and whose `gives` are the
names of the values that it returns, as a dictionary; a parameter with a default can do without its value. `Actions`
calls each action after those that give what it needs, so that the order of a list of actions carries no meaning, and
none of them knows of another.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.data import Source, to_floats
from jaxgan.data.source import permutation
from jaxgan.devices.packing import table
from jaxgan.errors import NonFiniteError, NotFiniteError
from jaxgan.evaluation.scorer import Scorer
from jaxgan.metrics import Score
from jaxgan.metrics.conditional import diversity
from jaxgan.runs import score_log
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.runs.writers import metric_writers, periodic_actions
from jaxgan.steps import sample
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import GAN
from jaxgan.steps.state import GANState

DIVERSITY_SAMPLES = 128  # the doctor's thresholds were fitted with as many
# The values that every action can ask for: the step, the state after it, the finite scalars that the compiled step
# returned, and all scalars that other actions gave at this step.
STEP, STATE, METRICS, SCALARS = GIVEN = ("step", "state", "metrics", "scalars")

Values = dict[str, Any]


class Due(NamedTuple):
    """An action, and when it is due.

    Attributes:
      action: what to call; see the module.
      every: due at the multiples of these steps and at the last step; 0 never divides. None: due when any other action
        is.
      first: whether it is also due before the first step of a new run.
      last: whether it is also due where the run ends before its last step.
    """

    action: Callable[..., Mapping[str, Any] | None]
    every: tuple[int, ...] | None = None
    first: bool = False
    last: bool = False


def is_due(step: int, every: Iterable[int], last: int) -> bool:
    """The one rule of what is due: at each multiple of a number in `every`, except 0, and at the last step.

    >>> [step for step in range(1, 6) if is_due(step, (2, 0), last=5)]
    [2, 4, 5]
    """
    return step == last or any(n and step % n == 0 for n in every)


class Actions:
    """Calls the actions that are due after a step, each with the values that it needs.

    A value that no action gave at this step is None. The scalars that several actions give are merged.

    Args:
      scheduled: actions, in any order.
      last: the last step of the run.

    Raises:
      ValueError: an action needs what no action gives, or two need each other's values.
    """

    def __init__(self, scheduled: Iterable[Due], last: int):
        every = tuple(scheduled)
        wanted = [inspect.signature(due.action).parameters for due in every]
        givers: dict[str, list[int]] = {name: [] for name in GIVEN}
        for i, due in enumerate(every):
            for name in getattr(due.action, "gives", ()):
                givers.setdefault(name, []).append(i)
        must = {name for names in wanted for name, parameter in names.items() if parameter.default is parameter.empty}
        if missing := must - givers.keys():
            raise ValueError(f"no action gives {', '.join(sorted(missing))}.")
        graph = {i: [j for name in names for j in givers.get(name, ())] for i, names in enumerate(wanted)}
        self._sorted = [(every[i], tuple(wanted[i])) for i in TopologicalSorter(graph).static_order()]
        self._last = last

    def __call__(self, step: int, state: GANState, metrics: Mapping[str, Any]) -> Values:
        """Calls what is due after a step, whose scalars must be finite then; returns all values by name."""
        if not any(due.every is not None and is_due(step, due.every, self._last) for due, _ in self._sorted):
            return {}
        values = {STEP: step, STATE: state, METRICS: check_finite(step, metrics)}
        return self._call(values, lambda due: due.every is None or is_due(step, due.every, self._last))

    def before_first_step(self, state: GANState) -> Values:
        """Calls what is due before the first step of a new run."""
        values: Values = {STEP: 0, STATE: state, METRICS: {}}
        return self._call(values, lambda due: due.first or due.every is None)

    def close(self, step: int, state: GANState, metrics: Mapping[str, Any], values: Values) -> None:
        """Calls what is due where a run ends early and was not called at this step; `values` are the step's so far."""
        called = values.pop("called", set())
        values = {STEP: step, STATE: state, METRICS: check_finite(step, metrics), **values}
        self._call(values, lambda due: due.last and due.action not in called)

    def _call(self, values: Values, chosen: Callable[[Due], bool]) -> Values:
        called = set()
        values.setdefault(SCALARS, {})
        for due, needs in self._sorted:
            if not chosen(due):
                continue
            given = dict(due.action(**{name: values.get(name) for name in needs}) or {})
            scalars = {name: float(value) for name, value in given.pop(SCALARS, {}).items()}
            values |= {**given, SCALARS: {**values[SCALARS], **scalars}}
            called.add(due.action)
        return {**values, "called": called}


@contextlib.contextmanager
def profiling(workdir: Path, first: int, steps: int) -> Iterator[Callable[[int], None]]:
    """Gives a function to call after each step, which writes a profiler trace of some of them.

    Args:
      workdir: where the trace goes.
      first: the step at which the trace begins; 0: there is none.
      steps: number of steps in the trace, which ends with the training at the latest.
    """
    profile = periodic_actions.Profile(
        logdir=str(workdir), num_profile_steps=steps, profile_duration_ms=None, first_profile=first, every_secs=None
    )
    try:
        yield lambda step: profile(step)
    finally:
        profile(sys.maxsize)  # later than all steps of a trace, which ends it


def check_finite(step: int, metrics: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Fetches the scalars of a step, and raises an error where one of them is NaN or infinite.

    Args:
      step: the step that the metrics are of.
      metrics: scalars; or [k] each, of the k steps up to `step`, all of which are looked at.

    Returns:
      The scalars of `step`.

    Raises:
      NonFiniteError: naming the first such step and every such scalar of it.
    """
    names, values = table(metrics)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        i = int(np.argmin(finite))
        raise not_finite(step - len(finite) + 1 + i, dict(zip(names, values[i].tolist(), strict=True)))
    return dict(zip(names, values[-1], strict=True))


def not_finite(step: int, scalars: Mapping[str, Any], **found: float) -> NonFiniteError:
    """Makes the error that ends a run.

    Args:
      step: the step.
      scalars: all scalars of the step.
      found: further measurements, not all of which are finite.
    """
    known = {name: float(value) for name, value in {**scalars, **found}.items()}
    bad = ", ".join(f"{name} is {value}" for name, value in known.items() if not np.isfinite(value))
    return NonFiniteError(f"training stopped at step {step}: {bad}.", step, known)


class StepScalars:
    """Gives the scalars of the step itself to the log."""

    gives = (SCALARS,)

    def __call__(self, metrics: Mapping[str, float]) -> Values:
        return {SCALARS: metrics}


class Progress:
    """Prints the latest scalars, the speed since the last line, and the time left at that speed."""

    def __init__(self, last: int, images_per_step: int):
        self._last, self._images = last, images_per_step

    def start(self, step: int) -> None:
        """Starts the clock when `step` steps are done."""
        self._step, self._time = step, time.monotonic()

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        speed = (step - self._step) / max(time.monotonic() - self._time, 1e-9)
        self.start(step)
        shown = "  ".join(f"{name} {metrics[name]:.3f}" for name in ("loss/d", "loss/g", "score/real", "score/fake"))
        rate = f"{speed:.3g} steps/s  {speed * self._images:.4g} images/s" if speed else "compiled"
        left = f"  ETA {_duration((self._last - step) / speed)}" if speed else ""
        print(f"step {step}/{self._last}  {shown}  {rate}{left}", flush=True)


class Log:
    """Writes all scalars of a step to disk."""

    gives = ("logged",)

    def __init__(self, writer: metric_writers.MetricWriter):
        self._writer = writer

    def __call__(self, step: int, scalars: Mapping[str, float]) -> Values:
        if scalars:
            self._writer.write_scalars(step, scalars)
        self._writer.flush()
        return {"logged": True}


class Diversity:
    """Measures how much generated examples differ from each other, `diversity/fake`.

    It is the mean distance of two examples that the live weights generate, over that of two real ones; 1 is the data's
    own. Distances are between the values as they are, not between features, so that it costs next to nothing.
    """

    gives = (SCALARS,)

    def __init__(self, gan: GAN, key: jax.Array, output: str, source: Source):
        chosen = np.sort(permutation(len(source), 0)[:DIVERSITY_SAMPLES])  # a source may be in the order of its classes
        self._real = diversity(_rows(to_floats(source.read(chosen), output))) if len(chosen) > 1 else 0.0
        places = jnp.arange(DIVERSITY_SAMPLES)
        classes = jnp.asarray(np.unique(source.labels) if gan.num_classes else [0], jnp.int32)
        z, label = g_inputs(gan, key, places), classes[places % len(classes)] if gan.num_classes else None
        self._sample = jax.jit(lambda variables: sample(gan, variables, z, label))

    def __call__(self, step: int, state: GANState, metrics: Mapping[str, float]) -> Values:
        made = finite_samples(step, self._sample(state.generator.variables), metrics)
        if not self._real:  # all real examples are the same one
            return {}
        return {SCALARS: {"diversity/fake": diversity(_rows(made)) / self._real}}


def finite_samples(step: int, made: jax.Array, metrics: Mapping[str, float]) -> np.ndarray:
    """Fetches generated examples.

    Raises:
      NonFiniteError: some are not finite; it has the step's scalars `metrics`, and the largest size of a value as
        `samples`.
    """
    fetched = np.asarray(made)
    largest = float(np.abs(fetched).max())
    if not math.isfinite(largest):
        raise not_finite(step, metrics, samples=largest)
    return fetched


def _rows(examples: np.ndarray) -> np.ndarray:
    return examples.reshape(len(examples), -1)


class Evaluate:
    """Scores the generator: gives scalars and scores, and appends a line to `evaluation.jsonl`."""

    gives = (SCALARS, "scores")

    def __init__(self, scorer: Scorer, workdir: Path):
        self._scorer, self._path = scorer, workdir / score_log.FILE

    def __call__(self, step: int, state: GANState, metrics: Mapping[str, float]) -> Values:
        try:
            found = self._scorer(state)
        except NotFiniteError as error:
            raise not_finite(step, metrics, features=error.value) from None
        score_log.record(self._path, "train", found.values())
        print(f"step {step}  " + "  ".join(f"{name} {score.value:.4g}" for name, score in found.items()), flush=True)
        return {SCALARS: {score.tag: score.value for score in found.values()}, "scores": found}


class OnHost:
    """Fetches the whole state, which must be finite: an update may go wrong that no scalar tells of."""

    gives = ("host_state",)

    def __call__(self, step: int, state: GANState, metrics: Mapping[str, float]) -> Values:
        host = jax.device_get(state)
        largest: dict[str, float] = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(host):
            if jnp.issubdtype(leaf.dtype, jnp.inexact) and not np.isfinite(leaf).all():
                largest.setdefault(f"parameters/{_part(path)}", float(np.abs(leaf).max()))
        if largest:
            raise not_finite(step, metrics, **largest)
        return {"host_state": host}


def _part(path: tuple[Any, ...]) -> str:
    """The network that a leaf of the state belongs to."""
    return str(getattr(path[0], "name", getattr(path[0], "key", path[0])))


class Save:
    """Saves the state with the scores of its step, once everything that was logged before is on disk.

    The steps before a checkpoint are never run again, so that their lines must not be lost.
    """

    def __init__(self, checkpoints: Checkpoints, best_metric: str):
        self._checkpoints, self._best_metric = checkpoints, best_metric

    def __call__(
        self, step: int, host_state: GANState, logged: bool, scores: Mapping[str, Score] | None = None
    ) -> None:
        if scores and (best := scores.get(self._best_metric)):
            self._checkpoints.rank_by((best.key, best.better))
        values = {score.key: score.value for score in scores.values()} if scores else None
        self._checkpoints.save(step, host_state, values)


def _duration(seconds: float) -> str:
    seconds = math.ceil(seconds)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds % 60:02d}s"
