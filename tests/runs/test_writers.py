import io
import json
import os
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from jaxgan.monitor.curves import read_metrics
from jaxgan.runs.writers import JsonlWriter, SummaryWriter, metric_writers


@pytest.fixture
def events(tmp_path):
    """`events(write)` gives what TensorBoard reads after `write(writer)`."""

    def read(write) -> EventAccumulator:
        writer = SummaryWriter(tmp_path / "events")
        write(writer)
        writer.close()
        accumulator = EventAccumulator(str(tmp_path / "events"), size_guidance={"tensors": 0})
        return accumulator.Reload()

    return read


def tensors(accumulator, tag) -> list[tuple[int, np.ndarray]]:
    return [(event.step, make_ndarray(event.tensor_proto)) for event in accumulator.Tensors(tag)]


def test_scalars_are_read_back(events):
    values = {3: np.float32(0.1), 4: jnp.float32(-2.5e-8), 5: 7, 6: float("inf")}

    def write(writer):
        for step, value in values.items():
            writer.write_scalars(step, {"loss/d": value, "loss/g": -value})

    accumulator = events(write)
    assert accumulator.Tags()["tensors"] == ["loss/d", "loss/g"]
    for tag, sign in (("loss/d", 1), ("loss/g", -1)):
        assert [(s, float(v)) for s, v in tensors(accumulator, tag)] == [
            (s, float(np.float32(sign * float(v)))) for s, v in values.items()
        ]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_images_are_read_back(kind, channels, batch, events):
    pixels = np.random.default_rng(0).integers(0, 256, (*batch, 5, 7, channels), np.uint8)
    values = pixels if kind is np.uint8 else pixels.astype(np.float32) / 255
    accumulator = events(lambda writer: writer.write_images(2, {"samples": values}))
    [(step, (width, height, *pngs))] = tensors(accumulator, "samples")
    assert (step, width, height) == (2, b"7", b"5")
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(png))).reshape(5, 7, channels) for png in pngs])
    np.testing.assert_array_equal(decoded, pixels.reshape(-1, 5, 7, channels))
    assert accumulator.SummaryMetadata("samples").plugin_data.plugin_name == "images"


def test_float_images_are_clipped_and_rounded(events):
    values = np.float32([-1, 0.499 / 255, 0.501 / 255, 1, 2]).reshape(1, 5, 1)
    [(_, (_, _, png))] = tensors(events(lambda w: w.write_images(0, {"x": values})), "x")
    assert np.asarray(Image.open(io.BytesIO(png))).tolist() == [[0, 0, 1, 255, 255]]


def test_texts_are_read_back(events):
    [(step, text)] = tensors(events(lambda w: w.write_texts(1, {"note": "**bold** γ"})), "note")
    assert (step, text.item().decode()) == (1, "**bold** γ")


def test_histograms_are_read_back(events):
    values = np.float32([0, 0.1, 0.9, 1.0, 2.0, 2.0])

    def write(writer):
        writer.write_histograms(9, {"z": values, "w": values}, num_buckets={"z": 2})

    accumulator = events(write)
    [(step, buckets)] = tensors(accumulator, "z")
    assert step == 9
    np.testing.assert_allclose(buckets, [[0, 1, 3], [1, 2, 3]])  # left, right, count
    [(_, buckets)] = tensors(accumulator, "w")
    assert buckets[:, 2].sum() == len(values)


def test_hparams_are_read_back(events):
    hparams = {"loss": "hinge", "lr": 2e-4, "steps": 10, "flip": True}
    accumulator = events(lambda writer: writer.write_hparams(hparams))
    contents = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = HParamsPluginData.FromString(contents).session_start_info.hparams
    assert {name: getattr(value, value.WhichOneof("kind")) for name, value in found.items()} == hparams


def test_unsupported_kinds_are_refused(tmp_path):
    writer = SummaryWriter(tmp_path)
    with pytest.raises(NotImplementedError, match="raw summaries"):
        writer.write_summaries(0, {"x": np.zeros(1)})
    with pytest.raises(NotImplementedError, match="videos"):
        writer.write_videos(0, {"x": np.zeros((1, 1, 1, 1, 1))})
    with pytest.raises(NotImplementedError, match="audio"):
        writer.write_audios(0, {"x": np.zeros((1, 1, 1))}, sample_rate=1)
    writer.close()


def test_summary_writer_shows_what_is_flushed(tmp_path):
    writer = metric_writers.MultiWriter([SummaryWriter(tmp_path)])
    writer.write_scalars(1, {"a": 1.0})
    writer.flush()
    assert EventAccumulator(str(tmp_path)).Reload().Tensors("a")[0].step == 1
    writer.close()


def test_two_summary_writers_share_a_directory(tmp_path):
    for step in (1, 2):  # a run and its resumption
        writer = SummaryWriter(tmp_path)
        writer.write_scalars(step, {"a": step})
        writer.close()
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 2
    assert [s for s, _ in tensors(EventAccumulator(str(tmp_path)).Reload(), "a")] == [1, 2]


@pytest.mark.slow
def test_writing_never_imports_tensorflow(tmp_path):
    """Not even where it is installed."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise RuntimeError('TensorFlow was imported')\n")
    script = """
import sys
from jaxgan.runs.writers import SummaryWriter, metric_writers, periodic_actions
import numpy as np
assert metric_writers.SummaryWriter is SummaryWriter
writer = SummaryWriter(sys.argv[1])
writer.write_scalars(1, {"a": 1.0})
writer.write_images(1, {"b": np.zeros((2, 2, 1))})
writer.write_histograms(1, {"c": np.ones(3)})
writer.write_texts(1, {"d": "text"})
writer.write_hparams({"e": 1})
writer.close()
print(sorted({"tensorflow", "torch"} & set(sys.modules)))
"""
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-c", script, str(tmp_path / "events")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_jsonl_has_one_object_per_step(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl")
    writer.write_scalars(1, {"loss/d": 1.5})
    writer.write_scalars(np.int64(1), {"loss/g": jnp.float32(2.5)})
    writer.write_scalars(2, {"loss/d": 3})
    writer.close()
    assert lines(tmp_path / "m.jsonl") == [{"step": 1, "loss/d": 1.5, "loss/g": 2.5}, {"step": 2, "loss/d": 3.0}]


def test_jsonl_keeps_every_digit(tmp_path):
    values = (
        np.random.default_rng(0).normal(size=200).astype(np.float32) * np.float32(10) ** np.arange(-40, 40)[:, None]
    )
    values = np.float32([*values.ravel()[:500], 0.1, 1e-45, 3.4028235e38, -0.0])
    writer = JsonlWriter(tmp_path / "m.jsonl")
    for step, value in enumerate(values):
        writer.write_scalars(step, {"x": value, "y": float(value) / 3})
    writer.close()
    rows = read_metrics(tmp_path / "m.jsonl")
    assert np.float32([row["x"] for row in rows]).tobytes() == values.tobytes()
    assert [row["y"] for row in rows] == [float(value) / 3 for value in values]


def test_jsonl_is_on_disk_after_each_step(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl")
    writer.write_scalars(1, {"x": 1})
    assert lines(tmp_path / "m.jsonl") == []
    writer.write_scalars(2, {"x": 2})
    assert lines(tmp_path / "m.jsonl") == [{"step": 1, "x": 1.0}]
    writer.flush()
    assert len(lines(tmp_path / "m.jsonl")) == 2
    writer.flush()
    writer.close()
    assert len(lines(tmp_path / "m.jsonl")) == 2


def test_jsonl_takes_scalars_only(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl")
    writer.write_images(1, {"a": np.zeros((2, 2, 1))})
    writer.write_texts(1, {"a": "text"})
    writer.write_histograms(1, {"a": np.zeros(3)})
    writer.write_hparams({"a": 1})
    writer.close()
    assert (tmp_path / "m.jsonl").read_bytes() == b""


@pytest.mark.parametrize("torn", [b"", b'{"step": 2, "x"', b"\x00\x00\xff"])
def test_jsonl_goes_on_after_a_torn_line(torn, tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1, "x": 1.0}\n' + torn)
    writer = JsonlWriter(path)
    writer.write_scalars(2, {"x": 2})
    writer.close()
    assert path.read_bytes() == b'{"step": 1, "x": 1.0}\n' + (torn and torn + b"\n") + b'{"step": 2, "x": 2.0}\n'
    assert read_metrics(path) == [{"step": 1, "x": 1.0}, {"step": 2, "x": 2.0}]
