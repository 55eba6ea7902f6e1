"""What carries a state of its own, through `train()`: it is saved, resumed and sampled from."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from support.games import same

import jaxgan
from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.monitor.curves import read_metrics
from jaxgan.training.loop import train

pytestmark = pytest.mark.slow

NETS = {"architecture": "mlp", "z_dim": 3, "base_features": 4, "channel_multipliers": [1], "g_batch_norm": False}
CONDITIONAL = {"g_conditioning": "concat", "d_conditioning": "auxiliary", "embedding_dim": 4}


def config(steps: int, **sections) -> Config:
    """LeCam's averages, ADA's probability and InfoGAN's optimizer are the state's; penalties come every third step."""
    values = {
        "data": {"name": "digits", "image_size": 8, "max_examples": 60, "classes": [3, 5, 8]},
        "model": {**NETS, **CONDITIONAL},
        "infogan": {"continuous": 1},
        "augment": {"policy": ["cutout"], "ada": True, "p": 0.5, "ada_kimg": 1.0},
        "regularizers": {"r1": 1.0, "interval": 3, "lecam": 0.3},
        "train": {"num_steps": steps, "batch_size": 8, "log_every": 1, "sample_every": 7, "checkpoint_every": 2},
    }
    return Config.from_dict({**values, **sections})


@pytest.fixture(scope="module", autouse=True)
def one_device():
    """Which compiles faster; `test_topology` has the same run on four."""
    devices = jax.devices()[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda: devices)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, train(config(7), workdir)


def test_penalties_are_logged_in_the_steps_that_have_them(whole):
    rows = read_metrics(whole[0] / "metrics.jsonl")
    assert [row["step"] for row in rows if "penalty/r1" in row] == [3, 6]
    assert all("penalty/lecam" in row for row in rows if row["step"])


def test_resumed_in_the_middle_of_an_interval_it_is_the_same_run_bit_for_bit(whole, tmp_path):
    """Steps 5 to 7 after 4: the penalty of step 6 comes two steps after the resume, with all of `aux` as it was."""
    train(config(4), tmp_path)
    state = train(config(7), tmp_path)
    assert jax.tree.structure(state) == jax.tree.structure(whole[1])
    jax.tree.map(assert_array_equal, state, whole[1])
    assert state.aux.keys() == {"lecam", "ada_p", "ada_signs", "info"}
    assert state.aux["ada_p"] != 0.5 and state.aux["lecam"].weight > 0.06 and state.aux["info"][0].count == 7
    rows = [[row for row in read_metrics(path / "metrics.jsonl") if row["step"]] for path in (tmp_path, whole[0])]
    assert rows[0] == rows[1]


def test_another_runs_weights_come_without_what_its_techniques_carried(whole, tmp_path):
    """The donor's augmentation and averages say nothing of this run, which has neither."""
    plain = {"infogan": {"continuous": 1}, "augment": {}, "regularizers": {"lecam": 0.3}}
    still = {"learning_rate": 0.0}
    values = {"train": {"num_steps": 1, "batch_size": 8, "init_from": str(whole[0]), "sample_every": 0}}
    state = train(config(1, **plain, **values, g_optim=still, d_optim=still), tmp_path)
    assert same(state.discriminator.params["Dense_1"], whole[1].discriminator.params["Dense_1"])
    assert state.aux.keys() == {"lecam", "info"}
    np.testing.assert_allclose(state.aux["lecam"].weight, 0.01, rtol=1e-6)
    assert state.aux["info"][0].count == 1


def test_sampler_makes_the_class_asked_for_by_name_or_number(whole):
    sampler = jaxgan.load(whole[0])
    assert sampler.classes == [str(digit) for digit in range(10)]
    named, numbered, other = (sampler.sample(4, label=label) for label in ("5", 5, "8"))
    assert_array_equal(named, numbered)
    assert not np.array_equal(named, other)
    in_turn = sampler.sample(6)  # of 3, 5 and 8, the only ones there were examples of
    for place, label in enumerate((3, 5, 8)):
        assert_array_equal(in_turn[place::3], sampler.sample(6, label=label)[place::3])


@pytest.mark.parametrize("label", ["4", 4, 10, -1, "five", True, ""])
def test_sampler_refuses_a_class_that_there_were_no_examples_of(whole, label):
    sentence = rf"label is {label!r}: it must be the name or the number .*: 3 \(3\), 5 \(5\), 8 \(8\)\."
    with pytest.raises(UserError, match=sentence):
        jaxgan.load(whole[0]).sample(1, label=label)


def test_picture_has_a_column_for_each_class_and_a_row_for_each_latent(whole):
    """Each cell is one of an 8x8 digit and a gap of 2."""
    picture = np.asarray(Image.open(whole[0] / "samples" / "step_00000007.png"))
    assert picture.shape == (8 * 10 + 2, 3 * 10 + 2)
    cells = picture[2:, 2:].reshape(8, 10, 3, 10)[:, :8, :, :8]
    sampler = jaxgan.load(whole[0])
    for column, label in enumerate((3, 5, 8)):  # with the run's own seed the sampler has the same latents
        assert_array_equal(cells[:, :, column], sampler.images(8, seed=0, label=label)[..., 0])


def test_conditioning_on_data_without_classes_is_refused(tmp_path):
    images = np.zeros((20, 8, 8, 1), np.uint8)
    with pytest.raises(UserError, match="g_conditioning is 'concat', but the data have no classes"):
        train(config(1), tmp_path / "run", source=images)
    assert not (tmp_path / "run").exists()


def test_groups_that_devices_would_divide_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "devices", jax.local_devices)
    model = {**NETS, "minibatch_stddev": 4}
    with pytest.raises(UserError, match=r"multiple of 16 \(model.minibatch_stddev 4 x 4 devices\)"):
        train(config(1, model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()
