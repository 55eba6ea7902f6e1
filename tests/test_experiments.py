"""The script that runs the articles' experiments: what it can run, and what it says of a run."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import experiments
from jaxgan.config import as_config, load_file


@pytest.mark.parametrize("name", experiments.NAMES)
def test_every_variant_is_a_configuration_of_digits(name):
    for experiment in experiments.variants(name):
        name, _, variant = experiment.partition(":")
        config = as_config(load_file(f"{experiments.ROOT}/configs/{name}.py{':' + variant if variant else ''}"))
        assert config.data.source == "embedded"


def test_row_has_medians_of_the_last_tenth(tmp_path, monkeypatch):
    def complete(config, workdir, seed):
        assert (config, seed) == ("configs/one_class.py:3", 7)
        rows = [
            {"step": s, "loss/d": s / 100, "loss/g": 2.0, "score/real": 0.5, "score/fake": 0.25} for s in range(101)
        ]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return 3.4

    monkeypatch.setattr(experiments, "complete", complete)
    monkeypatch.setattr(experiments, "evaluate", lambda workdir, config: {"fd": SimpleNamespace(value=8.25)})
    line = "| one_class:3 | 0.955 | 2 | 0.5 | 0.25 | 8.25 | 3 |"  # steps 91 to 100
    assert experiments.row("one_class:3", tmp_path, 7) == line


def test_what_is_unknown_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        experiments.main(["--only=one_class:3,one_class:x"])
    assert "--only=one_class:x: there are constraints_digits, " in capsys.readouterr().err
