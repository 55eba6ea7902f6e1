"""What the doctor says: findings, by kind and severity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SEVERITIES = ("info", "warning", "problem")


@dataclass(frozen=True)
class Advice:
    """One recommendation and who gives it."""

    text: str
    source: str


@dataclass(frozen=True)
class Finding:
    """Something that curves show to be wrong.

    Attributes:
      kind: a key of `RULES`.
      severity: the highest so far: "info", "warning" or "problem".
      step: at which it began.
      reported: the step whose scalars gave it this severity.
      until: the last step at which it was seen, where it has passed since; None while it lasts.
      evidence: the numbers that it rests on.
      explanation: two or three sentences.
      advice: what the literature says to do; where its authors disagree, each of them.
    """

    kind: str
    severity: str
    step: int
    reported: int
    until: int | None
    evidence: dict[str, float]
    explanation: str
    advice: tuple[Advice, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON holds."""
        return asdict(self) | {"advice": [asdict(each) for each in self.advice]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Finding:
        """The inverse of `to_dict`, through JSON too."""
        return cls(**{**values, "advice": tuple(Advice(**each) for each in values["advice"])})

    def _repr_markdown_(self) -> str:
        """How a notebook shows it."""
        until = "" if self.until is None else f" until {self.until:,}"
        heading = f"**{self.severity}: {self.kind.replace('_', ' ')}**, since step {self.step:,}{until}"
        advice = "".join(f"\n* {each.text} *{each.source}*" for each in self.advice)
        return f"{heading}. {self.explanation}\n{advice}\n"


def worse(a: str, b: str) -> bool:
    """Whether severity `a` is above `b`.

    >>> worse("problem", "warning"), worse("info", "info")
    (True, False)
    """
    return SEVERITIES.index(a) > SEVERITIES.index(b)
