"""The look before the first step at a game's own networks and data."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import games

from jaxgan.data import Source, from_arrays
from jaxgan.devices.devices import AXIS, Devices
from jaxgan.errors import UserError
from jaxgan.monitor.preflight import remarks
from jaxgan.steps.gan import build
from jaxgan.training.preflight import (
    FILE,
    WITHOUT_EFFECT,
    check_classes,
    facts,
    look,
    preflight,
    recorded,
    recorded_summary,
)

IMAGES = np.random.RandomState(0).randint(0, 256, (400, 8, 8, 1)).astype(np.uint8)
LABELS = np.arange(400) % games.CLASSES


class Generator(nn.Module):
    """One layer, and what comes after it."""

    scale: float = 1.0
    end: str = "tanh"

    @nn.compact
    def __call__(self, z, *, train):
        x = nn.Dense(64, kernel_init=nn.initializers.normal(self.scale))(z)
        return {"tanh": jnp.tanh, "none": lambda x: x, "sigmoid": nn.sigmoid, "log": jnp.log}[self.end](
            x.reshape(-1, 8, 8, 1)
        )


class Discriminator(nn.Module):
    """One layer."""

    scale: float = 0.1

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(1, kernel_init=nn.initializers.normal(self.scale))(x.reshape(len(x), -1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "discriminator", "expected"),
    [
        (Generator(), Discriminator(), []),
        (Generator(scale=1e-4), Discriminator(), ["same_outputs"]),
        (Generator(scale=1e3), Discriminator(), ["saturated_outputs"]),
        (Generator(end="none"), Discriminator(), ["outputs_beyond_the_data"]),
        (Generator(end="sigmoid"), Discriminator(), ["one_sided_outputs"]),
        (Generator(end="log"), Discriminator(), ["net_not_finite"]),
        (Generator(), Discriminator(scale=0.0), ["same_logits"]),
        (Generator(), Discriminator(scale=50.0), ["large_logits"]),
    ],
)
def test_networks_that_begin_badly_are_named(generator, discriminator, expected):
    config = games.small()
    gan, state, _ = games.game(config, generator=generator, discriminator=discriminator)
    before = jax.device_get(state)
    found = preflight(config, gan, state, from_arrays(IMAGES))
    assert [remark.kind for remark in found] == expected
    assert games.same(jax.device_get(state), before)  # and nothing was donated


def test_a_key_without_effect_is_named(tmp_path, capsys):
    config = games.small(augment__p=0.5, train__init_from="elsewhere")
    gan, state, _ = games.game(config)
    (remark,) = preflight(config, gan, state, from_arrays(IMAGES))
    assert remark.kind == WITHOUT_EFFECT and remark.severity == "warning"
    assert remark.sentence == "augment.p is 0.5, but augment.policy is empty, so that it has no effect."
    look(tmp_path, config, gan, state, from_arrays(IMAGES), 1)
    assert capsys.readouterr().out == f"preflight warning: {remark.sentence}\n"
    assert recorded(tmp_path) == [remark]


def test_values_that_training_refuses_are_refused():
    config = games.small()
    with pytest.raises(UserError, match=r"lie in \[0, 255\], but output 'tanh'"):
        preflight(
            config, *games.game(config, generator=Generator(), discriminator=Discriminator())[:2], np.float32(IMAGES)
        )


def test_logits_without_a_level_may_be_large():
    config = games.small(loss__name="wasserstein")
    gan, state, _ = games.game(config, generator=Generator(), discriminator=Discriminator(scale=50.0))
    assert preflight(config, gan, state, from_arrays(IMAGES)) == []


@pytest.mark.slow
def test_devices_change_rounding_only():
    """With batch norm, packs, and a state on all devices."""
    config = games.small(model__packing=2)
    source, (gan, state, _) = from_arrays(IMAGES), games.game(config)
    mapped, devices = build(config, (8, 8, 1), AXIS), Devices(jax.devices()[:4])
    one, four = facts(config, gan, state, source), facts(config.to_dict(), mapped, devices.put(state), IMAGES)
    assert four.pop("per_device") == 2
    assert one == pytest.approx(four, rel=1e-4) and one["normalized"] == 8


@pytest.mark.slow
def test_data_and_batches_are_looked_at(tmp_path, capsys):
    """Only what is read of them: with another run's weights the networks are not."""
    config = games.small(train__init_from="elsewhere", data__max_examples=5)
    gan, state, _ = games.game(config)
    source = from_arrays(np.repeat(IMAGES[:1], 5, axis=0) // 16, LABELS[:5])
    found = preflight(config, gan, state, source)
    expected = ["same_images", "part_of_the_range", "copied_images", "less_than_a_batch", "few_examples"]
    assert [remark.kind for remark in found] == [*expected, "unused_labels"]
    assert found[3].evidence == {"examples": 5, "batch": 8}

    look(tmp_path, config, gan, state, source, 1)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"preflight {remark.severity}: {remark.sentence}" for remark in found[:-1]]
    assert recorded(tmp_path) == found
    assert remarks(json.loads((tmp_path / FILE).read_bytes())["facts"]) == found


@pytest.mark.parametrize("text", [None, "", "{", "{}", '{"remarks": [{"kind": "x"}]}', '{"remarks": 3}'])
def test_a_record_that_is_missing_or_damaged_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / FILE).write_text(text)
    assert recorded(tmp_path) == []


def test_examples_on_disk_are_read_sparingly():
    class Stored:
        example_shape, dtype = (8, 8, 1), np.dtype(np.uint8)

        def __getitem__(self, positions):
            read.append(len(positions))
            return np.random.RandomState(0).randint(0, 256, (len(positions), 8, 8, 1)).astype(np.uint8)

    read = []
    config = games.small()
    gan, state, _ = games.game(config, generator=Generator(), discriminator=Discriminator())
    assert preflight(config, gan, state, Source("stored", np.zeros(10_000, np.int32), (), Stored())) == []
    assert read == [256, 8]


def test_classes_that_were_not_asked_for_are_not_missing():
    conditional = {"model__g_conditioning": "concat", "model__d_conditioning": "projection"}
    source = from_arrays(IMAGES[:300], np.arange(300) % 2, ["a", "b", "c"])
    state = games.game(games.small(), generator=Generator(), discriminator=Discriminator())[1]
    for classes, expected in ((), ["missing_classes"]), (("a", "b"), []):
        config = games.small(train__init_from="elsewhere", data__classes=classes, **conditional)
        gan = build(config, (8, 8, 1), num_classes=3)
        assert [remark.kind for remark in preflight(config, gan, state, source)] == expected


def test_the_counts_of_the_data_are_recorded_without_the_look_too(tmp_path, capsys):
    config = games.small(monitor__preflight=False)
    gan, state, _ = games.game(config)
    source = from_arrays(IMAGES[:7], LABELS[:7], ["a", "b", "c"])
    look(tmp_path, config, gan, state, source, 1)
    assert recorded(tmp_path) == [] and capsys.readouterr().out == ""
    assert recorded_summary(tmp_path) == source.summary
    assert "a 3, b 2, c 2" in source.summary


def test_conditioning_on_one_class_is_refused():
    conditional = games.small(model__g_conditioning="concat", model__d_conditioning="projection")
    one = from_arrays(IMAGES[:9], np.ones(9, int), ["cat", "dog"])
    with pytest.raises(UserError, match=r"all 9 examples of arrays are of one class, 'dog': set model\.g_cond"):
        check_classes(conditional, one)
    check_classes(games.small(), one)
    check_classes(conditional, from_arrays(IMAGES[:9], LABELS[:9]))
