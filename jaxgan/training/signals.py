"""Hears SIGTERM and Ctrl-C: before the first step they end the process, later the run is saved first."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

TERMINATED = 128 + signal.SIGTERM  # what a shell reports of a process that SIGTERM ended


_early: set[int] = set()  # file descriptors by which `ending_at_once` hears of signals


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
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
        with contextlib.suppress(RuntimeError, OSError):  # where it came in the midst of another `print`
            print(f"{signal.Signals(number).name}: finishing the step and saving ...", flush=True)

    for number in before:
        signal.signal(number, handle)
    wakeup = signal.set_wakeup_fd(-1)
    if wakeup not in _early:
        signal.set_wakeup_fd(wakeup)
    try:
        yield event
    finally:
        restore()
        signal.set_wakeup_fd(wakeup)


@contextlib.contextmanager
def ending_at_once(sentence: str) -> Iterator[None]:
    """Within, SIGTERM ends the process at once, with a sentence on stderr and exit code 143.

    A thread does it, since a Python handler would have to wait for the compiler. Within `interruptible` the first
    SIGTERM is left to that; the second one ends the process. Call it in the main thread of a program of its own.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    ended = threading.Lock()

    def end(text: str) -> None:
        if ended.acquire(blocking=False):
            os.write(2, f"{text}\n".encode())
            os._exit(TERMINATED)

    def handle(number, frame) -> None:
        early = signal.set_wakeup_fd(-1) == write
        end(sentence if early else "SIGTERM again: ended at once, without saving.")

    def listen() -> None:
        while byte := os.read(read, 1):
            if byte[0] == signal.SIGTERM:
                end(sentence)

    before, wakeup = signal.signal(signal.SIGTERM, handle), signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    _early.add(write)
    listener = threading.Thread(target=listen, name="jaxgan-sigterm", daemon=True)
    listener.start()
    try:
        yield
    finally:
        _early.discard(write)
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGTERM, before)
        os.close(write)  # ends the thread
        listener.join()
        os.close(read)
