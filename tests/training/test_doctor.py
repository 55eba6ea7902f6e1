"""The doctor in the loop: what it is fed, what it says, and that a resumed run says the same."""

import contextlib
import io
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from support.provoked import Interrupt, game, haste, run

import jaxgan.training.doctor
from jaxgan.errors import NonFiniteError
from jaxgan.monitor.curves import draw_curves, read_metrics
from jaxgan.monitor.doctor import DISPUTED, RULES, Doctor, diagnose
from jaxgan.monitor.doctor.advice import ADVICE
from jaxgan.monitor.doctor.findings import Finding
from jaxgan.reporting import run_record
from jaxgan.runs.writers import JsonlWriter
from jaxgan.training.doctor import FILE, Watch, recorded, told
from jaxgan.training.loop import train

pytestmark = pytest.mark.slow


@pytest.fixture
def fed(monkeypatch) -> list:
    """What the doctor is fed."""
    rows = []

    class Recording(Doctor):
        def feed(self, step, scalars):
            rows.append({"step": step, **scalars})
            return super().feed(step, scalars)

    monkeypatch.setattr(jaxgan.training.doctor, "Doctor", Recording)
    return rows


SCORED = {"every": 15, "num_samples": 8, "metrics": ("fd",)}


def test_the_doctor_is_fed_what_the_log_gets(fed, tmp_path):
    config = game(num_steps=30, sample_every=10, eval=SCORED)
    train(config, tmp_path)
    assert fed == read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in fed] == [0, 5, 10, 15, 20, 25, 30]
    assert "eval/modes" in fed[2] and any(name.startswith("eval/fd") for name in fed[3])


@pytest.mark.parametrize("at", [5, 25])  # before the first checkpoint, and after one
def test_a_resumed_run_feeds_its_log_up_to_the_checkpoint_and_each_step_once(at, fed, tmp_path):
    config = game(num_steps=30, sample_every=10)
    with pytest.raises(Interrupt):
        train(config, tmp_path, writers=[Interrupt(at)])
    fed.clear()
    train(config, tmp_path)
    assert fed == read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in fed] == [0, 5, 10, 15, 20, 25, 30]


@pytest.fixture
def hasty(monkeypatch):
    haste(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that has findings, what it printed, what watched it, and what its pictures showed."""
    workdir, out, watches, shown = tmp_path_factory.mktemp("whole"), io.StringIO(), [], []

    class Kept(Watch):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            watches.append(self)

    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out):
        haste(patched)
        patched.setattr(jaxgan.training.loop, "Watch", Kept)
        patched.setattr(jaxgan.training.pictures, "draw_curves", lambda *arguments: shown.append(arguments))
        run(game(sample_every=30), workdir)
    return SimpleNamespace(workdir=workdir, out=out.getvalue(), watch=watches[0], shown=shown)


def said(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith(("info at", "warning at", "problem at"))]


def test_findings_are_printed_and_kept_once_each(whole):
    lines, found = said(whole.out), recorded(whole.workdir / FILE)
    assert [told(each).splitlines()[0] for each in found] == lines
    assert len(lines) == len(set(lines)) >= 2
    assert {each.severity for each in found} >= {"warning", "problem"}


def test_report_and_loop_agree(hasty, whole):
    assert run_record.read(whole.workdir).findings == whole.watch.doctor.findings != []


def test_curves_show_the_findings_of_the_run(hasty, whole):
    [(_, out, found)] = whole.shown  # a run of seconds is drawn once, at its end
    assert out == whole.workdir / "curves.png"
    assert found == run_record.read(whole.workdir).findings


@pytest.mark.parametrize("at", [15, 40])
def test_a_resumed_run_finds_the_same_and_says_nothing_twice(at, hasty, whole, tmp_path, capsys):
    with pytest.raises(Interrupt):
        run(game(), tmp_path, writers=[Interrupt(at)])
    run(game(), tmp_path)
    assert (tmp_path / FILE).read_bytes() == (whole.workdir / FILE).read_bytes()
    assert said(capsys.readouterr().out) == said(whole.out)


def test_steps_that_are_run_again_change_no_finding(hasty, whole, tmp_path):
    """As after a kill: the log goes on beyond the newest checkpoint, and the last finding is torn."""
    shutil.copytree(whole.workdir, tmp_path, dirs_exist_ok=True)
    for step in (60, 50, 40):
        shutil.rmtree(tmp_path / "checkpoints" / str(step))
    run(game(num_steps=30), tmp_path / "donor")
    shutil.copytree(tmp_path / "donor" / "checkpoints" / "20", tmp_path / "checkpoints" / "20")
    lines = (whole.workdir / FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / FILE).write_bytes(b"".join(lines[:-1]) + lines[-1][:50])
    run(game(), tmp_path)
    assert recorded(tmp_path / FILE) == recorded(whole.workdir / FILE)
    assert read_metrics(tmp_path / "metrics.jsonl") == read_metrics(whole.workdir / "metrics.jsonl")


def test_loss_and_classes_come_from_the_configuration(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        jaxgan.training.doctor, "Doctor", lambda *arguments: asked.append(arguments) or Doctor(*arguments)
    )
    labels = np.arange(40, dtype=np.int32) % 3
    points = np.random.RandomState(0).randn(40, 2).astype(np.float32)
    model = {"g_conditioning": "concat", "d_conditioning": "projection"}
    train(game(num_steps=5, model=model, loss={"name": "hinge"}), tmp_path, source=(points, labels))
    assert asked == [("hinge", 3)]


# What is not finite.


def strict(line: str):
    """JSON as its standard has it."""

    def refuse(word):
        raise AssertionError(word)

    return json.loads(line, parse_constant=refuse)


def test_what_a_later_checkpoint_has_proved_wrong_is_not_found_again(tmp_path):
    writer = JsonlWriter(tmp_path / "metrics.jsonl")
    for step in (10, 20, 27, 30, 40):
        writer.write_scalars(step, {"loss/d": np.nan if step == 27 else 1.0})
    writer.close()
    assert Watch(tmp_path, "hinge", 0, last=40).problem is None
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("key", ["kind", "severity", "step", "reported"])
def test_a_finding_of_something_else_is_passed_over(key, tmp_path):
    good = Finding("imbalance", "warning", 10, 20, None, {}, "Words.", ())
    lines = [good.to_dict() | {key: [1]}, good.to_dict()]
    (tmp_path / FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert good in recorded(tmp_path / FILE)
    Watch(tmp_path, "hinge", 0, last=0)


def test_what_is_not_finite_is_valid_json_and_comes_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = JsonlWriter(path)
    writer.write_scalars(3, {"a": np.float32(np.nan), "b": np.inf, "c": -np.inf, "d": 0.5})
    writer.close()
    assert strict(path.read_text()) == {"step": 3, "a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.5}
    [row] = read_metrics(path)
    assert np.isnan(row["a"]) and (row["b"], row["c"], row["d"]) == (np.inf, -np.inf, 0.5)


def test_curves_that_are_not_finite_are_drawn(tmp_path):
    writer = JsonlWriter(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        bad = np.inf if step == 3 else 1.0
        writer.write_scalars(
            step, {"loss/d": bad, "grad_norm/g/top": np.nan, "grad_norm/g/bottom": bad, "eval/fd": bad}
        )
    writer.close()
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("k", [1, 5])
def test_a_scalar_that_is_not_finite_is_logged_before_the_run_ends(k, tmp_path, capsys):
    """Whatever the interval of the log, and although the loop looks at a call's metrics during the next one."""
    config = game(num_steps=60, log_every=30, steps_per_call=k, g_optim={"learning_rate": 1e38})
    with pytest.raises(NonFiniteError) as caught:
        train(config, tmp_path)
    assert f"at step {caught.value.step}: " in str(caught.value)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        strict(line)
    row = read_metrics(tmp_path / "metrics.jsonl")[-1]
    bad = {name for name, value in row.items() if not np.isfinite(value)}
    assert row["step"] == caught.value.step < 30
    assert bad and all(f"{name} is " in str(caught.value) for name in bad)
    [found] = recorded(tmp_path / FILE)
    assert (found.kind, found.severity, found.step) == ("non_finite", "problem", caught.value.step)
    assert f"problem at step {found.step}: not finite" in capsys.readouterr().out
    verdict = run_record.verdict(run_record.read(tmp_path))
    assert verdict.text == f"Something is wrong: not finite since step {found.step}."


# What is printed.


def one(kind: str) -> Finding:
    return Finding(kind, "warning", 1200, 1500, None, {"loss_d": 0.00512, "best_step": 400.0}, "Words.", ADVICE[kind])


def test_a_finding_is_told_in_few_lines():
    lines = told(one("vanishing_gradient")).splitlines()
    assert lines[0] == "warning at step 1500: vanishing gradient since step 1200 (loss d 0.00512, best step 400)"
    first = ADVICE["vanishing_gradient"][0]
    assert lines[1:] == [f"  advice: {first.text} [{first.source}]"]


@pytest.mark.parametrize("kind", sorted(DISPUTED))
def test_where_the_sources_contradict_each_other_both_are_told(kind):
    first, second = ADVICE[kind][:2]
    assert first.source != second.source
    assert told(one(kind)).splitlines()[1:] == [
        f"  advice: {first.text} [{first.source}]",
        f"  contra: {second.text} [{second.source}]",
    ]


def test_disputed_kinds_are_kinds():
    assert set(RULES) >= DISPUTED


def test_a_watch_without_a_log_begins_with_nothing(tmp_path):
    watch = Watch(tmp_path, "hinge", 0, last=0)
    assert watch.problem is None and watch.doctor.findings == []
    watch(1, {})
    assert not (tmp_path / FILE).exists()


def test_a_watch_finds_what_the_whole_history_shows(tmp_path):
    rng = np.random.RandomState(0)
    watch, rows = Watch(tmp_path, "non_saturating", 0, last=0), []
    for step in range(100, 4001, 100):
        row = {"loss/d": 1e-3, "score/real": 0.99, "score/fake": float(rng.uniform(0, 0.01))}
        given = watch(step, row)
        rows.append({"step": step, **row})
    columns = {name: np.asarray([row[name] for row in rows]) for name in rows[0]}
    assert given["findings"] == watch.doctor.findings == diagnose(columns, "non_saturating") != []
    assert watch.problem.reported == min(f.reported for f in watch.doctor.findings if f.severity == "problem")


def test_histograms_that_are_not_finite_end_the_run_as_scalars_do(tmp_path):
    """D's update of the step is what spoils them, so that no scalar of it tells."""
    monitor = {"histograms_every": 1, "layers": False}
    optim = {"learning_rate": 1e38}
    config = game(num_steps=20, log_every=1, steps_per_call=1, order="g_first", monitor=monitor, d_optim=optim)
    with pytest.raises(NonFiniteError, match="histogram/logits"):
        train(config, tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert any(not np.isfinite(value) for value in rows[-1].values())
