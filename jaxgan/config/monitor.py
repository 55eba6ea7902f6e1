"""The keys of the section `monitor`: what is watched during training, and what a finding leads to."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import check_fields, key

ON_FINDING = ("warn", "stop", "roll_back")


@dataclass(frozen=True)
class MonitorConfig:
    """What is watched during training, and what a finding leads to.

    None of these keys changes a training step, so a resumed run may change them; some decide when a run ends.
    """

    layers: bool = key(True, "Whether gradient norms, update ratios and spectral norms of every layer are logged.")
    histograms_every: int = key(
        0,
        "Steps between two histograms of D's logits; 0 draws none, because they need a compiled program of their own.",
        least=0,
    )
    preflight: bool = key(True, "Whether data and networks are checked before the first step.")
    on_finding: str = key(
        "warn",
        "What a finding of severity 'problem' leads to: a warning, the end of the run, or a return to the best "
        "checkpoint (roll_back).",
        allowed=ON_FINDING,
    )
    max_attempts: int = key(3, "Number of times that a run is rolled back before it is stopped.", least=1)

    def __post_init__(self):
        check_fields(self, "monitor")
