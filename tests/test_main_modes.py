"""What each mode of the command line does."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.loops import FLAGS


@pytest.mark.slow
def test_command_trains_resumes_refuses_and_samples(command, tmp_path):
    """One run's life, in one test because its one compilation is what costs."""
    run = tmp_path / "run"

    def contents():
        return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}

    assert command(*FLAGS, "--config.train.log_every=1")[0] == 0
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["3"]
    before = contents()

    code, _, err = command(*FLAGS, "--config.loss.name=hinge")
    assert code == 2 and err.endswith("by train.init_from:\n  loss.name: 'non_saturating' -> 'hinge'\n")
    for arguments, sentence in (
        (["--out=x.jpg"], "must end in .png"),
        ([], "--out is missing"),
        ([f"--out={run / 'config.json'}/"], "cannot be written"),
        ([f"--out={tmp_path / 'x.png'}", "--num=0"], "num is 0: it must be at least 1"),
        ([f"--out={tmp_path / 'x.png'}", "--num=few"], "--num is 'few': it must be an integer"),
        ([f"--out={tmp_path / 'x.png'}", "--seed=-1"], "seed is -1: it must be at least 0"),
        ([f"--out={tmp_path / 'x.png'}", "--truncation=0"], "truncation is 0.0: it must be"),
        ([f"--out={tmp_path / 'x.png'}", "--label=3"], "label is '3', but this run was not conditioned on classes"),
        (["--out=x.png", "--config=configs/mnist.py"], "--config does not apply to --mode=sample"),
    ):
        code, _, err = command("--mode=sample", *arguments)
        assert (code, err.count("\n")) == (2, 1) and sentence in err
    assert not (tmp_path / "x.png").exists()

    code, out, _ = command("--mode=sample", f"--out={tmp_path / 'grid.png'}", "--num=9")
    assert (code, out) == (0, f"wrote {tmp_path / 'grid.png'}\n")
    assert np.asarray(Image.open(tmp_path / "grid.png")).shape == (32, 32)  # three cells of 8 and four gaps of 2
    code, out, _ = command("--mode=sample", f"--out={tmp_path / 'each'}/", "--num=2", "--seed=1", "--truncation=1")
    assert (code, out) == (0, f"wrote {tmp_path / 'each' / '000000.png'} and 1 more\n")
    assert contents() == before

    for arguments, sentence in (
        (["--checkpoint=best"], "has no checkpoint with a score, so none is the best"),
        (["--checkpoint=2"], "it must be latest, best, or one of the steps 3"),
        (["--num=1"], "eval.num_samples is 1: it must be at least 2"),
        (["--folder=nowhere"], "'nowhere' of the data source 'folder' does not exist"),
        (["--config=configs/mnist.py", "--config.eval.features=inception"], "set eval.inception_path"),
        (["--out=x.png"], "--out does not apply to --mode=evaluate"),
        (
            ["--config=configs/mnist.py", "--config.data.split=test"],
            "--config.data.split does not apply to --mode=evaluate of a run",
        ),
        (["--workdir="], "--workdir is missing: name the directory of the run, or --folder together with --config"),
    ):
        code, _, err = command("--mode=evaluate", *arguments)
        assert (code, err.count("\n")) == (2, 1) and sentence in err
    assert contents() == before
    own = ["--config=configs/mnist.py", "--config.eval.features=random", "--config.eval.metrics=fd"]
    code, out, _ = command("--mode=evaluate", "--num=20", *own)
    assert code == 0 and "| fd_20_random_network_0 | " in out and "20 generated against 1,437 of embedded/digits" in out
    line = (run / "evaluation.jsonl").read_text()
    assert {path.name for path in contents().keys() - before.keys()} == {"evaluation.jsonl"}
    data = [*own, *FLAGS[1:4]]
    code, out, err = command("--mode=evaluate", "--workdir=", *data, f"--folder={tmp_path / 'each'}")
    assert code == 0 and "2 generated against 1,437 of embedded/digits" in out
    assert (run / "evaluation.jsonl").read_text() == line


def test_command_finds_a_module_of_the_users_own_where_it_is_named(command, tmp_path):
    own, page = "--discriminator=support.loops:Small", tmp_path / "run" / "report.html"
    train = [
        *FLAGS[:6],
        "--config.train.num_steps=1",
        "--config.train.sample_every=0",
        "--config.monitor.preflight=False",
    ]
    assert command(*train, own)[0] == 0
    sentence = "was trained with your own discriminator, 'support.loops:Small': pass discriminator=, or"
    for arguments in (train, ["--mode=sample", f"--out={tmp_path / 'x.png'}"], ["--mode=evaluate"]):
        code, _, err = command(*arguments)
        assert code == 2 and sentence in err and "--discriminator=package.module:Class" in err
    assert command("--mode=report")[0] == 0
    assert "was trained with your own discriminator" in page.read_text()
    assert command("--mode=sample", f"--out={tmp_path / 'x.png'}", own)[0] == 0
    assert command("--mode=report", own)[0] == 0
    assert "was trained with your own discriminator" not in page.read_text()
    code, _, err = command("--mode=sample", f"--out={tmp_path / 'x.png'}", "--discriminator=support.loops:Smal")
    assert code == 2 and "Did you mean 'Small'?" in err


@pytest.mark.parametrize(("flags", "label"), [([], None), (["--label=7"], "7"), (["--label=a cat"], "a cat")])
def test_command_samples_the_class_asked_for(command, monkeypatch, tmp_path, flags, label):
    """`test_train_techniques` has what the sampler makes of it."""
    asked = []
    sampler = SimpleNamespace(save=lambda *arguments: asked.append(arguments) or [arguments[0]])
    monkeypatch.setattr("jaxgan.sampling.sampler.load", lambda workdir, checkpoint: sampler)
    assert command("--mode=sample", "--out=x.png", *flags)[0] == 0
    assert asked == [("x.png", 64, 0, None, label)]


def test_command_trains_on_no_label(command):
    assert "--label does not apply to --mode=train" in command(*FLAGS, "--label=7")[2]


REPORTS = [
    ("--workdir=runs/a", (["runs/a"], None, "latest")),
    ("--workdir=runs/a,runs/b --out=x.html", (["runs/a", "runs/b"], "x.html", "latest")),
    ("--workdir=runs/a, --checkpoint=best", (["runs/a"], None, "best")),
    ("--workdir=a,b", (["a,b"], None, "latest")),  # a directory of that name
]


@pytest.mark.parametrize(("flags", "asked"), REPORTS, ids=[flags for flags, _ in REPORTS])
def test_command_reports_on_runs(command, monkeypatch, flags, asked):
    asked_for: list = []
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "a,b")
    monkeypatch.setattr("jaxgan.reporting.report", lambda *arguments: asked_for.append(arguments) or "page.html")
    assert command("--mode=report", *flags.split(" ")) == (0, "wrote page.html\n", "")
    assert asked_for == [asked]


def test_command_reports_only_on_a_run(command):
    code, out, err = command("--mode=report")
    assert (code, out, err.count("\n")) == (2, "", 1) and "holds no run" in err
    assert "--seed does not apply to --mode=report" in command("--mode=report", "--seed=3")[2]


@pytest.mark.parametrize("flags", [("sample", "--out=x.png"), ("evaluate",), ("report",)], ids=lambda flags: flags[0])
def test_command_says_where_a_run_that_was_rolled_back_goes_on(command, monkeypatch, tmp_path, flags):
    """And takes the directory that it was given."""
    asked = []
    sampler = SimpleNamespace(save=lambda *arguments: [arguments[0]])
    monkeypatch.setattr("jaxgan.sampling.sampler.load", lambda workdir, checkpoint: asked.append(workdir) or sampler)
    monkeypatch.setattr("jaxgan.evaluation.evaluate.evaluate", lambda workdir, *rest: asked.append(workdir) or {})
    monkeypatch.setattr("jaxgan.reporting.report", lambda workdirs, *rest: asked.extend(workdirs) or "page.html")
    run = tmp_path / "run"
    (run / "attempt_1").mkdir(parents=True)
    record = {
        "format": 1,
        "config": {},
        "example": {"source": "embedded/digits", "shape": [8, 8, 1], "num_examples": 9, "crc32": 0},
        "environment": {},
        "intervention": {"attempt": 1, "kind": "imbalance", "step": 2, "from_step": 0, "changes": {}},
    }
    (run / "attempt_1" / "config.json").write_text(json.dumps(record))
    code, out, _ = command(f"--mode={flags[0]}", *flags[1:])
    assert code == 0 and asked == [str(run)]
    assert out.startswith(f"{run} was rolled back, and the run goes on in {run / 'attempt_1'}.\n")


@pytest.mark.parametrize("made", [False, True])
def test_command_samples_only_from_a_run(command, tmp_path, made):
    if made:
        (tmp_path / "run").mkdir()
    code, _, err = command("--mode=sample", f"--out={tmp_path / 'x.png'}")
    assert code == 2 and "holds no run" in err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], 1),  # a dense network's steps are too short to share
        (["--cpu_devices=4"], 4),
        (["--config.model.architecture=dcgan", "--config.data.name=mnist", "--config.data.image_size=28"], None),
    ],
)
def test_command_asks_for_the_devices_before_it_trains(command, monkeypatch, flags, expected):
    asked = []
    monkeypatch.setattr("jaxgan.devices.cpu.use_cpu_devices", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr("jaxgan.training.loop.train", lambda config, workdir: asked.append("train"))
    assert command(*FLAGS, *flags)[0] == 0
    assert asked == [(expected, 8, 4), "train"]
