"""The runs that the doctor's thresholds were fitted on, and their report."""

import numpy as np
import pytest

from benchmarks.doctor import report, rows, runs
from benchmarks.doctor.rows import BROKEN, HEALTHY, halves
from benchmarks.doctor.unseen import UNSEEN_BROKEN, UNSEEN_HEALTHY
from benchmarks.experiments.techniques import data_of
from jaxgan.metrics.modes import count_modes
from jaxgan.monitor.doctor import RULES

pytestmark = pytest.mark.release

ROWS = BROKEN | HEALTHY | UNSEEN_BROKEN | UNSEEN_HEALTHY


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_a_valid_configuration(name):
    row = ROWS[name]
    assert row.config(3).seed == 3
    assert set(row.kinds) <= set(RULES)
    assert bool(row.kinds) == (name in BROKEN | UNSEEN_BROKEN)


def test_no_unseen_run_is_one_that_was_looked_at():
    assert len(ROWS) == len(BROKEN) + len(HEALTHY) + len(UNSEEN_BROKEN) + len(UNSEEN_HEALTHY)
    looked_at = [BROKEN[name].overrides for name in BROKEN] + [HEALTHY[name].overrides for name in HEALTHY]
    for name in UNSEEN_HEALTHY:
        assert UNSEEN_HEALTHY[name].overrides not in looked_at


def test_halves_are_of_equal_size_and_stay_as_they_were():
    half = halves(BROKEN) | halves(HEALTHY)
    assert sum(half[name] == "reporting" for name in BROKEN) == len(BROKEN) // 2 == 10
    assert sum(half[name] == "reporting" for name in HEALTHY) == len(HEALTHY) // 2 == 8
    assert [half[n] for n in ("tiny_g", "label_bug", "digits_sn_ns", "digits_r1")] == ["fitting", "reporting"] * 2


def test_frechet_distance_of_gaussians_by_its_closed_form():
    random = np.random.RandomState(0)
    a = random.standard_normal((20_000, 3)) * [1, 2, 3]
    b = random.standard_normal((20_000, 3)) * [2, 2, 1] + [1, 0, 0]
    # |m|^2 + sum (s_a - s_b)^2 for diagonal covariances
    assert runs.frechet(a, b) == pytest.approx(1 + 1 + 0 + 4, abs=0.15)
    assert runs.frechet(a, a) == pytest.approx(0, abs=1e-6)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(runs, "STEPS", 40)
    monkeypatch.setattr(runs, "EVAL_EVERY", 40)
    monkeypatch.setattr(runs, "SAMPLES", 64)


@pytest.mark.slow
def test_a_run_is_kept_and_not_trained_again(short, tmp_path, capsys):
    argv = [f"--directory={tmp_path}", "--only=d_lr_0", "--seeds=1"]
    assert runs.main(argv) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["d_lr_0_1.npz"]
    with np.load(tmp_path / "d_lr_0_1.npz") as curves:
        assert curves["loss/d/step"].tolist() == [20, 40]
        assert curves["eval/modes/step"].tolist() == [40]
        assert np.isfinite([curves[name] for name in ("loss/d", "diversity/fake", "score/fake")]).all()
    assert capsys.readouterr().out.count("\n") == 1
    assert runs.main(argv) == 0
    assert capsys.readouterr().out == ""
    assert report.main([f"--directory={tmp_path}"]) == 0
    assert "| fitting | 1 |" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_ends_where_the_loop_would_stop_it(short):
    row = BROKEN["d_lr_0"]._replace(gan=rows.game_of(lambda r, f: r * np.nan, lambda r, f: f))
    history = runs.run(row, 0)
    assert not np.isfinite(history["loss/d"][-1])
    assert history["loss/d/step"].tolist() == [20]


def test_memorized_images_lie_near_the_training_examples_and_have_their_classes():
    row = BROKEN["shuffled_labels"]
    config = row.config(0)
    source = data_of(config)
    images, given = runs._arrays(row, source, config)
    assert not np.array_equal(given, source.labels) and np.array_equal(np.sort(given), np.sort(source.labels))
    scores = runs._evaluation(config, source, images, given)(images[:200], source.labels[:200])
    assert scores["eval/class_accuracy"] == 1  # by the true labels
    assert scores["eval/memorization"] == 0
    assert 0 < scores["eval/fd_pixels"] < 5


@pytest.mark.slow
def test_one_mode_is_one_mode():
    import jax

    module = rows.Deaf((2,))
    z = jax.random.normal(jax.random.key(0), (100, 4))
    variables = module.init(jax.random.key(1), z, train=False)
    points = np.asarray(module.apply(variables, z, train=False))
    assert count_modes(points, points[:1].astype(float), 0.01).high_quality == 1
    assert 0 < np.ptp(points, axis=0).max() < 0.01


@pytest.mark.parametrize(
    ("fid", "step", "expected"),
    [([9, 5, 8, 8, 8, 8, 8, 8], 3, True), ([9, 5, 8, 8, 8, 8, 8, 8], 7, False), ([9, 8, 8, 8, 5, 9, 9, 9], 3, False)],
)
def test_an_alarm_is_in_time_between_the_best_and_the_last_quarter(fid, step, expected):
    run = {"fid": [[i, value] for i, value in enumerate(fid)]}
    assert report.in_time(run, step) is expected
    assert report.in_time(run, None) is False


def test_the_rule_to_beat_wants_three_in_a_row():
    fid = [9, 4, 6, 6, 4, 6, 6, 6]
    assert report.three_in_a_row({"fid": [[i, v] for i, v in enumerate(fid)]}) == 7
    assert report.three_in_a_row({"fid": [[i, v] for i, v in enumerate(fid[:7])]}) is None
