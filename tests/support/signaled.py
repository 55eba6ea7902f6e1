"""Runs the command line and sends a signal to its own process once a step is logged.

`python signaled.py SIGNAL STEP FLAGS...`: sent from a metric writer, the signal arrives while that step is logged,
however fast the machine is.
"""

import os
import sys

from jaxgan.main import console
from jaxgan.runs.writers import JsonlWriter

write = JsonlWriter.write_scalars


def write_and_signal(self, step, scalars):
    write(self, step, scalars)
    if step == at_step and "loss/d" in scalars:  # other actions write of the same step
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    number, at_step = map(int, sys.argv[1:3])
    JsonlWriter.write_scalars = write_and_signal
    sys.argv[1:3] = []
    console()
