"""The benchmark's arithmetic, its table and its command line."""

import importlib.util
import json
from pathlib import Path

import pytest

from benchmarks.games import GAMES
from benchmarks.speed import measure, run, summary, table
from benchmarks.speed.sides import SIDES
from jaxgan.errors import UserError

# ms per step of two rounds, and peaks
MS = {
    ("ring", "jaxgan", 64): (1.0, 4.0),
    ("ring", "torch", 64): (5.0, 12.0),
    ("ring", "torch_compile", 64): (4.0, 8.0),
    ("ring", "torch_tuned", 64): (3.0, 6.0),
    ("ring", "flax", 64): (2.0, 6.0),
    ("batch_sizes", "jaxgan", 16): (2.0, 2.0),
    ("batch_sizes", "jaxgan", 64): (4.0, 5.0),
    ("batch_sizes", "jaxgan", 256): (16.0, 24.0),
    ("loop", "jaxgan", 64): (9.0, 10.0),
    ("loop", "loop", 64): (10.0, 10.0),
}
NAMES = ("group", "side", "batch_size")
ROWS = [
    {**dict(zip(NAMES, key, strict=True)), "round": i, "steps": 10, "seconds": ms / 100}
    for key, both in MS.items()
    for i, ms in enumerate(both)
]
INFO = [{**dict(zip(NAMES, key, strict=True)), "first_step_seconds": 2.0, "peak_bytes": 2**20 * key[2]} for key in MS]
HEAD = {
    "machine": {"cpu": "A CPU", "cores": 2, "memory_gib": 8},
    "versions": {"jax": "1.2"},
    "date": "2026-01-02",
    "args": {"models": ["ring"], "rounds": 2},
}


def results(rows=ROWS, sides=INFO):
    return HEAD | summary.summarize(rows, sides) | {"sides": sides, "rows": rows}


def test_ratios_are_medians_of_pairs():
    found = summary.summarize(ROWS, INFO)
    assert found["torch_best"] == {"ring": "torch_tuned"}
    assert found["ratios"] == {"ring": 2.25}  # of 3 / 1 and 6 / 4; of the medians it would be 1.8
    assert found["ratio_quartiles"] == {"ring": [1.875, 2.625]}
    assert found["untuned_ratios"] == {"ring": 3.0}  # of torch_compile, 4 / 1 and 8 / 4
    assert found["stock_flax_ratios"] == {"ring": 1.75}
    assert found["growth"] == {"jaxgan": 1.1}
    assert found["peak_bytes"] == {"jaxgan": 256 * 2**20}
    assert found["loop_ratio"] == 0.95
    assert found["medians"][0] == {
        "group": "ring", "side": "jaxgan", "batch_size": 64, "q1_ms": 1.75, "median_ms": 2.5, "q3_ms": 3.25
    }  # fmt: skip


@pytest.mark.parametrize("best", summary.TORCH)
def test_the_fastest_torch_is_best_whichever_it_is(best):
    slow = [r | {"seconds": 1.0} if r["side"] in summary.TORCH and r["side"] != best else r for r in ROWS]
    alone = [r for r in ROWS if r["side"] not in summary.TORCH or r["side"] == best]
    for rows in (slow, alone):
        assert summary.torch_best(rows, "ring") == best
        assert summary.summarize(rows, INFO)["ratios"] == {
            "ring": {"torch": 4.0, "torch_compile": 3.0, "torch_tuned": 2.25}[best]
        }


def test_without_torch_there_is_no_ratio():
    rows = [r for r in ROWS if not r["side"].startswith("torch")]
    found = results(rows)
    assert found["ratios"] == found["torch_best"] == {}
    assert found["stock_flax_ratios"] == {"ring": 1.75}
    assert "| 2.50 (1.75 to 3.25) |  |  |  | 4.00 (3.00 to 5.00) |  |  | 1.75 |" in table.render(found)


def test_order_puts_every_side_first_and_last_equally_often():
    for count in (2, 3, 4, 6):
        rounds = [measure.order(count, i) for i in range(2 * count)]
        assert all(sorted(each) == list(range(count)) for each in rounds)
        for place in (0, -1):
            assert sorted(each[place] for each in rounds) == sorted([*range(count)] * 2)


@pytest.mark.parametrize("group", measure.GROUPS)
def test_plans_have_jaxgan_and_torch_only_where_it_is(group):
    for with_torch in (True, False):
        entries = [entry for entries in measure.processes(group, with_torch) for entry in entries]
        assert any(entry.side == "jaxgan" for entry in entries)
        assert any("torch" in entry.side for entry in entries) == (with_torch and group != "loop")
        assert {entry.side for entry in entries} <= set(SIDES)
        assert len(set(entries)) == len(entries)


def test_table_shows_what_was_measured():
    text = table.render(results())
    speed, costs, sizes, loop, where = text.split("\n\n")
    assert speed.splitlines()[2] == (
        "| MLP, ring, R1 + R2 | 2.50 (1.75 to 3.25) | 8.50 (6.75 to 10.2) | 6.00 (5.00 to 7.00) | 4.50 (3.75 to 5.25) "
        "| 4.00 (3.00 to 5.00) | **2.25** (1.88 to 2.62) | 3.00 | 1.75 |"
    )
    assert costs.splitlines()[2] == "| MLP, ring, R1 + R2 |" + 5 * " 2.00 / 64 |"
    assert sizes.splitlines()[2] == "| jaxgan | 0.125 | 0.070 | 0.078 | 1.10 | 16 | 64 | 256 |"
    assert "0.950" in loop
    assert "2 rounds" in where and "A CPU, 2 cores, 8 GiB; jax 1.2; 2026-01-02" in where
    for block in (speed, costs, sizes):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_table_says_why_a_side_is_missing():
    rows, sides = ([x for x in xs if x["side"] != "torch_compile"] for xs in (ROWS, INFO))
    failed = {"group": "ring", "side": "torch_compile", "batch_size": 64, "error": "no C++ | compiler"}
    assert "| no C++ / compiler |" in table.render(results(rows, [*sides, failed]))


def test_results_survive_the_file_and_verdict_has_a_line_for_each(tmp_path):
    run.write(results(), tmp_path / "new" / "results.json")
    assert json.loads((tmp_path / "new" / "results.json").read_text()) == results()
    assert run.verdict(results()) == [
        "ratio ring 2.25",
        "untuned_ratio ring 3.00",
        "stock_flax_ratio ring 1.75",
        "growth jaxgan 1.10",
        "peak_mib jaxgan 256",
        "loop_ratio 0.950",
    ]


def test_only_the_whole_benchmark_writes_the_results_by_itself():
    assert run.parse([]) == (list(measure.GROUPS), 10, table.RESULTS)
    assert run.parse(["--models=ring,dcgan28", "--rounds=12"]) == (["dcgan28", "ring"], 12, None)
    assert run.parse(["--rounds=2"])[2] is None
    assert run.parse(["--models=ring", "--out=a.json"]) == (["ring"], 10, Path("a.json"))


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--models=rings", "--models 'rings' is not known: allowed are dcgan28, .* Did you mean 'ring'?"),
        ("--rounds=0", "--rounds is '0': it must be a whole number of at least 1."),
        ("--rounds=ten", "--rounds is 'ten': it must be a whole number of at least 1."),
    ],
)
def test_mistakes_are_answered_in_a_sentence(argument, sentence, monkeypatch, capsys):
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        run.parse([argument])
    monkeypatch.setattr("sys.argv", ["run", argument])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert run.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_missing_torch_is_said_and_writes_no_results(monkeypatch, tmp_path, capsys):
    def fake(groups, rounds, with_torch):
        assert not with_torch
        return results()

    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *args: None if name == "torch" else find(name, *args))
    monkeypatch.setattr("sys.argv", ["run"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(run, "run", fake)
    monkeypatch.setattr(run, "write", lambda *_: pytest.fail("wrote results without PyTorch"))
    assert run.main() == 0
    assert capsys.readouterr().out.startswith("PyTorch is not installed")


def test_committed_results_are_what_their_rows_say():
    committed = json.loads(table.RESULTS.read_text())
    assert {k: committed[k] for k in summary.summarize([], [])} == summary.summarize(
        committed["rows"], committed["sides"]
    )
    assert set(committed["ratios"]) == set(GAMES)
    assert committed["args"]["rounds"] >= 10
    assert {r["round"] for r in committed["rows"]} == set(range(committed["args"]["rounds"]))


def test_page_shows_the_committed_results():
    shown = table.between_markers(table.PAGE.read_text())
    assert shown == table.render(json.loads(table.RESULTS.read_text()))
