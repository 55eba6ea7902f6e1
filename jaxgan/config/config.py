"""The configuration: frozen dataclasses, checked once, from and to `ConfigDict` and JSON.

A config file's `get_config()` starts from `defaults()`, an `ml_collections.ConfigDict` with every key
there is, and changes what it needs; `--config.a.b=value` overrides on the command line. At the edge the
dictionary becomes a `Config`, whose `__post_init__`s refuse what cannot work with one sentence.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import runpy
import traceback
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_collections import config_dict

from jaxgan.config.constraints import (
    check_architecture,
    check_augment,
    check_conditioning,
    check_eval,
    check_parts,
    check_regularizers,
    check_targets,
    has_effect,
)
from jaxgan.config.data import DataConfig
from jaxgan.config.evaluation import EvalConfig
from jaxgan.config.fields import check_fields, coerce, key, one_of
from jaxgan.config.loss import AugmentConfig, LossConfig, RegularizersConfig, TargetsConfig
from jaxgan.config.model import InfoganConfig, ModelConfig
from jaxgan.config.monitor import MonitorConfig
from jaxgan.config.optim import OptimConfig
from jaxgan.config.train import TrainConfig
from jaxgan.errors import UserError, listed, shown

# What may differ between a run and its resumption: none of it changes what a step computes.
RESUMABLE = (
    frozenset(
        f"train.{name}"
        for name in ("num_steps", "log_every", "sample_every", "checkpoint_every", "keep", "profile_at", "init_from")
    )
    | {f"eval.{f.name}" for f in dataclasses.fields(EvalConfig)}
    | {f"monitor.{f.name}" for f in dataclasses.fields(MonitorConfig)}
    | {"data.data_dir"}
)

# Keys that changed what a step computes when they came, with the value by which a run from before goes on as it was.
BEFORE = {"augment.ada_interval": 1, "regularizers.before_augmentation": False}


@dataclass(frozen=True)
class Config:
    """One experiment. Every field is checked on construction; a `Config` that exists is valid.

    Raises:
      UserError: a type, range, name or combination that cannot work, naming field, value and what is allowed.
    """

    seed: int = key(0, "Seed of all randomness: weights, order of the data, latents.", least=0, most=2**32 - 1)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    infogan: InfoganConfig = field(default_factory=InfoganConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    regularizers: RegularizersConfig = field(default_factory=RegularizersConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    g_optim: OptimConfig = field(default_factory=OptimConfig)
    d_optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)

    def __post_init__(self):
        check_fields(self, "")
        for section in ("g_optim", "d_optim"):
            optim = _with_preset(getattr(self, section), section)
            optim.validate(section)
            object.__setattr__(self, section, optim)
        if self.train.d_steps_per_g_step is None:
            n = _preset(self.d_optim.preset, "d_optim").d_steps_per_g_step
            object.__setattr__(self, "train", dataclasses.replace(self.train, d_steps_per_g_step=n))
        check_architecture(self.data, self.model, self.train)
        check_regularizers(self.model, self.loss, self.regularizers)
        check_targets(self.loss, self.targets)
        check_augment(self.data, self.loss, self.augment)
        check_conditioning(self.model, self.loss, self.targets)
        check_eval(self.data, self.model, self.eval)
        check_parts(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries; tuples become lists, so that it equals its own JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The inverse of `to_dict`; keys may be missing (their defaults hold) but never unknown.

        Raises:
          UserError: an unknown key, with the nearest right one, or a value that cannot work.
        """
        sections = _coerced(values)
        return cls(**{k: SECTIONS[k](**v) if k in SECTIONS else v for k, v in sections.items()})


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "infogan": InfoganConfig,
    "loss": LossConfig,
    "targets": TargetsConfig,
    "regularizers": RegularizersConfig,
    "augment": AugmentConfig,
    "g_optim": OptimConfig,
    "d_optim": OptimConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "monitor": MonitorConfig,
}
KEYS = ("seed", *(f"{name}.{f.name}" for name, cls in SECTIONS.items() for f in dataclasses.fields(cls)))
TYPES: dict[str, Any] = {"seed": int} | {
    f"{name}.{key}": hint for name, cls in SECTIONS.items() for key, hint in typing.get_type_hints(cls).items()
}


class _ConfigDict(config_dict.ConfigDict):
    """Takes every value as it is, because `Config` checks types and says in a sentence what is allowed.

    The base class, in spite of `type_safe=False`, turns True into 1.0 where the old value is a float.
    """

    def __setitem__(self, name, value):
        if name in self:
            super().__setitem__(name, None)  # None may become anything
        super().__setitem__(name, value)


def defaults():
    """Every key with its default, as a locked `ml_collections.ConfigDict`: what a config file starts from."""
    config = _ConfigDict({"seed": 0}, type_safe=False)
    for name, cls in SECTIONS.items():
        config[name] = _ConfigDict(type_safe=False)
        for f in dataclasses.fields(cls):
            config[name][f.name] = f.default
    return config.lock()


def load_file(path: str):
    """What the function `get_config()` of a config file returns, on top of `defaults()`; `FILE:ARG` passes it ARG.

    Raises:
      UserError: there is no such file, running it fails (at the line named), or it returns no configuration.
    """
    file, colon, argument = path.partition(":")
    if not os.path.isfile(file):
        raise UserError(f"--config {path!r} is not a file: name an experiment, such as configs/mnist.py.")
    try:
        get_config = runpy.run_path(file).get("get_config")
        if not callable(get_config):
            raise UserError("it must define the function get_config().")
        values = _coerced(_as_mapping(get_config(*([argument] if colon else []))))
    except (Exception, SystemExit) as error:  # whatever the file's own code raises
        raise _file_error(error, path, file) from None
    config = defaults()
    for name, value in values.items():
        if name in SECTIONS:
            for key, member in value.items():
                config[name][key] = member
        else:
            config[name] = value
    return config


def _file_error(error: BaseException, path: str, file: str) -> UserError:
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)
    reason = next((text for text in str(error).splitlines() if text.strip()), "")
    if isinstance(error, SyntaxError):
        line, reason = error.lineno, error.msg
    elif frames[-1].filename.endswith("config_dict.py") and (name := re.search(r"[\"'](\w+)[\\\"']", str(error))):
        reason = str(unknown_key(name[1]))  # ConfigDict's own text lists all the values there are
    elif not isinstance(error, UserError):
        reason = f"{type(error).__name__}: {reason}"
    return UserError(f"--config {path!r}{f', line {line}' if line else ''}: {reason}")


def as_config(config) -> Config:
    """A `Config` from a `Config`, an `ml_collections.ConfigDict` or a nested mapping."""
    return config if isinstance(config, Config) else Config.from_dict(_as_mapping(config))


def _as_mapping(config) -> Mapping[str, Any]:
    if hasattr(config, "to_dict"):
        config = config.to_dict()
    if not isinstance(config, Mapping):
        raise UserError(
            f"the configuration is {shown(config)}: it must be a Config, a ConfigDict or nested dictionaries."
        )
    return config


def unknown_key(name: str) -> UserError:
    """Makes the error for a key that does not exist: what its section holds, and which key was probably meant.

    >>> print(unknown_key("g_optim.lerning_rate"))  # doctest: +ELLIPSIS
    config key 'g_optim.lerning_rate' is not known: ... Did you mean 'g_optim.learning_rate'?
    """
    if name in SECTIONS:
        return UserError(
            f"config key {name!r} is a section: set a key in it ({listed(_names(SECTIONS[name]))}). {_PRINTED}={name}`."
        )
    section = name.rpartition(".")[0]
    if section in SECTIONS:
        there = f"{section} holds {listed(_names(SECTIONS[section]))}. {_PRINTED}={section}`."
    else:
        there = f"there are seed and the sections {listed(SECTIONS)}. {_PRINTED}`."
    near = nearest_key(name)
    return UserError(f"config key {shown(name)} is not known: {there}{f' Did you mean {near!r}?' if near else ''}")


def nearest_key(name: str) -> str | None:
    """Finds the key or section that was probably meant by a name, or None."""
    section, _, last = name[:100].rpartition(".")
    misplaced = [k for k in KEYS if k.rpartition(".")[2] == last]
    known = misplaced or (KEYS if section else (*KEYS, *SECTIONS))
    near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0 if misplaced else 0.6)
    if near or section:
        return near[0] if near else None
    lasts = difflib.get_close_matches(last, [k.rpartition(".")[2] for k in KEYS], n=1, cutoff=0.8)
    return next((k for k in KEYS if lasts and k.rpartition(".")[2] == lasts[0]), None)


_PRINTED = "All are printed by `python -m jaxgan.main --keys"


def younger_keys(recorded: Mapping[str, Any]) -> tuple[str, ...]:
    """Names the keys of `BEFORE` that did not exist yet when a configuration was recorded."""
    there = _flatten(recorded)
    return tuple(name for name in BEFORE if name not in there)


def as_begun(config: Config, younger: Sequence[str]) -> Config:
    """Gives keys younger than a run what stands in `BEFORE` for them, where they have an effect and their defaults."""
    values, default = config.to_dict(), _flatten(Config().to_dict())
    for name in younger:
        section, _, field_name = name.partition(".")
        if has_effect(config, name) and values[section][field_name] == default[name]:
            values[section][field_name] = BEFORE[name]
    return Config.from_dict(values)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Field by field, what differs between two `Config.to_dict()`s, but for what a resume may change."""
    a, b = _flatten(old), _flatten(new)
    missing = "(absent)"
    return [
        f"{key}: {a.get(key, missing)!r} -> {b.get(key, missing)!r}"
        for key in sorted({*a, *b} - RESUMABLE)
        if a.get(key, missing) != b.get(key, missing)
    ]


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and name in SECTIONS:
            flat |= {f"{name}.{k}": v for k, v in value.items()}
        else:
            flat[name] = value
    return flat


def _coerced(values: Mapping[str, Any]) -> dict[str, Any]:
    """A nested dictionary with known keys only, its lists and single values made tuples where a tuple belongs."""
    coerced: dict[str, Any] = {}
    for name, given in values.items():
        if name not in SECTIONS:
            if name != "seed":
                raise unknown_key(str(name))
            coerced[name] = given
            continue
        if not isinstance(given, Mapping):
            names = ", ".join(_names(SECTIONS[name]))
            raise UserError(f"config section {name} is {shown(given)}: it must be a dictionary of {names}.")
        for member in given:
            if f"{name}.{member}" not in KEYS:
                raise unknown_key(f"{name}.{member}")
        coerced[name] = {k: coerce(value, TYPES[f"{name}.{k}"]) for k, value in given.items()}
    return coerced


def _names(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls)]


def _preset(name: str, section: str):
    from jaxgan.techniques.optim import PRESETS

    one_of(f"{section}.preset", name, PRESETS)
    return PRESETS[name]


def _with_preset(optim: OptimConfig, section: str) -> OptimConfig:
    preset = _preset(optim.preset, section)
    names = ("learning_rate", "b1", "b2")
    return dataclasses.replace(optim, **{n: getattr(preset, n) for n in names if getattr(optim, n) is None})
