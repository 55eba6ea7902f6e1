import itertools
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist
from support.generators import images_gan, points_gan

from jaxgan.data import from_arrays
from jaxgan.errors import NonFiniteError, NotFiniteError
from jaxgan.monitor.curves import read_metrics
from jaxgan.runs.writers import JsonlWriter
from jaxgan.steps.randomness import latents
from jaxgan.steps.state import AveragedNet
from jaxgan.training import actions


@pytest.mark.parametrize(
    "every, first, last, due",
    [
        ((1,), 0, 3, [0, 1, 2, 3]),
        ((2,), 0, 4, [0, 2, 4]),
        ((2,), 0, 5, [0, 2, 4, 5]),
        ((0,), 0, 5, [5]),
        ((), 0, 5, [5]),
        ((9,), 0, 5, [0, 5]),
        ((5,), 0, 5, [0, 5]),
        ((2, 3), 0, 7, [0, 2, 3, 4, 6, 7]),
        ((2,), 3, 5, [4, 5]),  # resumed after step 2
        ((9,), 3, 5, [5]),
    ],
)
def test_is_due_at_multiples_and_at_the_last_step(every, first, last, due):
    assert [step for step in range(first, last + 1) if actions.is_due(step, every, last)] == due


class Adds:
    """Gives the sum of two values as a third."""

    def __init__(self, seen, *gives):
        self.gives, self._seen = gives, seen

    def __call__(self, step, a=None):
        self._seen.append((self.gives, a))
        return {name: (a or 0) + step for name in self.gives}


def scheduled(seen, **options):
    """Actions of which each needs what another gives."""

    class NeedsSum(Adds):
        def __call__(self, scalars, b=None):
            self._seen.append(("sum", dict(scalars), b))

    class Gives(Adds):
        def __call__(self, metrics):
            self._seen.append("gives")
            return {"scalars": {self.gives[1]: metrics["m"]}, self.gives[1]: 1}

    first, second = Gives(seen, "scalars", "a"), Gives(seen, "scalars", "x")
    return [
        actions.Due(NeedsSum(seen), **options),
        actions.Due(Adds(seen, "b"), (2,)),
        actions.Due(second, (1,)),
        actions.Due(first, (2,)),
    ]


def test_actions_come_after_those_that_give_what_they_need_in_any_order_of_the_list():
    for order in itertools.permutations(range(4)):
        seen = []
        due = actions.Actions([scheduled(seen)[i] for i in order], last=9)
        due(2, None, {"m": np.float32(0.5)})
        assert seen[-1] == ("sum", {"a": 0.5, "x": 0.5}, 3)
        assert seen.index((("b",), 1)) > seen.index("gives")


def test_actions_get_what_was_given_at_this_step_only():
    seen = []
    due = actions.Actions(scheduled(seen), last=9)
    due(2, None, {"m": 0.5})
    due(3, None, {"m": 0.25})
    assert seen[-1] == ("sum", {"x": 0.25}, None)


def test_actions_fetch_nothing_where_nothing_is_due():
    due = actions.Actions([actions.Due(lambda step: None, (5,)), actions.Due(lambda state: None)], last=10)
    assert due(3, None, {"m": np.nan}) == {}
    with pytest.raises(NonFiniteError):
        due(5, None, {"m": np.nan})


def test_actions_at_an_early_end_are_called_once():
    called = []
    due = actions.Actions(
        [
            actions.Due(lambda step: called.append("saved"), (5,), last=True),
            actions.Due(lambda step: called.append("logged"), last=True),
            actions.Due(lambda step: called.append("other"), (5,)),
        ],
        last=10,
    )
    values = due(3, None, {})
    due.close(3, None, {}, values)
    assert sorted(called) == ["logged", "saved"]
    called.clear()
    due.close(5, None, {}, due(5, None, {}))
    assert sorted(called) == ["logged", "other", "saved"]


def test_actions_before_the_first_step_are_those_that_say_so():
    called = []
    due = actions.Actions(
        [
            actions.Due(lambda step: called.append(("first", step)), (5,), first=True),
            actions.Due(lambda step: called.append(("not", step)), (5,)),
        ],
        last=10,
    )
    due.before_first_step(None)
    assert called == [("first", 0)]


def test_actions_refuse_a_need_that_nobody_meets():
    with pytest.raises(ValueError, match="no action gives pictures"):
        actions.Actions([actions.Due(lambda pictures: None)], last=1)


@pytest.mark.slow
def test_profiling_ends_its_trace_with_the_training(tmp_path):
    for run in (tmp_path / "first", tmp_path / "second"):  # nothing of the first is in the second's way
        with pytest.raises(KeyboardInterrupt), actions.profiling(run, 2, 5) as profile:
            for step in range(1, 4):
                profile(step)
            raise KeyboardInterrupt
        assert list(run.rglob("*.xplane.pb"))


def test_profiling_of_no_step_writes_nothing(tmp_path):
    with actions.profiling(tmp_path, 0, 5) as profile:
        profile(1)
    assert not list(tmp_path.iterdir())


def test_check_finite_names_step_and_scalars():
    metrics = {"loss/g": jnp.float32(1), "loss/d": jnp.float32(np.nan), "score/real": np.float32(-np.inf)}
    with pytest.raises(NonFiniteError) as caught:
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
    with pytest.raises(NonFiniteError, match=r"at step 18: loss/g is nan\.$"):
        actions.check_finite(20, metrics)


def test_progress_prints_speed_and_time_left(capsys, monkeypatch):
    now = 100.0
    monkeypatch.setattr(actions, "time", SimpleNamespace(monotonic=lambda: now))
    progress = actions.Progress(last=7240, images_per_step=64)
    progress.start(10)
    metrics = {name: jnp.float32(i / 8) for i, name in enumerate(("loss/d", "loss/g", "score/real", "score/fake"))}
    lines = []
    for step, now in ((20, 105.0), (40, 106.0), (7240, 206.0)):  # noqa: B007  read by the clock
        progress(step, {**metrics, "other": 1})
        lines.append(capsys.readouterr().out)
    shown = "loss/d 0.000  loss/g 0.125  score/real 0.250  score/fake 0.375"
    assert lines == [
        f"step 20/7240  {shown}  2 steps/s  128 images/s  ETA 1h00m\n",
        f"step 40/7240  {shown}  20 steps/s  1280 images/s  ETA 6m00s\n",
        f"step 7240/7240  {shown}  72 steps/s  4608 images/s  ETA 0m00s\n",
    ]


def test_log_writes_the_scalars_at_once(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl")
    actions.Log(writer)(3, {"loss/d": 0.5})
    assert read_metrics(tmp_path / "m.jsonl") == [{"step": 3, "loss/d": 0.5}]
    writer.close()


def test_a_state_that_is_not_finite_ends_the_run_with_the_scalars_of_the_step():
    good, bad = {"w": jnp.ones(2), "n": jnp.int32(3)}, {"w": jnp.array([1, -np.inf]), "v": jnp.ones(1)}
    assert actions.OnHost()(4, good, {})["host_state"]["w"].tolist() == [1, 1]
    with pytest.raises(NonFiniteError, match=r"at step 6: parameters/w is inf\.$") as caught:
        actions.OnHost()(6, bad, {"loss/d": 1.0})
    assert caught.value.scalars == {"loss/d": 1.0, "parameters/w": np.inf}


def test_save_gives_a_checkpoint_its_scores_and_the_rank_by_the_best():
    saved, ranks = [], []
    checkpoints = SimpleNamespace(save=lambda *arguments: saved.append(arguments), rank_by=ranks.append)
    scores = {name: SimpleNamespace(key=f"eval/{name}", better="lower", value=1.0) for name in ("fd", "kid")}
    save = actions.Save(checkpoints, "kid")
    save(3, {"w": 1}, True)
    save(4, {"w": 2}, True, scores)
    assert saved == [(3, {"w": 1}, None), (4, {"w": 2}, {"eval/fd": 1.0, "eval/kid": 1.0})]
    assert ranks == [("eval/kid", "lower")]


@pytest.mark.parametrize("w", [0.0, 0.5])
def test_diversity_is_that_of_live_samples_by_the_data_s(w, key):
    """A source in the order of its values, so that its first examples would say nothing of it."""
    points = np.sort(np.random.RandomState(0).standard_normal((4000, 2)).astype(np.float32), axis=0)
    measure = actions.Diversity(points_gan(), key, "linear", from_arrays(points))
    state = SimpleNamespace(generator=AveragedNet({"w": jnp.float32(w)}, {}))  # whatever reads the average would fail
    found = measure(7, state, {})["scalars"]
    z = np.asarray(latents(key, jnp.arange(128), 2, "normal"), np.float64)
    expected = w * pdist(z / np.linalg.norm(z, axis=1, keepdims=True)).mean() / pdist(points).mean()
    assert found == {"diversity/fake": pytest.approx(expected, rel=0.15, abs=1e-6)}  # 128 of 4,000


def test_diversity_says_nothing_where_the_data_have_none(key):
    gan, source = images_gan(1)  # all black
    state = SimpleNamespace(generator=AveragedNet({"w": jnp.float32(1)}, {}))
    assert actions.Diversity(gan, key, "tanh", source)(1, state, {}) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_end_the_run_with_their_value_and_the_scalars_of_the_step(value, key):
    gan, source = images_gan(1)
    state = SimpleNamespace(generator=AveragedNet({"w": jnp.float32(value)}, {}))
    with pytest.raises(NonFiniteError, match=f"at step 3: samples is {value}") as caught:
        actions.Diversity(gan, key, "tanh", source)(3, state, {"loss/d": 0.5})
    assert caught.value.scalars.pop("loss/d") == 0.5 and not np.isfinite(caught.value.scalars["samples"])


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


def test_samples_that_cannot_be_scored_since_they_are_not_finite_end_the_run_as_such(tmp_path):
    def scorer(state):
        raise NotFiniteError("the features of generated examples are not all finite.", np.inf)

    with pytest.raises(NonFiniteError, match="at step 7: features is inf") as caught:
        actions.Evaluate(scorer, tmp_path)(7, {}, {"loss/d": 0.5})
    assert caught.value.scalars == {"loss/d": 0.5, "features": np.inf}
