"""The script that runs the articles' experiments: what it can run, and what it says of a run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.experiments import articles, conditioning, modes
from jaxgan.config.config import as_config, load_file
from jaxgan.errors import UserError
from jaxgan.metrics.modes import ModeCount

pytestmark = pytest.mark.release


@pytest.mark.parametrize("name", articles.NAMES)
def test_every_variant_is_a_configuration_of_digits(name):
    for experiment in articles.variants(name):
        name, _, variant = experiment.partition(":")
        config = as_config(load_file(f"{articles.ROOT}/configs/{name}.py{':' + variant if variant else ''}"))
        assert config.data.source == "embedded"


def test_row_has_medians_of_the_last_tenth(tmp_path, monkeypatch):
    def complete(config, workdir, seed):
        assert (config, seed) == ("configs/one_class.py:3", 7)
        rows = [
            {"step": s, "loss/d": s / 100, "loss/g": 2.0, "score/real": 0.5, "score/fake": 0.25} for s in range(101)
        ]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return 3.4

    monkeypatch.setattr(articles, "complete", complete)
    monkeypatch.setattr(articles, "evaluate", lambda workdir, config: {"fd": SimpleNamespace(value=8.25)})
    line = "| one_class:3 | 0.955 | 2 | 0.5 | 0.25 | 8.25 | 3 |"  # steps 91 to 100
    assert articles.row("one_class:3", tmp_path, 7) == line


def test_what_is_unknown_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        articles.main(["--only=one_class:3,one_class:x"])
    assert "--only=one_class:x: there are constraints_digits, " in capsys.readouterr().err


@pytest.mark.parametrize("program", [conditioning, articles, modes])
def test_seeds_are_whole_numbers(program, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(["--seeds=0,x"])
    assert "--seeds=0,x: they must be whole numbers" in capsys.readouterr().err


def test_table_has_a_row_for_each_seed_and_a_failed_run_ends_it(tmp_path, monkeypatch, capsys):
    def row(experiment, workdir, seed):
        if seed == 2:
            raise UserError("it failed.")
        return f"{experiment} {workdir.name}"

    monkeypatch.setattr(articles, "row", row)
    assert articles.main(["--only=one_class", "--seeds=0,2", f"--directory={tmp_path}"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[2:] == ["one_class:3 one_class_3_0"] and said.err == "it failed.\n"


def test_modes_of_each_way_to_count_have_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(modes, "complete", lambda config, workdir, seed: 60.0 + seed)
    even, one = ModeCount(2, 0.5, np.array([0.5, 0.5])), ModeCount(1, 0.25, np.array([1.0, 0.0]))
    monkeypatch.setattr(
        modes, "count", lambda workdir: {", a": even, ", b": one if "_1" in workdir.name[-2:] else even}
    )
    assert modes.main(["--only=stacked 2", "--seeds=0,1", f"--directory={tmp_path}"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| stacked 2, a | 2, 2 | 2.0 | 50.0, 50.0 | 50.0 % | 0.000, 0.000 | 0.000 | 60, 61 |",
        "| stacked 2, b | 2, 1 | 1.5 | 50.0, 25.0 | 37.5 % | 0.000, 0.693 | 0.347 | 60, 61 |",
    ]
