import dataclasses
import re
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import pdist

from jaxgan.config.config import Config, DataConfig, ModelConfig
from jaxgan.data import from_arrays, load, synthetic_modes
from jaxgan.devices.devices import Devices
from jaxgan.errors import NotFiniteError
from jaxgan.monitor.curves import read_metrics
from jaxgan.monitor.doctor import Doctor
from jaxgan.runs.writers import JsonlWriter, SummaryWriter, metric_writers
from jaxgan.sampling.grid import grid
from jaxgan.steps.gan import build
from jaxgan.steps.randomness import latents
from jaxgan.steps.state import AveragedNet
from jaxgan.training import actions


@pytest.mark.parametrize(
    "every, first, last, due",
    [
        (1, 0, 3, [0, 1, 2, 3]),
        (2, 0, 4, [0, 2, 4]),
        (2, 0, 5, [0, 2, 4, 5]),
        (0, 0, 5, [5]),
        (9, 0, 5, [0, 5]),
        (5, 0, 5, [0, 5]),
        (1, 1, 1, [1]),
        (2, 1, 5, [2, 4, 5]),  # from the first step, and a resumption after step 0
        (2, 3, 5, [4, 5]),  # resumed after step 2
        (2, 4, 5, [4, 5]),  # resumed after step 3
        (9, 3, 5, [5]),
        (0, 5, 5, [5]),
    ],
)
def test_at_steps_acts_when_due(every, first, last, due):
    seen = []
    action = actions.at_steps(every, last, lambda step, **kwargs: seen.append((step, kwargs)))
    for step in range(first, last + 1):
        action(step, state="state", metrics={"x": step})
    assert seen == [(step, {"state": "state", "metrics": {"x": step}}) for step in due]


def test_profiling_ends_its_trace_with_the_training(tmp_path):
    for run in (tmp_path / "first", tmp_path / "second"):  # nothing of the first is in the second's way
        with pytest.raises(KeyboardInterrupt), actions.profiling(run, 2, 5) as profile:
            for step in range(1, 4):
                profile(step, state=None, metrics={})
            raise KeyboardInterrupt
        assert list(run.rglob("*.xplane.pb"))


def test_profiling_of_no_step_writes_nothing(tmp_path):
    with actions.profiling(tmp_path, 0, 5) as profile:
        profile(1, state=None, metrics={})
    assert not list(tmp_path.iterdir())


def test_check_finite_names_step_and_scalars():
    metrics = {"loss/g": jnp.float32(1), "loss/d": jnp.float32(np.nan), "score/real": np.float32(-np.inf)}
    with pytest.raises(actions.NonFiniteError) as caught:
        actions.check_finite(7, metrics)
    assert str(caught.value) == "training stopped at step 7: loss/d is nan, score/real is -inf."


def test_check_finite_passes_what_is_finite():
    assert actions.check_finite(0, {}) == {}
    values = {"a": jnp.float32(0.5), "b": np.float32(0), "c": 7, "d": jnp.bfloat16(-1)}
    assert actions.check_finite(1, values) == values
    assert actions.check_finite(1, {"a": jnp.float32(3.4e38)})


def test_check_finite_of_several_steps_names_the_first_and_returns_the_last():
    metrics = {"loss/d": jnp.float32([1, 2, 3, 4]), "loss/g": jnp.float32([5, 6, 7, 8])}
    assert actions.check_finite(20, metrics) == {"loss/d": 4, "loss/g": 8}
    metrics = {"loss/d": jnp.float32([1, 2, np.inf, 4]), "loss/g": jnp.float32([5, np.nan, 7, 8])}
    with pytest.raises(actions.NonFiniteError, match=r"at step 18: loss/g is nan\.$"):
        actions.check_finite(20, metrics)


def test_progress_prints_speed_and_time_left(capsys, monkeypatch):
    now = 100.0
    monkeypatch.setattr(actions, "time", SimpleNamespace(monotonic=lambda: now))
    progress = actions.Progress(last=7240, images_per_step=64)
    progress.start(10)
    metrics = {name: jnp.float32(i / 8) for i, name in enumerate(("loss/d", "loss/g", "score/real", "score/fake"))}
    lines = []
    for step, now in ((20, 105.0), (40, 106.0), (7240, 206.0)):  # noqa: B007  read by the clock
        progress(step, state=None, metrics={**metrics, "other": 1})
        lines.append(capsys.readouterr().out)
    shown = "loss/d 0.000  loss/g 0.125  score/real 0.250  score/fake 0.375"
    assert lines == [
        f"step 20/7240  {shown}  2 steps/s  128 images/s  ETA 1h00m\n",
        f"step 40/7240  {shown}  20 steps/s  1280 images/s  ETA 6m00s\n",
        f"step 7240/7240  {shown}  72 steps/s  4608 images/s  ETA 0m00s\n",
    ]


def test_log_writes_the_scalars_at_once(tmp_path):
    log = actions.Log(JsonlWriter(tmp_path / "m.jsonl"))
    log(3, state=None, metrics={"loss/d": jnp.float32(0.5)})
    assert read_metrics(tmp_path / "m.jsonl") == [{"step": 3, "loss/d": 0.5}]
    log._writer.close()


def test_save_saves_what_is_finite_only():
    saved = []
    checkpoints = SimpleNamespace(save=lambda *arguments: saved.append(arguments))
    save = actions.Save(checkpoints, SimpleNamespace(flush=lambda: None))
    good, bad = {"w": jnp.ones(2), "n": jnp.int32(3)}, {"w": jnp.array([1, np.inf]), "n": jnp.int32(3)}
    save(4, state=good, metrics={"loss/d": jnp.float32(1)})
    with pytest.raises(actions.NonFiniteError, match="at step 5: loss/d is nan"):
        save(5, state=good, metrics={"loss/d": jnp.float32(np.nan)})
    with pytest.raises(actions.NonFiniteError, match="at step 6: parameters is nan"):
        save(6, state=bad, metrics={"loss/d": jnp.float32(1)})
    assert [(step, state["w"].tolist(), scores) for step, state, scores in saved] == [(4, [1, 1], None)]


def test_save_gives_a_checkpoint_the_scores_of_its_own_step_only():
    saved = []
    checkpoints = SimpleNamespace(save=lambda *arguments: saved.append(arguments))
    save = actions.Save(checkpoints, SimpleNamespace(flush=lambda: None))
    for step in (3, 4, 5):
        if step == 4:
            save.scores = (4, {"eval/fd": 1.0})
        save(step, state={}, metrics={})
    assert [scores for _, _, scores in saved] == [None, {"eval/fd": 1.0}, None]


class Constant(nn.Module):
    """A generator that shows its latents: pixel i of an image is w z_i."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, z, *, train: bool):
        return self.param("w", nn.initializers.ones, ()) * z.reshape(-1, *self.shape)


class Circle(nn.Module):
    """A generator of points on a circle around 0 of radius w."""

    @nn.compact
    def __call__(self, z, *, train: bool):
        return self.param("w", nn.initializers.ones, ()) * z / jnp.linalg.norm(z, axis=-1, keepdims=True)


def state_of(w: float):
    """As far as a picture needs it; whatever reads the live weights would fail."""
    return SimpleNamespace(ema=AveragedNet({"w": jnp.float32(w)}, {}))


@pytest.fixture
def writer(tmp_path):
    writer = metric_writers.MultiWriter([SummaryWriter(tmp_path), JsonlWriter(tmp_path / "metrics.jsonl")])
    yield writer
    writer.close()


def images_gan(channels: int):
    config = dataclasses.replace(Config(), model=ModelConfig(z_dim=16 * channels))
    gan = build(config, (4, 4, channels), None, Constant((4, 4, channels)), Constant((1,)))
    return gan, from_arrays(np.zeros((4, 4, 4, channels), np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_draws_the_same_latents_with_the_averaged_weights(channels, tmp_path, writer, key):
    gan, source = images_gan(channels)
    samples = actions.Samples(gan, key, "tanh", source, tmp_path, writer)
    z = np.asarray(latents(key, jnp.arange(64), gan.z_dim, "normal")).reshape(64, 4, 4, channels)
    for step, w in ((0, 0.25), (5, 0.5)):
        samples(step, state=state_of(w), metrics={})
        expected = grid(np.clip(np.floor((w * z.astype(np.float64) + 1) * 127.5 + 0.5), 0, 255).astype(np.uint8))
        with Image.open(tmp_path / "samples" / f"step_{step:08d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image).reshape(expected.shape), expected)
    assert not (tmp_path / "curves.png").exists()  # no scalar to draw yet
    assert len(list((tmp_path / "samples").iterdir())) == 2


def test_curves_draws_what_is_logged_so_far(tmp_path, writer):
    writer.write_scalars(1, {"loss/d": 1.0})
    writer.flush()
    actions.Curves(tmp_path, Doctor())(1, state=None, metrics={})
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"


def test_samples_draws_nothing_that_is_no_picture(tmp_path, writer, key):
    gan, source = images_gan(2)
    actions.Samples(gan, key, "tanh", source, tmp_path, writer)(1, state=state_of(1), metrics={})
    assert not (tmp_path / "samples").exists()


def points_gan():
    data = DataConfig(source="synthetic", name="ring")
    model = ModelConfig(architecture="mlp", output="linear", z_dim=2, g_batch_norm=False, d_spectral_norm=False)
    config = dataclasses.replace(Config(), data=data, model=model)
    return build(config, (2,), None, Circle(), Constant((1,)))


def test_samples_of_points_counts_modes(tmp_path, writer, key, capsys):
    samples = actions.Samples(points_gan(), key, "linear", load("synthetic", name="ring"), tmp_path, writer)
    centers, sigma = synthetic_modes("ring")
    z = np.asarray(latents(key, jnp.arange(2500), 2, "normal"), np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    for step, w, modes in ((0, 0.0, 0), (2, np.linalg.norm(centers[0]), 8)):  # at the ring's center, and all around it
        samples(step, state=state_of(w), metrics={})
        writer.flush()
        good = np.linalg.norm(w * z[:, None] - centers, axis=-1).min(axis=1) <= 3 * sigma
        row = read_metrics(tmp_path / "metrics.jsonl")[-1]
        assert row == {"step": step, "eval/modes": modes, "eval/high_quality": pytest.approx(good.mean(), abs=1e-3)}
        line = capsys.readouterr().out
        assert re.fullmatch(rf"step {step}  {modes} of 8 modes \(min_share 0.01\), .*% of 2500 .*\n", line)
        with Image.open(tmp_path / "samples" / f"step_{step:08d}.png") as image:
            assert image.size == (400, 400)


def test_samples_of_other_points_counts_no_modes(tmp_path, writer, key):
    source = load("synthetic", name="ring")
    source = dataclasses.replace(source, name="arrays")
    actions.Samples(points_gan(), key, "linear", source, tmp_path, writer)(1, state=state_of(1), metrics={})
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    assert (tmp_path / "samples" / "step_00000001.png").exists()


@pytest.mark.parametrize("w", [0.0, 0.5])
def test_diversity_is_that_of_live_samples_by_the_data_s(w, tmp_path, writer, key):
    """A source in the order of its values, so that its first examples would say nothing of it."""
    points = np.sort(np.random.RandomState(0).standard_normal((4000, 2)).astype(np.float32), axis=0)
    watch = actions.Diversity(points_gan(), key, "linear", from_arrays(points), writer)
    state = SimpleNamespace(generator=AveragedNet({"w": jnp.float32(w)}, {}))  # whatever reads the average would fail
    watch(7, state=state, metrics={})
    writer.flush()
    z = np.asarray(latents(key, jnp.arange(128), 2, "normal"), np.float64)
    expected = w * pdist(z / np.linalg.norm(z, axis=1, keepdims=True)).mean() / pdist(points).mean()
    [row] = read_metrics(tmp_path / "metrics.jsonl")
    assert row == {"step": 7, "diversity/fake": pytest.approx(expected, rel=0.15, abs=1e-6)}  # 128 of 4,000


def test_diversity_says_nothing_where_the_data_have_none(tmp_path, writer, key):
    gan, source = images_gan(1)  # all black
    state = SimpleNamespace(generator=AveragedNet({"w": jnp.float32(1)}, {}))
    actions.Diversity(gan, key, "tanh", source, writer)(1, state=state, metrics={})
    writer.flush()
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_duration_rounds_up_and_drops_seconds_of_hours():
    for seconds, text in (
        (0, "0m00s"),
        (0.2, "0m01s"),
        (59.5, "1m00s"),
        (3599, "59m59s"),
        (3601, "1h00m"),
        (90000, "25h00m"),
    ):
        assert actions._duration(seconds) == text


def test_samples_follow_the_state_on_any_devices(tmp_path, writer, key):
    gan, source = images_gan(1)
    samples = actions.Samples(gan, key, "tanh", source, tmp_path, writer)
    samples(1, state=state_of(0.5), metrics={})
    state = state_of(0.5)
    state.ema = Devices(jax.devices()[:2]).put(state.ema)
    samples(2, state=state, metrics={})
    one, other = (tmp_path / "samples" / f"step_{step:08d}.png" for step in (1, 2))
    assert one.read_bytes() == other.read_bytes()


class Centers(nn.Module):
    """A generator of the center of the class's mode of the grid."""

    @nn.compact
    def __call__(self, z, label, *, train: bool):
        return self.param("w", nn.initializers.ones, ()) * jnp.float32(synthetic_modes("grid")[0])[label]


def test_samples_of_points_are_of_all_classes(tmp_path, writer, key):
    """More than the columns that a grid of images has."""
    data = DataConfig(source="synthetic", name="grid")
    model = ModelConfig(
        architecture="mlp", output="linear", z_dim=2, g_conditioning="concat", d_conditioning="concat", embedding_dim=2
    )
    gan = build(dataclasses.replace(Config(), data=data, model=model), (2,), None, Centers(), Constant((1,)), 25)
    samples = actions.Samples(gan, key, "linear", load("synthetic", name="grid"), tmp_path, writer)
    samples(0, state=state_of(1), metrics={})
    writer.flush()
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 0, "eval/modes": 25, "eval/high_quality": 1.0}]


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
    actions.Sweeps(gan, key, "tanh", source, tmp_path, writer)(7, state=state, metrics={})
    files = sorted((tmp_path / "samples").iterdir())
    assert [file.name for file in files] == ["step_00000007_code_0.png", "step_00000007_code_1.png"]
    pictures = []
    for file in files:
        with Image.open(file) as image:
            pictures.append(np.asarray(image))
    assert [picture.shape for picture in pictures] == [(8 * 6 + 2, n * 6 + 2) for n in (2, 9)]  # a border of 2
    first, second = pictures[0][3:5, 3], pictures[0][3:5, 9]  # what the one-hot code is in the first two columns
    assert first[0] == second[1] == 255 and first[1] == second[0] < 130


def test_samples_that_cannot_be_scored_since_they_are_not_finite_end_the_run_as_such(tmp_path):
    def scorer(state):
        raise NotFiniteError("the features of generated examples are not all finite.")

    evaluate = actions.Evaluate(scorer, SimpleNamespace(), SimpleNamespace(), tmp_path)
    with pytest.raises(actions.NonFiniteError, match="at step 7: samples is nan"):
        evaluate(7, state={}, metrics={})
