"""Holds scores with the protocols they were measured by; scores of unlike protocols are not compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from typing import Any

from jaxgan.errors import UserError
from jaxgan.files import DAMAGES, typed
from jaxgan.monitor.directions import CLOSER, DIRECTIONS, WORDS, merit

WEIGHTS = ("ema", "recalibrated", "raw", "folder")
FID = {"inception_v3": "fid", "inception_v3_clean": "fid_clean"}
MAY_DIFFER = ("step", "checkpoint")  # what a comparison is for


class UnlikeProtocolError(UserError):
    """Refuses a comparison of two scores that were not measured alike."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Describes how a score was measured.

    Attributes:
      features: name of the extractor, such as "cnn_embedded_mnist".
      features_hash: of its weights.
      data, split: the real examples.
      n_real, n_fake: number of real and of generated examples.
      data_hash: of the real examples and their labels; "" in scores of before it was recorded, which compare with none
        that have it.
      resize: what was done to their size before the extractor, such as "none".
      weights: the generator's: "ema", averaged parameters and batch statistics; "recalibrated", averaged parameters
        with batch statistics computed for them; "raw", the live ones; or "folder" for images from elsewhere.
      seed: of the latents and of whatever else was drawn.
      details: what the score itself adds, such as "k=3" or "100 subsets of 1000".
      step: completed G updates; None where it is not known.
      checkpoint: where the generator or the images came from.
    """

    features: str
    features_hash: str
    data: str
    split: str
    n_real: int
    n_fake: int
    data_hash: str = ""
    resize: str = "none"
    weights: str = "ema"
    seed: int = 0
    details: str = ""
    step: int | None = None
    checkpoint: str = ""

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights are {self.weights!r}: they must be one of {', '.join(WEIGHTS)}.")
        if min(self.n_real, self.n_fake) < 1:
            raise ValueError(f"n_real is {self.n_real} and n_fake {self.n_fake}: they must be 1 or more.")

    def __str__(self) -> str:
        resized = "not resized" if self.resize == "none" else f"resized: {self.resize}"
        parts = [
            f"features {self.features} {self.features_hash}",
            f"{self.n_fake:,} generated against {self.n_real:,} of {self.data} {self.split}"
            + (f" {self.data_hash}" if self.data_hash else ""),
            resized,
            f"weights {self.weights}" + ("" if self.step is None else f" of step {self.step}"),
            f"seed {self.seed}",
        ]
        return ", ".join([*parts, self.details] if self.details else parts)

    def differences(self, other: Protocol) -> list[str]:
        """Lists the fields that forbid a comparison, each as "n_fake (1000 and 10000)"."""
        ours, theirs = (
            {name: "none" if value == "" else value for name, value in dataclasses.asdict(p).items()}
            for p in (self, other)
        )
        may_differ = set(MAY_DIFFER)
        if "folder" in (self.weights, other.weights):  # images from elsewhere may be of any weights
            may_differ.add("weights")
        return [f"{k} ({a} and {theirs[k]})" for k, a in ours.items() if a != theirs[k] and k not in may_differ]


@dataclasses.dataclass(frozen=True)
class Score:
    """Holds a number, which values are better, its 95 % interval if there is one, and how it was measured."""

    name: str
    value: float
    better: str  # one of DIRECTIONS
    protocol: Protocol
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.better not in DIRECTIONS:
            raise ValueError(f"better is {self.better!r}: it must be one of {', '.join(DIRECTIONS)}.")
        if self.interval and len(self.interval) != 2:
            raise ValueError(f"the interval of {self.name} is {self.interval}: it must have two ends.")
        if not all(math.isfinite(x) for x in (self.value, *(self.interval or ()))):
            raise ValueError(f"the score {self.name} is {self.value} with interval {self.interval}: it must be finite.")
        if self.interval and not self.interval[0] <= self.interval[1]:
            raise ValueError(f"the interval of {self.name} is {self.interval}: its ends must be in order.")

    def __str__(self) -> str:
        interval = f" [{self.interval[0]:.4g}, {self.interval[1]:.4g}]" if self.interval else ""
        return f"{self.name} {self.value:.4g}{interval}, {self.better} is better ({self.protocol})"

    @property
    def tag(self) -> str:
        """Names the score as curves do: see `tag`."""
        return tag(self.name, self.protocol.n_fake, self.protocol.features)

    @property
    def key(self) -> str:
        """Names the score as checkpoints do: see `key_of`."""
        return key_of(self.name, self.protocol)

    def better_than(self, other: Score) -> bool:
        """Tells whether this value is strictly better than the other's, whatever their intervals.

        Raises:
          UnlikeProtocolError: another score, or protocols that differ in more than step and checkpoint.
        """
        found = self.protocol.differences(other.protocol)
        if self.name != other.name:
            found.insert(0, f"name ({self.name} and {other.name})")
        if found:
            raise UnlikeProtocolError(f"These scores cannot be compared, for they differ in {', '.join(found)}.")
        return bool(merit(self.value, self.better) > merit(other.value, other.better))

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold; `from_dict` gives the same score back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Score:
        """Makes the score that `to_dict` describes, also after JSON turned tuples into lists.

        Raises:
          ValueError: keys that are missing or not known, or values that no score has.
        """
        try:
            rest = dict(values)
            if rest["name"] in WORDS[CLOSER]:  # older records say that higher is better
                rest["better"] = CLOSER
            interval = rest.get("interval")
            rest["interval"] = None if interval is None else tuple(interval)
            return typed(cls, {**rest, "protocol": typed(Protocol, rest["protocol"])})
        except DAMAGES as error:
            raise ValueError(f"this is no score as it is written by jaxgan: {error}.") from None


def tag(name: str, n_fake: int, features: str) -> str:
    """Makes the name of a scalar: "eval/", the score, the number of generated examples, and the features.

    The Frechet distance is called FID on the Inception network of the papers alone, of either resize.

    >>> tag("fd", 10_000, "cnn_embedded_mnist"), tag("fd", 2500, "inception_v3")
    ('eval/fd_10k_cnn_embedded_mnist', 'eval/fid_2500')
    """
    count = f"{n_fake // 1000}k" if n_fake % 1000 == 0 else str(n_fake)
    if name == "fd" and features in FID:
        return f"eval/{FID[features]}_{count}"
    return f"eval/{name}_{count}_{features}"


def key_of(name: str, protocol: Protocol) -> str:
    """Makes a key of a score's tag and a hash of its protocol; scores with the same key may be compared.

    The hash is of the protocol as it is known before there is a score, so without what the score itself adds.
    """
    known = {k: v for k, v in dataclasses.asdict(protocol).items() if k not in (*MAY_DIFFER, "details")}
    hashed = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    return f"{tag(name, protocol.n_fake, protocol.features)} {hashed}"
