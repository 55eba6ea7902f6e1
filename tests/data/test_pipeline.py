"""Batches are pure functions of seed and number, and arrive in order."""

import gc
import threading
import time

import numpy as np
import pytest

from jaxgan.data import batch_indices, check_range, from_arrays, make_batch, prefetch
from jaxgan.data.source import Source, Streamed
from jaxgan.errors import UserError

SIXTH_BATCH = [8, 0, 7, 1]  # another order would break the resume of old runs


def numbered(n=10, shape=(4, 6, 1)):
    """Images whose pixels tell their example number (rows, channels alike) and their column."""
    columns = np.arange(shape[1], dtype=np.uint8)[:, None]
    return from_arrays(
        np.stack([np.broadcast_to(columns * 10 + i, shape) for i in range(n)]).astype(np.uint8),
        labels=np.arange(n) % 3,
    )


def batch(source, index=0, **options):
    return make_batch(source, index, **{"seed": 0, "batch_size": 4, "output": "tanh"} | options)


# --- batch_indices


@pytest.mark.parametrize(("batch_size", "num_examples"), [(4, 12), (5, 12), (7, 12), (12, 12), (30, 12), (3, 1)])
def test_batch_indices_cut_a_sequence_of_whole_epochs(batch_size, num_examples):
    sequence = np.concatenate([batch_indices(3, i, batch_size, num_examples) for i in range(24)])
    epochs = sequence[: len(sequence) // num_examples * num_examples].reshape(-1, num_examples)
    assert (np.sort(epochs, axis=1) == np.arange(num_examples)).all()


def test_batch_indices_differ_between_epochs():
    assert batch_indices(0, 0, 50, 50).tolist() != batch_indices(0, 1, 50, 50).tolist()


def test_batch_indices_differ_between_seeds():
    assert batch_indices(0, 0, 50, 50).tolist() != batch_indices(1, 0, 50, 50).tolist()


def test_batch_indices_do_not_depend_on_what_was_asked_before():
    forward = [batch_indices(0, i, 7, 20).tolist() for i in range(9)]
    assert forward == [batch_indices(0, i, 7, 20).tolist() for i in reversed(range(9))][::-1]


def test_batch_indices_are_the_same_for_ever():
    assert batch_indices(0, 5, 4, 10).tolist() == SIXTH_BATCH


def test_batch_indices_are_uniform():
    first = np.array([batch_indices(seed, 0, 1, 8)[0] for seed in range(800)])
    assert np.bincount(first, minlength=8).min() > 60  # 100 expected, standard deviation 9.4


@pytest.mark.parametrize("arguments", [(-1, 0, 4, 10), (0, -1, 4, 10), (0, 0, 0, 10), (0, 0, 4, 0)])
def test_batch_indices_refuse_numbers_out_of_range(arguments):
    with pytest.raises(UserError, match="A batch needs"):
        batch_indices(*arguments)


# --- make_batch


@pytest.mark.parametrize(("output", "black", "white"), [("tanh", -1, 1), ("linear", -1, 1), ("sigmoid", 0, 1)])
def test_make_batch_scales_uint8_to_the_output_range(output, black, white):
    source = from_arrays(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
    image = batch(source, batch_size=2, output=output)["image"]
    assert (image.dtype, image.min(), image.max()) == (np.float32, black, white)


def test_make_batch_scaling_can_be_undone_exactly():
    source = from_arrays(np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1))
    image = batch(source, batch_size=256)["image"]
    np.testing.assert_array_equal(np.round((image + 1) * 127.5).ravel(), batch_indices(0, 0, 256, 256))


def test_make_batch_passes_floats_unscaled():
    points = np.random.RandomState(0).normal(size=(4, 2)).astype(np.float32)
    np.testing.assert_array_equal(batch(from_arrays(points))["image"], points[batch_indices(0, 0, 4, 4)])


def test_make_batch_labels_belong_to_their_images():
    made = batch(numbered(), 1)
    numbers = np.round((made["image"][:, 0, 0, 0] + 1) * 127.5).astype(int)
    assert made["label"].dtype == np.int32
    np.testing.assert_array_equal(made["label"], numbers % 3)


def test_make_batch_is_a_pure_function():
    first = batch(numbered(), 3, horizontal_flip=True)
    batch(numbered(), 4, horizontal_flip=True)
    np.testing.assert_array_equal(first["image"], batch(numbered(), 3, horizontal_flip=True)["image"])


def test_make_batch_does_not_change_the_source():
    source = numbered()
    before = source.examples.copy()
    batch(source, horizontal_flip=True, batch_size=10)
    np.testing.assert_array_equal(source.examples, before)


@pytest.mark.parametrize("process_count", [2, 4])
def test_make_batch_processes_share_out_the_global_batch(process_count):
    options = {"batch_size": 8, "horizontal_flip": True}
    parts = [
        batch(numbered(), 2, **options, process_index=i, process_count=process_count) for i in range(process_count)
    ]
    for name, whole in batch(numbered(), 2, **options).items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole)


def test_make_batch_flips_mirror_the_columns_of_half_the_images():
    source = numbered(200)
    plain, mirrored = (batch(source, batch_size=200, horizontal_flip=f)["image"] for f in (False, True))
    flipped = (mirrored == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (mirrored == plain).all(axis=(1, 2, 3))
    assert (flipped ^ kept).all() and 70 < flipped.sum() < 130  # standard deviation 7


def test_make_batch_flips_differ_between_batches():
    flips = [
        (batch(numbered(1), i, batch_size=30, horizontal_flip=True)["image"] != batch(numbered(1))["image"][:1])
        .any(axis=(1, 2, 3))
        .tolist()
        for i in range(2)
    ]
    assert flips[0] != flips[1]


def test_make_batch_streamed_equals_in_memory():
    source = numbered()
    lazy = Streamed(
        fetch=lambda numbers: numbers,
        decode=lambda number: source.examples[number],
        indices=np.arange(10),
        example_shape=source.shape,
        origin="numbers",
    )
    streamed = Source("lazy", source.labels, source.class_names, lazy)
    images = [batch(s, 1, horizontal_flip=True)["image"] for s in (source, streamed)]
    np.testing.assert_array_equal(*images)


def test_make_batch_refuses_an_unknown_output():
    with pytest.raises(UserError, match="'tanhh' is not known: allowed are tanh, sigmoid, linear"):
        batch(numbered(), output="tanhh")


def test_make_batch_refuses_an_unequal_share():
    with pytest.raises(UserError, match="batch_size 4 cannot be shared equally by 3 processes"):
        batch(numbered(), process_count=3)


def test_make_batch_refuses_to_flip_points():
    with pytest.raises(UserError, match="horizontal_flip mirrors images"):
        batch(from_arrays(np.zeros((4, 2))), horizontal_flip=True)


# --- check_range


@pytest.mark.parametrize(("output", "values"), [("tanh", [-1.2, 0.5]), ("sigmoid", [-0.5, 0.5]), ("tanh", [0, 255])])
def test_check_range_refuses_what_the_output_cannot_reach(output, values):
    low, high = values
    with pytest.raises(UserError, match=rf"lie in \[{low:g}, {high:g}\], but output '{output}'"):
        check_range(from_arrays(np.array([values], np.float32)), output)


@pytest.mark.parametrize(
    ("shape", "advice"), [((1, 4, 4, 1), "store them as uint8"), ((4, 2), "choose output 'linear'")]
)
def test_check_range_advises_what_the_examples_can_have(shape, advice):
    with pytest.raises(UserError, match=f"scale them, or {advice}"):
        check_range(from_arrays(np.full(shape, 255, np.float32)), "tanh")


@pytest.mark.parametrize(("output", "values"), [("tanh", [-1.0005, 1]), ("sigmoid", [0, 1.0005]), ("linear", [-9, 9])])
def test_check_range_accepts_what_the_output_reaches(output, values):
    check_range(from_arrays(np.array([values], np.float32)), output)


def test_check_range_accepts_uint8():
    check_range(numbered(), "tanh")


# --- prefetch


def workers():
    return [t for t in threading.enumerate() if t.name == "jaxgan-prefetch"]


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_prefetch_keeps_the_order():
    assert list(prefetch(lambda i: (time.sleep(0.002 * (i % 3)), i)[1], 5, 25, depth=3)) == list(range(5, 25))


def test_prefetch_of_nothing_is_empty():
    assert list(prefetch(lambda i: i, 5, 5)) == []


def test_prefetch_works_exactly_depth_items_ahead():
    made = []
    items = prefetch(lambda i: made.append(i), 0, 20, depth=3)
    next(items)
    assert wait_for(lambda: len(made) == 4)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]
    items.close()


def test_prefetch_raises_at_the_item_that_failed():
    def make(i):
        if i == 3:
            raise UserError("the fourth is broken")
        return i

    items = prefetch(make, 0, 10)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match="the fourth is broken"):
        next(items)


def test_prefetch_closed_stops_its_thread():
    items = prefetch(lambda i: i, 0, 10**9)
    next(items)
    items.close()
    assert wait_for(lambda: not workers())


@pytest.mark.slow
def test_prefetch_abandoned_stops_its_thread():
    items = prefetch(lambda i: i, 0, 10**9)
    next(items)
    del items
    gc.collect()
    assert wait_for(lambda: not workers())


def test_prefetch_finished_stops_its_thread():
    list(prefetch(lambda i: i, 0, 3))
    assert wait_for(lambda: not workers())


def test_prefetch_refuses_no_depth():
    with pytest.raises(UserError, match="depth is 0"):
        next(prefetch(lambda i: i, 0, 3, depth=0))
