"""Writes metrics: to TensorBoard's event files without TensorFlow, and to `metrics.jsonl`.

clu imports TensorFlow only for its TensorBoard writer. This module registers another writer under that name before clu
is imported, so import clu's `metric_writers` and `periodic_actions` from here.
"""

from __future__ import annotations

import io
import json
import math
import os
import socket
import sys
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.histogram import summary_v2 as histogram_summary
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import summary_v2 as scalar_summary
from tensorboard.plugins.text import summary_v2 as text_summary
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from jaxgan.files import JsonLines

DT_STRING = 7  # TensorBoard's number for the type


class SummaryWriter:
    """Writes event files by `tensorboard`, with the interface of clu's `SummaryWriter`.

    The `EventFileWriter` of `tensorboard` itself imports TensorFlow wherever that is installed.
    """

    def __init__(self, logdir: str | os.PathLike):
        directory = Path(logdir)
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._writer = RecordWriter(open(directory / name, "xb"))  # noqa: SIM115  closed by close()
        self._write(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())

    def _add(self, step: int, summary: Any) -> None:
        self._write(event_pb2.Event(wall_time=time.time(), step=int(step), summary=summary))

    def write_summaries(self, step: int, values: Mapping[str, np.ndarray], metadata: Any = None) -> None:
        raise NotImplementedError("raw summaries are not supported: write scalars, images, texts or histograms.")

    def write_videos(self, step: int, videos: Mapping[str, np.ndarray]) -> None:
        raise NotImplementedError("videos are not supported: write images.")

    def write_audios(self, step: int, audios: Mapping[str, np.ndarray], *, sample_rate: int) -> None:
        raise NotImplementedError("audio is not supported.")

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        for tag, value in scalars.items():
            self._add(step, scalar_summary.scalar_pb(tag, float(value)))

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Writes images [H, W, C] or [N, H, W, C], uint8 or floats in [0, 1]."""
        for tag, value in images.items():
            value = np.asarray(value)
            value = value[None] if value.ndim == 3 else value
            size = [str(value.shape[2]).encode(), str(value.shape[1]).encode()]
            summary = summary_pb2.Summary()
            summary.value.add(
                tag=tag,
                metadata=image_metadata.create_summary_metadata(None, None),
                tensor=tensor_util.make_tensor_proto([*size, *map(_png, value)], dtype=DT_STRING),
            )
            self._add(step, summary)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        for tag, value in texts.items():
            self._add(step, text_summary.text_pb(tag, value))

    def write_histograms(
        self, step: int, arrays: Mapping[str, np.ndarray], num_buckets: Mapping[str, int] | None = None
    ) -> None:
        for tag, value in arrays.items():
            buckets = (num_buckets or {}).get(tag)
            self._add(step, histogram_summary.histogram_pb(tag, np.asarray(value), buckets=buckets))

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        self._add(0, hparams_summary.hparams_pb(dict(hparams)))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _png(image: np.ndarray) -> bytes:
    if image.dtype != np.uint8:
        image = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(out, "PNG")
    return out.getvalue()


_PLACE = "clu.metric_writers.tf.summary_writer"
if _PLACE not in sys.modules:
    _module = types.ModuleType(_PLACE)
    _module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    sys.modules[_PLACE] = _module
from clu import metric_writers, periodic_actions  # noqa: E402


class ScalarWriter(metric_writers.MetricWriter):
    """Implements clu's interface for writers that take scalars only; all else is dropped."""

    def write_summaries(self, step, values, metadata=None): ...
    def write_images(self, step, images): ...
    def write_videos(self, step, videos): ...
    def write_audios(self, step, audios, *, sample_rate): ...
    def write_texts(self, step, texts): ...
    def write_histograms(self, step, arrays, num_buckets=None): ...
    def write_hparams(self, hparams): ...
    def flush(self): ...
    def close(self): ...


class JsonlWriter(ScalarWriter):
    """Appends one JSON object per step, `{"step": 100, "loss/d": ...}`, with every scalar of that step up to a flush.

    A line is written as soon as it is complete: at a flush, or when the next step begins. Scalars that come after a
    flush, and steps that a resumed run repeats, get lines of their own. `jaxgan.monitor.curves.read_metrics` joins the
    lines of a step; of several values of a scalar the last one counts. Floats keep all their digits. Values that are
    not finite are written as the texts "NaN", "Infinity" and "-Infinity", since JSON has no numbers for them.
    """

    def __init__(self, path: str | os.PathLike):
        self._lines = JsonLines(path)
        self._row: dict[str, Any] = {}

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        if self._row and self._row["step"] != int(step):
            self.flush()
        self._row |= {"step": int(step), **{name: _valid(float(value)) for name, value in scalars.items()}}

    def flush(self) -> None:
        if self._row:
            row, self._row = self._row, {}  # where the disk is full, it is not tried again
            self._lines.append(row)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._lines.close()


def _valid(value: float) -> float | str:
    """Turns a value that is not finite into a text, since the bare `NaN` that Python would write is not JSON."""
    return value if math.isfinite(value) else json.dumps(value)


__all__ = ["JsonlWriter", "ScalarWriter", "SummaryWriter", "metric_writers", "periodic_actions"]
