import numpy as np
import pytest

from jaxgan.metrics import METRICS
from jaxgan.metrics.scores import tag
from jaxgan.monitor.directions import direction
from jaxgan.monitor.panels import best, curve, history, panels


@pytest.mark.parametrize("name", METRICS)
def test_direction_agrees_with_every_metric(name):
    assert direction(tag(name, 10_000, "inception_v3")) == METRICS[name].better
    assert direction(tag(name, 1000, "cnn_embedded_mnist")) == METRICS[name].better


@pytest.mark.parametrize("name", ["eval/fdx", "eval/isolation", "score/fid", "fid", "eval/unheard_of"])
def test_direction_of_what_is_not_known(name):
    assert direction(name) == ""


def test_panels_keep_what_belongs_together_in_a_natural_order():
    names = [f"grad_norm/d/{layer}" for layer in ("top", "Conv_10", "Conv_9", "bottom")]
    names += [
        "grad_norm/g",
        "grad_norm/d",
        "loss/g",
        "loss/d",
        "score/real",
        "eval/kid_1k",
        "eval/unheard",
        "step",
        "bare",
    ]
    names += ["sigma/d/Conv_0", "zeta/a", "alpha/b"]
    found = {panel.title: panel for panel in panels(names)}
    assert list(found) == [
        *("loss", "P(real)", "alpha", "zeta", "kid_1k", "unheard"),
        *("gradient norm of D", "gradient norm of G", "largest singular value of D"),
    ]
    layers = found["gradient norm of D"]
    assert layers.names == ("grad_norm/d", *(f"grad_norm/d/{x}" for x in ("Conv_9", "Conv_10", "bottom", "top")))
    assert layers.bold == ("grad_norm/d", "grad_norm/d/bottom", "grad_norm/d/top") and layers.log
    assert found["P(real)"].limits == (0, 1)
    assert (found["kid_1k"].better, found["unheard"].better) == ("lower", "")
    assert not found["largest singular value of D"].log


def test_panels_have_both_nets_in_one_where_no_layers_are_known():
    [panel] = panels(["grad_norm/g", "grad_norm/d"])
    assert panel.title == "gradient norm" and panel.names == ("grad_norm/d", "grad_norm/g") and not panel.bold


def test_curve_passes_over_what_is_no_number():
    rows = [
        {"step": 1, "a": 2},
        {"step": 2},
        {"step": 3, "a": None},
        {"step": 4, "a": "x"},
        {"step": 5, "a": float("nan")},
    ]
    steps, values = curve(rows, "a")
    assert steps.tolist() == [1, 5] and values[0] == 2 and np.isnan(values[1])
    assert [len(x) for x in curve(rows, "b")] == [0, 0]


def test_history_gives_each_curve_its_steps():
    found = history([{"step": 1, "a/b": 2.0}, {"step": 3, "a/b": 3.0, "c": 4.0}])
    assert {name: x.tolist() for name, x in found.items()} == {
        "a/b": [2, 3],
        "a/b/step": [1, 3],
        "c": [4],
        "c/step": [3],
    }


@pytest.mark.parametrize(("better", "expected"), [("lower", 2), ("higher", 1), ("", None)])
def test_best_is_the_first_of_equals_among_the_finite(better, expected):
    values = np.array([2.0, 3.0, 1.0, 1.0, 3.0, -np.inf, np.nan, np.inf])
    assert best(np.arange(8), values, better) == expected
    assert best(np.arange(2), values[-2:], better) is None


@pytest.mark.parametrize(("values", "expected"), [([0.4, 1.3, 1.7], 1), ([0.9, 1.3, np.nan], 0), ([1.6, 0.5, 1.0], 2)])
def test_best_of_what_is_best_at_one_is_the_nearest_to_it(values, expected):
    assert best(np.arange(3), np.array(values), "closer to 1") == expected
