"""The loop as a function call: exactness, interruption, what it writes."""

import dataclasses
import json
import os
import shutil
import signal
import threading

import flax.linen as nn
import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import jaxgan
from jaxgan.actions import NonFiniteError
from jaxgan.config import Config
from jaxgan.errors import UserError
from jaxgan.monitor.curves import read_metrics
from jaxgan.train import train

TINY = {
    "data": {"name": "digits", "image_size": 8, "max_examples": 50},
    "model": {"architecture": "mlp", "z_dim": 3, "base_features": 4, "channel_multipliers": [1]},
    "train": {"num_steps": 6, "batch_size": 8, "log_every": 1, "sample_every": 0, "checkpoint_every": 2},
}


def tiny(**overrides) -> Config:
    values = {section: dict(content) for section, content in TINY.items()}
    for key, value in overrides.items():
        section, name = key.split("__")
        values.setdefault(section, {})[name] = value
    return Config.from_dict(values)


def assert_same_state(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(assert_array_equal, jax.device_get(a), jax.device_get(b))


def pixels(path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, to compare with."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, train(tiny(), workdir)


def test_the_look_before_the_first_step_changes_nothing_and_is_not_repeated(whole, tmp_path):
    """Neither in a run without it, nor in one that goes on."""
    train(tiny(train__num_steps=3, monitor__preflight=False), tmp_path)
    assert_same_state(train(tiny(), tmp_path), whole[1])
    kinds = [remark["kind"] for remark in json.loads((whole[0] / "preflight.json").read_bytes())["remarks"]]
    assert kinds == ["few_examples", "part_of_the_data", "unused_labels"] and not (tmp_path / "preflight.json").exists()


def test_train_resumed_equals_uninterrupted_bit_for_bit(whole, tmp_path):
    train(tiny(train__num_steps=3), tmp_path)
    state = train(tiny(), tmp_path)
    assert_same_state(state, whole[1])
    assert read_metrics(tmp_path / "metrics.jsonl") == read_metrics(whole[0] / "metrics.jsonl")


def test_train_after_losing_steps_runs_them_again(whole, tmp_path):
    """As after a kill: the log has gone further than the newest checkpoint, and its last line is torn."""
    train(tiny(train__num_steps=5), tmp_path)
    for step in (5, 4):
        shutil.rmtree(tmp_path / "checkpoints" / str(step), ignore_errors=True)
    train(tiny(train__num_steps=2, train__keep=3), tmp_path / "donor")
    shutil.copytree(tmp_path / "donor" / "checkpoints" / "2", tmp_path / "checkpoints" / "2", dirs_exist_ok=True)
    with open(tmp_path / "metrics.jsonl", "ab") as log:
        log.write(b'{"step": 6, "loss/d": 0.1')
    assert_same_state(train(tiny(), tmp_path), whole[1])
    assert read_metrics(tmp_path / "metrics.jsonl") == read_metrics(whole[0] / "metrics.jsonl")


def test_train_completed_run_is_left_alone(whole):
    before = (whole[0] / "metrics.jsonl").read_bytes()
    assert_same_state(train(tiny(), whole[0]), whole[1])
    assert (whole[0] / "metrics.jsonl").read_bytes() == before


def test_train_logs_every_step_asked_for(whole):
    rows = read_metrics(whole[0] / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    names = {"loss/d", "loss/g", "score/real", "score/fake", "grad_norm/d", "grad_norm/g", "diversity/fake"}
    assert all(names <= row.keys() for row in rows)


def test_train_keeps_the_newest_checkpoints(whole):
    assert sorted(p.name for p in (whole[0] / "checkpoints").iterdir() if p.name.isdigit()) == ["4", "6"]


def test_train_writes_config_and_tensorboard_events(whole):
    record = json.loads((whole[0] / "config.json").read_text())
    assert Config.from_dict(record["config"]) == tiny()
    assert record["example"]["shape"] == [8, 8, 1] and record["environment"]["devices"] == "4 x cpu, 16 threads"
    assert list(whole[0].glob("events.out.tfevents.*"))


def test_train_writes_grids_from_fixed_latents_and_curves(tmp_path):
    train(tiny(train__sample_every=3, train__num_steps=4), tmp_path)
    names = sorted(p.name for p in (tmp_path / "samples").iterdir())
    assert names == ["step_00000000.png", "step_00000003.png", "step_00000004.png"]
    assert pixels(tmp_path / "samples" / names[0]).shape == (8 * 10 + 2, 8 * 10 + 2)
    assert pixels(tmp_path / "curves.png").std() > 0


def test_train_samples_come_from_the_average(tmp_path):
    """What the picture shows at the end is what a sampler of the checkpoint draws with the run's seed."""
    from jaxgan.grid import grid

    train(tiny(train__sample_every=3), tmp_path)
    picture = pixels(tmp_path / "samples" / "step_00000006.png")
    assert_array_equal(picture[..., None], grid(jaxgan.load(tmp_path).images(64, seed=tiny().seed)))


def test_train_interrupted_saves_and_goes_on_exactly(whole, tmp_path, capsys):
    class Stop:
        """A writer that asks the process to end while step 3 is being logged."""

        def write_scalars(self, step, scalars):
            if step == 3 and not self.__dict__.setdefault("done", False):
                self.done = True
                os.kill(os.getpid(), signal.SIGTERM)

        def __getattr__(self, name):
            return lambda *args, **kwargs: None

    before = signal.getsignal(signal.SIGTERM)
    state = train(tiny(), tmp_path, writers=[Stop()])
    assert int(state.step) == 3
    assert "run the same command to go on" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is before
    assert_same_state(train(tiny(), tmp_path), whole[1])


def test_train_works_outside_the_main_thread(whole, tmp_path):
    result = {}
    thread = threading.Thread(target=lambda: result.update(state=train(tiny(), tmp_path)))
    thread.start()
    thread.join()
    assert_same_state(result["state"], whole[1])


def test_train_on_another_number_of_devices_says_so(whole, tmp_path, monkeypatch, capsys):
    train(tiny(train__num_steps=3), tmp_path)
    two = jax.devices()[:2]
    monkeypatch.setattr(jax, "devices", lambda: two)
    state = train(tiny(), tmp_path)
    assert "devices 4 x cpu, 16 threads -> 2 x cpu, 16 threads" in capsys.readouterr().out
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # noqa: E731
    jax.tree.map(near, state.ema.params, whole[1].ema.params)


class Broken(nn.Module):
    """A generator whose output grows without bound."""

    @nn.compact
    def __call__(self, z, *, train):
        w = self.param("w", nn.initializers.ones, ())
        return (jax.numpy.ones((len(z), 8, 8, 1)) * z.mean()) * jax.numpy.exp(w * 40) ** 3


def test_train_stops_at_a_non_finite_loss_and_keeps_the_last_good_checkpoint(tmp_path):
    unbounded = {"model__d_spectral_norm": False, "loss__name": "least_squares", "g_optim__learning_rate": 0.5}
    config = tiny(**unbounded, train__checkpoint_every=1)
    with pytest.raises(NonFiniteError, match=r"training stopped at step \d+: .*(loss|grad_norm)/[dg] is (nan|inf)"):
        train(config, tmp_path, generator=Broken())
    *rows, last = read_metrics(tmp_path / "metrics.jsonl")
    assert all(np.isfinite(v) for row in rows for v in row.values()) and not np.isfinite(list(last.values())).all()


class Small(nn.Module):
    """A discriminator of the caller's own, returning bare logits [B, 1]."""

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(1)(x.reshape(len(x), -1))


def test_train_takes_arrays_and_modules_of_the_caller(tmp_path, tiny_digits):
    images, labels = tiny_digits
    state = train(tiny(), tmp_path, source=(images[:40], labels[:40]), discriminator=Small())
    assert int(state.step) == 6
    assert state.discriminator.params["Dense_0"]["kernel"].shape == (64, 1)
    assert jaxgan.load(tmp_path, discriminator=Small()).images(3).shape == (3, 8, 8, 1)


def test_train_gives_writers_of_the_caller_everything(tmp_path):
    seen = {}

    class Recorder:
        def write_scalars(self, step, scalars):
            seen.setdefault(int(step), {}).update(scalars)

        def __getattr__(self, name):
            return lambda *args, **kwargs: None

    train(tiny(), tmp_path, writers=[Recorder()])
    assert sorted(seen) == [1, 2, 3, 4, 5, 6]


def test_train_refuses_a_changed_config_and_changes_nothing(whole):
    before = {p: p.read_bytes() for p in whole[0].rglob("*") if p.is_file()}
    with pytest.raises(UserError, match=r"loss.name: 'non_saturating' -> 'hinge'"):
        train(tiny(loss__name="hinge", train__num_steps=9), whole[0])
    assert {p: p.read_bytes() for p in whole[0].rglob("*") if p.is_file()} == before


def test_train_refuses_other_data(whole, tiny_digits):
    with pytest.raises(UserError, match="data source: 'embedded/digits' -> 'arrays'"):
        train(tiny(train__num_steps=9), whole[0], source=tiny_digits[0][:50])


def test_train_refuses_floats_outside_the_output_range(tmp_path):
    with pytest.raises(UserError, match="lie in"):
        train(tiny(), tmp_path / "run", source=np.full((20, 8, 8, 1), 7.0, np.float32))
    assert not (tmp_path / "run").exists()


def test_train_refuses_a_batch_that_devices_cannot_share(tmp_path):
    with pytest.raises(UserError, match=r"train.batch_size is 10, which 4 devices cannot share evenly: use 8 or 12"):
        train(tiny(train__batch_size=10), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_train_starts_from_another_runs_weights(whole, tmp_path):
    still = {"g_optim__learning_rate": 0.0, "d_optim__learning_rate": 0.0}
    config = tiny(train__init_from=str(whole[0]), train__num_steps=1, **still)
    state = train(config, tmp_path)
    assert int(state.step) == 1
    jax.tree.map(assert_array_equal, state.generator.params, whole[1].generator.params)
    jax.tree.map(assert_array_equal, state.discriminator.params, whole[1].discriminator.params)


def test_train_refuses_to_start_from_other_networks(whole, tmp_path):
    with pytest.raises(UserError, match=r"train.init_from .* has other networks"):
        train(tiny(train__init_from=str(whole[0]), model__base_features=5), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_train_killed_while_saving_another_runs_weights_takes_them_again(whole, tmp_path):
    still = {"g_optim__learning_rate": 0.0, "d_optim__learning_rate": 0.0}
    config = tiny(train__init_from=str(whole[0]), train__num_steps=1, **still)
    train(config, tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "0.orbax-checkpoint-tmp").mkdir(parents=True)
    state = train(config, tmp_path)
    jax.tree.map(assert_array_equal, state.generator.params, whole[1].generator.params)


def test_train_starts_from_a_run_of_the_callers_own_modules(tmp_path):
    train(tiny(train__num_steps=1), tmp_path / "a", discriminator=Small())
    config = tiny(train__num_steps=1, train__init_from=str(tmp_path / "a"))
    assert int(train(config, tmp_path / "b", discriminator=Small()).step) == 1


def test_train_keeps_the_type_of_a_modules_own_counter(tmp_path):
    class Counting(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            count = self.variable("counts", "n", lambda: jax.numpy.int32(0))
            if train and not self.is_initializing() and self.is_mutable_collection("counts"):
                count.value += 1
            return nn.Dense(1)(x.reshape(len(x), -1))

    state = train(tiny(), tmp_path, discriminator=Counting())
    assert state.discriminator.stats["counts"]["n"] == 6
    assert state.discriminator.stats["counts"]["n"].dtype == np.int32
    assert jaxgan.load(tmp_path, discriminator=Counting()).step == 6


def test_train_refuses_a_penalty_on_a_module_with_batch_norm(tmp_path):
    class Coupled(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            x = nn.BatchNorm(use_running_average=not train)(x.reshape(len(x), -1))
            return nn.Dense(1)(x)

    with pytest.raises(UserError, match="per-example gradients of r1 are undefined"):
        train(tiny(regularizers__r1=1.0), tmp_path, discriminator=Coupled())


POINTS = {
    "data": {"source": "synthetic", "name": "ring", "max_examples": 64},
    "model": {**TINY["model"], "output": "linear", "g_batch_norm": False, "d_spectral_norm": False},
}


def test_train_writes_what_samples_count_before_a_checkpoint_makes_it_final(tmp_path, monkeypatch):
    """With intervals that do not divide: a run killed right after a save must have on disk all rows up to it."""
    intervals = {"num_steps": 8, "log_every": 8, "sample_every": 2, "checkpoint_every": 4}
    config = Config.from_dict({**POINTS, "train": {**TINY["train"], **intervals}})
    seen = []
    real = jaxgan.train.actions.Checkpoints.save

    def save(self, step, state, scores=None):
        seen.append([row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")])
        real(self, step, state)

    monkeypatch.setattr(jaxgan.train.actions.Checkpoints, "save", save)
    train(config, tmp_path)
    assert seen == [[0, 2, 4], [0, 2, 4, 6, 8]]


def test_train_names_step_and_scalar_when_samples_are_due_too(tmp_path):
    values = {**POINTS, "train": {**TINY["train"], "sample_every": 1}, "g_optim": {"learning_rate": 1e38}}
    with pytest.raises(NonFiniteError, match=r"training stopped at step \d+: .* (nan|inf)"):
        train(Config.from_dict(values), tmp_path)


def test_train_takes_points_of_the_caller(tmp_path):
    config = tiny(model__output="linear")
    state = train(config, tmp_path, source=np.random.RandomState(0).randn(40, 3).astype(np.float32) * 5)
    assert state.generator.params["Dense_1"]["kernel"].shape[-1] == 3


def test_train_resumes_after_its_folder_has_moved(tmp_path, tiny_digits):
    from PIL import Image

    (tmp_path / "here").mkdir()
    for i, image in enumerate(tiny_digits[0][:12]):
        Image.fromarray(image[..., 0]).save(tmp_path / "here" / f"{i}.png")
    options = {"data__source": "folder", "data__name": "", "data__max_examples": 0}
    train(tiny(**options, data__data_dir=str(tmp_path / "here"), train__num_steps=2), tmp_path / "run")
    (tmp_path / "here").rename(tmp_path / "there")
    state = train(tiny(**options, data__data_dir=str(tmp_path / "there"), train__num_steps=3), tmp_path / "run")
    assert int(state.step) == 3


def test_train_profiles_on_request(tmp_path):
    train(tiny(train__num_steps=9, train__profile_at=2), tmp_path)
    assert list(tmp_path.rglob("*.xplane.pb"))


def in_calls(k: int, **overrides) -> Config:
    """`tiny` with k steps in one call."""
    intervals = {"log_every": k, "checkpoint_every": k, "steps_per_call": k}
    return tiny(**{f"train__{name}": value for name, value in intervals.items()}, **overrides)


def test_train_in_calls_of_several_steps_gives_the_same_run(whole, tmp_path, capsys):
    state = train(in_calls(2), tmp_path)
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # noqa: E731
    jax.tree.map(near, state, whole[1])
    rows, expected = read_metrics(tmp_path / "metrics.jsonl"), read_metrics(whole[0] / "metrics.jsonl")[1::2]
    jax.tree.map(near, rows, expected)
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("step ")] == [
        "2/6",
        "4/6",
        "6/6",
    ]


def test_train_in_calls_of_several_steps_resumes_bit_for_bit(tmp_path):
    class Stop:
        def write_scalars(self, step, scalars):
            if step == 3 and "loss/d" in scalars:  # once: a second signal would end the process
                os.kill(os.getpid(), signal.SIGTERM)

        def __getattr__(self, name):
            return lambda *args, **kwargs: None

    config = in_calls(3, train__num_steps=9, train__d_steps_per_g_step=2)
    whole = train(config, tmp_path / "whole")
    assert int(train(config, tmp_path / "stopped", writers=[Stop()]).step) == 3
    assert_same_state(train(config, tmp_path / "stopped"), whole)
    logs = [read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "stopped")]
    assert logs[0] == logs[1] and len(logs[0]) == 3
    with pytest.raises(UserError, match=r"train.steps_per_call: 3 -> 1"):
        train(tiny(train__num_steps=9, train__d_steps_per_g_step=2), tmp_path / "whole")


def test_train_in_calls_of_several_steps_names_the_step_that_was_not_finite(tmp_path):
    unbounded = {"model__d_spectral_norm": False, "loss__name": "least_squares", "g_optim__learning_rate": 0.5}
    sentences = []
    for k in (1, 3):
        with pytest.raises(NonFiniteError) as caught:
            train(in_calls(k, **unbounded), tmp_path / str(k), generator=Broken())
        sentences.append(str(caught.value).partition(":")[0])
    assert sentences[0] == sentences[1]


def test_train_refuses_convolutions_in_calls_of_several_steps(tmp_path):
    with pytest.raises(UserError, match=r"train.steps_per_call is 2, .* set it to 1"):
        train(
            in_calls(
                2, model__architecture="dcgan", model__channel_multipliers=[], data__name="mnist", data__image_size=28
            ),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_train_profiles_whole_calls(tmp_path):
    train(in_calls(3, train__num_steps=9, train__profile_at=3), tmp_path)
    assert list(tmp_path.rglob("*.xplane.pb"))


@pytest.mark.parametrize("order", ["d_first", "g_first"])
def test_train_gives_every_d_step_its_own_batch(order, tmp_path, monkeypatch):
    asked, real = [], jaxgan.train.make_batch
    monkeypatch.setattr(jaxgan.train, "make_batch", lambda source, i, **kw: asked.append(i) or real(source, i, **kw))
    train(tiny(train__d_steps_per_g_step=2, train__num_steps=3, train__order=order), tmp_path)
    assert asked == [0, 1, 2, 3, 4, 5]


def test_train_package_attribute_is_the_function_and_the_module():
    assert callable(jaxgan.train) and jaxgan.train.train is train
    assert dataclasses.is_dataclass(jaxgan.Config)
