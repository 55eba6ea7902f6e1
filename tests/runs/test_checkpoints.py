import dataclasses
import gc
import json
import os
import shutil
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.devices.devices import Devices
from jaxgan.errors import UserError
from jaxgan.runs.checkpoints import Checkpoints, OtherNetworksError, digest, last_saved, saved_steps
from jaxgan.steps.state import AveragedNet, GANState, NetState

# When Orbax cannot read one array it drops its reads of the others, and Python remarks on that when it collects them.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module", autouse=True)
def collected():
    """The remarks come before the next module's tests."""
    yield
    gc.collect()


def make(seed: int) -> GANState:
    """A state with everything that may be in one: 32 and 16 bit floats, integers, nested and empty containers."""
    rng = np.random.default_rng(seed)

    def array(*shape, dtype=jnp.float32):
        return jnp.asarray(rng.normal(size=shape), dtype)

    params = {"Dense_0": {"kernel": array(30, 40), "bias": array(40, dtype=jnp.bfloat16)}}
    tx = optax.chain(optax.scale_by_adam(), optax.scale(-1.0))  # an int32 counter, and the empty `ScaleState`
    net = NetState(params, {"batch_stats": {"Norm_0/mean": array(4)}, "spectral_stats": {}}, tx.init(params))
    bare = NetState({"w": array(2, 1, 3)}, {}, ())
    average = AveragedNet(jax.tree.map(lambda x: x + 1, params), net.stats)
    return GANState(
        jnp.int32(seed), net, bare, average, {"codes": {}, "pairs": (), "count": jnp.int32([-1, 2**31 - 1])}
    )


def target(devices: int = 1):
    return Devices(jax.devices()[:devices]).abstract(jax.eval_shape(lambda: make(0)))


def assert_same(a, b) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True):
        name = jax.tree_util.keystr(path)
        assert (x.dtype, x.shape) == (y.dtype, y.shape), name
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), name


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A workdir with checkpoints of steps 1 and 2; copy it before changing it."""
    workdir = tmp_path_factory.mktemp("run")
    checkpoints = Checkpoints(workdir, keep=2)
    for step in (1, 2):
        checkpoints.save(step, make(step))
    checkpoints.close()
    return workdir


@pytest.fixture
def run(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


@pytest.fixture
def opened():
    """Opens checkpoints, and closes them after the test."""
    those = []

    def open_(workdir, keep=2, rank=None):
        those.append(Checkpoints(workdir, keep, rank))
        return those[-1]

    yield open_
    for checkpoints in those:
        checkpoints.close()


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_restore_is_exact_on_any_number_of_devices(devices, tmp_path, opened):
    state = Devices(jax.devices()[:4]).replicate(lambda: make(3))
    checkpoints = opened(tmp_path)
    checkpoints.save(3, state)
    step, restored = checkpoints.restore(target(devices))
    assert step == 3
    assert_same(restored, state)
    assert all(x.sharding.device_set == set(jax.devices()[:devices]) for x in jax.tree.leaves(restored))


def test_restore_without_a_checkpoint_is_none(tmp_path, opened):
    assert opened(tmp_path).restore(target()) is None
    assert opened(tmp_path / "nowhere", keep=None).restore(target()) is None
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("keep", [1, 2])
def test_keep_leaves_the_newest(keep, tmp_path, opened):
    checkpoints = opened(tmp_path, keep)
    for step in (1, 2, 5, 10):
        checkpoints.save(step, {"x": jnp.float32(step)})
    newest = [1, 2, 5, 10][-keep:]
    assert checkpoints.steps() == newest
    assert sorted(int(p.name) for p in checkpoints.directory.iterdir()) == newest


@pytest.mark.parametrize(("direction", "kept"), [("lower", 1), ("higher", 3), ("closer to 1", 2)])
def test_the_best_checkpoint_stays_beside_the_newest(direction, kept, tmp_path, opened):
    checkpoints = opened(tmp_path, keep=1, rank=("score", direction))
    for step, value in enumerate((0.2, 1.1, 1.9, 0.5), 1):
        checkpoints.save(step, make(step), {"score": value})
    checkpoints.wait()
    assert checkpoints.steps() == [kept, 4] and checkpoints.best("score", direction) == kept


def test_save_of_a_saved_step_changes_nothing(run, opened):
    checkpoints = opened(run)
    checkpoints.save(2, make(7))
    checkpoints.save(3, make(3))
    checkpoints.save(3, make(7))
    assert checkpoints.steps() == [2, 3]
    assert_same(checkpoints.restore(target())[1], make(3))


def test_save_of_an_earlier_step_is_not_left_out(tmp_path, opened):
    checkpoints = opened(tmp_path)
    for step in (5, 3):
        checkpoints.save(step, {"x": jnp.float32(step)})
    assert checkpoints.steps() == [3, 5]


def test_save_is_safe_from_donation(tmp_path, opened):
    state = Devices().replicate(lambda: make(1))
    checkpoints = opened(tmp_path)
    checkpoints.save(1, state)
    step = jax.jit(lambda s: jax.tree.map(lambda x: x * 0, s), donate_argnums=0)
    for _ in range(3):
        state = jax.block_until_ready(step(state))
    assert_same(checkpoints.restore(target())[1], make(1))


def test_save_is_safe_from_overwritten_buffers(tmp_path, opened):
    memory = np.empty(2**18 + 16, np.float32)  # large, and aligned so that JAX takes it over without a copy
    buffer = memory[-memory.ctypes.data % 64 // 4 :][: 2**18]
    buffer[:] = 1
    array = jnp.asarray(buffer)
    checkpoints = opened(tmp_path)
    checkpoints.save(1, {"jax": array, "numpy": buffer})
    buffer[:] = 2
    spec = Devices(jax.devices()[:1]).abstract({"jax": buffer, "numpy": buffer})
    restored = checkpoints.restore(spec)[1]
    for name in restored:
        np.testing.assert_array_equal(restored[name], np.ones(2**18, np.float32), name)


def test_digest_sees_every_bit_type_and_shape():
    base = {"a": np.zeros(4, np.float32), "b": np.int32(1)}
    others = [
        {**base, "a": np.float32([0, 0, -0.0, 0])},
        {**base, "a": np.zeros(4, np.int32)},
        {**base, "a": np.zeros((2, 2), np.float32)},
    ]
    digests = [digest(x) for x in (base, *others)]
    assert len(set(digests)) == len(digests)
    assert digest({"a": np.zeros((4, 2), np.float32).T}) == digest({"a": np.zeros((2, 4), np.float32)})


def files(checkpoint: Path) -> list[Path]:
    return sorted(p for p in checkpoint.rglob("*") if p.is_file())


def largest(checkpoint: Path) -> Path:
    return max(files(checkpoint), key=lambda p: p.stat().st_size)


def halve(checkpoint: Path) -> None:
    for file in files(checkpoint):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(checkpoint: Path) -> None:
    contents = bytearray(largest(checkpoint).read_bytes())
    contents[len(contents) // 2] ^= 1
    largest(checkpoint).write_bytes(contents)


def change_arrays(checkpoint: Path) -> None:
    """Puts the well-formed arrays of another state in their place, which the checksum alone can tell."""
    other = checkpoint.parent.parent / "other"
    checkpoints = Checkpoints(other, keep=1)
    checkpoints.save(2, make(7))
    checkpoints.close()
    shutil.rmtree(checkpoint / "state")
    shutil.move(other / "checkpoints" / "2" / "state", checkpoint / "state")


def hollow(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.mkdir()


DAMAGES = {
    "half_of_every_file": halve,
    "flipped_byte": flip,
    "emptied_file": lambda c: largest(c).write_bytes(b""),
    "deleted_file": lambda c: largest(c).unlink(),
    "deleted_meta": lambda c: shutil.rmtree(c / "meta"),
    "deleted_state": lambda c: shutil.rmtree(c / "state"),
    "empty_directory": hollow,
    "garbage_in_metadata": lambda c: (c / "state" / "_METADATA").write_bytes(b"\x82\x00garbage"),
    "garbage_in_meta": lambda c: (c / "meta" / "metadata").write_bytes(b'{"step": '),
    "other_json_in_meta": lambda c: (c / "meta" / "metadata").write_bytes(b"[1]"),
    "other_arrays": change_arrays,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_restore_passes_over_a_damaged_checkpoint_and_repairs(damage, run, opened, caplog):
    damage(run / "checkpoints" / "2")
    checkpoints = opened(run)

    step, restored = checkpoints.restore(target())
    assert step == 1
    assert_same(restored, make(1))
    warnings = [r.getMessage() for r in caplog.records if "is damaged" in r.getMessage()]
    assert len(warnings) == 1 and str(run / "checkpoints" / "2") in warnings[0]
    assert checkpoints.steps() == [1, 2] and not (run / "damaged").exists()

    assert checkpoints.restore(target(), repair=True)[0] == 1
    assert [p.name for p in (run / "damaged").iterdir()] == ["2"]
    assert checkpoints.steps() == [1]
    checkpoints.save(2, make(5))
    step, restored = checkpoints.restore(target())
    assert step == 2
    assert_same(restored, make(5))


def test_restore_passes_over_harmless_changes(run, opened):
    for name in ("_CHECKPOINT_METADATA", "commit_success.txt"):
        (run / "checkpoints" / "2" / name).write_bytes(b"garbage")
    step, restored = opened(run).restore(target())
    assert step == 2
    assert_same(restored, make(2))


def wider(state: GANState) -> GANState:
    """A state whose generator has another shape and one more layer."""
    layers = {"Dense_0": {"kernel": jnp.zeros((30, 41)), "bias": jnp.zeros(40, jnp.bfloat16)}, "Dense_1": jnp.zeros(1)}
    return dataclasses.replace(state, generator=dataclasses.replace(state.generator, params=layers))


@pytest.mark.parametrize("repair", [False, True])
def test_another_structure_is_no_damage(repair, run, opened):
    before = {p: p.read_bytes() for p in files(run)}
    other = Devices(jax.devices()[:1]).abstract(jax.eval_shape(lambda: wider(make(0))))
    with pytest.raises(OtherNetworksError) as caught:
        opened(run).restore(other, repair=repair)
    text = str(caught.value)
    assert "kernel is float32[30, 40] there and float32[30, 41] here" in text
    assert "Dense_1 is absent there and float32[1] here" in text
    assert "pass generator=" in text and "--generator=" in text and "damaged" not in text and "CHANGELOG.md" in text
    assert {p: p.read_bytes() for p in files(run)} == before


def test_an_index_that_lies_is_damage(run, opened):
    path = run / "checkpoints" / "2" / "state" / "_METADATA"
    index = json.loads(path.read_bytes())
    del index["tree_metadata"][next(iter(index["tree_metadata"]))]
    path.write_text(json.dumps(index))
    assert opened(run).restore(target())[0] == 1


@pytest.mark.parametrize(
    "contents",
    [b"garbage", b"[1]", b"3", b"[" * 100_000, b'{"item_handlers": 3}', b'{"metrics": 1, "init_timestamp_nsecs": "x"}'],
    ids=["garbage", "list", "number", "deep", "handlers", "metrics"],
)
@pytest.mark.parametrize("keep", [None, 2])
def test_notes_of_the_library_on_a_checkpoint_do_not_count(contents, keep, run, opened):
    (run / "checkpoints" / "1" / "_CHECKPOINT_METADATA").write_bytes(contents)
    checkpoints = opened(run, keep)
    assert checkpoints.restore(target())[0] == 2
    assert checkpoints.restore(target(), only=1)[0] == 1
    if keep:
        checkpoints.save(3, make(3))
        assert checkpoints.steps() == [2, 3]


@pytest.mark.parametrize("make_it", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
@pytest.mark.parametrize("name", ["state/manifest.ocdbt", "meta/metadata"])
def test_only_regular_files_of_a_checkpoint_are_read(name, make_it, run, opened):
    path = run / "checkpoints" / "2" / name
    path.unlink()
    make_it(path)
    assert opened(run).restore(target())[0] == 1


@pytest.mark.parametrize("name", ["lr=[1,2]", "a*b?", "100% {ü} #1"])
def test_any_name_of_a_workdir_works(name, tmp_path, opened):
    checkpoints = opened(tmp_path / name)
    for step in (1, 2, 3):
        checkpoints.save(step, make(step))
    assert checkpoints.steps() == [2, 3]
    step, restored = opened(tmp_path / name, None).restore(target())
    assert step == 3
    assert_same(restored, make(3))


@pytest.mark.parametrize("gone", ["state/manifest.ocdbt", "state/_METADATA", "meta/metadata"])
def test_a_save_that_cannot_be_read_back_is_reported(gone, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=2)
    wait = checkpoints._saver.wait_until_finished

    def spoiled():
        wait()
        (tmp_path / "checkpoints" / "1" / gone).unlink(missing_ok=True)  # also called before anything is written

    monkeypatch.setattr(checkpoints._saver, "wait_until_finished", spoiled)
    checkpoints.save(1, make(1))
    with pytest.raises(OSError, match="cannot be read back after it was saved"):
        checkpoints.close()
    assert last_saved(tmp_path) is None


def test_what_was_saved_last_is_on_record_after_it_was_deleted(run):
    assert last_saved(run) == 2
    shutil.rmtree(run / "checkpoints")
    assert last_saved(run) == 2 and saved_steps(run) == []


def test_a_deletion_that_was_interrupted_leaves_no_damaged_checkpoint(tmp_path, monkeypatch, opened):
    checkpoints = opened(tmp_path, keep=1)
    checkpoints.save(1, make(1))
    with monkeypatch.context() as patch:
        patch.setattr("jaxgan.runs.checkpoints.shutil.rmtree", lambda *args, **kwargs: None)
        checkpoints.save(2, make(2))
        assert checkpoints.steps() == [2]
    assert len(list(checkpoints.directory.iterdir())) == 2
    opened(tmp_path, keep=1)
    assert [p.name for p in checkpoints.directory.iterdir()] == ["2"]


def test_restore_moves_nothing_when_all_are_damaged(run, opened):
    for step in (1, 2):
        flip(run / "checkpoints" / str(step))
    before = {p: p.read_bytes() for p in files(run)}
    with pytest.raises(UserError, match=r"None of the checkpoints in .* can be restored .*step 2: .*step 1: "):
        opened(run).restore(target(), repair=True)
    assert {p: p.read_bytes() for p in files(run)} == before


def test_restore_blames_the_one_checkpoint_that_is_asked_for(run, opened):
    flip(run / "checkpoints" / "2")
    with pytest.raises(UserError, match=r"The checkpoint in .* cannot be restored \(step 2: [^;]*$"):
        opened(run).restore(target(), only=2)


def test_repair_replaces_what_was_set_aside_before(run, opened):
    (run / "damaged" / "2").mkdir(parents=True)
    (run / "damaged" / "2" / "old").touch()
    flip(run / "checkpoints" / "2")
    assert opened(run).restore(target(), repair=True)[0] == 1
    assert [p.name for p in (run / "damaged").iterdir()] == ["2"]
    assert not (run / "damaged" / "2" / "old").exists()


def interrupt(run: Path) -> Path:
    """Leaves what a save of step 3 killed half-way leaves."""
    return Path(shutil.copytree(run / "checkpoints" / "2", run / "checkpoints" / "3.orbax-checkpoint-tmp"))


def test_interrupted_save_is_ignored_and_cleaned(run, opened):
    partial = interrupt(run)
    checkpoints = opened(run)
    assert checkpoints.steps() == [1, 2]
    assert checkpoints.restore(target())[0] == 2
    checkpoints.save(4, make(4))
    assert checkpoints.steps() == [2, 4]
    assert not partial.exists()


def test_interrupted_save_is_made_good(run, opened):
    interrupt(run)
    checkpoints = opened(run)
    checkpoints.save(3, make(3))
    assert checkpoints.steps() == [2, 3]
    assert_same(checkpoints.restore(target())[1], make(3))


def test_reader_leaves_a_save_in_progress_alone(run, opened):
    partial = interrupt(run)
    before = files(run)
    reader = opened(run, keep=None)
    assert reader.restore(target())[0] == 2
    reader.close()
    assert partial.is_dir() and files(run) == before


def test_failed_save_is_not_swallowed(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1, {"x": jnp.float32(1)})
    checkpoints.wait()

    def full(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):  # by which a save that is written becomes a checkpoint
            patch.setattr(os, name, full)
            patch.setattr(Path, name, full)
        checkpoints.save(2, {"x": jnp.float32(2)})
        with pytest.raises(OSError, match="disk full"):
            checkpoints.wait()
    checkpoints.close()


def test_failed_save_lets_the_process_end(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1, {"x": jnp.float32(1)})
    checkpoints.wait()
    before = set(threading.enumerate())
    shutil.rmtree(checkpoints.directory)
    checkpoints.directory.touch()
    with pytest.raises(OSError, match="checkpoints"):
        checkpoints.save(2, {"x": jnp.float32(2)})
        checkpoints.wait()
    checkpoints.close()
    deadline = time.monotonic() + 30  # a thread may be about to end
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, left
