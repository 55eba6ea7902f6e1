"""Defines what the doctor reports: findings, by kind and severity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jaxgan.files import typed

SEVERITIES = ("info", "warning", "problem")


@dataclass(frozen=True)
class Advice:
    """Holds one recommendation and who gives it."""

    text: str
    source: str


@dataclass(frozen=True)
class Finding:
    """Describes something that curves show to be wrong.

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

    @property
    def numbers(self) -> str:
        """Spells the evidence: steps in full, other numbers with four digits."""
        return ", ".join(f"{words(name)} {_number(value)}" for name, value in self.evidence.items())

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values that JSON can hold."""
        return asdict(self) | {"advice": [asdict(each) for each in self.advice]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Finding:
        """Makes the finding that `to_dict` describes, also after a way through JSON.

        Raises:
          ValueError, KeyError, TypeError: values of something else.
        """
        SEVERITIES.index(values["severity"])
        return typed(cls, {**values, "advice": tuple(typed(Advice, each) for each in values["advice"])})

    def _repr_markdown_(self) -> str:
        """Formats the finding for a notebook."""
        heading = f"**{self.severity}: {words(self.kind)}**, {span(self)} ({self.numbers})"
        advice = "".join(f"\n* {each.text} *{each.source}*" for each in self.advice)
        return f"{heading}. {self.explanation}\n{advice}\n"


def worse(a: str, b: str) -> bool:
    """Tells whether severity `a` is above `b`.

    >>> worse("problem", "warning"), worse("info", "info")
    (True, False)
    """
    return SEVERITIES.index(a) > SEVERITIES.index(b)


def words(kind: str) -> str:
    """Spells the name of a kind of finding, or of a piece of evidence, as words."""
    return kind.replace("non_finite", "not finite").replace("_", " ")


def span(finding: Finding) -> str:
    """Says at which steps a finding was seen."""
    if finding.until is None:
        return f"since step {finding.step:,}"
    return f"from step {finding.step:,} to {finding.until:,}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"


def first_problem(findings: Iterable[Finding]) -> Finding | None:
    """Returns the problem that was reported first."""
    return min((f for f in findings if f.severity == "problem"), key=lambda f: f.reported, default=None)
