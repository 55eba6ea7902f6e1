"""What is watched while a run goes, and what happens when something is found."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import at_least, check_types, one_of

ON_FINDING = ("warn", "stop", "roll_back")


@dataclass(frozen=True)
class MonitorConfig:
    """Monitoring. None of this changes the training, so a resumed run may change it, but for when it ends early."""

    layers: bool = True  # log gradient norms, update ratios and sigma of every layer
    histograms_every: int = 0  # steps between two histograms of D's logits; 0: never, for they compile a program
    preflight: bool = True  # look at data and networks before the first step
    on_finding: str = "warn"  # at a finding of severity "problem": warn | stop | roll_back to the best checkpoint
    max_attempts: int = 3  # times that a run is rolled back before it is stopped

    def __post_init__(self):
        check_types(self, "monitor")
        at_least("monitor.histograms_every", self.histograms_every, 0)
        at_least("monitor.max_attempts", self.max_attempts, 1)
        one_of("monitor.on_finding", self.on_finding, ON_FINDING)
