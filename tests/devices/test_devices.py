import json
import os
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.config.config import Config
from jaxgan.devices.cpu import check_divisible, check_threads
from jaxgan.devices.devices import AXIS, Devices, scan_steps
from jaxgan.errors import UserError
from jaxgan.steps import train_step
from jaxgan.steps.gan import build, init, make_hyper
from jaxgan.steps.randomness import seed_keys
from jaxgan.training.loop import train


@pytest.mark.parametrize("batch, devices, allowed", [(10, 4, "8 or 12"), (3, 4, "4"), (7, 2, "6 or 8")])
def test_check_divisible_names_what_works(batch, devices, allowed):
    with pytest.raises(UserError) as caught:
        check_divisible(batch, devices)
    sentence = f"train.batch_size is {batch}, which {devices} devices cannot share evenly: use {allowed}."
    assert str(caught.value) == sentence


def test_check_divisible_passes_what_divides():
    for batch, devices in ((1, 1), (4, 4), (64, 4), (7, 1)):
        check_divisible(batch, devices)


@pytest.mark.parametrize("devices", [0, -1])
def test_check_divisible_refuses_no_devices(devices):
    with pytest.raises(UserError, match=f"number of devices is {devices}: it must be at least 1"):
        check_divisible(8, devices)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shard_keeps_the_order_of_the_global_batch(count):
    n, size = 3, 8
    batches = [
        {"image": i * 100 + np.arange(size * 6).reshape(size, 2, 3), "label": i * 10 + np.arange(size)}
        for i in range(n)
    ]
    sharded = Devices(jax.devices()[:count]).shard(batches)
    assert sharded["image"].shape == (count, n, size // count, 2, 3)
    for name, leaf in sharded.items():
        for i in range(n):
            np.testing.assert_array_equal(np.concatenate(leaf[:, i]), batches[i][name])


def test_map_gives_each_device_its_slice_and_the_state_to_all():
    devices = Devices(jax.devices()[:4])
    batches = [{"x": np.arange(8.0, dtype=np.float32) + 10 * i} for i in range(2)]

    def step(state, batch, key, hyper):
        weight = 1 + lax.axis_index(AXIS)  # device d sees examples 2 d and 2 d + 1 of either batch
        return state + hyper * lax.psum(weight * batch["x"].sum(), AXIS), {"mean": lax.pmean(batch["x"].mean(), AXIS)}

    state = devices.replicate(lambda: jnp.float32(1))
    key, hyper = devices.put((jax.random.key(0), jnp.float32(0.5)))
    new, metrics = devices.map(step)(state, devices.shard(batches), key, hyper)
    expected = 1 + 0.5 * sum(
        (1 + d) * (batch["x"][2 * d] + batch["x"][2 * d + 1]) for batch in batches for d in range(4)
    )
    assert [float(shard.data) for shard in new.addressable_shards] == [expected] * 4
    assert new.shape == () and float(metrics["mean"]) == np.mean([batch["x"] for batch in batches])
    assert state.is_deleted()


def test_replicate_and_put_reach_every_device():
    devices = Devices(jax.devices()[1:3])
    for tree in (devices.replicate(lambda: {"a": jnp.arange(3)}), devices.put({"a": np.arange(3)})):
        shards = tree["a"].addressable_shards
        assert {shard.device for shard in shards} == set(jax.devices()[1:3])
        for shard in shards:
            np.testing.assert_array_equal(shard.data, np.arange(3))


def test_abstract_describes_the_replicated_tree():
    devices = Devices(jax.devices()[:2])
    tree = {"a": np.zeros((2, 3), np.int32), "b": [jnp.zeros((), jnp.bfloat16)], "c": {}}
    found = devices.abstract(tree)
    assert jax.tree.structure(found) == jax.tree.structure(tree)
    for spec, leaf in zip(jax.tree.leaves(found), jax.tree.leaves(tree), strict=True):
        assert isinstance(spec, jax.ShapeDtypeStruct)
        assert (spec.shape, spec.dtype, spec.sharding) == (leaf.shape, leaf.dtype, devices.replicated)
    assert devices.replicated.is_fully_replicated
    assert devices.replicated.device_set == set(jax.devices()[:2])


def test_devices_default_to_all():
    assert Devices().devices == jax.devices() and len(jax.devices()) == 4


def test_map_and_shard_map_agree_bit_for_bit():
    devices = Devices(jax.devices()[:4])
    batches = [{"x": np.arange(8.0, dtype=np.float32) + 10 * i} for i in range(2)]

    def step(state, batch, key, hyper):
        weight = 1 + lax.axis_index(AXIS)
        noise = jax.random.normal(key, ())
        return state + hyper * lax.psum(weight * batch["x"][1].sum(), AXIS) + noise, lax.pmean(batch["x"].mean(), AXIS)

    results = []
    for mapped, batch in (
        (devices.map(step), devices.shard(batches)),
        (devices.shard_map(step), jax.tree.map(lambda *leaves: np.stack(leaves), *batches)),
    ):
        state = devices.replicate(lambda: jnp.ones(3))
        key, hyper = devices.put((jax.random.key(0), jnp.full(3, 0.5)))
        results.append(mapped(state, batch, key, hyper))
        assert state.is_deleted()
    jax.tree.map(np.testing.assert_array_equal, *results)


def test_scan_steps_of_one_is_the_step():
    assert scan_steps(train_step, 1) is train_step


GAMES = {
    "mlp": {
        "data": {"name": "digits", "image_size": 8},
        "model": {"architecture": "mlp", "z_dim": 3, "base_features": 8},
        "train": {"batch_size": 8, "d_steps_per_g_step": 2},
    },
    "dcgan": {"model": {"z_dim": 3, "base_features": 2}, "train": {"batch_size": 8}},
}


def run(game: str, count: int, k: int, steps: int = 6):
    """The state after some steps in calls of k, and the metrics of all, in float64."""
    c = Config.from_dict(GAMES[game])
    shape = (c.data.image_size, c.data.image_size, 1)
    devices, gan = Devices(jax.devices()[:count]), build(c, shape, AXIS)

    def make():
        state = init(gan, seed_keys(0).init)
        return jax.tree.map(lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, state)

    state, step = devices.replicate(make), devices.map(scan_steps(partial(train_step, gan), k))
    key, hyper = devices.put((seed_keys(0).train, make_hyper(c)))
    images = np.random.RandomState(0).uniform(-1, 1, (steps, gan.d_steps_per_g_step, 8, *shape))
    rows = []
    for call in range(0, steps, k):
        batches = [{"image": x, "label": np.zeros(8, np.int32)} for x in images[call : call + k].reshape(-1, 8, *shape)]
        before = state
        state, metrics = step(before, devices.shard(batches), key, hyper)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))  # donated, however many steps
        rows.append(jax.tree.map(np.ravel, jax.device_get(metrics)))
    return state, jax.tree.map(lambda *values: np.concatenate(values), *rows)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("game", GAMES)
def test_scan_steps_gives_the_same_run(game, count, float64):
    """In float64, so that rounding (1e-16, grown by Adam's division) hides nothing; a step left out shows at 1e-3."""
    (one, m1), (three, m3) = (run(game, count, k) for k in (1, 3))
    assert int(one.step) == int(three.step) == 6 and m3["loss/d"].shape == (6,)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10), three, one)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-8), m3, m1)
    assert len(set(m3["loss/d"].tolist())) == 6


@pytest.mark.parametrize(
    ("platform", "k", "convolutional", "refused"),
    [("cpu", 10, True, True), ("cpu", 1, True, False), ("cpu", 10, False, False), ("tpu", 10, True, False)],
)
def test_check_scan_refuses_convolutions_in_a_loop_on_a_cpu(platform, k, convolutional, refused):
    devices = Devices()
    devices.devices = [SimpleNamespace(platform=platform)]
    with pytest.raises(UserError, match=r"train.steps_per_call is 10, .* set it to 1") if refused else nullcontext():
        devices.check_scan(k, convolutional)


SCRIPT = """
import json, os
import jax
from jaxgan.errors import UserError
from jaxgan.devices.cpu import use_cpu_devices

found = {}
for cores in (6, 1):
    os.sched_getaffinity = lambda pid: range(cores)
    for batch in (64, 9, 7, 2):
        use_cpu_devices(None, batch)
        found[f"{cores} cores, batch {batch}"] = jax.config.jax_num_cpu_devices
os.environ.pop("XLA_FLAGS")
use_cpu_devices(1, 64)
found["threads of one device"] = "XLA_FLAGS" not in os.environ
for requested in (0, 5):
    try:
        use_cpu_devices(requested, 64)
    except UserError as error:
        found[f"{requested} devices"] = str(error)

use_cpu_devices(16, 64)  # more than cores here, and all of them meet in each of many collectives
def step(x):
    return jax.lax.fori_loop(0, 50, lambda i, x: jax.lax.pmean(x, "batch") + 1, x)
result = jax.pmap(step, axis_name="batch")(jax.numpy.arange(16.0))
found["devices"] = len(jax.devices())
found["result"] = result.tolist()
found["flags"] = os.environ["XLA_FLAGS"]
found["threads"] = int(os.environ["PJRT_NPROC"])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_use_cpu_devices_takes_the_largest_number_that_divides_and_does_not_starve():
    env = {k: v for k, v in os.environ.items() if k not in ("PJRT_NPROC", "XLA_FLAGS")}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "6 cores, batch 64": 4,
        "6 cores, batch 9": 3,
        "6 cores, batch 7": 1,
        "6 cores, batch 2": 2,
        "1 cores, batch 64": 1,
        "1 cores, batch 9": 1,
        "1 cores, batch 7": 1,
        "1 cores, batch 2": 1,
        "threads of one device": True,
        "0 devices": "the number of devices is 0: it must be at least 1.",
        "5 devices": "train.batch_size is 64, which 5 devices cannot share evenly: use 60 or 65.",
        "devices": 16,
        "result": [7.5 + 50] * 16,
        "flags": "--xla_cpu_multi_thread_eigen=false",
        "threads": 61,
    }


STARTED = """
import json, os, sys
import jax
from jaxgan.devices.cpu import has_started, provide_threads, use_cpu_devices
from jaxgan.errors import UserError

jax.config.update("jax_num_cpu_devices", 3)
if "first" in sys.argv:
    jax.devices()
found = {"started": has_started()}
provide_threads()
found["threads"] = os.environ.get("PJRT_NPROC")
found["devices"] = len(jax.devices())
for count in (3, 4):
    try:
        use_cpu_devices(count, 12)
    except UserError as error:
        found["refused"] = str(error)
found["started after"] = has_started()
print(json.dumps(found))
"""


@pytest.mark.parametrize("first", [False, True])
def test_threads_are_provided_only_while_jax_can_still_start_with_them(first):
    env = {k: v for k, v in os.environ.items() if k not in ("PJRT_NPROC", "XLA_FLAGS")}
    argv = [sys.executable, "-c", STARTED, *(["first"] if first else [])]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "started": first,
        "threads": None if first else "9",  # 4 collectives, in each of which 2 of 3 devices wait, and one more
        "devices": 3,
        "refused": "JAX has started with 3 CPU device(s), which cannot become 4 any more: start Python again and call "
        "use_cpu_devices before anything is computed.",
        "started after": True,
    }


@pytest.mark.parametrize(
    ("devices", "collectives", "refused"), [(4, 3, False), (4, 4, True), (1, 50, False), (16, 1, False)]
)
def test_too_few_threads_for_the_devices_are_refused(devices, collectives, refused, monkeypatch):
    monkeypatch.setenv("PJRT_NPROC", "10")
    message = r"JAX has started with 10 threads for \d+ CPU devices, .* PJRT_NPROC=\d+ or"
    with pytest.raises(UserError, match=message) if refused else nullcontext():
        check_threads(devices, collectives)


def test_training_asks_whether_the_devices_have_enough_threads(tmp_path, monkeypatch):
    monkeypatch.setenv("PJRT_NPROC", "4")
    c = {"data": {"image_size": 8}, "model": {"architecture": "mlp"}, "train": {"d_steps_per_g_step": 5}}
    with pytest.raises(UserError, match=r"JAX has started with 4 threads for 4 CPU devices, .* PJRT_NPROC=25"):
        train(c, tmp_path)
