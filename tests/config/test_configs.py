"""Every file in configs/ loads, validates, builds without compiling, and survives JSON, with each of its arguments."""

import importlib.util
import re
from functools import partial
from pathlib import Path

import jax
import pytest

from jaxgan.config.config import Config, as_config, load_file
from jaxgan.config.constraints import without_effect
from jaxgan.errors import UserError
from jaxgan.steps.gan import build, init

FILES = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.py"))


def variants(path: Path) -> list[str]:
    """The arguments that `get_config` takes, which a file that takes one lists as `VARIANTS`."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(getattr(module, "VARIANTS", ()))


VARIANTS = {path: variants(path) for path in FILES}
RUNS = [f"{path}{colon}{name}" for path in FILES for colon, name in [("", ""), *((":", v) for v in VARIANTS[path])]]


@pytest.mark.slow
@pytest.mark.parametrize("file", RUNS, ids=lambda file: file.rpartition("/")[2])
def test_config_file_builds_and_survives_json(file):
    config = as_config(load_file(file))
    assert Config.from_dict(config.to_dict()) == config
    assert not list(without_effect(config))
    size = config.data.image_size
    gan = build(config, (2,) if config.data.source == "synthetic" else (size, size, 1), num_classes=10)
    jax.eval_shape(partial(init, gan), jax.random.key(0))


@pytest.mark.parametrize("path", [path for path in FILES if VARIANTS[path]], ids=lambda p: p.stem)
def test_arguments_differ_and_others_are_refused(path):
    configs = [as_config(load_file(f"{path}:{name}")) for name in VARIANTS[path]]
    assert all(a != b for i, a in enumerate(configs) for b in configs[:i])
    assert as_config(load_file(str(path))) == configs[0]
    with pytest.raises(UserError, match=r"the argument 'nonsense' is not known: allowed are"):
        load_file(f"{path}:nonsense")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_config_file_header_gives_its_command_and_result(path):
    header = path.read_text().split('"""')[1]
    named = re.search(rf"Command: .*--config=configs/{path.name}(:(\w+))? ", header)
    assert named and (named[2] in VARIANTS[path] if VARIANTS[path] else named[2] is None)
    assert "Result: " in header and "RESULT" not in header
