import json

import numpy as np
import pytest
from support.recorded import IMAGES, add_curves, begin, finding

from jaxgan.reporting import plots, run_record


@pytest.fixture
def run(tmp_path):
    add_curves(begin(tmp_path / "run", IMAGES))
    return run_record.read(tmp_path / "run")


def test_single_has_every_point_once_and_the_best_marked(run):
    data = plots.single(run)
    assert data["range"] == [10, 600]
    found = {panel["title"]: panel for panel in data["panels"]}
    assert list(found) == [
        *("loss", "P(real)", "fd_1k_cnn_embedded_digits", "gradient norm of D", "gradient norm of G"),
    ]
    [curve] = found["fd_1k_cnn_embedded_digits"]["series"]
    assert data["steps"][curve["steps"]] == [100, 200, 300, 400, 500, 600]
    assert curve["values"] == [40, 30, 20, 10, 20, 30]
    assert found["fd_1k_cnn_embedded_digits"]["marks"] == [[400, 10.0]]
    assert len(data["steps"]) == 2  # shared by all curves of the same steps
    layers = found["gradient norm of G"]["series"]
    assert [(s["label"], s["bold"]) for s in layers] == [
        *(("all layers", True), ("Dense_1", False), ("bottom", True), ("top", True)),
    ]
    assert [s.get("depth") for s in layers] == [None, 0.0, None, None]


def test_single_says_what_was_found(run, monkeypatch):
    monkeypatch.setattr(run_record, "diagnose", lambda *_: [finding(), finding("info", 20, 50, "mode_hopping")])
    data = plots.single(run_record.read(run.workdir))
    assert data["findings"] == [
        {"from": 300, "to": None, "severity": "problem", "text": "mode collapse since step 300"},
        {"from": 20, "to": 50, "severity": "info", "text": "mode hopping from step 20 to 50"},
    ]


def test_several_overlay_what_they_have_in_common(run, tmp_path):
    add_curves(begin(tmp_path / "longer", IMAGES), last=900, best=300)
    data = plots.several([run, run_record.read(tmp_path / "longer")])
    found = {panel["title"]: panel for panel in data["panels"]}
    assert data["range"] == [10, 900] and data["findings"] == []
    assert "loss/d" in found and "grad_norm/g" in found and not any("top" in title for title in found)
    for panel in data["panels"]:
        assert [(s["label"], s["run"]) for s in panel["series"]] == [("run", 0), ("longer", 1)]
    assert found["fd_1k_cnn_embedded_digits"]["marks"] == [[400, 10.0], [300, 10.0]]


def test_nothing_recorded_is_nothing_drawn(tmp_path):
    begin(tmp_path / "run", IMAGES)
    assert plots.single(run_record.read(tmp_path / "run")) == {
        "range": [0, 1],
        "steps": [],
        "panels": [],
        "findings": [],
    }


def test_what_is_not_finite_breaks_the_curve(run):
    with open(run.workdir / "metrics.jsonl", "a") as file:
        file.write('{"step": 610, "loss/d": NaN, "loss/g": Infinity}\n')
    data = plots.single(run_record.read(run.workdir))
    assert [s["values"][-1] for s in data["panels"][0]["series"]] == [None, None]
    assert json.loads(plots.embedded(data)) == data


def test_embedded_texts_cannot_end_the_script(run):
    text = plots.embedded({"title": "</script><script>alert(1)</script><!--"})
    assert "<" not in text and json.loads(text)["title"].startswith("</script>")


@pytest.mark.parametrize("n", [4, 100, 5001])
def test_thinned_keeps_spikes_ends_and_order(n):
    values = np.random.RandomState(0).normal(size=n)
    values[n // 2] = 99.0
    values[n // 3] = -99.0
    steps, kept = plots.thinned(np.arange(n) * 10, values, 100)
    assert len(kept) <= 102
    assert (np.diff(steps) > 0).all() and (steps[0], steps[-1]) == (0, 10 * (n - 1))
    np.testing.assert_array_equal(kept, values[steps // 10])
    assert {99.0, -99.0} <= set(kept.tolist())


def test_thinned_keeps_what_is_not_finite():
    values = np.ones(1000)
    values[[7, 500]] = np.nan, np.inf
    steps, _ = plots.thinned(np.arange(1000), values, 50)
    assert {7, 500} <= set(steps.tolist()) and len(steps) < 60
