"""The check for accelerators, on a CPU in its small setting."""

import json
import subprocess
import sys

import pytest

from benchmarks.cost import accelerator_check
from benchmarks.cost.accelerator_check import Row, Setting, check, relative, table


@pytest.mark.parametrize(
    ("row", "failed"),
    [
        (Row("speed", "a", 3.0), False),
        (Row("numbers", "a", 1e-5, limit=1e-4), False),
        (Row("numbers", "a", 2e-4, limit=1e-4), True),
        (Row("numbers", "a", float("nan"), limit=1e-4), True),
        (Row("resume", "a", None, limit=0.0), True),
    ],
)
def test_row_fails_over_its_limit(row, failed):
    assert row.failed == failed


def test_relative_difference_is_that_of_the_worst_leaf():
    assert relative({"a": [1.0, 0.0], "b": [2.0]}, {"a": [1.0, 0.0], "b": [4.0]}) == 0.5
    assert relative([3.0], [0.0]) == 3.0
    assert not relative([float("nan"), 1.0], [1.0, 1.0]) <= 1


def test_a_part_that_breaks_down_is_a_failed_row_and_stops_no_other(monkeypatch):
    def broken(setting):
        yield Row("numbers", "first", 0.0, limit=1.0)
        raise RuntimeError("no such\ninstruction")

    monkeypatch.setitem(accelerator_check.RUNS, "numbers", broken)
    monkeypatch.setitem(accelerator_check.RUNS, "speed", lambda setting: iter([Row("speed", "next", 1.0)]))
    about, rows = check(Setting.small(), ("numbers", "speed"), minutes=1)
    assert [(row.name, row.failed) for row in rows] == [("first", False), ("did not finish", True), ("next", False)]
    assert "RuntimeError: no such instruction" in table(about, rows)


def test_what_there_is_no_time_for_is_said(monkeypatch):
    many = [Row("speed", str(i), 1.0) for i in range(3)]
    monkeypatch.setitem(accelerator_check.RUNS, "speed", lambda setting: iter(many))
    _, rows = check(Setting.small(), ("speed",), minutes=0)
    assert [row.name for row in rows] == ["0", "the rest"] and "left out" in rows[-1].note


@pytest.mark.slow
def test_check_passes_on_a_cpu_and_writes_its_figures(tmp_path, root):
    out = tmp_path / "check.json"
    command = [sys.executable, "-m", "benchmarks.cost.accelerator_check", "--parts=resume,population", f"--out={out}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["platform"] == "cpu" and found["setting"]["batch_size"] == Setting.small().batch_size
    resumed, *members = found["rows"]
    assert (resumed["part"], resumed["value"], resumed["limit"]) == ("resume", 0.0, 0.0)
    assert len(members) == 4 and all(row["value"] > 0 for row in members)
