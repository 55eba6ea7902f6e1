"""Gives each side a process of its own, which the kernel stops whenever it is not that side's turn."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MAKERS = Mapping[str, Callable[[], Any]]
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


class SideError(RuntimeError):
    """A side could not be made ready or broke down; its text is one sentence."""


class Worker:
    """One or more sides in a process of their own: made ready at once, then run for a turn at a time.

    Between turns the process is stopped (SIGSTOP), so that no idle thread of its library takes time from the others.

    Args:
      makers: by name, functions without arguments that make a `Side`; they are pickled.
      log: file for what the process prints.

    Raises:
      SideError: a side cannot be made or does not survive its first steps.
    """

    def __init__(self, makers: MAKERS, log: Path):
        context = multiprocessing.get_context("spawn")  # a fork would carry over the threads of this process
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, makers, log), daemon=True)
        self._log = log
        self.info: dict[str, dict[str, Any]] = {}
        # An interruption while the process starts waits until somebody is there to end it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
        try:
            self._process.start()
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self.info = self._receive()
            self._signal(signal.SIGSTOP)
        except BaseException:
            self.kill()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def turn(self, side: str, steps: int) -> float:
        """Measures the seconds a side takes for `steps` steps."""
        self._signal(signal.SIGCONT)
        self._connection.send((side, steps))
        seconds, self.info[side]["peak_bytes"] = self._receive()
        self._signal(signal.SIGSTOP)
        return seconds

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()

    def kill(self) -> None:
        """Ends the process at once, whatever it is doing, and the helpers that its libraries have started."""
        if self._process.pid is None:
            return
        self._connection.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has no group yet, or none any more
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        """Asks the process to end."""
        self._signal(signal.SIGCONT)
        self._connection.close()  # at which it leaves, with the helpers that its libraries have started
        self._process.join(10)
        self.kill()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            last = (self._log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
            raise SideError(f"the process ended; its last words are: {last}") from None
        if isinstance(answer, SideError):
            raise answer
        return answer

    def _signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self._process.pid, number)  # type: ignore[arg-type]


def _serve(connection: Any, makers: MAKERS, log: Path) -> None:
    # A group of its own: Ctrl-C is the parent's business, and should the parent be killed the kernel ends the stopped.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that came before this
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTIONS)
    with open(log, "w") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    try:
        sides = {name: make() for name, make in makers.items()}
        start_bytes, info = memory("VmRSS"), {}
        for name, side in sides.items():
            first, step = side.warm_up()
            info[name] = {"first_step_seconds": first, "step_seconds": step, "start_bytes": start_bytes}
        connection.send(info)
        while True:
            name, steps = connection.recv()
            connection.send((sides[name].run(steps), memory("VmHWM")))
    except EOFError:
        pass
    except Exception as error:
        import traceback

        traceback.print_exc()
        text = next((line for line in str(error).splitlines() if line.strip()), "")
        connection.send(SideError(f"{type(error).__name__}: {text}"))


def memory(field: str) -> int:
    """Reads the resident memory of this process in bytes: now (`VmRSS`), or at most so far (`VmHWM`)."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0]) * 1024
    except OSError:  # not Linux: only the most so far is to be had
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
