import pytest
from support.recorded import IMAGES, add_curves, add_scores, begin, finding, score

from jaxgan.errors import UserError
from jaxgan.reporting import run_record
from jaxgan.runs import directory as workdirs
from jaxgan.runs import outcome, score_log


@pytest.fixture
def run(tmp_path):
    return begin(tmp_path / "run", IMAGES)


def judged(run):
    return run_record.verdict(run_record.read(run))


def test_a_run_that_has_just_begun_can_be_read(run):
    found = run_record.read(run)
    assert (found.step, found.names, found.scores, found.running) == (0, [], [], False)
    verdict = judged(run)
    assert (verdict.severity, verdict.text) == ("info", "Nothing was recorded yet.")
    assert verdict.facts == ("Not finished: the last record is of step 0 of 600.",)


def test_verdict_waits_for_the_first_hundreds_of_steps(run):
    add_curves(run, last=490)
    assert judged(run).text.startswith("Too early for a verdict")


def test_verdict_of_a_complete_run_names_its_best_score(run):
    add_curves(run)
    verdict = judged(run)
    assert (verdict.severity, verdict.text) == ("good", "No problem found.")
    assert verdict.facts == (
        "Complete: 600 steps.",
        "Best fd_1k_cnn_embedded_digits: 10 at step 400, 30 at the end (lower is better).",
    )


def test_verdict_names_the_worst_findings(run, monkeypatch):
    found = [finding("info"), finding("warning", 20, 50, "mode_hopping")]
    monkeypatch.setattr(run_record, "diagnose", lambda *_: found)
    add_curves(run)
    assert judged(run).text == "Keep an eye on it: mode hopping from step 20 to 50."
    found += [finding("problem", 1300), finding("problem", 40, None, "exploding_loss")]
    verdict = judged(run)
    assert verdict.severity == "problem"
    assert verdict.text == "Something is wrong: mode collapse since step 1,300; exploding loss since step 40."


def test_verdict_names_what_is_not_finite(run):
    add_curves(run)
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 610, "loss/d": NaN, "loss/g": 1.0, "score/real": -Infinity}\n')
    verdict = judged(run)
    assert (verdict.severity, verdict.text) == ("problem", "Something is wrong: not finite since step 610.")


def test_a_torn_log_is_read_up_to_the_tear(run):
    add_curves(run)
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 610, "loss/d": 1')
    assert run_record.read(run).step == 600


def test_a_run_in_progress_is_said_to_run(run):
    add_curves(run, last=510)
    with workdirs.locked(run):
        assert judged(run).facts[0] == "Running: step 510 of 600."
    assert judged(run).facts[0] == "Not finished: the last record is of step 510 of 600."


@pytest.mark.parametrize(
    ("kind", "reason", "said"),
    [
        ("scores", "2 evaluations gained nothing", "Ended early at step 500 of 600: 2 evaluations gained nothing."),
        (
            "problem",
            "imbalance since step 40",
            "Ended early at step 500 of 600 (monitor.on_finding): imbal",
        ),
        ("non_finite", "loss/d is nan", "Ended early at step 500 of 600: loss/d is nan."),
        ("interrupted", "", "Interrupted at step 500 of 600."),
    ],
)
def test_a_run_that_ended_early_says_why(kind, reason, said, run):
    add_curves(run, last=500)
    outcome.record(run, outcome.WhyEnded(kind, 500, reason))
    assert judged(run).facts[0].startswith(said)


def test_the_data_are_accounted_for(run):
    (run / "preflight.json").write_text('{"data": "9 files seen, 8 used: 1 damaged; no classes", "remarks": []}')
    assert judged(run).facts[-1] == "Data: 9 files seen, 8 used: 1 damaged; no classes."


def test_scores_count_once_by_their_last_word(run):
    add_scores(run)
    score_log.record(run / score_log.FILE, "train", [score(600, 21.0)])  # repeated by a resumed run
    score_log.record(run / score_log.FILE, "evaluate", [score(600, 21.5)])
    found = [(s.protocol.step, s.value) for s in run_record.read(run).scores if s.name == "fd"]
    assert found == [(200, 30.0), (400, 10.0), (600, 21.0), (600, 21.5)]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        run_record.read(tmp_path)
