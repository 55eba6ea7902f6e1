import numpy as np
import pytest

from benchmarks.cost import monitoring
from benchmarks.cost.monitoring import LOSSES, Turn, flops, pairs, report, upper_bound
from benchmarks.speed.side import Side
from jaxgan.config.config import Config


class Recorded(Side):
    """Takes so long for a step, and remembers who came when."""

    def __init__(self, name: str, seconds: float, order: list[str]):
        self.name, self.seconds, self.order = name, seconds, order

    def run(self, steps: int) -> float:
        self.order.append(self.name)
        return self.seconds * steps


def test_pairs_take_turns_and_give_times_per_step():
    order: list[str] = []
    found = pairs(Recorded("on", 0.003, order), Recorded("off", 0.002, order), 3, 5)
    assert order == ["off", "on", "on", "off", "off", "on"]
    assert [[turn.wall for turn in pair] for pair in found] == [[pytest.approx(3), pytest.approx(2)]] * 3


@pytest.mark.slow
def test_upper_bound_is_above_the_median_and_tightens_with_pairs():
    random = np.random.RandomState(0)
    few, many = (random.normal(1.02, 0.05, n) for n in (30, 3000))
    widths = [upper_bound(ratios) - np.median(ratios) for ratios in (few, many)]
    # Of normal ratios the median's standard error is 1.2533 sigma / sqrt(n), and the bound 1.96 of them away.
    assert widths == pytest.approx([1.96 * 1.2533 * 0.05 / n**0.5 for n in (30, 3000)], rel=0.5)


def test_report_tells_medians_and_ratios_of_pairs():
    lines = report("step", [(Turn(3.0, 8.0), Turn(2.0, 4.0)), (Turn(6.0, 4.0), Turn(4.0, 2.0))]).splitlines()
    assert lines[0] == (
        "step, wall time: 4.5 ms with monitors, 3 without; ratio of 2 pairs 1.5000, upper 95 % bound 1.5000"
    )
    assert "processor time: 6 ms with monitors, 3 without; ratio of 2 pairs 2.0000" in lines[1]


@pytest.mark.slow
def test_flops_of_a_step_without_monitors_are_fewer():
    c = Config.from_dict(
        {
            "data": {"name": "digits", "image_size": 8},
            "model": {"architecture": "mlp", "base_features": 4, "channel_multipliers": (1,), "z_dim": 2},
            "train": {"batch_size": 4},
        }
    )
    watched, bare = (flops(c, (8, 8, 1), only) for only in ((), LOSSES))
    assert 0 < bare < watched < 2 * bare


def test_monitors_are_all_on_or_all_off():
    assert monitoring.ON.layers and monitoring.ON.histograms_every and monitoring.ON.preflight
    assert not (monitoring.OFF.layers or monitoring.OFF.histograms_every or monitoring.OFF.preflight)
