"""Pictures embedded in the page, each within its share of the page's size."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from jaxgan.data import Source
from jaxgan.errors import UserError
from jaxgan.evaluation.reference import extractor
from jaxgan.evaluation.run_data import RunData
from jaxgan.metrics.features import Features
from jaxgan.reporting.markup import element, note
from jaxgan.reporting.run_record import Run
from jaxgan.runs.directory import check_example
from jaxgan.sampling.grid import read_png
from jaxgan.sampling.sampler import Sampler
from jaxgan.sampling.views import code_files, interpolations, linear, neighbors, sample_files, spherical, strip

TIMELINE = 40  # largest number of pictures
TIMELINE_BYTES, PICTURE_BYTES = 1_000_000, 120_000  # of the whole timeline, and of any other picture
STRIP = 8  # number of steps shown
REAL_POINTS = 1000
QUALITY = 80  # of lossy pictures
CHEAP = ("classifier", "random")  # features that are quick to extract on any machine


def data_uri(picture: np.ndarray, limit: int = PICTURE_BYTES) -> str:
    """Encodes a picture u8[H, W, 1 or 3] as a `data:` URI of at most about `limit` bytes.

    A PNG where that is small enough, else WebP, shrunk until it fits.
    """
    from PIL import Image

    image = Image.fromarray(picture[..., 0] if picture.shape[2:] == (1,) else picture)
    room = limit * 3 // 4  # base64 makes four bytes of three
    kind, encoded = "png", _encoded(image, "PNG", optimize=True)
    while len(encoded) > room and min(image.size) > 1:
        if kind == "webp":
            image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))
        kind, encoded = "webp", _encoded(image, "WEBP", quality=QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def _encoded(image: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def spread(items: list[Any], most: int) -> list[Any]:
    """Picks at most `most` items, evenly spread, the first and the last among them.

    >>> spread(list(range(10)), 4)
    [0, 3, 6, 9]
    """
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[i] for i in places]


def figure(picture: np.ndarray, caption: str, alt: str) -> Markup:
    """Builds a picture with its caption."""
    return element("figure", element("img", src=data_uri(picture), alt=alt), element("figcaption", caption))


def read_picture(run: Run, path: Path) -> np.ndarray | None:
    """Reads a picture of a run; None where it is damaged, which the run's list of damage then names."""
    try:
        return read_png(path)
    except ValueError as error:
        if str(error) not in run.damage:
            run.damage.append(str(error))
        return None


def _read_pictures(run: Run, files: list[tuple[int, Path]]) -> list[tuple[int, np.ndarray]]:
    found = [(number, read_picture(run, path)) for number, path in files]
    return [(number, picture) for number, picture in found if picture is not None]


def timeline(run: Run) -> Markup | None:
    """Shows the grids of samples over time, with a slider."""
    files = _read_pictures(run, spread(list(sample_files(run.workdir).items()), TIMELINE))
    if not files:
        return None
    share = min(PICTURE_BYTES, TIMELINE_BYTES // len(files))
    last = len(files) - 1
    images = [
        element("img", src=data_uri(picture, share), alt=f"samples at step {step}", data_step=step, hidden=i != last)
        for i, (step, picture) in enumerate(files)
    ]
    slider = element("input", type="range", min=0, max=last, value=last, step=1, aria_label="time", hidden=not last)
    return element(
        "div",
        element("div", slider, element("output", f"step {files[-1][0]:,}"), class_="slider"),
        element("div", *images, class_="frames"),
        note(f"{_latents(run)} Use the slider, or the arrow keys on it."),
        class_="timeline",
    )


def _latents(run: Run) -> str:
    if run.example.get("classes") and len(run.example["shape"]) == 3:
        return "The same latents at every time, a latent to a row and a class to a column; averaged weights."
    return "The same latents at every time; averaged weights."


def over_time(run: Run) -> Markup | None:
    """Shows the first images of each grid over time; unlike the slider, this needs no script."""
    files = spread(list(sample_files(run.workdir).items()), STRIP)
    files = [(step, path) for step, path in files if read_picture(run, path) is not None]
    shape = run.example["shape"]
    if len(files) < 2 or len(shape) != 3:
        return None
    try:
        picture = strip([path for _, path in files], shape[0], shape[1])
    except ValueError:  # pictures that another program put there
        return None
    steps = ", ".join(f"{step:,}" for step, _ in files)
    return figure(picture, f"The first images of the grids of steps {steps}, from left to right.", "samples over time")


def codes(run: Run) -> Markup | None:
    """Shows what each of InfoGAN's codes does."""
    files = _read_pictures(run, list(code_files(run.workdir).items()))
    if not files:
        return None
    caption = "Code {}: along each row it takes its values, and all else stays as it is."
    parts = [figure(picture, caption.format(code), f"samples by code {code}") for code, picture in files]
    return element("div", *parts, class_="figures")


def from_sampler(run: Run, sampler: Sampler) -> tuple[Markup | None, Markup | None]:
    """Builds interpolations and nearest training images; where one cannot be made, a note says why."""
    data = RunData(run.config, scored=bool(run.scores))
    source, why = _source(run, data)
    return _or_note(_interpolations, sampler, source), _or_note(_neighbors, run, data, sampler, source, why)


def _or_note(make: Callable[..., Markup | None], *arguments: Any) -> Markup | None:
    try:
        return make(*arguments)
    except UserError as error:
        return note(str(error))


def _source(run: Run, data: RunData) -> tuple[Source | None, str]:
    """Loads the training examples, or says why they cannot be loaded."""
    try:
        source = data.trained
        check_example(run.workdir, source, "classes" in run.example)
    except (UserError, OSError) as error:
        return None, str(error)
    return source, ""


def _interpolations(sampler: Sampler, source: Source | None) -> Markup:
    points = sampler.gan.shape == (2,)
    real = None
    if source is not None and points:
        real = source.read(np.arange(min(REAL_POINTS, len(source))))
    ways: Mapping[str, Callable] = {
        "Spherical: along an arc, on which latents keep their length.": spherical,
        "Linear: along a line, which for normal latents passes near the origin, where few are drawn.": linear,
    }
    parts = [figure(interpolations(sampler, way, real=real), text, way.__name__) for text, way in ways.items()]
    kept = "Each line is the way from one latent to another." if points else "A pair of latents in each row, its ends."
    if sampler.gan.codes:
        kept += " The codes stay those of the left end."
    if sampler.present:
        kept += " Each pair has the next class."
    return element("div", note(kept), element("div", *parts, class_="figures"))


def _neighbors(run: Run, data: RunData, sampler: Sampler, source: Source | None, why: str) -> Markup | None:
    shape = sampler.gan.shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        return None
    if source is None:
        return note(f"The training examples are not at hand: {why}")
    features = _features(run, data)
    by = "pixels" if features is None else f"features of {features.name} ({features.hash})"
    caption = (
        f"Left, generated; then the {min(7, len(source))} nearest of the {len(source):,} training images, by {by}. "
        "A copy would stand beside its original."
    )
    return figure(neighbors(sampler, source, features), caption, "nearest training images")


def _features(run: Run, data: RunData) -> Features | None:
    """The features that the run was scored by, if they are cheap; None compares pixels, which needs no network."""
    if not run.scores or run.config.eval.features not in CHEAP:
        return None
    return extractor(data, report=lambda line: None)()


def parameters(sampler: Sampler) -> Mapping[str, list[tuple[str, tuple[int, ...]]]]:
    """Lists path and shape of every parameter, by network."""
    import jax

    nets = {"Generator": sampler.state.generator.params, "Discriminator": sampler.state.discriminator.params}
    return {
        name: [
            ("/".join(str(getattr(k, "key", k)) for k in path), leaf.shape)
            for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        ]
        for name, params in nets.items()
    }
