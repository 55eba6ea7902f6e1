"""Checks of single values: types, names and bounds, each refusal one sentence with the key in it."""

from __future__ import annotations

import dataclasses
import math
import types
import typing

from jaxgan.errors import UserError, suggest

# What devices compute with: int32 and float32.
MOST_INT, MOST_FLOAT = 2**31 - 1, 3.4028234663852886e38


def coerce(value, hint):
    """JSON has no tuples; one number may stand for a tuple of one, and a text for its parts between commas."""
    if typing.get_origin(hint) is not tuple:
        return value
    if isinstance(value, str):
        value = value[1:-1] if value[:1] + value[-1:] in ("()", "[]") else value
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    return tuple(value) if isinstance(value, list) else value


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


def check_types(section, name: str) -> None:
    """Refuses fields of a frozen dataclass that are not of their type; `name` is that of its section."""
    hints = typing.get_type_hints(type(section))
    for f in dataclasses.fields(section):
        value, hint = getattr(section, f.name), hints[f.name]
        if not matches(value, hint):
            key = f"{name}.{f.name}" if name else f.name
            raise UserError(f"{key} is {value!r}: it must be {type_name(hint)}.")
        most = MOST_FLOAT if hint in (float, float | None) else MOST_INT
        numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if isinstance(n, (int, float))]
        if name and any(abs(n) > most for n in numbers):
            raise UserError(f"{name}.{f.name} is {value}: it must be at most {most:.10g} in size.")
        if hint in (float, float | None) and value is not None:
            object.__setattr__(section, f.name, float(value))  # 0 and 0.0 are the same configuration


def one_of(key: str, value: str, allowed) -> None:
    """Refuses a name that is not among the allowed ones."""
    if not isinstance(value, str) or value not in allowed:
        raise suggest(key, value, allowed)


def at_least(key: str, value: float, least: float) -> None:
    """Refuses a number below a bound."""
    if value < least:
        raise UserError(f"{key} is {value}: it must be at least {least}.")


def within(key: str, value: float, least: float, most: float) -> None:
    """Refuses a number outside of [least, most]."""
    if not least <= value <= most:
        raise UserError(f"{key} is {value}: it must be at least {least} and at most {most}.")
