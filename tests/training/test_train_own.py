"""The loop with arrays, modules and writers of the caller's own, and with numbers that are not finite."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from support.loops import TINY, Broken, Small, tiny

import jaxgan
from jaxgan.config.config import Config
from jaxgan.errors import NonFiniteError, UserError
from jaxgan.monitor.curves import read_metrics
from jaxgan.training.loop import train


@pytest.mark.slow
def test_train_takes_arrays_and_modules_of_the_caller(tmp_path, tiny_digits):
    images, labels = tiny_digits
    state = train(tiny(), tmp_path, source=(images[:40], labels[:40]), discriminator=Small())
    assert int(state.step) == 6
    assert state.discriminator.params["Dense_0"]["kernel"].shape == (64, 1)
    assert jaxgan.load(tmp_path, discriminator=Small()).images(3).shape == (3, 8, 8, 1)


@pytest.mark.slow
def test_train_gives_writers_of_the_caller_everything(tmp_path):
    seen = {}

    class Recorder:
        def write_scalars(self, step, scalars):
            seen.setdefault(int(step), {}).update(scalars)

        def __getattr__(self, name):
            return lambda *args, **kwargs: None

    train(tiny(), tmp_path, writers=[Recorder()])
    assert sorted(seen) == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_train_starts_from_a_run_of_the_callers_own_modules(tmp_path):
    train(tiny(train__num_steps=1), tmp_path / "a", discriminator=Small())
    config = tiny(train__num_steps=1, train__init_from=str(tmp_path / "a"))
    assert int(train(config, tmp_path / "b", discriminator=Small()).step) == 1


@pytest.mark.slow
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

    with pytest.raises(UserError, match="r1 needs gradients of single examples"):
        train(tiny(regularizers__r1=1.0), tmp_path, discriminator=Coupled())


@pytest.mark.slow
def test_train_stops_at_a_non_finite_loss_and_keeps_the_last_good_checkpoint(tmp_path):
    unbounded = {"model__d_spectral_norm": False, "loss__name": "least_squares", "g_optim__learning_rate": 0.5}
    config = tiny(**unbounded, train__checkpoint_every=1)
    with pytest.raises(NonFiniteError, match=r"training stopped at step \d+: .*(loss|grad_norm)/[dg] is (nan|inf)"):
        train(config, tmp_path, generator=Broken())
    *rows, last = read_metrics(tmp_path / "metrics.jsonl")
    assert all(np.isfinite(v) for row in rows for v in row.values()) and not np.isfinite(list(last.values())).all()


@pytest.mark.slow
def test_train_takes_points_of_the_caller(tmp_path):
    config = tiny(model__output="linear")
    state = train(config, tmp_path, source=np.random.RandomState(0).randn(40, 3).astype(np.float32) * 5)
    assert state.generator.params["Dense_1"]["kernel"].shape[-1] == 3


POINTS = {
    "data": {"source": "synthetic", "name": "ring", "max_examples": 64},
    "model": {**TINY["model"], "output": "linear", "g_batch_norm": False, "d_spectral_norm": False},
}


@pytest.mark.slow
def test_train_writes_what_samples_count_before_a_checkpoint_makes_it_final(tmp_path, monkeypatch):
    """With intervals that do not divide: a run killed right after a save must have on disk all rows up to it."""
    intervals = {"num_steps": 8, "log_every": 8, "sample_every": 2, "checkpoint_every": 4}
    config = Config.from_dict({**POINTS, "train": {**TINY["train"], **intervals}})
    seen = []
    real = jaxgan.training.actions.Checkpoints.save

    def save(self, step, state, scores=None):
        seen.append([row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")])
        real(self, step, state)

    monkeypatch.setattr(jaxgan.training.actions.Checkpoints, "save", save)
    train(config, tmp_path)
    assert seen == [[0, 2, 4], [0, 2, 4, 6, 8]]


@pytest.mark.slow
def test_train_names_step_and_scalar_when_samples_are_due_too(tmp_path):
    values = {**POINTS, "train": {**TINY["train"], "sample_every": 1}, "g_optim": {"learning_rate": 1e38}}
    with pytest.raises(NonFiniteError, match=r"training stopped at step \d+: .* (nan|inf)"):
        train(Config.from_dict(values), tmp_path)
