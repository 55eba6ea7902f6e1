"""How a run is asked to end: by the first signal, after the step that it is at."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


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
    try:
        yield event
    finally:
        restore()
