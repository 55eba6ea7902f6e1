"""Defines what every side of the comparison can do."""

from __future__ import annotations

import time

LOOP_STEPS = 100  # steps in one turn of the whole loop; each turn holds one checkpoint


class Side:
    """One way to train a game. Data are in memory; what is timed is the step, with the drawing of its latents."""

    def run(self, steps: int) -> float:
        """Measures the seconds of `steps` steps, from the first call until the last result is there."""
        raise NotImplementedError

    def warm_up(self) -> tuple[float, float]:
        """Measures the seconds of the first step, which compiles, and of a later step."""
        start = time.perf_counter()
        self.run(1)
        first = time.perf_counter() - start  # of a whole call, which may hold many steps
        second = self.run(2) / 2
        return first, self.run(3 if second > 0.1 else 50) / (3 if second > 0.1 else 50)
