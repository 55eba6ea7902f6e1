"""Writes the page of the site that is made from code: docs/reference/configuration.md, every key of a configuration."""

import dataclasses
import inspect
from pathlib import Path

from jaxgan.config.config import SECTIONS, TYPES, Config
from jaxgan.config.fields import rule_of, type_name

INTRODUCTION = """# Configuration reference

Every key of a configuration: its meaning, type, default and what is allowed. This page is made from the dataclasses in
`jaxgan/config/`; `python -m jaxgan.main --keys WORD` prints the keys that a word fits.

Set a key on the command line, after `--config=FILE`:

    python -m jaxgan.main --config=configs/mnist.py --workdir=runs/a --config.train.num_steps=500

in a configuration file or a notebook:

    config = jaxgan.defaults()
    config.train.num_steps = 500

or in nested dictionaries:

    jaxgan.train({"train": {"num_steps": 500}}, "runs/a")

An unknown key or a value that cannot work is refused with a sentence that says what is allowed.
"""


def write(directory: Path) -> None:
    """Writes the page where it has changed, so that Sphinx reads it again only then."""
    path, text = directory / "configuration.md", configuration()
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def configuration() -> str:
    """Returns the page as Markdown."""
    parts = [
        INTRODUCTION,
        "## seed\n",
        *(_key(f.name, f) for f in dataclasses.fields(Config) if f.name not in SECTIONS),
    ]
    for name, section in SECTIONS.items():
        parts.append(f"## {name}\n\n{inspect.getdoc(section)}\n")
        parts += [_key(f"{name}.{f.name}", f) for f in dataclasses.fields(section)]
    return "\n".join(parts)


def _key(name: str, field: dataclasses.Field) -> str:
    rule = rule_of(field)
    names = ", ".join(f"`{value}`" for value in rule.allowed)
    kind = f"one of {names}" if names else f"{type_name(TYPES[name])} {rule.bounds()}".rstrip()
    return f"[`{name}`]{{#{name}}}\n: {rule.meaning}\n\n  *{kind[0].upper()}{kind[1:]}; default `{field.default!r}`.*\n"
