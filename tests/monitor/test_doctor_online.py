"""The doctor of a run in progress says what `diagnose` says of its prefixes; and what both make of published runs."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.doctor.report import degraded, first_problem, history, in_time, published_halves, read_published
from jaxgan.monitor.doctor import SEVERITIES, Doctor, diagnose
from jaxgan.monitor.doctor.curve import rows_of

PUBLISHED = Path(__file__).resolve().parents[1] / "data" / "published_runs.json.gz"


def failing() -> dict[str, np.ndarray]:
    """D wins for a while, then G collapses, for good; everything is recorded at intervals of its own."""
    random = np.random.RandomState(0)
    steps, at = np.arange(20, 6001, 20), np.arange(100, 6001, 100)
    won = (steps > 1500) & (steps < 3200)
    return {
        "step": steps,
        "loss/d": np.where(won, 0.001, 1.2) + 0.0005 * random.uniform(size=len(steps)),
        "loss/g": 1 + 0.1 * random.standard_normal(len(steps)),
        "score/real": np.where(won, 0.99, 0.6),
        "score/fake": np.where(won, 0.01, 0.4),
        "diversity/step": steps[::2],
        "diversity/fake": np.where(steps[::2] > 4000, 0.2, 0.9),
        "eval/step": at,
        "eval/fid": np.where(at > 4200, 90.0, 30.0) + 100 * np.exp(-at / 500),
    }


def prefix(h, until: int):
    clock = {n: next(c for c in (f"{n.partition('/')[0]}/step", "step") if c in h) for n in h}
    return {n: v[h[clock[n]] <= until] for n, v in h.items()}


def key(finding):
    return finding.kind, finding.severity, finding.step, finding.reported


def test_online_and_of_every_prefix_the_same_findings():
    h, doctor, told = failing(), Doctor(), {}
    for step, scalars in rows_of(h):
        for finding in doctor.feed(step, scalars):
            told[finding.kind] = finding
        if step % 500 == 0:
            assert doctor.findings == diagnose(prefix(h, step))
            assert sorted(map(key, told.values())) == sorted(map(key, doctor.findings))
    assert {f.kind: f.severity for f in told.values()} == {
        "discriminator_too_strong": "warning",
        "d_loss_near_zero": "warning",
        "imbalance": "info",
        "mode_collapse": "problem",
        "late_degradation": "problem",
    }


def test_each_finding_is_reported_once_and_again_when_it_grows():
    doctor = Doctor()
    told = [finding for row in rows_of(failing()) for finding in doctor.feed(*row)]
    assert len({(f.kind, f.severity) for f in told}) == len(told)
    for kind in {f.kind for f in told}:
        grades = [SEVERITIES.index(f.severity) for f in told if f.kind == kind]
        assert grades == sorted(set(grades))
        assert len({f.step for f in told if f.kind == kind}) == 1
    assert [f.reported for f in told] == sorted(f.reported for f in told)


def test_a_resumed_run_goes_on_where_it_was():
    rows = rows_of(failing())
    whole, resumed = Doctor(), Doctor()
    for row in rows[:150]:
        resumed.feed(*row)
    rest = [finding for row in rows[150:] for finding in resumed.feed(*row)]
    told = [finding for row in rows for finding in whole.feed(*row)]
    assert told[-len(rest) :] == rest
    assert resumed.findings == whole.findings


def test_steps_go_forward_only():
    doctor = Doctor()
    doctor.feed(0, {"loss/d": 1.0})
    with pytest.raises(ValueError, match="step 0 after step 0"):
        doctor.feed(0, {"loss/g": 1.0})


def test_order_and_replayed_steps_do_not_matter():
    h = failing()
    expected = diagnose(h)
    order = np.random.RandomState(0).permutation(len(h["step"]))
    names = ("step", "loss/d", "loss/g", "score/real", "score/fake")
    assert diagnose({**h, **{n: h[n][order] for n in names}}) == expected
    replayed = {n: np.concatenate([np.full(100, np.nan) if "/" in n else h[n][:100], h[n]]) for n in names}
    assert diagnose({**h, **replayed}) == expected


@pytest.mark.parametrize("every", [2, 5, 10])
def test_kinds_and_severities_do_not_depend_on_the_interval_of_logging(every):
    h = failing()
    names = ("step", "loss/d", "loss/g", "score/real", "score/fake")
    sparse = diagnose({**h, **{n: h[n][every - 1 :: every] for n in names}})
    dense = diagnose(h)
    assert {(f.kind, f.severity) for f in sparse} == {(f.kind, f.severity) for f in dense}
    for a in dense:
        (b,) = [f for f in sparse if f.kind == a.kind]
        assert abs(a.step - b.step) <= 500


@pytest.mark.slow
def test_any_curve_may_be_missing():
    h = failing()
    assert diagnose({}) == diagnose({"step": h["step"]}) == []
    for name in (n for n in h if not n.endswith("step")):
        clocks = {n: v for n, v in h.items() if n.endswith("step")}
        diagnose(clocks | {name: h[name]})
        left = {n: v for n, v in h.items() if n != name}
        assert {f.kind for f in diagnose(left)} <= {f.kind for f in diagnose(h)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss/d": np.ones(3)}, "says no steps for loss/d"),
        ({"step": np.arange(2), "loss/d": np.ones(3)}, r"loss/d is \(3,\) and step \(2,\)"),
        ({"step": np.array([0.5, 1.0]), "loss/d": np.ones(2)}, "whole numbers"),
    ],
)
def test_histories_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        diagnose(given)


def test_a_long_log_is_read_in_bounded_time_per_step():
    steps = np.arange(100, 200_001, 100)
    h = {"step": steps, "loss/d": np.full(len(steps), 1.3), "loss/g": np.ones(len(steps))}
    assert diagnose(h) == []


@pytest.fixture(scope="module")
def published():
    return read_published(PUBLISHED)


def test_halves_of_the_published_runs_stay_as_they_were(published):
    half = published_halves(published)
    counts = {part: [degraded(published[n]) for n in published if half[n] == part] for part in ("fitting", "reporting")}
    assert {part: (len(bad), sum(bad)) for part, bad in counts.items()} == {"fitting": (17, 5), "reporting": (15, 5)}
    assert half["CIFAR10/ACGAN-train-2020_09_17_20_04_13"] == "fitting"


@pytest.mark.slow
def test_of_published_runs_that_went_bad_nine_of_ten_are_told_in_time(published):
    alarms = {name: first_problem(diagnose(history(run, True, True))) for name, run in published.items()}
    right = [in_time(run, alarms[n] and alarms[n].reported) for n, run in published.items() if degraded(run)]
    false = [n for n, run in published.items() if alarms[n] and not degraded(run)]
    assert (sum(right), len(right)) == (9, 10)
    assert len(false) <= 1


def test_a_finding_keeps_its_numbers_of_when_it_was_made():
    doctor = Doctor()
    told = [finding for row in rows_of(failing()) for finding in doctor.feed(*row)]
    for finding in doctor.findings:
        made = [f for f in told if f.kind == finding.kind][-1]
        assert dataclasses.replace(finding, until=None) == made
