"""Whatever a user brings ends used, or refused in words: keys, damaged workdirs and data. `make fuzz` tries many."""

import shutil
from functools import partial

import hypothesis
import jax
import numpy as np
import pytest
from absl.testing import flagsaver
from hypothesis import strategies as st
from support.fuzzing import Tally, array_likes, as_text, damage, examples, overrides
from support.loops import tiny

from jaxgan import main
from jaxgan.config.config import Config, as_config, defaults
from jaxgan.data import as_source
from jaxgan.steps.gan import build, init
from jaxgan.training.loop import train

pytestmark = pytest.mark.filterwarnings("ignore")

# What the overrides are applied to.
BASES = {
    "mlp": {
        "data": {"name": "digits", "image_size": 8},
        "model": {"architecture": "mlp", "base_features": 8, "channel_multipliers": (1,)},
    },
    "points": {
        "data": {"source": "synthetic", "name": "ring", "image_size": 0},
        "model": {"architecture": "mlp", "base_features": 8, "output": "linear", "channel_multipliers": (1,)},
    },
    "dcgan": {"model": {"base_features": 8}},
}


def changed(base: str, values: dict):
    config = defaults()
    for section, content in BASES[base].items():
        for name, value in content.items():
            config[section][name] = value
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (config[section] if section else config)[name] = value
    return config


def typed(values: dict) -> Config:
    """The same from the command line."""
    arguments = [f"--config.{key}={as_text(value)}" for key, value in values.items()]
    with flagsaver.flagsaver():
        try:
            main.parse(["jaxgan", "--config=configs/mnist_unconditional.py", *arguments])
            return as_config(main.FLAGS.config)
        finally:
            for name in [name for name in main.FLAGS if name.startswith("config.")]:
                delattr(main.FLAGS, name)


def try_config(base: str, values: dict, by_flags: bool) -> None:
    config = typed(values) if by_flags else as_config(changed(base, values))
    assert Config.from_dict(config.to_dict()) == config
    size = config.data.image_size or 8
    shape = (2,) if config.data.source == "synthetic" else (size, size, 1)
    gan = build(config, shape, num_classes=10)
    jax.eval_shape(partial(init, gan), jax.random.key(0))


@pytest.mark.slow
def test_any_override_of_any_key_is_accepted_or_refused_in_words(root, monkeypatch):
    monkeypatch.chdir(root)
    tally = Tally("configurations")

    @examples(few=60, many=2000)
    @hypothesis.given(st.sampled_from(list(BASES)), overrides(), st.booleans())
    def check(base, values, by_flags):
        tally.run(partial(try_config, base, values, by_flags), (base, values, by_flags))

    check()
    tally.finish()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with samples, scores and two checkpoints."""
    workdir = tmp_path_factory.mktemp("fuzz") / "run"
    config = tiny(
        train__num_steps=4, train__sample_every=2, eval__every=2, eval__features="random", eval__num_samples=20,
        eval__num_real=20, eval__metrics=["fd"], monitor__preflight=False,
    )  # fmt: skip
    train(config, workdir)
    return config, workdir


MODES = {
    "sample": ("--mode=sample", "--num=2"),
    "report": ("--mode=report",),
    "evaluate": ("--mode=evaluate", "--num=20"),
    "train": (),
}


@pytest.mark.slow
def test_any_damaged_file_of_a_workdir_ends_in_words(run, tmp_path, monkeypatch, capfd):
    config, workdir = run
    tally = Tally("damages")
    monkeypatch.setattr("jaxgan.devices.cpu.use_cpu_devices", lambda *arguments: None)  # JAX runs already

    def go_on(damaged, mode):
        if mode == "train":
            train(config, damaged)
            return
        out = [f"--out={damaged}.png"] if mode == "sample" else [f"--out={damaged}.html"] if mode == "report" else []
        with flagsaver.flagsaver():
            main.parse(["jaxgan", f"--workdir={damaged}", *MODES[mode], *out])
            main.main(["jaxgan"])

    @examples(few=12, many=500)
    @hypothesis.given(st.integers(0, 2**32), st.sampled_from(list(MODES)))
    def check(seed, mode):
        damaged = tmp_path / f"run_{seed}_{mode}"
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(workdir, damaged)
        how = damage(damaged, seed)
        tally.run(partial(go_on, damaged, mode), (mode, how))
        shutil.rmtree(damaged, ignore_errors=True)

    check()
    capfd.readouterr()
    with capfd.disabled():
        tally.finish()


def try_data(given) -> None:
    source = as_source(given)
    count = len(source)
    assert count > 0 and len(source.labels) == count
    if isinstance(given, np.ndarray):
        assert count == len(given)
    first = source.read(np.arange(min(count, 2)))
    assert first.shape == (min(count, 2), *source.shape) and first.dtype in (np.uint8, np.float32)
    assert np.isfinite(first).all()


def test_any_array_like_given_as_data_is_used_or_refused_in_words():
    tally = Tally("inputs")

    @examples(few=60, many=300)
    @hypothesis.given(array_likes())
    def check(given):
        tally.run(partial(try_data, given), given)

    check()
    tally.finish()
