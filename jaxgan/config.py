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
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxgan.checks import at_least, check_types, coerce, one_of
from jaxgan.errors import UserError

OUTPUTS = ("tanh", "sigmoid", "linear")
Z_DISTRIBUTIONS = ("normal", "uniform")
ORDERS = ("d_first", "g_first")
DTYPES = ("float32", "bfloat16")

# What may differ between a run and its resumption: none of it changes what a step computes.
RESUMABLE = frozenset(
    f"train.{name}"
    for name in ("num_steps", "log_every", "sample_every", "checkpoint_every", "keep", "profile_at", "init_from")
) | {"data.data_dir"}


@dataclass(frozen=True)
class DataConfig:
    """Where examples come from."""

    source: str = "embedded"  # embedded | folder | npz | synthetic | tfds
    name: str = "mnist"  # the data set within the source; empty for folder and npz
    split: str = "train"
    data_dir: str = ""  # TFDS' directory, the folder of images, or the .npz file
    image_size: int = 28  # height = width in pixels after resize and center crop; 0: the source's own
    classes: tuple[int | str, ...] = ()  # keep only these, by number or name; empty: all
    max_examples: int = 0  # keep only the first n; 0: all
    horizontal_flip: bool = False  # mirror each image with probability 1/2
    on_bad_image: str = "error"  # error | skip: what a corrupt or tiny file in a folder does

    def __post_init__(self):
        from jaxgan.data import SOURCES

        check_types(self, "data")
        one_of("data.source", self.source, SOURCES)
        one_of("data.on_bad_image", self.on_bad_image, ("error", "skip"))
        at_least("data.image_size", self.image_size, 0)
        at_least("data.max_examples", self.max_examples, 0)
        if not self.name and self.source not in ("folder", "npz"):
            raise UserError(f"data.name is empty, but data.source {self.source!r} needs the name of a data set.")
        if self.source in ("folder", "npz") and not self.data_dir:
            raise UserError(f"data.source {self.source!r} needs data.data_dir, the path to read from.")
        if self.horizontal_flip and self.source == "synthetic":
            raise UserError("data.horizontal_flip mirrors images, but synthetic data are points; set it to False.")


@dataclass(frozen=True)
class ModelConfig:
    """The two networks."""

    architecture: str = "dcgan"
    z_dim: int = 128
    z_distribution: str = "normal"  # normal N(0, 1) | uniform U(-1, 1)
    base_features: int = 64
    channel_multipliers: tuple[int, ...] = ()  # of base_features, from the largest image down; empty: doubling
    g_kernel_sizes: tuple[int, ...] = (4,)  # one for all layers, or one per layer from the input on
    d_kernel_sizes: tuple[int, ...] = (4,)
    output: str = "tanh"  # tanh: images in [-1, 1] | sigmoid: [0, 1] | linear: points
    d_spectral_norm: bool = True
    g_batch_norm: bool = True
    d_batch_norm: bool = False

    def __post_init__(self):
        from jaxgan.architectures import ARCHITECTURES

        check_types(self, "model")
        one_of("model.architecture", self.architecture, ARCHITECTURES)
        one_of("model.z_distribution", self.z_distribution, Z_DISTRIBUTIONS)
        one_of("model.output", self.output, OUTPUTS)
        at_least("model.z_dim", self.z_dim, 1)
        at_least("model.base_features", self.base_features, 1)
        for multiplier in self.channel_multipliers:
            at_least("model.channel_multipliers", multiplier, 1)
        for name in ("g_kernel_sizes", "d_kernel_sizes"):
            sizes = getattr(self, name)
            if not sizes or any(size not in (3, 4, 5) for size in sizes):
                raise UserError(
                    f"model.{name} is {sizes}: allowed are 3, 4 and 5, one for all layers or one per layer."
                )


@dataclass(frozen=True)
class LossConfig:
    """The adversarial loss."""

    name: str = "non_saturating"

    def __post_init__(self):
        from jaxgan.losses import LOSSES

        check_types(self, "loss")
        one_of("loss.name", self.name, LOSSES)


@dataclass(frozen=True)
class RegularizersConfig:
    """Penalties on the discriminator, by weight; 0 leaves one out of the compiled program."""

    r1: float = 0.0  # gamma/2 E |grad D(x)|^2 on real examples
    r2: float = 0.0  # the same on generated ones

    def __post_init__(self):
        check_types(self, "regularizers")
        for f in dataclasses.fields(self):
            at_least(f"regularizers.{f.name}", getattr(self, f.name), 0)


@dataclass(frozen=True)
class OptimConfig:
    """Adam of one network. None means: the preset's value."""

    preset: str = "C"  # A-F of the SN-GAN paper: learning rate, b1, b2 (and D steps per G step)
    learning_rate: float | None = None
    schedule: str = "constant"  # constant | linear | cosine: from learning_rate to schedule_end x learning_rate
    schedule_steps: int = 0  # the schedule's own horizon in G steps, whatever train.num_steps is
    schedule_end: float = 0.0
    b1: float | None = None
    b2: float | None = None
    eps: float = 1e-8
    eps_root: float = 0.0
    kind: str = "adam"  # adam | adamax

    def validate(self, section: str) -> None:
        """Checks types and ranges; `section` is `g_optim` or `d_optim`, for the message."""
        from jaxgan.optim import KINDS, SCHEDULES

        one_of(f"{section}.schedule", self.schedule, SCHEDULES)
        one_of(f"{section}.kind", self.kind, KINDS)
        at_least(f"{section}.learning_rate", self.learning_rate or 0, 0)
        at_least(f"{section}.schedule_end", self.schedule_end, 0)
        at_least(f"{section}.eps_root", self.eps_root, 0)
        for name in ("b1", "b2"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise UserError(f"{section}.{name} is {value}: it must be at least 0 and less than 1.")
        if not self.eps > 0:
            raise UserError(f"{section}.eps is {self.eps}: it must be greater than 0 (usual: 1e-8 to 1e-4).")
        if self.kind == "adamax" and self.eps_root:
            raise UserError(f"{section}.eps_root is {self.eps_root}: adamax takes no root, so it must be 0.")
        if self.schedule != "constant" and self.schedule_steps < 1:
            raise UserError(f"{section}.schedule {self.schedule!r} needs {section}.schedule_steps of at least 1.")
        at_least(f"{section}.schedule_steps", self.schedule_steps, 0)


@dataclass(frozen=True)
class TrainConfig:
    """The loop. A step is one generator update with its discriminator updates."""

    num_steps: int = 10_000
    batch_size: int = 64  # global: over all devices and processes
    d_steps_per_g_step: int | None = None  # None: the preset's of d_optim
    order: str = "d_first"  # d_first | g_first
    ema_decay: float = 0.999
    dtype: str = "float32"  # of the computation: float32 | bfloat16; parameters, losses and SN stay float32
    log_every: int = 100
    sample_every: int = 500  # 0: never
    checkpoint_every: int = 1000  # 0: only at the end
    keep: int = 2  # newest checkpoints that stay
    init_from: str = ""  # another run's workdir, whose weights this one starts from
    profile_at: int = 0  # write a profiler trace of 5 steps from this step on; 0: never

    def __post_init__(self):
        check_types(self, "train")
        one_of("train.order", self.order, ORDERS)
        one_of("train.dtype", self.dtype, DTYPES)
        for name in ("num_steps", "batch_size", "log_every", "keep"):
            at_least(f"train.{name}", getattr(self, name), 1)
        if self.d_steps_per_g_step is not None:  # `Config` fills in the preset's
            at_least("train.d_steps_per_g_step", self.d_steps_per_g_step, 1)
        for name in ("sample_every", "checkpoint_every", "profile_at"):
            at_least(f"train.{name}", getattr(self, name), 0)
        if self.profile_at and self.profile_at + 5 > self.num_steps:
            raise UserError(
                f"train.profile_at is {self.profile_at}: its 5 steps must end by train.num_steps, {self.num_steps}."
            )
        if not 0 <= self.ema_decay < 1:
            raise UserError(
                f"train.ema_decay is {self.ema_decay}: it must be at least 0 (no averaging) and less than 1."
            )


@dataclass(frozen=True)
class EvalConfig:
    """Scores during training: nothing to set yet."""


@dataclass(frozen=True)
class Config:
    """One experiment. Every field is checked on construction; a `Config` that exists is valid.

    Raises:
      UserError: a type, range, name or combination that cannot work, naming field, value and what is allowed.
    """

    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    regularizers: RegularizersConfig = field(default_factory=RegularizersConfig)
    g_optim: OptimConfig = field(default_factory=OptimConfig)
    d_optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)

    def __post_init__(self):
        check_types(self, "")
        at_least("seed", self.seed, 0)
        if self.seed >= 2**32:
            raise UserError(f"seed is {self.seed}: it must be less than 2**32.")
        for section in ("g_optim", "d_optim"):
            optim = _with_preset(getattr(self, section), section)
            check_types(optim, section)
            optim.validate(section)
            object.__setattr__(self, section, optim)
        if self.train.d_steps_per_g_step is None:
            n = _preset(self.d_optim.preset, "d_optim").d_steps_per_g_step
            object.__setattr__(self, "train", dataclasses.replace(self.train, d_steps_per_g_step=n))
        self._check_combinations()

    def _check_combinations(self) -> None:
        from jaxgan.architectures import ARCHITECTURES

        data, model = self.data, self.model
        if data.source == "synthetic":
            if model.architecture != "mlp":
                raise UserError(f"model.architecture {model.architecture!r} makes images; synthetic points need 'mlp'.")
            if model.output != "linear":
                raise UserError(f"model.output {model.output!r} is bounded; synthetic points need 'linear'.")
        if data.image_size and data.source != "synthetic":
            # Channels come from the source; build() checks again with the real shape.
            ARCHITECTURES[model.architecture].check(
                (data.image_size, data.image_size, 1),
                model.channel_multipliers,
                model.g_kernel_sizes,
                model.d_kernel_sizes,
            )
        if model.d_batch_norm and (self.regularizers.r1 or self.regularizers.r2):
            raise UserError(
                "model.d_batch_norm couples the examples of a batch, so the per-example gradients of regularizers.r1"
                " and r2 are undefined; switch one of them off."
            )
        if (model.g_batch_norm or model.d_batch_norm) and self.train.batch_size < 2:
            raise UserError("train.batch_size is 1: batch norm needs at least 2 examples.")

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
    "loss": LossConfig,
    "regularizers": RegularizersConfig,
    "g_optim": OptimConfig,
    "d_optim": OptimConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
}
KEYS = ("seed", *(f"{name}.{f.name}" for name, cls in SECTIONS.items() for f in dataclasses.fields(cls)))
TYPES: dict[str, Any] = {"seed": int} | {
    f"{name}.{key}": hint for name, cls in SECTIONS.items() for key, hint in typing.get_type_hints(cls).items()
}


def defaults():
    """Every key with its default, as a locked `ml_collections.ConfigDict`: what a config file starts from."""
    from ml_collections import config_dict

    # type_safe=False: types are checked by `Config`, which says in a sentence what is allowed.
    config = config_dict.ConfigDict({"seed": 0}, type_safe=False)
    for name, cls in SECTIONS.items():
        config[name] = config_dict.ConfigDict(type_safe=False)
        for f in dataclasses.fields(cls):
            # A placeholder tells the flag parser the type of a value that is None by default.
            kind = TYPES[f"{name}.{f.name}"]
            config[name][f.name] = config_dict.placeholder(typing.get_args(kind)[0]) if f.default is None else f.default
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
        raise UserError(f"the configuration is {config!r}: it must be a Config, a ConfigDict or nested dictionaries.")
    return config


def unknown_key(key: str) -> UserError:
    """An error for a config key that does not exist: says what its section holds and which one was probably meant.

    >>> print(unknown_key("g_optim.lerning_rate"))  # doctest: +ELLIPSIS
    config key 'g_optim.lerning_rate' is not known: ... Did you mean 'g_optim.learning_rate'?
    """
    if key in SECTIONS:
        return UserError(
            f"config key {key!r} is a section: set a key in it ({', '.join(_names(SECTIONS[key])) or 'none yet'})."
        )
    section, _, name = key.rpartition(".")
    if section in SECTIONS:
        there = f"{section} holds {', '.join(_names(SECTIONS[section]))}"
    else:
        there = f"there are seed and the sections {', '.join(SECTIONS)}"
    known = KEYS if section else (*KEYS, *SECTIONS)
    misplaced = [k for k in KEYS if k.rpartition(".")[2] == name]
    near = difflib.get_close_matches(key, misplaced or known, n=1, cutoff=0 if misplaced else 0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"config key {key!r} is not known: {there}.{hint}")


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
    for key, value in values.items():
        if isinstance(value, Mapping) and key in SECTIONS:
            flat |= {f"{key}.{k}": v for k, v in value.items()}
        else:
            flat[key] = value
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
            raise UserError(f"config section {name} is {given!r}: it must be a dictionary of {names}.")
        for key in given:
            if f"{name}.{key}" not in KEYS:
                raise unknown_key(f"{name}.{key}")
        coerced[name] = {key: coerce(value, TYPES[f"{name}.{key}"]) for key, value in given.items()}
    return coerced


def _names(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls)]


def _preset(name: str, section: str):
    from jaxgan.optim import PRESETS

    one_of(f"{section}.preset", name, PRESETS)
    return PRESETS[name]


def _with_preset(optim: OptimConfig, section: str) -> OptimConfig:
    preset = _preset(optim.preset, section)
    names = ("learning_rate", "b1", "b2")
    return dataclasses.replace(optim, **{n: getattr(preset, n) for n in names if getattr(optim, n) is None})
