"""`jaxgan.train` as a side: the whole loop, with its data, logging and checkpoints."""

from __future__ import annotations

import dataclasses
import tempfile
import threading
import time

from benchmarks.speed.side import LOOP_STEPS, Side
from jaxgan.config.config import Config
from jaxgan.runs.writers import metric_writers
from jaxgan.training.loop import train

LOG_EVERY = 20


class _Gate(metric_writers.MultiWriter):
    """A metric writer that holds up the loop that calls it, at every checkpoint step, until it may go on."""

    def __init__(self):
        super().__init__([])
        self.arrived, self.open = threading.Semaphore(0), threading.Semaphore(0)

    def write_scalars(self, step, scalars):
        if step % LOOP_STEPS == 0 and "loss/d" in scalars:  # the log of the step, whatever else writes of it
            self.arrived.release()
            self.open.acquire()


class Loop(Side):
    """Lets `jaxgan.train`, in a thread, go on for `LOOP_STEPS` steps at a time.

    A turn begins after the log of a checkpoint's step: with the checkpoint, and ends with the next such log.
    """

    def __init__(self, config: Config):
        t = dataclasses.replace(
            config.train, num_steps=10**9, log_every=LOG_EVERY, checkpoint_every=LOOP_STEPS, sample_every=0
        )
        self._config = dataclasses.replace(config, train=t)
        self._gate = _Gate()
        self._error: BaseException | None = None

    def warm_up(self) -> tuple[float, float]:
        start = time.perf_counter()
        threading.Thread(target=self._train, daemon=True).start()
        self._wait()
        return time.perf_counter() - start, self.run(LOOP_STEPS) / LOOP_STEPS

    def run(self, steps: int) -> float:
        if steps != LOOP_STEPS:
            raise ValueError(f"the loop goes {LOOP_STEPS} steps at a time, not {steps}")
        start = time.perf_counter()
        self._gate.open.release()
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        self._gate.arrived.acquire()
        if self._error is not None:
            raise self._error

    def _train(self) -> None:
        try:
            with tempfile.TemporaryDirectory() as workdir:
                train(self._config, workdir, writers=[self._gate])
        except BaseException as error:  # raised again where the steps were asked for
            self._error = error
            self._gate.arrived.release()
