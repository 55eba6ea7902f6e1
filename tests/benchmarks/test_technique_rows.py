"""The table of techniques covers every choice there is, each row can be built, and the scripts that run it report."""

from functools import partial
from types import SimpleNamespace

import jax
import pytest

from benchmarks.experiments import ablation, techniques
from benchmarks.experiments.rows import BASES, TECHNIQUES, Row, config_of
from jaxgan.architectures import ARCHITECTURES, D_CONDITIONINGS, G_CONDITIONINGS, OUTPUT_ACTIVATIONS
from jaxgan.config.config import KEYS, TYPES
from jaxgan.config.model import Z_DISTRIBUTIONS
from jaxgan.config.train import DTYPES, ORDERS
from jaxgan.main import _Value
from jaxgan.steps.gan import build, init
from jaxgan.techniques.augment import AUGMENTATIONS
from jaxgan.techniques.infogan import DISTRIBUTIONS
from jaxgan.techniques.losses import LOSSES
from jaxgan.techniques.optim import KINDS, PRESETS, SCHEDULES
from jaxgan.techniques.penalties import PENALTIES

CONFIGS = {name: row.config() for name, row in TECHNIQUES.items()}
CHOICES = {
    "loss.name": LOSSES,
    "model.architecture": ARCHITECTURES,
    "model.g_conditioning": G_CONDITIONINGS,
    "model.d_conditioning": D_CONDITIONINGS,
    "model.z_distribution": Z_DISTRIBUTIONS,
    "infogan.distribution": DISTRIBUTIONS,
    "g_optim.preset": PRESETS,
    "d_optim.preset": PRESETS,
    "g_optim.kind": KINDS,
    "d_optim.kind": KINDS,
    "g_optim.schedule": SCHEDULES,
    "train.dtype": DTYPES,
    "train.order": ORDERS,
}


def values(key):
    section, _, name = key.partition(".")
    return [getattr(getattr(config, section), name) for config in CONFIGS.values()]


@pytest.mark.parametrize("key", CHOICES)
def test_every_choice_occurs(key):
    assert set(values(key)) == set(CHOICES[key])


def test_every_architecture_occurs_in_every_precision():
    used = {(config.model.architecture, config.train.dtype) for config in CONFIGS.values()}
    assert used == {(name, dtype) for name in ARCHITECTURES for dtype in DTYPES}


def test_every_output_of_images_occurs():
    assert set(values("model.output")) == set(OUTPUT_ACTIVATIONS) - {"linear"}


@pytest.mark.parametrize("name", [*PENALTIES, "lecam", "feature_matching", "clip"])
def test_every_regularizer_occurs(name):
    assert any(values(f"regularizers.{name}"))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_occurs(name):
    assert any(policy == (name,) for policy in values("augment.policy"))


@pytest.mark.parametrize("section", ["targets", "infogan", "augment", "loss"])
def test_every_key_of_a_section_is_switched_on_by_a_row(section):
    used = {key for row in TECHNIQUES.values() for key in row.overrides}
    # What `traced` is for is benchmarks/experiments/ablation.py; the others are constants of what does occur.
    constants = {"targets.traced", "infogan.weight", "augment.p", "augment.ada_target", "augment.ada_interval"}
    assert {key for key in KEYS if key.startswith(f"{section}.")} - constants <= used


@pytest.mark.slow
@pytest.mark.parametrize("name", TECHNIQUES)
def test_row_builds_and_says_how_to_switch_it_on(name):
    row, config = TECHNIQUES[name], CONFIGS[name]
    size = config.data.image_size
    gan = build(config, (size, size, 1), num_classes=10)
    state = jax.eval_shape(partial(init, gan), jax.random.key(0))
    assert state.step.shape == ()
    assert "," not in name  # they are given as a list
    assert "|" not in row.line  # which would end the cell
    if row.overrides:  # what is to be written gives the same, as the command line reads it
        pairs = dict(part.removeprefix("--config.").split("=") for part in row.line.split())
        read = {key: value if TYPES[key] is str else _Value().parse(value) for key, value in pairs.items()}
        assert config_of(BASES[row.base] | read) == config


def test_rows_train_for_300_steps_by_default():
    assert {config.train.num_steps for config in CONFIGS.values()} == {techniques.STEPS} == {300}


def test_keys_make_a_config():
    config = config_of({"seed": 3, "loss.name": "hinge", "data.classes": (1, 2)})
    assert (config.seed, config.loss.name, config.data.classes) == (3, "hinge", (1, 2))


@pytest.mark.slow
def test_a_row_is_trained_and_one_that_fails_stops_nothing(capsys):
    impossible = Row("tricks", {"loss.name": "hinge", "targets.smoothing": 0.1})
    tiny = Row("constraints", {"regularizers.r1": 1.0, "model.channel_multipliers": (1,)}, next(iter(BASES)))
    lines, failed = techniques.run_all({"impossible": impossible, "tiny": tiny}, steps=2)
    assert failed == ["impossible"]
    assert "UserError" in lines[2] and "penalty/r1" in lines[3]
    assert capsys.readouterr().out.splitlines() == lines


def test_an_interrupted_run_counts_for_nothing(monkeypatch):
    monkeypatch.setattr(techniques.jaxgan, "train", lambda config, workdir: SimpleNamespace(step=1))
    with pytest.raises(KeyboardInterrupt):
        techniques.run_all({"hinge": TECHNIQUES["hinge"]}, steps=2)


def test_a_failure_is_the_exit_code(monkeypatch):
    monkeypatch.setattr(techniques, "run_all", lambda rows, steps: (["a", "b"], list(rows)))
    assert techniques.main(["--only=hinge"]) == 1
    monkeypatch.setattr(techniques, "run_all", lambda rows, steps: (["a", "b"], []))
    assert techniques.main(["--only=hinge"]) == 0


def test_an_unknown_technique_is_refused(capsys):
    with pytest.raises(SystemExit):
        techniques.main(["--only=hing"])
    assert "'hing' is not known" in capsys.readouterr().err


def test_ablation_has_three_strengths_of_every_trick():
    counts = {name: len(strengths) for name, strengths in ablation.TRICKS.items()}
    assert counts.pop("none") == 1 and set(counts.values()) == {3}
    used = {key for _, overrides in ablation._all() for key in overrides}
    static = {"targets.traced", "targets.instance_noise_steps"}
    assert used == {key for key in KEYS if key.startswith("targets.")} - static


@pytest.mark.slow
def test_ablation_compiles_its_step_once(capsys, monkeypatch):
    monkeypatch.setattr(ablation, "BASE", ablation.BASE | {"model.channel_multipliers": (1,)})
    assert ablation.main(["--steps=1", "--seeds=1"]) == 0
    assert "the step was compiled 1 time(s)" in capsys.readouterr().out


def test_compilations_are_counted():
    def counted_step(x):
        return x + 1

    step = jax.jit(counted_step)
    with ablation.compilations("counted_step") as found:
        step(jax.numpy.zeros(2))
        step(jax.numpy.ones(2))
        step(jax.numpy.zeros(3))
    assert len(found) == 2
