"""The loop as a function call: exactness, interruption, what it writes."""

import dataclasses
import inspect
import json
import os
import shutil
import signal
import textwrap
import threading

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from support.loops import Signal, assert_same_state, tiny

import jaxgan
from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.monitor.curves import read_metrics
from jaxgan.runs import outcome
from jaxgan.training import loop
from jaxgan.training.loop import train

pytestmark = pytest.mark.slow

THREADS = os.environ["PJRT_NPROC"]


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
    assert kinds == ["few_examples", "part_of_the_data", "unused_labels"]
    assert json.loads((tmp_path / "preflight.json").read_bytes())["remarks"] == []


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


def test_train_records_why_it_ended(whole):
    assert outcome.recorded(whole[0]) == outcome.WhyEnded("complete", 6)


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
    assert record["example"]["shape"] == [8, 8, 1] and record["environment"]["devices"] == f"4 x cpu, {THREADS} threads"
    assert list(whole[0].glob("events.out.tfevents.*"))


def test_train_writes_grids_from_fixed_latents_and_curves(tmp_path):
    train(tiny(train__sample_every=3, train__num_steps=4), tmp_path)
    names = sorted(p.name for p in (tmp_path / "samples").iterdir())
    assert names == ["real.png", "step_00000000.png", "step_00000003.png", "step_00000004.png"]
    assert pixels(tmp_path / "samples" / names[1]).shape == (8 * 10 + 2, 8 * 10 + 2)
    assert pixels(tmp_path / "samples" / "real.png").shape == (10 + 2, 8 * 10 + 2)  # a batch of 8
    assert pixels(tmp_path / "curves.png").std() > 0


def test_train_samples_come_from_the_average(tmp_path):
    """What the picture shows at the end is what a sampler of the checkpoint draws with the run's seed."""
    from jaxgan.sampling.grid import grid

    train(tiny(train__sample_every=3), tmp_path)
    picture = pixels(tmp_path / "samples" / "step_00000006.png")
    assert_array_equal(picture[..., None], grid(jaxgan.load(tmp_path).images(64, seed=tiny().seed)))


def test_train_interrupted_saves_and_goes_on_exactly(whole, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(jaxgan.Interrupted, match="saved at step 3 of 6: run the same command") as caught:
        train(tiny(), tmp_path, writers=[Signal(signal.SIGTERM, 3)])
    assert int(caught.value.state.step) == 3 and not caught.value.complete
    assert outcome.recorded(tmp_path) == outcome.WhyEnded("interrupted", 3)
    assert signal.getsignal(signal.SIGTERM) is before
    assert_same_state(train(tiny(), tmp_path), whole[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at", [2, 6])  # the last step too
def test_a_signal_ends_a_loop_over_trainings(number, at, tmp_path):
    begun = []
    with pytest.raises(KeyboardInterrupt) as caught:
        for seed in range(3):
            begun.append(seed)
            train(dataclasses.replace(tiny(), seed=seed), tmp_path / str(seed), writers=[Signal(number, at)])
    assert begun == [0]
    assert int(caught.value.state.step) == at and caught.value.complete == (at == 6)
    assert jaxgan.load(tmp_path / "0").step == at


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
    assert f"devices 4 x cpu, {THREADS} threads -> 2 x cpu, {THREADS} threads" in capsys.readouterr().out
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # noqa: E731
    jax.tree.map(near, state.ema.params, whole[1].ema.params)


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
    (tmp_path / ".saved").unlink()
    (tmp_path / "checkpoints" / "0.orbax-checkpoint-tmp").mkdir(parents=True)
    state = train(config, tmp_path)
    jax.tree.map(assert_array_equal, state.generator.params, whole[1].generator.params)


@pytest.mark.parametrize("what", ["checkpoints", "checkpoints/*"])
def test_train_does_not_start_again_where_all_checkpoints_were_deleted(what, whole, tmp_path):
    run = shutil.copytree(whole[0], tmp_path / "run")
    for path in run.glob(what):
        shutil.rmtree(path)
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"no checkpoint any more, though that of step \d+ was saved"):
        train(tiny(), run)
    assert (run / "metrics.jsonl").read_bytes() == before


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


def test_the_example_of_train_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = inspect.getdoc(train).partition("::\n")[2].partition("Args:")[0]
    names = {}
    exec(textwrap.dedent(lines), names)
    assert int(names["state"].step) == 10 and names["generated"].shape == (4, 8, 8, 1)


def test_train_says_what_it_trains_on_and_waits_for(whole, tmp_path, capsys):
    train(tiny(train__num_steps=1), tmp_path)
    out = capsys.readouterr().out
    line = json.loads((tmp_path / "preflight.json").read_bytes())["data"]
    assert line.splitlines() == [line] and line in out.splitlines() and "50 used" in line
    assert "compiling the step" in out and "compiled in" in out


def test_train_profiles_on_request(tmp_path):
    train(tiny(train__num_steps=9, train__profile_at=2), tmp_path)
    assert list(tmp_path.rglob("*.xplane.pb"))


@pytest.mark.parametrize("order", ["d_first", "g_first"])
def test_train_gives_every_d_step_its_own_batch(order, tmp_path, monkeypatch):
    asked, real = [], loop.make_batch
    monkeypatch.setattr(loop, "make_batch", lambda source, i, **kw: asked.append(i) or real(source, i, **kw))
    train(tiny(train__d_steps_per_g_step=2, train__num_steps=3, train__order=order), tmp_path)
    assert asked == [0, 1, 2, 3, 4, 5]


def test_public_names_are_what_they_are_called():
    assert jaxgan.train is train and dataclasses.is_dataclass(jaxgan.Config)
    assert all(getattr(jaxgan, name) is not None for name in jaxgan.__all__)
