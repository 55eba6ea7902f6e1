"""The command line as a careless user finds it: one sentence, an exit code, and nothing touched by what is refused."""

import errno
import subprocess
import sys

import pytest
from support.loops import FLAGS

from jaxgan.errors import Interrupted, UserError


def config_file(tmp_path, body: str) -> str:
    path = tmp_path / "experiment.py"
    path.write_text(body)
    return f"--config={path}"


# Arguments after a whole command, and what the sentence must say: the field, the value, what is allowed.
OVERRIDES = [
    ("--config.train.num_step=3", r"'train.num_step' is not known: train holds num_steps, .*Did you mean 'train.num_s"),
    ("--config.train.num_step 3", r"'train.num_step' is not known: .*Did you mean 'train.num_steps'"),
    ("--config.trian.num_steps=3", r"'trian.num_steps' is not known: .*data, model, .*Did you mean 'train.num_steps'"),
    ("--config.train.r1=1", r"'train.r1' is not known: .*Did you mean 'regularizers.r1'"),
    ("--config.model=3", r"'model' is a section: set a key in it \(architecture, "),
    ("--config.train.num_steps=abc", r"train.num_steps is 'abc': it must be a whole number"),
    ("--config.train.num_steps abc", r"train.num_steps is 'abc': it must be a whole number"),
    ("--config.train.num_steps=2.5", r"train.num_steps is 2.5: it must be a whole number"),
    ("--config.train.num_steps=", r"train.num_steps is '': it must be a whole number"),
    (
        "--config.train.num_steps",
        r"--config.train.num_steps has no value: write --config.train.num_steps=VALUE; `--keys=train",
    ),
    ("--config.data.horizontal_flip=maybe", r"data.horizontal_flip is 'maybe': it must be True or False"),
    ("--config.g_optim.b1=nan", r"g_optim.b1 is 'nan': it must be a finite number or None"),
    ("--config.g_optim.eps=inf", r"g_optim.eps is 'inf': it must be a finite number"),
    ("--config.model.d_kernel_sizes=abc", r"d_kernel_sizes is \('abc',\): it must be a tuple, each a whole number"),
    ("--config.model.d_kernel_sizes=()", r"d_kernel_sizes is empty: allowed are 3, 4 and 5"),
    ("--config.data.classes=cat,dog", r"'cat' is not known: allowed are 0, 1, 2"),
    ("--config.data.image_size=0 --config.model.architecture=dcgan", r"8x8x1: data.image_size must be one of 28, 32"),
    ("--config.data.source=folder --config.data.data_dir=nowhere", r"'nowhere' .* does not exist"),
    ("--config.data.source=tfds --config.data.name=mnist --config.data.data_dir=nowhere", r"'mnist' is not prepared"),
    ("--config=configs/ring.py", r"--config is given more than once"),
    ("--confg=x", r"'--confg' is not known: .*Did you mean '--config'"),
    ("--mode=trian", r"--mode 'trian' is not known: allowed are train, sample, evaluate, report. Did you mean 'train'"),
    ("--cpu_devices=two", r"--cpu_devices is 'two': it must be an integer"),
    ("--checkpoint", r"--checkpoint has no value: write --checkpoint=VALUE\."),
    ("--config.train.num_steps={[]:1}", r"train.num_steps is '{\[\]:1}': it must be a whole number"),
    (
        "--seed=3",
        r"--seed does not apply to --mode=train: .*allowed are --workdir, --config, --config.KEY, --cpu_devices",
    ),
    ("steps=3", r"argument 'steps=3' is not understood"),
    ("--workdir=", r"--workdir is missing"),
    ("--flagfile=nowhere", r"Unable to open flagfile: .*'nowhere'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), OVERRIDES, ids=[a for a, _ in OVERRIDES])
def test_command_refuses_a_mistake_with_one_sentence_and_touches_nothing(command, tmp_path, arguments, sentence):
    code, out, err = command(*FLAGS, *arguments.split(" "))
    assert (code, out, err.count("\n")) == (2, "", 1)
    with pytest.raises(UserError, match=rf"^jaxgan: .*{sentence}"):
        raise UserError(err)
    assert list(tmp_path.iterdir()) == []


FILES = [
    ("def get_config(:", r"line 1: invalid syntax"),
    ("x = 1", r"it must define the function get_config\(\)"),
    ("def get_config():\n    return {}['a']", r"line 2: KeyError: 'a'"),
    ("def get_config():\n    return int('a')", r"line 2: ValueError: invalid literal"),
    ("def get_config():\n    return open('nowhere')", r"line 2: FileNotFoundError: .*'nowhere'"),
    ("def get_config():\n    exit(3)", r"line 2: SystemExit"),
    ("import nonesuch", r"line 1: ModuleNotFoundError: No module named 'nonesuch'"),
    ("def get_config():\n    pass", r"the configuration is None: it must be"),
    ("def get_config():\n    return {'train': {'num_step': 3}}", r"'train.num_step' .*Did you mean 'train.num_steps'"),
    ("def get_config():\n    return {'train': 3}", r"config section train is 3: it must be a dictionary"),
    ("def get_config(size):\n    pass", r"get_config\(\) missing 1 required positional argument: 'size'"),
    (
        "from jaxgan import defaults\ndef get_config():\n    c = defaults()\n    c.train.num_step = 3",
        r"line 4: config key 'num_step' is not known: .*Did you mean 'train.num_steps'",
    ),
    (
        "from jaxgan import defaults\ndef get_config():\n    c = defaults()\n    c.trian.num_steps = 3",
        r"line 4: config key 'trian' is not known: .*Did you mean 'train'",
    ),
]


@pytest.mark.parametrize(("body", "sentence"), FILES, ids=[sentence[:40] for _, sentence in FILES])
def test_command_says_what_is_wrong_in_a_config_file(command, tmp_path, body, sentence):
    code, out, err = command(config_file(tmp_path, body), "--config.train.num_steps=3")
    assert (code, out, err.count("\n")) == (2, "", 1)
    with pytest.raises(UserError, match=rf"^jaxgan: --config '.*experiment.py'.*{sentence}"):
        raise UserError(err)


@pytest.mark.parametrize("path", ["nowhere.py", "configs", ""])
def test_command_needs_a_config_file_that_is_one(command, path):
    assert command(f"--config={path}")[2].startswith(f"jaxgan: --config {path!r} is not a file")


def test_command_needs_a_config_and_before_what_changes_it(command):
    assert "--config is missing" in command()[2]
    assert "--config has no value: write --config=configs/mnist.py, say." in command("--config")[2]
    for arguments in (("--config.seed=3",), ("--config.seed=3", *FLAGS)):
        assert "--config.seed must come after --config=FILE" in command(*arguments)[2]


# What is typed after a config file that gave the key a value of an unlike type, and what it must become.
VALUES = [
    ("g_optim.b1=0", 0.0),
    ("g_optim.b1=0.25", 0.25),
    ("g_optim.learning_rate=none", 2e-4),
    ("g_optim.eps=1e-6", 1e-6),
    ("data.horizontal_flip", True),
    ("data.horizontal_flip=false", False),
    ("data.classes=4", (4,)),
    ("data.classes=(4,5)", (4, 5)),
    ("data.classes=4,5", (4, 5)),
    ("data.classes=cat,dog", ("cat", "dog")),
    ("data.classes=(cat, dog)", ("cat", "dog")),
    ("data.classes=()", ()),
    ("data.name=7", "7"),
    ("train.num_steps=5 --config.train.num_steps=6", 6),
]


@pytest.mark.parametrize(("override", "value"), VALUES, ids=[o for o, _ in VALUES])
def test_command_reads_values_by_what_the_key_holds(command, tmp_path, monkeypatch, override, value):
    seen = []
    monkeypatch.setattr("jaxgan.training.loop.train", lambda config, workdir: seen.append(config))
    file = config_file(
        tmp_path,
        "from jaxgan import defaults\ndef get_config():\n    c = defaults()\n    c.g_optim.b1 = 0\n"
        "    c.g_optim.eps = 1\n    c.g_optim.learning_rate = 1\n    c.data.classes = [1, 2]\n    return c",
    )
    first, *rest = override.split(" --")
    assert command(file, f"--config.{first}", *(f"--{o}" for o in rest))[0] == 0
    section, key = override.split("=")[0].split(".")
    assert getattr(getattr(seen[0], section), key) == value


def test_command_passes_what_follows_the_colon_to_get_config(command, tmp_path):
    file = config_file(tmp_path, "def get_config(steps):\n    return {'train': {'num_steps': int(steps)}}")
    assert "train.num_steps is -3" in command(f"{file}:-3")[2]


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UserError("too small."), 2, "jaxgan: too small.\n"),
        (FloatingPointError("training stopped."), 1, "jaxgan: training stopped.\n"),
        (KeyboardInterrupt(), 130, "jaxgan: interrupted.\n"),
        (Interrupted("saved at step 3.", None, False), 130, "jaxgan: saved at step 3.\n"),
        (Interrupted("saved at step 9 of 9.", None, True), 0, "jaxgan: saved at step 9 of 9.\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            1,
            "jaxgan: the disk is full, so that a/b cannot be written: free some space, and run the same command again.",
        ),
        (OSError(errno.EISDIR, "Is a directory", "a/b"), 1, "jaxgan: Is a directory: a/b.\n"),
        (MemoryError("Unable to allocate"), 1, "jaxgan: out of memory: Unable to allocate\n"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_command_tells_what_the_machine_lacks_without_a_traceback(command, monkeypatch, error, code, sentence):
    def fail(config, workdir):
        raise error

    monkeypatch.setattr("jaxgan.training.loop.train", fail)
    found, _, err = command(*FLAGS)
    assert found == code
    assert err.startswith(sentence) and err.count("\n") == 1


def test_sigterm_before_the_first_step_is_told_and_has_the_code_that_a_shell_expects(root):
    code = (
        "import os, signal, sys, jaxgan.main, jaxgan.training.loop as loop\n"
        "loop.train = lambda *a, **k: (os.kill(os.getpid(), signal.SIGTERM), sum(range(10**9)))\n"
        f"sys.argv = {['jaxgan', *FLAGS, '--workdir=nowhere']!r}\njaxgan.main.console()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    sentence = "jaxgan: SIGTERM before the first step: ended, nothing had to be saved.\n"
    assert (done.returncode, done.stderr) == (143, sentence)


@pytest.mark.slow
def test_output_that_nobody_reads_is_no_fault(tmp_path, root):
    command = [sys.executable, "-m", "jaxgan.main", *FLAGS, f"--workdir={tmp_path}"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read().decode()
    assert (process.returncode, error) == (1, "jaxgan: nobody reads the output any more.\n")


@pytest.mark.parametrize("error", [RuntimeError("a fault"), ValueError("a fault"), FileNotFoundError("a fault")])
def test_command_keeps_the_traceback_of_a_fault_of_its_own(command, monkeypatch, error):
    def fail(config, workdir):
        raise error

    monkeypatch.setattr("jaxgan.training.loop.train", fail)
    with pytest.raises(type(error), match="a fault"):
        command(*FLAGS)


@pytest.mark.parametrize("arguments", [["--keys"], ["--keys", "learning_rate"], ["--keys=LEARNING_rate"]], ids=str)
def test_command_prints_keys_without_a_config_or_jax(root, arguments):
    code = (
        f"import sys; sys.argv = ['jaxgan', *{arguments}]\nimport jaxgan.main\n"
        "try: jaxgan.main.console()\nfinally: print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "g_optim.learning_rate" in done.stdout and done.stdout.endswith("False\n")
    assert ("train.batch_size" in done.stdout) == (arguments == ["--keys"])


def test_command_says_that_no_key_has_a_word(command):
    code, out, err = command("--keys", "learnign_rate")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "try --keys=infogan.learning_rate" in err


def test_unreadable_flagfile_is_one_sentence_already_at_the_import(root):
    done = subprocess.run(
        [sys.executable, "-m", "jaxgan.main", "--flagfile=/nowhere"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "'/nowhere': name a readable file of flags" in done.stderr


@pytest.mark.parametrize("flag", ["--help", "--helpfull"])
def test_command_helps_without_importing_jax(root, flag):
    code = (
        f"import sys; sys.argv = ['jaxgan', '{flag}']\nimport jaxgan.main\n"
        "try: jaxgan.main.console()\nfinally: print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--workdir: Directory of the run." in done.stdout and "--truncation" in done.stdout
    assert "jaxgan --mode=sample" in done.stdout
    assert done.stdout.endswith("False\n")


@pytest.mark.slow
def test_command_is_quiet_but_for_its_sentence(root, tmp_path):
    arguments = [*FLAGS, "--config.data.classes=17", f"--workdir={tmp_path / 'run'}"]
    done = subprocess.run(
        [sys.executable, "-m", "jaxgan.main", *arguments], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("jaxgan: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
