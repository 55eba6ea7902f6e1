"""How a run is asked to end."""

import signal
import subprocess
import sys
import threading

import pytest

from jaxgan.training.signals import interruptible

PROGRAM = """
import os, signal, sys, threading
from jaxgan.training.signals import ending_at_once, interruptible
with ending_at_once("ended."):
    {}
print("went on")
"""
BUSY = "sum(range(10**9))"  # one long call into C, as a compilation is, in which no Python handler runs


def run(body: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(body)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_a_signal_in_the_midst_of_a_print_is_heard(monkeypatch):
    def reentrant(*arguments, **options):
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    with interruptible() as asked:
        monkeypatch.setattr("builtins.print", reentrant)
        signal.raise_signal(signal.SIGTERM)
        assert asked.is_set()


def test_sigterm_before_the_first_step_ends_the_process_at_once_with_a_sentence():
    kill = "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()"
    assert run(f"{kill}; {BUSY}") == (143, "", "ended.\n")


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_once_steps_are_made_the_loop_hears_the_signal(number):
    body = f"with interruptible() as asked: os.kill(os.getpid(), signal.{number}); print(asked.wait(9))\n"
    body += "threading.Event().wait(0.1)"  # the thread would have heard of it by now
    code, out, error = run(f"exec({body!r})")
    assert (code, error) == (0, "")
    assert out.splitlines() == [f"{number}: finishing the step and saving ...", "True", "went on"]


def test_a_second_sigterm_ends_the_process_without_saving():
    send = "os.kill(os.getpid(), signal.SIGTERM)"
    body = f"with interruptible() as asked: {send}; asked.wait(9); threading.Event().wait(0.1); {send}"
    code, out, error = run(f"exec({body!r})")
    assert (code, error) == (143, "SIGTERM again: ended at once, without saving.\n") and "went on" not in out


def test_handlers_are_as_before_afterwards():
    from jaxgan.training.signals import ending_at_once

    before = signal.getsignal(signal.SIGTERM)
    with ending_at_once("ended."):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert "jaxgan-sigterm" not in [thread.name for thread in threading.enumerate()]
