"""Writes the page of the site that is made from code: docs/reference/configuration.md, every key of a configuration."""

import dataclasses
import inspect
from pathlib import Path

from jaxgan.config.config import SECTIONS, TYPES, Config
from jaxgan.config.fields import type_name

INTRODUCTION = """# Configuration reference

Every key of a configuration: its type, its default and its meaning. This page is made from the dataclasses in `jaxgan/config/`.

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
    """Writes the page, unless it is there already as it should be, so that Sphinx reads it again only after a change."""
    path, text = directory / "configuration.md", configuration()
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def configuration() -> str:
    """The page as Markdown text."""
    seed = next(f for f in dataclasses.fields(Config) if f.name == "seed")
    parts = [INTRODUCTION, _key("seed", seed)]
    for name, section in SECTIONS.items():
        parts.append(f"## {name}\n\n{inspect.getdoc(section)}\n")
        parts += [_key(f"{name}.{f.name}", f) for f in dataclasses.fields(section)]
    return "\n".join(parts)


def _key(key: str, field: dataclasses.Field) -> str:
    default = field.default if field.default is not dataclasses.MISSING else field.default_factory()
    meaning = field.metadata.get("meaning", "").replace("\n", " ")
    return f"[`{key}`]{{#{key}}}\n: {type_name(TYPES[key])}; default `{default!r}`. {meaning}\n"
