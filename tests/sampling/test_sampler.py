import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgan import load
from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.runs import directory as workdirs
from jaxgan.runs.checkpoints import Checkpoints
from jaxgan.sampling.sampler import Sampler
from jaxgan.steps.gan import build, init

IMAGES = Config.from_dict(
    {
        "data": {"name": "digits", "image_size": 8},
        "model": {"architecture": "mlp", "z_dim": 3, "base_features": 8, "g_batch_norm": False},
    }
)
POINTS = Config.from_dict(
    {
        "data": {"source": "synthetic", "name": "ring"},
        "model": {"architecture": "mlp", "output": "linear", "base_features": 8},
    }
)


def make(config: Config, shape: tuple[int, ...]) -> Sampler:
    gan = build(config, shape)
    return Sampler(config, gan, jax.jit(partial(init, gan))(jax.random.key(0)))


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return make(IMAGES, (8, 8, 1))


@pytest.fixture(scope="module")
def points() -> Sampler:
    return make(POINTS, (2,))


@pytest.fixture
def run(sampler, tmp_path):
    """The directory of a run with a checkpoint of that sampler's state."""
    path = tmp_path / "run"
    with workdirs.locked(path):
        example = {"source": "embedded/digits", "shape": [8, 8, 1], "num_examples": 1437, "crc32": 0}
        workdirs.open_run(path, IMAGES, example, 1)
        checkpoints = Checkpoints(path, 2)
        checkpoints.save(7, dataclasses.replace(sampler.state, step=jnp.int32(7)))
        checkpoints.close()
    return path


def test_sampler_gives_the_first_of_many_as_the_few(sampler):
    many = sampler.sample(70)
    assert many.shape == (70, 8, 8, 1) and many.dtype == np.float32
    assert np.array_equal(sampler.sample(3), many[:3])
    assert len(np.unique(many, axis=0)) == 70


def test_sampler_depends_on_the_seed_and_on_nothing_else(sampler):
    assert np.array_equal(sampler.sample(3, seed=5), sampler.sample(3, seed=5))
    assert not np.array_equal(sampler.sample(3, seed=5), sampler.sample(3, seed=6))


def test_sampler_truncation_makes_samples_more_alike(sampler):
    spread = [sampler.sample(64, truncation=t).std(axis=0).mean() for t in (0.01, 0.5, None)]
    assert spread[0] < 0.1 * spread[1] < spread[1] < spread[2]


def test_sampler_draws_from_the_average(sampler):
    zeros = jax.tree.map(jnp.zeros_like, sampler.state.ema)
    averaged = Sampler(IMAGES, sampler.gan, dataclasses.replace(sampler.state, ema=zeros))
    assert not averaged.sample(3).any()


def test_sampler_images_are_the_samples_as_bytes(sampler):
    expected = np.round((sampler.sample(3) + 1) / 2 * 255)
    images = sampler.images(3)
    assert images.dtype == np.uint8
    assert np.abs(images - expected).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(num=0), "num is 0: it must be at least 1"),
        (dict(num=-1), "num is -1"),
        (dict(num=1, seed=-1), "seed is -1: it must be at least 0 and less than 2"),
        (dict(num=1, seed=2**32), "seed is 4294967296"),
        (dict(num=1, truncation=0.0), "truncation is 0.0: it must be a finite number greater than 0"),
        (dict(num=1, truncation=float("nan")), "truncation is nan"),
        (dict(num=1, truncation=float("inf")), "truncation is inf"),
    ],
    ids=str,
)
def test_sampler_refuses_what_is_out_of_range(sampler, arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        sampler.sample(**arguments)


def test_save_writes_a_grid_of_the_images(sampler, tmp_path):
    (path,) = sampler.save(tmp_path / "deep" / "grid.png", 4)
    picture = np.asarray(Image.open(path))
    assert picture.shape == (22, 22)
    assert np.array_equal(picture[12:20, 2:10], sampler.images(4)[2, ..., 0])


def test_save_writes_one_file_per_image_into_a_directory(sampler, tmp_path):
    files = sampler.save(f"{tmp_path / 'each'}/", 3)
    assert [file.name for file in files] == ["000000.png", "000001.png", "000002.png"]
    assert np.array_equal(np.asarray(Image.open(files[2])), sampler.images(3)[2, ..., 0])
    assert sampler.save(tmp_path / "each", 3) == files  # a directory that is there needs no slash


def test_save_does_not_mix_images_of_two_calls(sampler, tmp_path):
    files = sampler.save(f"{tmp_path}/", 3)
    before = files[0].read_bytes()
    with pytest.raises(UserError, match=r"has other images, as 000002.png: name an empty directory"):
        sampler.save(f"{tmp_path}/", 2, seed=1)
    assert files[0].read_bytes() == before
    (tmp_path / "photo.JPG").write_bytes(b"")
    with pytest.raises(UserError, match=r"has other images, as photo.JPG"):
        sampler.save(f"{tmp_path}/", 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("out", ["x.png", "each/"])
def test_save_refuses_what_a_png_cannot_show(tmp_path, out):
    with pytest.raises(UserError, match=r"a PNG cannot show examples of shape \(8, 8, 2\)"):
        make(IMAGES, (8, 8, 2)).save(f"{tmp_path}/{out}", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["x.jpg", "x", "taken/", "taken/x.png"])
def test_save_refuses_with_one_sentence_what_it_cannot_write(sampler, tmp_path, out):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=rf"--out .*{out}.*(must end in .png|cannot be written)") as error:
        sampler.save(f"{tmp_path}/{out}", 1)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_save_draws_points_as_a_scatter_plot(points, tmp_path):
    (path,) = points.save(tmp_path / "points.png", 50)
    assert np.asarray(Image.open(path)).shape[:2] == (400, 400)


def test_save_refuses_points_as_image_files(points, tmp_path):
    with pytest.raises(UserError, match=r"examples of shape \(2,\), not images"):
        points.save(f"{tmp_path / 'each'}/", 3)
    assert list(tmp_path.iterdir()) == []


def test_load_gives_the_state_of_the_last_checkpoint(run, sampler):
    loaded = load(run)
    assert (loaded.step, loaded.config) == (7, IMAGES)
    assert np.array_equal(loaded.sample(3), sampler.sample(3))


def test_load_changes_nothing_and_needs_no_lock(run):
    """Sampling from a run in progress: it holds the lock, and a checkpoint is half written."""
    (run / "checkpoints" / "9.orbax-checkpoint-tmp").mkdir()

    def contents():
        return {path: path.stat().st_mtime_ns for path in sorted(run.rglob("*"))}

    before = contents()
    with workdirs.locked(run):
        load(run)
    assert contents() == before


def test_load_refuses_what_holds_no_run(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        load(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_load_refuses_a_run_without_checkpoint(run):
    (run / "checkpoints").rename(run / "elsewhere")
    with pytest.raises(UserError, match="has no checkpoint yet"):
        load(run)
    assert not (run / "checkpoints").exists()
