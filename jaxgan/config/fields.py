"""The declaration of a key, `key(default, meaning, ...)`, and the checks that follow from it.

Each field of a section is declared by `key`, which holds its meaning and what is allowed. The checks, `--keys` and
the configuration reference of the documentation all read this one declaration.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import math
import numbers
import os
import struct
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxgan.errors import ENTRIES, UserError, shown, suggest

# What devices compute with: int32 and float32. Float32 arithmetic turns numbers below the smallest normal one into 0.
MOST_INT, MOST_FLOAT, LEAST_FLOAT = 2**31 - 1, 3.4028234663852886e38, 1.1754943508222875e-38


@dataclasses.dataclass(frozen=True)
class Names:
    """Names that a dictionary or tuple elsewhere in jaxgan holds, such as the losses' in `LOSSES`.

    Iterating imports the module, which may need JAX; `without_import` reads its source instead.

    >>> Names("jaxgan.techniques.infogan", "DISTRIBUTIONS").without_import()
    ('uniform', 'normal')
    """

    module: str
    attribute: str
    more: tuple[str, ...] = ()  # further names that are allowed

    def __iter__(self) -> Iterator[str]:
        yield from getattr(importlib.import_module(self.module), self.attribute)
        yield from self.more

    def without_import(self) -> tuple[str, ...]:
        """Reads the names in the module's source, which takes no import of JAX."""
        path = Path(__file__).parents[1].joinpath(*self.module.split(".")[1:])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id == self.attribute:
                value: Any = node.value  # type: ignore[attr-defined]
                entries: list[Any] = value.keys if isinstance(value, ast.Dict) else value.elts
                return (*(ast.literal_eval(entry) for entry in entries), *self.more)
        raise LookupError(f"{self.attribute} is not assigned in {file}.")


@dataclasses.dataclass(frozen=True)
class Rule:
    """The meaning of a key and what it may hold beyond its type. For a tuple the bounds hold for each entry."""

    meaning: str
    allowed: tuple | Names = ()  # empty: any value within the bounds
    least: float | None = None
    most: float | None = None
    above: float | None = None  # excluded itself
    below: float | None = None  # excluded itself
    or_zero: bool = False  # 0 is allowed although the bounds exclude it

    def bounds(self) -> str:
        """Says which numbers are allowed, or nothing where there are no bounds.

        >>> Rule("", least=0, below=1).bounds(), Rule("", least=2, or_zero=True).bounds()
        ('at least 0 and less than 1', '0 or at least 2')
        """
        words = {"least": "at least", "above": "greater than", "most": "at most", "below": "less than"}
        said = [f"{word} {getattr(self, name)}" for name, word in words.items() if getattr(self, name) is not None]
        return ("0 or " if self.or_zero else "") + " and ".join(said)

    def holds(self, number: float) -> bool:
        """Whether a number lies within the bounds, also after float32 has rounded it."""
        if self.or_zero and number == 0:
            return True
        rounded = _float32(number)
        return (
            (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or min(number, rounded) > self.above)
            and (self.below is None or max(number, rounded) < self.below)
        )


def key(
    default: Any,
    meaning: str,
    *,
    allowed: tuple | Names = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    or_zero: bool = False,
) -> Any:
    """Declares a key of a section: a dataclass field with its default, its meaning and what is allowed.

    Args:
      default: The default; None where another key or a preset supplies the value.
      meaning: One or two plain sentences for the reference, with the unit.
      allowed: The only values allowed, or `Names` that say where they are listed.
      least, most: Bounds that are allowed themselves.
      above, below: Bounds that are not.
      or_zero: Whether 0 is allowed besides, as what switches something off.
    """
    rule = Rule(meaning, allowed, least, most, above, below, or_zero)
    return dataclasses.field(default=default, metadata={"rule": rule})


def rule_of(field: dataclasses.Field) -> Rule:
    """Returns what `key` declared for a field."""
    return field.metadata["rule"]


def coerce(value, hint):
    """Turns a value into plain Python of the type that a key holds, where this loses nothing.

    JSON has no tuples; one number may stand for a tuple of one, and a text for its parts between commas. Numbers of
    NumPy and scalar arrays become Python's, paths become texts.
    """
    value = _plain(value)
    if any(typing.get_origin(each) is tuple for each in typing.get_args(hint)):  # a tuple or something else
        return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value
    if typing.get_origin(hint) is not tuple:
        return value
    if isinstance(value, str):
        value = value[1:-1] if value[:1] + value[-1:] in ("()", "[]") else value
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    return tuple(_plain(entry) for entry in value) if isinstance(value, (list, tuple)) else value


def _plain(value):
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # an array or a scalar of NumPy or JAX
        return value.tolist()
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def matches(value, hint) -> bool:
    """Whether a value is of a type such as `int`, `float | None` or `tuple[int, ...]`."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(matches(value, t) for t in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(matches(v, typing.get_args(hint)[0]) for v in value)
    if hint is float:  # a whole number is a fine float; NaN and infinity are not
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def type_name(hint) -> str:
    """What a user would call a type: `a whole number`, `a number`, `True or False`, `a text`, ...

    >>> type_name(int), type_name(tuple[int, ...])
    ('a whole number', 'a tuple, each a whole number')
    """
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(type_name(t) for t in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"a tuple, each {type_name(typing.get_args(hint)[0])}"
    names = {int: "a whole number", float: "a finite number", bool: "True or False", str: "a text", type(None): "None"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def check_fields(section, name: str) -> None:
    """Checks every field of a frozen dataclass against its type and its declaration; `name` is the section's.

    Raises:
      UserError: A type, a bound or a name that is not allowed; the text says what is.
    """
    hints = typing.get_type_hints(type(section))
    for field in dataclasses.fields(section):
        full, hint = f"{name}.{field.name}" if name else field.name, hints[field.name]
        value = coerce(getattr(section, field.name), hint)
        if not matches(value, hint):
            raise UserError(f"{full} is {shown(value)}: it must be {type_name(hint)}.")
        if "rule" not in field.metadata:  # a section
            continue
        _check_value(full, value, rule_of(field), is_float=hint in (float, float | None))
        if hint in (float, float | None) and value is not None:
            value = float(value)  # 0 and 0.0 are the same configuration
        object.__setattr__(section, field.name, value)


def _check_value(full: str, value, rule: Rule, is_float: bool) -> None:
    for entry in value if isinstance(value, tuple) else (value,):
        if isinstance(entry, str) and "\0" in entry:
            raise UserError(f"{full} is {shown(value)}: a text may not hold the character NUL; leave it out.")
        if rule.allowed and not (entry is None or entry in tuple(rule.allowed)):
            raise _not_allowed(full, entry, tuple(rule.allowed))
        if isinstance(entry, bool) or not isinstance(entry, (int, float)):
            continue
        most = MOST_FLOAT if is_float else max(MOST_INT, rule.most or 0)
        if abs(entry) > most:
            raise UserError(f"{full} is {shown(value)}: it must be at most {most:.10g} in size.")
        if not rule.holds(entry):
            what = "each entry" if isinstance(value, tuple) else "it"
            raise UserError(f"{full} is {shown(value)}: {what} must be {rule.bounds()}{_rounding(rule, entry)}.")
        if 0 < abs(entry) < LEAST_FLOAT:
            zero = "0 or " if rule.holds(0) else ""
            raise UserError(
                f"{full} is {shown(value)}: it must be {zero}at least {LEAST_FLOAT:.4g} in size, the smallest number "
                "that float32 computes with."
            )


def _not_allowed(full: str, value, allowed: tuple) -> UserError:
    if not isinstance(allowed[0], str):
        return UserError(f"{full} has {shown(value)}: allowed are {', '.join(map(str, allowed))}.")
    error = suggest(full, value, allowed)
    more = f" All are printed by `python -m jaxgan.main --keys={full}`." if len(allowed) > ENTRIES else ""
    return UserError(f"{error}{more}")


def _rounding(rule: Rule, number: float) -> str:
    inside = (rule.above is None or number > rule.above) and (rule.below is None or number < rule.below)
    strict = rule.above is not None or rule.below is not None
    rounded = _float32(number)
    return f"; float32 rounds it to {rounded:g}" if strict and inside and rounded in (rule.above, rule.below) else ""


def _float32(number: float) -> float:
    return struct.unpack("f", struct.pack("f", number))[0]


def one_of(full: str, value: str, allowed: Iterable) -> None:
    """Refuses a name that is not among the allowed ones."""
    if not isinstance(value, str) or value not in allowed:
        raise _not_allowed(full, value, tuple(allowed))
