"""Pictures of samples, of what D sees, and of the curves."""

import dataclasses
import re
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from support.games import batches, game
from support.games import config as game_config
from support.generators import images_gan, points_gan, state_of

from jaxgan.config.config import Config, DataConfig, ModelConfig
from jaxgan.data import from_arrays, load, synthetic_modes
from jaxgan.devices.devices import AXIS, Devices
from jaxgan.errors import NonFiniteError
from jaxgan.runs.writers import JsonlWriter, SummaryWriter, metric_writers
from jaxgan.sampling.grid import grid, to_uint8
from jaxgan.steps.gan import build
from jaxgan.steps.randomness import latents
from jaxgan.steps.state import AveragedNet
from jaxgan.training import pictures


@pytest.fixture
def writer(tmp_path):
    writer = metric_writers.MultiWriter([SummaryWriter(tmp_path), JsonlWriter(tmp_path / "metrics.jsonl")])
    yield writer
    writer.close()


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_draws_the_same_latents_with_the_averaged_weights(channels, tmp_path, writer, key):
    gan, source = images_gan(channels)
    samples = pictures.Samples(gan, key, "tanh", source, tmp_path, writer)
    z = np.asarray(latents(key, jnp.arange(64), gan.z_dim, "normal")).reshape(64, 4, 4, channels)
    for step, w in ((0, 0.25), (5, 0.5)):
        samples(step, state_of(w), {})
        expected = grid(np.clip(np.floor((w * z.astype(np.float64) + 1) * 127.5 + 0.5), 0, 255).astype(np.uint8))
        with Image.open(tmp_path / "samples" / f"step_{step:08d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image).reshape(expected.shape), expected)
    assert not (tmp_path / "curves.png").exists()  # no scalar to draw yet
    assert len(list((tmp_path / "samples").iterdir())) == 2


def test_curves_draws_what_is_logged_so_far(tmp_path, writer):
    writer.write_scalars(1, {"loss/d": 1.0})
    writer.flush()
    pictures.Curves(tmp_path, 1)(1, [], True)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"


def test_samples_draws_nothing_that_is_no_picture(tmp_path, writer, key):
    gan, source = images_gan(2)
    pictures.Samples(gan, key, "tanh", source, tmp_path, writer)(1, state_of(1), {})
    assert not (tmp_path / "samples").exists()


def test_samples_of_points_counts_modes(tmp_path, writer, key, capsys):
    samples = pictures.Samples(points_gan(), key, "linear", load("synthetic", name="ring"), tmp_path, writer)
    centers, sigma = synthetic_modes("ring")
    z = np.asarray(latents(key, jnp.arange(2500), 2, "normal"), np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    for step, w, modes in ((0, 0.0, 0), (2, np.linalg.norm(centers[0]), 8)):  # at the ring's center, and all around it
        given = samples(step, state_of(w), {})["scalars"]
        good = np.linalg.norm(w * z[:, None] - centers, axis=-1).min(axis=1) <= 3 * sigma
        assert given == {"eval/modes": modes, "eval/high_quality": pytest.approx(good.mean(), abs=1e-3)}
        line = capsys.readouterr().out
        assert re.fullmatch(rf"step {step}  {modes} of 8 modes \(min_share 0.01\), .*% of 2500 .*\n", line)
        with Image.open(tmp_path / "samples" / f"step_{step:08d}.png") as image:
            assert image.size == (400, 400)


def test_samples_of_other_points_counts_no_modes(tmp_path, writer, key):
    source = load("synthetic", name="ring")
    source = dataclasses.replace(source, name="arrays")
    given = pictures.Samples(points_gan(), key, "linear", source, tmp_path, writer)(1, state_of(1), {})
    assert given["scalars"] == {}
    assert (tmp_path / "samples" / "step_00000001.png").exists()


def test_samples_follow_the_state_on_any_devices(tmp_path, writer, key):
    gan, source = images_gan(1)
    samples = pictures.Samples(gan, key, "tanh", source, tmp_path, writer)
    samples(1, state_of(0.5), {})
    state = state_of(0.5)
    state.ema = Devices(jax.devices()[:2]).put(state.ema)
    samples(2, state, {})
    one, other = (tmp_path / "samples" / f"step_{step:08d}.png" for step in (1, 2))
    assert one.read_bytes() == other.read_bytes()


class Centers(nn.Module):
    """A generator of the center of the class's mode of the grid."""

    @nn.compact
    def __call__(self, z, label, *, train: bool):
        return self.param("w", nn.initializers.ones, ()) * jnp.float32(synthetic_modes("grid")[0])[label]


class Labelled(nn.Module):
    """A discriminator that is given labels, and makes nothing of them."""

    @nn.compact
    def __call__(self, x, label, *, train: bool):
        return nn.Dense(1)(x)


def test_samples_of_points_are_of_all_classes(tmp_path, writer, key):
    """More than the columns that a grid of images has."""
    data = DataConfig(source="synthetic", name="grid")
    model = ModelConfig(
        architecture="mlp", output="linear", z_dim=2, g_conditioning="concat", d_conditioning="concat", embedding_dim=2
    )
    gan = build(dataclasses.replace(Config(), data=data, model=model), (2,), None, Centers(), Labelled(), 25)
    samples = pictures.Samples(gan, key, "linear", load("synthetic", name="grid"), tmp_path, writer)
    assert samples(0, state_of(1), {})["scalars"] == {"eval/modes": 25, "eval/high_quality": 1.0}


class Shown(nn.Module):
    """A generator of 4x4 images whose rows are its four inputs."""

    @nn.compact
    def __call__(self, z, *, train: bool):
        w = self.param("w", nn.initializers.ones, ())
        return w * jnp.broadcast_to(z[:, :, None, None], (len(z), 4, 4, 1))


def test_sweeps_draw_a_picture_of_each_code(tmp_path, writer, key):
    config = Config.from_dict(
        {
            "data": {"image_size": 0},
            "model": {"architecture": "mlp", "z_dim": 1},
            "infogan": {"categorical": [2], "continuous": 1},
        }
    )
    gan = build(config, (4, 4, 1), None, Shown())
    source = from_arrays(np.zeros((3, 4, 4, 1), np.uint8))
    state = SimpleNamespace(ema=AveragedNet({"w": jnp.float32(1)}, {}))
    pictures.Sweeps(gan, key, "tanh", source, tmp_path, writer)(7, state)
    files = sorted((tmp_path / "samples").iterdir())
    assert [file.name for file in files] == ["step_00000007_code_0.png", "step_00000007_code_1.png"]
    drawn = []
    for file in files:
        with Image.open(file) as image:
            drawn.append(np.asarray(image))
    assert [picture.shape for picture in drawn] == [(8 * 6 + 2, n * 6 + 2) for n in (2, 9)]  # a border of 2
    first, second = drawn[0][3:5, 3], drawn[0][3:5, 9]  # what the one-hot code is in the first two columns
    assert first[0] == second[1] == 255 and first[1] == second[0] < 130


def test_samples_that_are_not_finite_are_told_with_the_scalars_of_the_step(tmp_path, writer, key):
    gan, source = images_gan(1)
    with pytest.raises(NonFiniteError, match="at step 2: samples is nan") as caught:
        pictures.Samples(gan, key, "tanh", source, tmp_path, writer)(2, state_of(np.nan), {"loss/g": 3.0})
    assert caught.value.scalars["loss/g"] == 3.0


@pytest.mark.parametrize("packing", [1, 2])
def test_the_picture_of_real_examples_is_of_what_d_sees(packing, key):
    """By the first update's own randomness: shifted and noisy, in the order of the batch on any devices."""
    config = game_config(
        model__packing=packing,
        augment__policy=["translation"],
        augment__p=1.0,
        targets__instance_noise=0.1,
        targets__instance_noise_steps=10,
    )
    batch = {name: x[0] for name, x in batches(1).items()}
    drawn = []
    for count in (1, 4):
        devices = Devices(jax.devices()[:count])
        gan, state, hyper = game(config, AXIS)
        given = devices.put((state, key, hyper))
        drawn.append(pictures.draw_real(gan, devices, *given, batch, "tanh"))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    plain = grid(to_uint8(batch["image"], "tanh"), 8)
    assert drawn[0].shape == plain.shape and (drawn[0] != plain).any()


def test_the_picture_of_real_examples_without_augmentation_is_the_batch(key):
    batch = {name: x[0] for name, x in batches(1).items()}
    devices = Devices(jax.devices()[:2])
    for packing in (1, 2):
        gan, state, hyper = game(game_config(model__packing=packing), AXIS)
        drawn = pictures.draw_real(gan, devices, *devices.put((state, key, hyper)), batch, "tanh")
        np.testing.assert_array_equal(drawn, grid(to_uint8(batch["image"], "tanh"), 8))


def test_curves_are_not_drawn_again_before_the_run_has_gone_on_for_a_while(tmp_path, monkeypatch):
    now, drawn = [100.0], []

    def draw(*_):
        drawn.append(now[0])
        now[0] += 1  # a second

    monkeypatch.setattr(pictures, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(pictures, "draw_curves", draw)
    curves = pictures.Curves(tmp_path, 50)
    for step in range(1, 51):
        now[0] += 4
        curves(step, [], True)
    assert drawn[1] - drawn[0] == pytest.approx(53, abs=4)  # drawing takes 2 % of the time
    assert drawn[-1] == now[0] - 1 and len(drawn) == 5  # and at the last step in any case
