"""What the pages of documentation name exists."""

import re
from pathlib import Path

import pytest

from jaxgan.architectures import ARCHITECTURES, D_CONDITIONINGS, G_CONDITIONINGS
from jaxgan.config.config import KEYS, TYPES
from jaxgan.config.fields import coerce, matches
from jaxgan.main import _Value
from jaxgan.metrics import METRICS
from jaxgan.monitor.doctor import RULES
from jaxgan.runs.rollback import CHANGES
from jaxgan.techniques.augment import AUGMENTATIONS
from jaxgan.techniques.losses import LOSSES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TECHNIQUES = (ROOT / "docs" / "techniques.md").read_text()
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@by_name
def test_every_key_exists(page):
    named = re.findall(r"\bconfig\.([a-z]\w*\.\w+)", page.read_text())
    assert {key for key in named if not key.startswith("a.")} <= {*KEYS}  # `config.a.b` stands for any


@by_name
def test_every_value_is_of_its_key_s_type(page):
    for key, text in re.findall(r"--config\.([a-z]\w*\.\w+)=([^\s`]+)", page.read_text()):
        if key in KEYS and not text.isupper():  # DIR, FILE and such
            value = text if TYPES[key] is str else _Value().parse(text.strip("'"))  # as the command line reads it
            assert matches(coerce(value, TYPES[key]), TYPES[key]), (key, text)


@by_name
def test_every_configuration_exists(page):
    for name, argument in re.findall(r"configs/(\w+\.py)(?::(\w+))?", page.read_text()):
        path = ROOT / "configs" / name
        assert path.is_file()
        assert not argument or argument in path.read_text()


@pytest.mark.parametrize("section", ["loss", "targets", "regularizers", "augment", "infogan"])
def test_techniques_tells_of_every_key(section):
    assert [key for key in KEYS if key.startswith(f"{section}.") and f"--config.{key}" not in TECHNIQUES] == []


@pytest.mark.parametrize("name", [*LOSSES, *ARCHITECTURES, *G_CONDITIONINGS, *D_CONDITIONINGS, *AUGMENTATIONS])
def test_techniques_tells_of_every_choice(name):
    assert name == "none" or re.search(rf"\b{name}\b", TECHNIQUES)


def test_scores_tells_of_every_key_and_metric():
    text = (ROOT / "docs" / "scores.md").read_text()
    names = [*METRICS, *(key.removeprefix("eval.") for key in KEYS if key.startswith("eval."))]
    assert [name for name in names if f"`{name}`" not in text] == []


DOCTOR = (ROOT / "docs" / "doctor.md").read_text()


def test_doctor_tells_of_every_key():
    names = [key.removeprefix("monitor.") for key in KEYS if key.startswith("monitor.")]
    assert [name for name in names if f"`{name}`" not in DOCTOR] == []


@pytest.mark.parametrize("kind", RULES)
def test_doctor_tells_what_is_changed_for_every_kind(kind):
    [line] = [line for line in DOCTOR.partition("## Rolling back")[2].splitlines() if f"`{kind}`" in line]
    named = set(re.findall(r"`([gd]_optim\.\w+)`", line))
    assert named == set(CHANGES.get(kind, ()))
    assert named or "stops" in line
