"""The loop with several steps in one call."""

import signal

import jax
import numpy as np
import pytest
from support.loops import Broken, Signal, assert_same_state, tiny

from jaxgan.config.config import Config
from jaxgan.errors import Interrupted, NonFiniteError, UserError
from jaxgan.monitor.curves import read_metrics
from jaxgan.training.loop import train


def in_calls(k: int, **overrides) -> Config:
    """`tiny` with k steps in one call."""
    intervals = {"log_every": k, "checkpoint_every": k, "steps_per_call": k}
    return tiny(**{f"train__{name}": value for name, value in intervals.items()}, **overrides)


@pytest.mark.slow
def test_train_in_calls_of_several_steps_gives_the_same_run(tmp_path, capsys):
    whole = train(tiny(), tmp_path / "whole")
    capsys.readouterr()
    state = train(in_calls(2), tmp_path / "run")
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # noqa: E731
    jax.tree.map(near, state, whole)
    rows, steps = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("run", "whole"))
    jax.tree.map(near, rows, steps[1::2])
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("step ")] == [
        "2/6",
        "4/6",
        "6/6",
    ]


@pytest.mark.slow
def test_train_in_calls_of_several_steps_resumes_bit_for_bit(tmp_path):
    config = in_calls(3, train__num_steps=9, train__d_steps_per_g_step=2)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(Interrupted) as caught:
        train(config, tmp_path / "stopped", writers=[Signal(signal.SIGTERM, 3)])
    assert int(caught.value.state.step) == 3
    assert_same_state(train(config, tmp_path / "stopped"), whole)
    logs = [read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "stopped")]
    assert logs[0] == logs[1] and len(logs[0]) == 3
    with pytest.raises(UserError, match=r"train.steps_per_call: 3 -> 1"):
        train(tiny(train__num_steps=9, train__d_steps_per_g_step=2), tmp_path / "whole")


@pytest.mark.slow
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


@pytest.mark.slow
def test_train_profiles_whole_calls(tmp_path):
    train(in_calls(3, train__num_steps=9, train__profile_at=3), tmp_path)
    assert list(tmp_path.rglob("*.xplane.pb"))
