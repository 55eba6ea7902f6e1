"""jaxgan trains GANs, draws samples from them, scores them and reports on them.

Train or resume:          jaxgan --config=configs/mnist.py --workdir=runs/mnist [--config.train.num_steps=5000 ...]
Draw samples:             jaxgan --mode=sample --workdir=runs/mnist --out=samples.png
Score a run:              jaxgan --mode=evaluate --workdir=runs/mnist [--checkpoint=best] [--num=10000]
Score a folder of images: jaxgan --mode=evaluate --config=configs/mnist.py --folder=images/
Write a page about a run: jaxgan --mode=report --workdir=runs/mnist [--out=report.html]
Compare runs on a page:   jaxgan --mode=report --workdir=runs/a,runs/b --out=comparison.html
Look up a key:            jaxgan --keys [WORD], such as jaxgan --keys learning_rate

Exit codes: 0 done. 1 failed: a value became NaN or infinite, memory or the disk is full, or the program has a fault
(with a traceback). 2 refused: a flag, a key, the data or a file must be mended first. 130 interrupted by Ctrl-C or
SIGTERM; a training run has saved its state, and the same command resumes it. 143 ended by SIGTERM before there was
anything to save.
"""

# All that is done here is also a function of the package. JAX is imported only once the flags are known to be right.
from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from jaxgan.errors import FULL, MACHINE, PLACES, Interrupted, UserError, shown, suggest

FLAGS = flags.FLAGS
APPLICABLE = {
    "train": ("config", "config.KEY", "cpu_devices", "generator", "discriminator"),
    "sample": ("num", "out", "seed", "truncation", "label", "checkpoint", "generator", "discriminator"),
    "evaluate": ("config", "config.KEY", "cpu_devices", "num", "checkpoint", "folder", "generator", "discriminator"),
    "report": ("out", "checkpoint", "generator", "discriminator"),
}  # mode -> its flags
INTERRUPTED = 130  # the shell's code for Ctrl-C

_ARGV: list[str] = []  # what `parse` was given; the library would read sys.argv when this module is imported
config_flags.DEFINE_config_file(
    "config",
    None,
    "train: the experiment, such as configs/mnist.py; --config.KEY=VALUE after it changes a key (--keys prints them). "
    "evaluate: only its section eval is used, in place of the run's own; without --workdir, --folder is compared with "
    "its data.",
    sys_argv=_ARGV,
)
flags.DEFINE_string("workdir", None, "Directory of the run. report: several runs, separated by commas, are compared.")
flags.DEFINE_enum("mode", "train", list(APPLICABLE), "What to do.")
flags.DEFINE_string("keys", None, "Print the configuration keys that contain this word, with their meaning, and stop.")
flags.DEFINE_integer(
    "cpu_devices",
    None,
    "train, evaluate: number of devices to make of the CPU's cores. Default: as many as divide the batch, or 1 for "
    "dense networks.",
)
flags.DEFINE_integer(
    "num",
    None,
    "sample: number of samples; default 64. evaluate: number of samples to score; default eval.num_samples.",
)
flags.DEFINE_string(
    "out",
    None,
    "sample: FILE.png for one grid, or DIR/ for one file per image. report: FILE.html; default report.html in the "
    "directory of the run.",
)
flags.DEFINE_integer("seed", 0, "sample: seed of the generator's inputs.")
flags.DEFINE_float("truncation", None, "sample: bound on every coordinate of the generator's input; default none.")
flags.DEFINE_string("checkpoint", "latest", "sample, evaluate, report: the checkpoint to use: latest, best, or a step.")
flags.DEFINE_string("folder", None, "evaluate: folder of images to score in place of the run's samples.")
flags.DEFINE_string("label", None, "sample: name or number of the class of all samples; default: each class in turn.")
for part in ("generator", "discriminator"):
    flags.DEFINE_string(
        part,
        None,
        f"A {part} of your own in place of the configuration's, as package.module:Class. The code of that module is "
        "run. sample, evaluate, report: needed where the run was trained with one.",
    )


class _ConfigFile(flags.ArgumentParser):
    def parse(self, argument):
        from jaxgan.config.config import load_file

        return load_file(argument)


class _Value(flags.ArgumentParser):
    """Reads a value as a Python literal, or else as a text; only `Config` decides what a key may hold."""

    def parse(self, argument):
        if not isinstance(argument, str):  # the default
            return argument
        try:
            return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(argument, argument))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # all that it is documented to raise
            return argument


FLAGS["config"].parser = _ConfigFile()
for kind in (int, float, bool, tuple, type(None)):  # the type of the old value; where it is a text, no parser is needed
    config_flags.register_flag_parser_for_type(kind, _Value())


def main(argv: Sequence[str]) -> int:
    """Does what the flags say and returns the exit code."""
    if len(argv) > 1:
        raise UserError(
            f"argument {shown(argv[1])} is not understood: every argument is a flag, --NAME=VALUE; --help lists them."
        )
    if FLAGS["keys"].value is not None:
        from jaxgan.config.reference import table

        print(table(FLAGS["keys"].value))
        return 0
    mode = FLAGS.mode
    for name in sum(APPLICABLE.values(), ()):
        if name in FLAGS and FLAGS[name].present and name not in APPLICABLE[mode]:
            allowed = ", ".join(f"--{n}" for n in ("workdir", *APPLICABLE[mode]))
            raise UserError(f"--{name} does not apply to --mode={mode}: leave it out; allowed are {allowed}.")
    workdir = os.path.expanduser(FLAGS.workdir) if FLAGS.workdir else None
    if mode == "evaluate":
        return evaluate(workdir)
    if workdir is None:
        raise UserError("--workdir is missing: name the directory of the run.")
    return {"train": train, "sample": sample, "report": report}[mode](workdir)


def train(workdir: str) -> int:
    """Trains or resumes the run in `workdir`, for `--mode=train`."""
    if FLAGS.config is None:
        raise UserError("--config is missing: name an experiment, such as --config=configs/mnist.py.")
    from jaxgan.config.config import as_config

    config = as_config(FLAGS.config)
    from jaxgan.training.signals import ending_at_once

    with ending_at_once("jaxgan: SIGTERM before the first step: ended, nothing had to be saved."):
        from jaxgan.devices.cpu import use_cpu_devices_for

        use_cpu_devices_for(config, FLAGS.cpu_devices)
        from jaxgan.training.loop import train as run

        run(config, workdir, **own_modules())
    return 0


def sample(workdir: str) -> int:
    """Draws samples from the run in `workdir`, for `--mode=sample`."""
    if not FLAGS.out:
        raise UserError("--out is missing: name FILE.png for one grid or DIR/ for one file per image.")
    from jaxgan.devices.compilation import use_cache
    from jaxgan.sampling.sampler import load

    use_cache()
    out = os.path.expanduser(FLAGS.out)
    say_where_it_went_on(workdir)
    sampler = load(workdir, checkpoint=FLAGS.checkpoint, **own_modules())
    files = sampler.save(out, 64 if FLAGS.num is None else FLAGS.num, FLAGS.seed, FLAGS.truncation, FLAGS.label)
    print(f"wrote {files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else ""))
    return 0


def evaluate(workdir: str | None) -> int:
    """Scores a run or a folder of images, for `--mode=evaluate`."""
    from jaxgan.config.config import as_config

    config = None if FLAGS.config is None else as_config(FLAGS.config)
    if workdir is None and (config is None or FLAGS.folder is None):
        raise UserError("--workdir is missing: name the directory of the run, or --folder together with --config.")
    for key in config_flags.get_override_values(FLAGS["config"]) if workdir and config else ():
        if not key.startswith("eval."):
            raise UserError(f"--config.{key} does not apply to --mode=evaluate of a run: only keys of eval do.")
    from jaxgan.devices.cpu import use_cpu_devices
    from jaxgan.evaluation.reference import BLOCK

    use_cpu_devices(FLAGS.cpu_devices, BLOCK)
    from jaxgan.devices.compilation import use_cache

    use_cache()
    from jaxgan.evaluation import evaluate as scoring

    if workdir:
        say_where_it_went_on(workdir)
    if FLAGS.folder:
        folder = os.path.expanduser(FLAGS.folder)
        scores = scoring.score_folder(folder, config, workdir=workdir, num_images=FLAGS.num)
    else:
        assert workdir is not None
        scores = scoring.evaluate(workdir, config, FLAGS.checkpoint, FLAGS.num, **own_modules())
    print(scoring.table(scores), flush=True)
    return 0


def report(workdir: str) -> int:
    """Writes the page about one run or several, for `--mode=report`."""
    from jaxgan.reporting import report as run

    # A directory may have a comma in its name.
    names = [workdir] if os.path.isdir(workdir) else [name.strip() for name in workdir.split(",") if name.strip()]
    names = [os.path.expanduser(name) for name in names]
    for name in names:
        say_where_it_went_on(name)
    out = os.path.expanduser(FLAGS.out) if FLAGS.out else None
    print(f"wrote {run(names, out, FLAGS.checkpoint, **own_modules())}")
    return 0


def own_modules() -> dict[str, Any]:
    """Imports the networks that the flags --generator and --discriminator name."""
    from jaxgan.runs.named_modules import PARTS, find

    named = {part: FLAGS[part].value for part in PARTS}
    return {part: find(text, part) for part, text in named.items() if text is not None}


def say_where_it_went_on(workdir: str) -> None:
    """Prints where a run goes on that was rolled back; this directory is used all the same."""
    from pathlib import Path

    from jaxgan.runs.rollback import went_on

    try:
        where = went_on(Path(workdir))
    except UserError as error:  # the directory where it goes on is damaged, or this one, which is said later too
        where = str(error)
    if where:
        print(where, flush=True)


def parse(argv: Sequence[str]) -> list[str]:
    """Parses all arguments with absl, and turns every mistake into one sentence.

    Raises:
      UserError: an unknown flag or config key, a value of the wrong type, or a config file that does not load.
    """
    try:
        argv = _with_word(FLAGS.read_flags_from_files(list(argv), force_gnu=False))
        _ARGV[:] = argv
        _check_overrides(argv)
        return FLAGS(argv)
    except flags.Error as error:
        raise _explained(error) from None
    except SystemExit:  # after --help, which absl counts as a failure
        sys.exit(0)


def _with_word(argv: list[str]) -> list[str]:
    """Joins `--keys WORD`, or `--keys` alone, to one argument, because absl's flags always have a value."""
    for i, argument in enumerate(argv):
        if re.fullmatch("--?keys", argument):
            word = [next_one for next_one in argv[i + 1 : i + 2] if not next_one.startswith("-")]
            return [*argv[:i], f"--keys={''.join(word)}", *argv[i + 1 + len(word) :]]
    return argv


def _check_overrides(argv: Sequence[str]) -> None:
    """Refuses mistakes that config_flags would overlook or explain less clearly."""
    from jaxgan.config.config import KEYS, unknown_key

    files = [i for i, argument in enumerate(argv) if re.match(r"--?config(=|$)", argument)]
    if len(files) > 1:
        raise UserError("--config is given more than once: name one experiment, and change it by --config.KEY=VALUE.")
    for i, argument in enumerate(argv):
        if match := re.match(r"--?(?:no)?config\.([^=]*)", argument):
            if match[1] not in KEYS:
                raise unknown_key(match[1])
            if not files or i < files[0]:
                raise UserError(f"--config.{match[1]} must come after --config=FILE, the experiment that it changes.")


def _explained(error: flags.Error) -> UserError:
    if isinstance(error.__context__, UserError):  # of a config file; absl has put its own around it
        return error.__context__
    if isinstance(error, flags.UnrecognizedFlagError):
        own = [f"--{flag.name}" for flag in FLAGS.get_key_flags_for_module(sys.modules[__name__])]
        return suggest("flag", f"--{error.flagname}", own)
    if match := re.match(r"flag --(\w+)=(.*?): ", str(error), re.DOTALL):
        name, value = match.groups()
        if name == "config" and error.__context__ is not None:
            raise error.__context__
        parser = FLAGS[name].parser if name in FLAGS else None
        if isinstance(parser, flags.EnumParser):
            return suggest(f"--{name}", value, parser.enum_values)
        if isinstance(parser, flags.BooleanParser):
            return UserError(f"--{name} is {shown(value)}: it must be true or false, or have no value.")
        if parser is not None:
            return UserError(f"--{name} is {shown(value)}: it must be {parser.syntactic_help}.")
    if match := re.search(r"Missing value for flag (--\S+)", str(error)):
        example = "--config=configs/mnist.py, say" if match[1] == "--config" else f"{match[1]}=VALUE"
        of_key = match[1].startswith("--config.")
        more = f"; `--keys={match[1].removeprefix('--config.')}` says what is allowed" if of_key else ""
        return UserError(f"{match[1]} has no value: write {example}{more}.")
    if isinstance(error, flags.CantOpenFlagFileError):
        return UserError(f"{str(error).removeprefix('ERROR:: ')}: name a readable file of flags, one on each line.")
    return UserError(f"{' '.join(str(error).split())}: see --help for the flags.")


def console() -> None:
    """Runs the command line, for the script `jaxgan` and for `python -m jaxgan.main`."""
    logging.set_verbosity(logging.WARNING)
    # An error that a background thread logs with its traceback is raised here too, and told in one sentence.
    logging.get_absl_logger().addFilter(_not_raised_too)
    sys.unraisablehook = partial(_not_closed_loops, sys.unraisablehook)
    sys.modules["__main__"].__doc__ = __doc__  # for --help, also where the script's own module is another
    for flag in FLAGS.get_key_flags_for_module(sys.modules[__name__]):
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    try:
        app.run(main, flags_parser=parse)
    except (Exception, KeyboardInterrupt) as error:
        code, sentence = _told(error)
        if not sentence:
            raise
        print(f"jaxgan: {sentence}", file=sys.stderr, flush=True)
        if isinstance(error, BrokenPipeError):  # else Python would try once more to write what is left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(code)


def _told(error: BaseException) -> tuple[int, str]:
    """Returns exit code and sentence for an error that the user can mend; no sentence means a fault of the program."""
    if isinstance(error, UserError):
        return 2, str(error)
    if isinstance(error, Interrupted) and error.complete:
        return 0, str(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, str(error) or "interrupted."
    if isinstance(error, FloatingPointError):  # its text names the step and the scalar
        return 1, str(error)
    if isinstance(error, BrokenPipeError):
        return 1, "nobody reads the output any more."
    if isinstance(error, OSError) and error.errno in FULL:
        where = f", so that {error.filename} cannot be written" if error.filename else ""
        return 1, f"the disk is full{where}: free some space, and run the same command again."
    if isinstance(error, OSError) and error.errno in MACHINE | PLACES:
        return 1, f"{error.strerror}{f': {error.filename}' if error.filename else ''}."
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):  # the compiler's word
        return 1, f"out of memory: {(str(error).splitlines() or [''])[0][:300]}"
    return 0, ""


def _not_closed_loops(otherwise: Callable[[Any], Any], unraisable: Any) -> None:
    """Passes over what the checkpoint library's threads leave after an error that was told."""
    if "Event loop is closed" not in str(unraisable.exc_value):
        otherwise(unraisable)


def _not_raised_too(record) -> bool:
    """Filters out what the libraries' threads log of an error that they also raise here, where it is told."""
    return not record.exc_info


if __name__ == "__main__":
    console()
