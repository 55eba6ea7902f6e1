"""jaxgan trains GANs, draws samples from them, scores them and reports on them.

Train, or go on training: jaxgan --config=configs/mnist.py --workdir=runs/mnist [--config.train.num_steps=5000 ...]
Draw samples:             jaxgan --mode=sample --workdir=runs/mnist --out=samples.png
Score a run:              jaxgan --mode=evaluate --workdir=runs/mnist [--checkpoint=best] [--num=10000]
Score a folder of images: jaxgan --mode=evaluate --config=configs/mnist.py --folder=images/
A page about a run:       jaxgan --mode=report --workdir=runs/mnist [--out=report.html]
A page that compares:     jaxgan --mode=report --workdir=runs/a,runs/b --out=comparison.html
"""

# Thin: all that is done here can be called. JAX is imported only once the flags are known to be right.
from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Sequence

from absl import app, flags, logging
from ml_collections import config_flags

from jaxgan.errors import MACHINE, PLACES, UserError, suggest

FLAGS = flags.FLAGS
APPLICABLE = {
    "train": ("config", "config.KEY", "cpu_devices"),
    "sample": ("num", "out", "seed", "truncation", "label", "checkpoint"),
    "evaluate": ("config", "config.KEY", "cpu_devices", "num", "checkpoint", "folder"),
    "report": ("out", "checkpoint"),
}  # mode -> its flags
INTERRUPTED = 130  # the shell's code for Ctrl-C

config_flags.DEFINE_config_file(
    "config",
    None,
    "train: experiment, such as configs/mnist.py; --config.KEY=VALUE after it changes it. evaluate: its section eval "
    "stands for the run's own; without --workdir, --folder is scored against its data.",
)
flags.DEFINE_string("workdir", None, "Directory of the run. report: several, separated by commas, are compared.")
flags.DEFINE_enum("mode", "train", list(APPLICABLE), "What to do.")
flags.DEFINE_integer(
    "cpu_devices",
    None,
    "train, evaluate: devices made of the CPU's cores; default: as many as divide the batch, or 1 for dense networks.",
)
flags.DEFINE_integer("num", None, "sample: how many; default: 64. evaluate: how many; default: eval.num_samples.")
flags.DEFINE_string(
    "out",
    None,
    "sample: where to, FILE.png for one grid or DIR/ for one file per image. report: FILE.html; default: report.html "
    "in the directory of the run.",
)
flags.DEFINE_integer("seed", 0, "sample: of the latents.")
flags.DEFINE_float("truncation", None, "sample: bound on every latent coordinate; default: none.")
flags.DEFINE_string("checkpoint", "latest", "sample, evaluate, report: latest, best, or the step of one.")
flags.DEFINE_string("folder", None, "evaluate: images to score in place of the run's samples.")
flags.DEFINE_string("label", None, "sample: name or number of the class that all are of; default: each in turn.")


class _ConfigFile(flags.ArgumentParser):
    def parse(self, argument):
        from jaxgan.config.config import load_file

        return load_file(argument)


class _Value(flags.ArgumentParser):
    """A Python literal, or else the text as it is: what a key may hold is for `Config` alone to say."""

    def parse(self, argument):
        if not isinstance(argument, str):  # the default
            return argument
        try:
            return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(argument, argument))
        except (ValueError, SyntaxError):
            return argument


FLAGS["config"].parser = _ConfigFile()
for kind in (int, float, bool, tuple, type(None)):  # of the value that is replaced; a text is taken as it is
    config_flags.register_flag_parser_for_type(kind, _Value())


def main(argv: Sequence[str]) -> int:
    """Does what the flags say and returns the exit code."""
    if len(argv) > 1:
        raise UserError(f"argument {argv[1]!r} is not understood: every argument is a flag, --NAME=VALUE.")
    mode = FLAGS.mode
    for name in sum(APPLICABLE.values(), ()):
        if name in FLAGS and FLAGS[name].present and name not in APPLICABLE[mode]:
            allowed = ", ".join(f"--{n}" for n in ("workdir", *APPLICABLE[mode]))
            raise UserError(f"--{name} does not apply to --mode={mode}: allowed are {allowed}.")
    workdir = os.path.expanduser(FLAGS.workdir) if FLAGS.workdir else None
    if mode == "evaluate":
        return evaluate(workdir)
    if workdir is None:
        raise UserError("--workdir is missing: name the directory of the run.")
    return {"train": train, "sample": sample, "report": report}[mode](workdir)


def train(workdir: str) -> int:
    """`--mode=train`."""
    if FLAGS.config is None:
        raise UserError("--config is missing: name an experiment, such as --config=configs/mnist.py.")
    from jaxgan.config.config import as_config

    config = as_config(FLAGS.config)
    from jaxgan.devices.cpu import use_cpu_devices_for

    use_cpu_devices_for(config, FLAGS.cpu_devices)
    from jaxgan.training.loop import is_complete
    from jaxgan.training.loop import train as run

    state = run(config, workdir)
    return 0 if is_complete(config, workdir, int(state.step)) else INTERRUPTED


def sample(workdir: str) -> int:
    """`--mode=sample`."""
    if not FLAGS.out:
        raise UserError("--out is missing: name FILE.png for one grid or DIR/ for one file per image.")
    from jaxgan.sampling.sampler import load

    out = os.path.expanduser(FLAGS.out)
    say_where_it_went_on(workdir)
    sampler = load(workdir, checkpoint=FLAGS.checkpoint)
    files = sampler.save(out, 64 if FLAGS.num is None else FLAGS.num, FLAGS.seed, FLAGS.truncation, FLAGS.label)
    print(f"wrote {files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else ""))
    return 0


def evaluate(workdir: str | None) -> int:
    """`--mode=evaluate`."""
    from jaxgan.config.config import as_config

    config = None if FLAGS.config is None else as_config(FLAGS.config)
    if workdir is None and (config is None or FLAGS.folder is None):
        raise UserError("--workdir is missing: name the directory of the run, or --folder together with --config.")
    for key in config_flags.get_override_values(FLAGS["config"]) if workdir and config else ():
        if not key.startswith("eval."):
            raise UserError(f"--config.{key} does not apply to a run's --mode=evaluate: only its section eval does.")
    from jaxgan.devices.cpu import use_cpu_devices
    from jaxgan.evaluation.reference import BLOCK

    use_cpu_devices(FLAGS.cpu_devices, BLOCK)
    from jaxgan.evaluation import evaluate as scoring

    if workdir:
        say_where_it_went_on(workdir)
    if FLAGS.folder:
        folder = os.path.expanduser(FLAGS.folder)
        scores = scoring.score_folder(folder, config, workdir=workdir, num_images=FLAGS.num)
    else:
        assert workdir is not None
        scores = scoring.evaluate(workdir, config, FLAGS.checkpoint, FLAGS.num)
    print(scoring.table(scores), flush=True)
    return 0


def report(workdir: str) -> int:
    """`--mode=report`."""
    from jaxgan.reporting import report as run

    # A directory may have a comma in its name.
    names = [workdir] if os.path.isdir(workdir) else [name.strip() for name in workdir.split(",") if name.strip()]
    names = [os.path.expanduser(name) for name in names]
    for name in names:
        say_where_it_went_on(name)
    out = os.path.expanduser(FLAGS.out) if FLAGS.out else None
    print(f"wrote {run(names, out, FLAGS.checkpoint)}")
    return 0


def say_where_it_went_on(workdir: str) -> None:
    """A run that was rolled back is taken as it is; the one that goes on has a directory of its own."""
    from pathlib import Path

    from jaxgan.runs.rollback import went_on

    if where := went_on(Path(workdir)):
        print(where, flush=True)


def parse(argv: Sequence[str]) -> list[str]:
    """absl's parsing of all arguments, every mistake turned into one sentence.

    Raises:
      UserError: an unknown flag or config key, a value of the wrong type, or a config file that does not load.
    """
    try:
        argv = FLAGS.read_flags_from_files(list(argv), force_gnu=False)
        _check_overrides(argv)
        return FLAGS(argv)
    except flags.Error as error:
        raise _explained(error) from None
    except SystemExit:  # after --help, which absl counts as a failure
        sys.exit(0)


def _check_overrides(argv: Sequence[str]) -> None:
    """Refuses what config_flags would overlook or say less clearly."""
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
        parser = FLAGS[name].parser
        if isinstance(parser, flags.EnumParser):
            return suggest(f"--{name}", value, parser.enum_values)
        return UserError(f"--{name} is {value!r}: it must be {parser.syntactic_help or parser.flag_type()}.")
    return UserError(f"{' '.join(str(error).split())}.")


def console() -> None:
    """The script `jaxgan`, and `python -m jaxgan.main`."""
    logging.set_verbosity(logging.WARNING)
    # What a background thread logs with its traceback is raised here as well, and said in one sentence.
    logging.get_absl_logger().addFilter(_without_traceback)
    sys.modules["__main__"].__doc__ = __doc__  # for --help, also where the script's own module is another
    for flag in FLAGS.get_key_flags_for_module(sys.modules[__name__]):
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    try:
        app.run(main, flags_parser=parse)
    except (Exception, KeyboardInterrupt) as error:
        code, sentence = _told(error)
        if not code:
            raise
        print(f"jaxgan: {sentence}", file=sys.stderr, flush=True)
        if isinstance(error, BrokenPipeError):  # else Python would try once more to write what is left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(code)


def _told(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence for what the user or the machine has to mend; code 0 for a fault of the program."""
    if isinstance(error, UserError):
        return 2, str(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted."
    if isinstance(error, FloatingPointError):  # the scalars of a step; its text says which
        return 1, str(error)
    if isinstance(error, BrokenPipeError):
        return 1, "nobody reads the output any more."
    if isinstance(error, OSError) and error.errno in MACHINE | PLACES:
        return 1, f"{error.strerror}{f': {error.filename}' if error.filename else ''}."
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):  # XLA's and the checkpoint library's word
        full = "No space left on device" in str(error)
        return 1, f"{'the disk is full' if full else 'out of memory'}: {(str(error).splitlines() or [''])[0][:300]}"
    return 0, ""


def _without_traceback(record) -> bool:
    record.exc_info = record.exc_text = None
    return True


if __name__ == "__main__":
    console()
