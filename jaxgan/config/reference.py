"""The reference of all keys: one row per key, as a table for the terminal and as a page for the documentation."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
import types
import typing
from typing import NamedTuple

from jaxgan.config.config import KEYS, RESUMABLE, SECTIONS, TYPES, Config, nearest_key
from jaxgan.config.fields import Names, Rule, rule_of
from jaxgan.errors import UserError, shown

WIDTH = 96  # characters of the terminal's table
INTRODUCTION = """# Configuration reference

Every key with its meaning, type, default and what is allowed. This page is made from the dataclasses in
`jaxgan/config/`; `python -m jaxgan.main --keys=WORD` prints the keys that contain a word.

A key is set on the command line, after `--config=FILE`:

    python -m jaxgan.main --config=configs/mnist.py --workdir=runs/a --config.train.num_steps=500

in a configuration file or a notebook:

    config = jaxgan.defaults()
    config.train.num_steps = 500

or in nested dictionaries:

    jaxgan.train({"train": {"num_steps": 500}}, "runs/a")

An unknown key or a value that cannot work is refused with a sentence that says what is allowed. Most keys must stay the
same when a run is resumed; the others say so.

## Without a section
"""


class Row(NamedTuple):
    """One key of the configuration, all in words."""

    key: str
    type: str
    default: str
    meaning: str
    allowed: str  # empty where any value of the type is
    resumable: bool  # whether a resumed run may change it


def rows(word: str = "") -> list[Row]:
    """Lists the keys whose name, meaning or allowed values contain `word`, in the order of the sections.

    Imports no JAX.
    """
    return [
        row
        for row in map(_row, KEYS)
        if any(word.lower() in text.lower() for text in (row.key, row.meaning, row.allowed))
    ]


def table(word: str = "") -> str:
    """Writes the keys that contain `word` as a table for the terminal, at most `WIDTH` characters wide.

    Raises:
      UserError: No key contains the word.
    """
    found = rows(word)
    if not found:
        near = nearest_key(word)
        raise UserError(
            f"--keys={shown(word)} is in no key's name or meaning: try "
            f"{f'--keys={near}' if near else 'another word'}, or --keys alone, which prints all."
        )
    names, kinds = max(len(row.key) for row in found), max(len(row.type) for row in found)
    lines: list[str] = []
    section = None
    for row in found:
        if row.key.partition(".")[0] != section and row.key in TYPES:
            section = row.key.partition(".")[0]
            if section in SECTIONS:
                lines += ["", *textwrap.wrap(f"{section}: {_about(section)}", WIDTH)]
        line = f"  {row.key:<{names}}  {row.type:<{kinds}}  {row.default}"
        fits = len(line) <= WIDTH
        lines.append(line if fits else line.removesuffix(row.default).rstrip())
        for text in (
            "" if fits else f"Default: {row.default}",
            row.meaning,
            f"Allowed: {row.allowed}." if row.allowed else "",
        ):
            lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines).strip("\n")


def markdown() -> str:
    """Writes the configuration reference as a page of the documentation: a heading and a list for each section."""
    parts = [INTRODUCTION, _entry(_row("seed"))]
    for section in SECTIONS:
        parts.append(f"## {section}\n\n{_about(section)}\n")
        parts += [_entry(_row(key)) for key in KEYS if key.startswith(f"{section}.")]
    return "\n".join(parts)


def _entry(row: Row) -> str:
    """Writes a key as an entry of a MyST definition list; a table of five columns would not fit on a phone."""
    facts = [f"type {row.type}", f"default `{row.default}`", *([f"allowed: {row.allowed}"] if row.allowed else [])]
    again = ["may change on resume"] if row.resumable else []
    return f"[`{row.key}`]{{#{row.key.replace('.', '-')}}}\n: {row.meaning}\n\n  *{'; '.join(facts + again)}*\n"


def _row(key: str) -> Row:
    section, _, name = key.rpartition(".")
    field = next(f for f in dataclasses.fields(SECTIONS[section] if section else Config) if f.name == name)
    rule = rule_of(field)
    return Row(key, _type(TYPES[key]), repr(field.default), rule.meaning, _allowed(rule, TYPES[key]), key in RESUMABLE)


def _about(section: str) -> str:
    return " ".join(inspect.getdoc(SECTIONS[section]).split())  # type: ignore[union-attr]


def _type(hint) -> str:
    """Names a type briefly.

    >>> _type(int), _type(float | None), _type(tuple[int | str, ...])
    ('int', 'float or None', 'tuple of int or str')
    """
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_type(t) for t in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"tuple of {_type(typing.get_args(hint)[0])}"
    return "None" if hint is type(None) else hint.__name__


def _allowed(rule: Rule, hint) -> str:
    each = "each " if typing.get_origin(hint) is tuple else ""
    if rule.allowed:
        names = rule.allowed.without_import() if isinstance(rule.allowed, Names) else rule.allowed
        return f"{each and 'each of '}{', '.join(map(str, names))}"
    return f"{each}{rule.bounds()}" if rule.bounds() else ""
