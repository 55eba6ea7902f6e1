"""What the pages of documentation name exists, their commands parse, and their Python runs."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from absl.testing import flagsaver

import jaxgan
from jaxgan import main
from jaxgan.architectures import ARCHITECTURES, D_CONDITIONINGS, G_CONDITIONINGS
from jaxgan.config.config import KEYS, TYPES, Config, as_config
from jaxgan.config.fields import coerce, matches
from jaxgan.metrics import METRICS
from jaxgan.monitor.doctor import RULES
from jaxgan.runs.rollback import CHANGES
from jaxgan.techniques.augment import AUGMENTATIONS
from jaxgan.techniques.losses import LOSSES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GENERATED = DOCS / "reference" / "configuration.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted({*DOCS.rglob("*.md")} - {GENERATED})]
PAGES = [page for page in PAGES if "_build" not in page.parts]
TECHNIQUES = (DOCS / "techniques.md").read_text()
DOCTOR = (DOCS / "doctor.md").read_text()


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


by_page = pytest.mark.parametrize("page", PAGES, ids=named)


def blocks(page: Path) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The command lines of jaxgan in a page, in blocks and within sentences."""
    text = page.read_text().replace("\\\n", " ")
    found = re.findall(r"(?:^    \S*|`)python -m jaxgan\.main ([^`\n]+)", text, re.MULTILINE)
    return [line for line in found if line.startswith("--") and "..." not in line]


@by_page
def test_every_key_exists(page):
    keys = re.findall(r"\bconfig\.([a-z]\w*\.\w+)", page.read_text())
    modules = {key for key in keys if (ROOT / "jaxgan" / "config" / f"{key.partition('.')[0]}.py").is_file()} - {*KEYS}
    assert {key for key in keys if not key.startswith("a.")} - modules <= {*KEYS}  # `config.a.b` stands for any


@by_page
def test_every_value_is_of_its_key_s_type(page):
    for key, text in re.findall(r"--config\.([a-z]\w*\.\w+)=([^\s`]+)", page.read_text()):
        if key in KEYS and not text.isupper():  # DIR, FILE and such
            value = text if TYPES[key] is str else main._Value().parse(text.strip("'"))  # as the command line reads it
            assert matches(coerce(value, TYPES[key]), TYPES[key]), (key, text)


@by_page
def test_every_configuration_exists(page):
    for name, argument in re.findall(r"configs/(\w+\.py)(?::(\w+))?", page.read_text()):
        path = ROOT / "configs" / name
        assert path.is_file()
        assert not argument or argument in path.read_text()


@by_page
def test_every_file_of_the_repository_exists(page):
    files = re.findall(
        r"(?<![\w/])((?:jaxgan|tests|benchmarks|configs|colab|docs)/[\w/]+(?:(?:\.\w+)+|/))(?!\w)", page.read_text()
    )
    assert [file for file in files if not (ROOT / file).exists() and ROOT / file != GENERATED] == []
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists() and page.parent / link != GENERATED] == []


@by_page
def test_every_module_exists(page):
    for name in re.findall(r"python -m (benchmarks\.[\w.]+)", page.read_text()):
        assert importlib.util.find_spec(name), name
    for name in re.findall(r"`(jaxgan(?:\.\w+)+)", page.read_text()):
        assert resolved(name), name


def resolved(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    try:
        if importlib.util.find_spec(name):
            return True
    except ModuleNotFoundError:  # its parent is no package
        pass
    parent, _, attribute = name.rpartition(".")
    return bool(parent) and resolved(parent) and hasattr(importlib.import_module(parent), attribute)


@by_page
def test_every_target_of_make_exists(page):
    targets = re.findall(r"(?:^    |`)make ([a-z][\w-]*)", page.read_text(), re.MULTILINE)
    assert [name for name in targets if f"\n{name}:" not in (ROOT / "Makefile").read_text()] == []


@by_page
def test_every_command_is_understood(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for line in commands(page):
        argv = ["jaxgan", *shlex.split(line, comments=True)]
        monkeypatch.setattr(sys, "argv", argv)  # where config_flags looks for overrides
        with flagsaver.flagsaver():
            try:
                assert main.parse(argv) == argv[:1], line
                assert main.FLAGS.config is None or as_config(main.FLAGS.config), line
            finally:
                for name in [name for name in main.FLAGS if name.startswith("config.")]:
                    delattr(main.FLAGS, name)


def test_the_search_for_commands_finds_those_of_readme():
    assert len(commands(ROOT / "README.md")) >= 3


WITH_PYTHON = [
    page
    for page in PAGES
    if blocks(page) and (page.parent.name == "guides" or page.name in ("README.md", "get_started.md"))
]
SMALL = {
    "train": {"num_steps": 2, "batch_size": 8, "log_every": 1, "sample_every": 0},
    "monitor": {"layers": False, "preflight": False},
    "eval": {"num_samples": 40, "num_real": 40},
}
DENSE = {"architecture": "mlp", "base_features": 4, "z_dim": 4, "channel_multipliers": [1], "d_spectral_norm": False}
DIGITS = {"source": "embedded", "name": "digits", "image_size": 8}


def small(config, source) -> Config:
    """A configuration with the smallest networks and data, and two steps."""
    values = as_config(config).to_dict()
    for section, content in (SMALL | {"model": DENSE} | ({} if source is not None else {"data": DIGITS})).items():
        values[section] |= content
    return Config.from_dict(values)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON, ids=named)
def test_python_of_a_page_runs(page, monkeypatch, tmp_path):
    train = jaxgan.train
    monkeypatch.setattr(
        jaxgan, "train", lambda c, workdir, source=None, **own: train(small(c, source), workdir, source, **own)
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path / "cache"))
    names: dict = {"__name__": "page"}
    for block in blocks(page):
        if '"runs/a"' in block:  # a run that the reader has already
            jaxgan.train({}, "runs/a")
        exec(compile(block, page.name, "exec"), names)
    made = names.get("samples", names.get("images"))
    assert made is None or len(np.unique(made)) > 1 or page.name == "own_data.md"


def test_api_page_has_every_public_name():
    names = re.findall(r"\.\. auto\w+:: jaxgan\.(\w+)", (DOCS / "reference" / "api.md").read_text())
    assert sorted(names) == sorted(jaxgan.__all__)


def test_contributing_tells_of_every_room():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("<!-- rooms -->")[2].partition("<!-- /rooms -->")[0]
    listed = re.findall(r"^\| `(\w+)(?:\.py|/)`", table, re.MULTILINE)
    package = ROOT / "jaxgan"
    there = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/*.py")}
    assert sorted(listed) == sorted(there - {"__init__"})


def test_readme_fits_on_a_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


@pytest.mark.parametrize("section", ["loss", "targets", "regularizers", "augment", "infogan"])
def test_techniques_tells_of_every_key(section):
    assert [key for key in KEYS if key.startswith(f"{section}.") and f"--config.{key}" not in TECHNIQUES] == []


@pytest.mark.parametrize("name", [*LOSSES, *ARCHITECTURES, *G_CONDITIONINGS, *D_CONDITIONINGS, *AUGMENTATIONS])
def test_techniques_tells_of_every_choice(name):
    assert name == "none" or re.search(rf"\b{name}\b", TECHNIQUES)


def test_scores_tells_of_every_key_and_metric():
    text = (DOCS / "scores.md").read_text()
    names = [*METRICS, *(key.removeprefix("eval.") for key in KEYS if key.startswith("eval."))]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_doctor_tells_of_every_key():
    names = [key.removeprefix("monitor.") for key in KEYS if key.startswith("monitor.")]
    assert [name for name in names if f"`{name}`" not in DOCTOR] == []


@pytest.mark.parametrize("kind", RULES)
def test_doctor_tells_what_is_changed_for_every_kind(kind):
    [line] = [line for line in DOCTOR.partition("## Rolling back")[2].splitlines() if f"`{kind}`" in line]
    changed = set(re.findall(r"`([gd]_optim\.\w+)`", line))
    assert changed == set(CHANGES.get(kind, ()))
    assert changed or "stops" in line
