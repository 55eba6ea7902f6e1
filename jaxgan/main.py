"""The command line: `python -m jaxgan.main --config=configs/mnist.py --workdir=runs/mnist`. Thin: all it does can be called."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence

from absl import app, flags, logging
from ml_collections import config_flags

from jaxgan.errors import UserError, suggest

MODES = ("train", "sample")
INTERRUPTED = 130  # the shell's code for Ctrl-C
FLAGS = flags.FLAGS

config_flags.DEFINE_config_file(
    "config", None, "Experiment to run, such as configs/mnist.py; --config.a.b=value overrides."
)
flags.DEFINE_string("workdir", None, "Directory of the run.")
flags.DEFINE_enum("mode", "train", MODES, "What to do.")
flags.DEFINE_integer("cpu_devices", None, "Devices to make of the CPU's cores; default: as many as divide the batch.")
flags.DEFINE_integer("num", 64, "sample: how many.")
flags.DEFINE_string("out", None, "sample: where to, FILE.png for one grid or DIR/ for one file per image.")
flags.DEFINE_integer("seed", 0, "sample: of the latents.")
flags.DEFINE_float("truncation", None, "sample: bound on every latent coordinate; default: none.")


def main(argv: Sequence[str]) -> int:
    """Does what the flags say and returns the exit code."""
    if len(argv) > 1:
        raise UserError(f"argument {argv[1]!r} is not understood: every argument is a flag, such as --workdir=DIR.")
    if not FLAGS.workdir:
        raise UserError("--workdir is missing: name the directory of the run.")
    return train() if FLAGS.mode == "train" else sample()


def train() -> int:
    """`--mode=train`."""
    from jaxgan.config import as_config

    if FLAGS.config is None:
        raise UserError("--config is missing: name an experiment, such as --config=configs/mnist.py.")
    config = as_config(FLAGS.config)
    _use_devices(FLAGS.cpu_devices, config.train.batch_size)
    from jaxgan.train import train as run

    state = run(config, FLAGS.workdir)
    return 0 if int(state.step) >= config.train.num_steps else INTERRUPTED


def sample() -> int:
    """`--mode=sample`."""
    if not FLAGS.out:
        raise UserError("--out is missing: name FILE.png for one grid or DIR/ for one file per image.")
    from jaxgan.sampling import load

    files = load(FLAGS.workdir).save(FLAGS.out, FLAGS.num, FLAGS.seed, FLAGS.truncation)
    print(f"wrote {files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else ""))
    return 0


def _use_devices(requested: int | None, batch_size: int) -> None:
    from jaxgan.parallel import use_cpu_devices

    use_cpu_devices(requested, batch_size)


def parse(argv: Sequence[str]) -> list[str]:
    """absl's parsing, every mistake turned into one sentence.

    Raises:
      UserError: an unknown flag or config key, a value of the wrong type, or a config file that does not load.
    """
    path = next((m[1] for a, b in zip(argv, [*argv[1:], ""], strict=True) if (m := _CONFIG.match(f"{a} {b}"))), None)
    if path is not None and not os.path.isfile(path.split(":")[0]):
        raise UserError(f"--config {path}: there is no such file.")
    try:
        return FLAGS(list(argv))
    except Exception as error:  # absl's own, and whatever a config file raises
        raise _explained(error, argv, path) from None


_CONFIG = re.compile(r"--?config[= ](\S+)")
_OVERRIDE = re.compile(r"--?(?:no)?config\.([\w.]+)(?:=(.*))?$", re.DOTALL)


def _explained(error: Exception, argv: Sequence[str], path: str | None) -> UserError:
    if isinstance(error, UserError):
        return error
    if isinstance(error, flags.UnrecognizedFlagError):
        return suggest("flag", error.flagname, [name for name in FLAGS if not name.startswith("config.")])
    from jaxgan.config import KEYS, TYPES, type_name

    overrides = [match for argument in argv if (match := _OVERRIDE.match(argument))]
    for match in overrides:
        if match[1] not in KEYS:
            return suggest("config key", match[1], KEYS)
    for match in overrides:
        if isinstance(error, flags.IllegalFlagValueError) and f"config.{match[1]}=" in str(error):
            return UserError(f"{match[1]} is {match[2]!r}: it must be {type_name(TYPES[match[1]])}.")
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if path and f.filename.endswith(os.path.basename(path))
    ]
    where = f"--config {path}, line {frames[-1].lineno}" if frames else "the command line"
    reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    return UserError(f"{where}: {reason}")


def console() -> None:
    """The script `jaxgan`, and `python -m jaxgan.main`."""
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main, flags_parser=parse)
    except UserError as error:
        sys.exit(_say(error, 2))
    except FloatingPointError as error:
        sys.exit(_say(error, 1))


def _say(error: Exception, code: int) -> int:
    print(f"jaxgan: {error}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    console()
