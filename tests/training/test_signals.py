"""How a run is asked to end."""

import signal

from jaxgan.training.signals import interruptible


def test_a_signal_in_the_midst_of_a_print_is_heard(monkeypatch):
    def reentrant(*arguments, **options):
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    with interruptible() as asked:
        monkeypatch.setattr("builtins.print", reentrant)
        signal.raise_signal(signal.SIGTERM)
        assert asked.is_set()
