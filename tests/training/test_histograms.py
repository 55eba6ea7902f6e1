"""Histograms of D's logits: what they are of, and that the training does not know of them."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest
from support.games import batches, config, first, game
from support.loops import assert_same_state, tiny
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from jaxgan.monitor.curves import read_metrics
from jaxgan.steps import train_step
from jaxgan.training.loop import train
from jaxgan.training.pictures import logits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    found = []
    for every in (0, 2):
        workdir = tmp_path_factory.mktemp(f"every_{every}")
        c = tiny(train__num_steps=5, train__d_steps_per_g_step=2, monitor__histograms_every=every)
        found.append((workdir, train(c, workdir)))
    return found


def events(workdir) -> EventAccumulator:
    [path] = workdir.glob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(path), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def test_histograms_are_in_the_event_file_when_due(runs):
    found = events(runs[1][0])
    for kind in ("real", "fake"):
        tensors = found.Tensors(f"histogram/logits_{kind}")
        assert [tensor.step for tensor in tensors] == [2, 4, 5]
        for tensor in tensors:
            left, right, count = make_ndarray(tensor.tensor_proto).T
            assert count.sum() == 8 and (left <= right).all()  # one logit of each example
    assert not [tag for tag in events(runs[0][0]).Tags()["tensors"] if tag.startswith("histogram")]


def test_histograms_change_nothing_else(runs):
    (off, state), (on, same) = runs
    assert_same_state(state, same)
    assert read_metrics(off / "metrics.jsonl") == read_metrics(on / "metrics.jsonl")


def test_logits_of_a_step_that_moves_nothing_are_those_it_saw():
    """With learning rates of 0 the networks after the step are those before it, and so are the mean logits."""
    c = config(g_optim__learning_rate=0.0, d_optim__learning_rate=0.0, model__d_batch_norm=True)
    gan, state, hyper = game(dataclasses.replace(c, train=dataclasses.replace(c.train, d_steps_per_g_step=2)))
    key, data = jax.random.key(3), batches(2)
    state = dataclasses.replace(state, step=state.step + 4)
    new, metrics = jax.jit(partial(train_step, gan))(state, data, key, hyper)
    found = jax.jit(partial(logits, gan))(new, jax.tree.map(lambda x: x[-1], data), key, hyper)
    for kind in ("real", "fake"):
        np.testing.assert_allclose(found[f"logits_{kind}"].mean(), metrics[f"logits/{kind}"], rtol=1e-5)
    other = jax.jit(partial(logits, gan))(new, first(data), key, hyper)
    assert abs(other["logits_real"].mean() - metrics["logits/real"]) > 1e-4
