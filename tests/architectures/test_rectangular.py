"""Images that are not square: which sizes each architecture takes, and that a run of them works to the end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan.architectures import ARCHITECTURES
from jaxgan.errors import UserError
from jaxgan.steps.gan import build

SIZES = [
    ("dcgan", (28, 56)),
    ("dcgan", (96, 64)),
    ("sngan_resnet", (32, 64)),
    ("sngan_resnet", (96, 48)),
    ("sagan", (32, 64)),
    ("sagan", (128, 64)),
    ("biggan", (64, 128)),
    ("r3gan", (32, 40)),
    ("r3gan", (128, 64)),
    ("mlp", (5, 9)),
]


def networks(architecture, size):
    off = {name: False for name in ARCHITECTURES[architecture].lacks}
    model = {"architecture": architecture, "base_features": 4, "z_dim": 16, **off}
    config = jaxgan.Config.from_dict({"model": model, "data": {"image_size": size}})
    return build(config, (*size, 3))


@pytest.mark.parametrize(("architecture", "size"), SIZES)
def test_generator_makes_what_the_discriminator_takes(architecture, size):
    gan = networks(architecture, size)

    def both(key):
        z, real = jnp.zeros((2, 16)), jnp.zeros((2, *size, 3))
        made, _ = gan.generator.init_with_output(key, z, train=True)
        judged, _ = gan.discriminator.init_with_output(key, real, train=True)
        return made, judged.logits

    made, logits = jax.eval_shape(both, jax.random.key(0))
    assert (made.shape, logits.shape) == ((2, *size, 3), (2,))


@pytest.mark.parametrize(
    ("architecture", "size", "sentence"),
    [
        ("dcgan", (28, 30), "the larger side beside 28 a multiple of 4"),
        ("dcgan", (30, 60), "must be one of 28, 32, 64, 128, or height and width of which the smaller is one of these"),
        ("sngan_resnet", (64, 80), "the larger side beside 64 a multiple of 32"),
        ("r3gan", (32, 36), "the larger side beside 32 a multiple of 8"),
    ],
)
def test_sides_that_cannot_be_halved_are_refused(architecture, size, sentence):
    with pytest.raises(UserError, match=sentence):
        networks(architecture, size)


@pytest.mark.slow
def test_a_run_of_rectangular_pictures_from_folder_to_report(tmp_path):
    for i in range(8):
        pixels = np.random.RandomState(i).randint(0, 256, (30, 50 + i, 3)).astype(np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    config = {
        "data": {"source": "folder", "data_dir": tmp_path / "photos", "image_size": (28, 56)},
        "model": {"base_features": 4, "z_dim": 8},
        "train": {"num_steps": 2, "batch_size": 4, "sample_every": 2, "log_every": 1, "checkpoint_every": 2},
        "eval": {"every": 2, "num_samples": 8, "metrics": ["fd"], "features": "random"},
        "monitor": {"preflight": False},
    }
    state = jaxgan.train(config, tmp_path / "run")
    assert int(state.step) == 2
    assert jaxgan.load(tmp_path / "run").images(3).shape == (3, 28, 56, 3)
    found = jaxgan.score_folder(tmp_path / "photos", config)["fd"]
    assert found.protocol.resize == "the folder's images to 28x56"
    jaxgan.report(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").stat().st_size > 1000
    again = {**config, "train": {**config["train"], "num_steps": 3}}
    assert int(jaxgan.train(again, tmp_path / "run").step) == 3  # the pair of sizes is the same after JSON
