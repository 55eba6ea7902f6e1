"""Every file in configs/ loads, validates, builds without compiling, and survives JSON."""

import importlib.util
from functools import partial
from pathlib import Path

import jax
import pytest

from jaxgan.config import Config, as_config
from jaxgan.gan import build, init

FILES = sorted((Path(__file__).resolve().parents[1] / "configs").glob("*.py"))


def load(path: Path) -> Config:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return as_config(module.get_config())


def test_configs_exist():
    assert len(FILES) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_config_file_builds_and_survives_json(path):
    config = load(path)
    assert Config.from_dict(config.to_dict()) == config
    size = config.data.image_size
    gan = build(config, (2,) if config.data.source == "synthetic" else (size, size, 1))
    jax.eval_shape(partial(init, gan), jax.random.key(0))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_config_file_header_gives_its_command_and_result(path):
    header = path.read_text().split('"""')[1]
    assert f"--config=configs/{path.name}" in header
    assert "Result: " in header and "RESULT" not in header
