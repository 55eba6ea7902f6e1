import json

import numpy as np
import pytest
from PIL import Image

from jaxgan.monitor import curves


def write(path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def figures(monkeypatch) -> list:
    """The figures that get drawn."""
    made = []
    figure = curves._figure
    monkeypatch.setattr(curves, "_figure", lambda *size: made.append(figure(*size)) or made[-1])
    return made


def test_read_metrics_takes_the_last_word_on_a_step(tmp_path):
    path = tmp_path / "m.jsonl"
    rows = [
        {"step": 1, "a": 1.0},
        {"step": 2, "a": 2.0, "b": 0.0},
        {"step": 3, "a": 3.0},
        {"step": 2, "a": 20.0},
        {"step": 0},
    ]
    write(path, rows)
    assert curves.read_metrics(path) == [
        {"step": 0},
        {"step": 1, "a": 1.0},
        {"step": 2, "a": 20.0, "b": 0.0},
        {"step": 3, "a": 3.0},
    ]


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(
    "torn",
    [b'{"step": 9, "a": 1', b"", b"7", b"[]", b'{"a": 1}', b'{"step": null}', b'{"step": 1e999}', b"\x00\xff\x00"],
)
def test_read_metrics_passes_over_a_torn_line(torn, position, tmp_path):
    lines = [b'{"step": 1, "a": 1.0}', b'{"step": 2, "a": 2.0}']
    lines.insert(position, torn)
    (tmp_path / "m.jsonl").write_bytes(b"\n".join(lines))
    assert curves.read_metrics(tmp_path / "m.jsonl") == [{"step": 1, "a": 1.0}, {"step": 2, "a": 2.0}]


def test_draw_curves_draws_the_panels_there_are(tmp_path, figures):
    rows = [{"step": s, "loss/d": 1 / s, "loss/g": s, "score/real": 0.5, "other": 3} for s in range(1, 41)]
    rows[-1]["eval/fid_10k"] = 12.5
    write(tmp_path / "m.jsonl", rows)
    curves.draw_curves(tmp_path / "m.jsonl", tmp_path / "sub" / "curves.png")
    [figure] = figures
    drawn = {axes.get_ylabel(): {line.get_label(): line.get_xydata() for line in axes.lines} for axes in figure.axes}
    assert {title: list(lines) for title, lines in drawn.items()} == {
        "loss": ["loss/d", "loss/g"],
        "P(real)": ["score/real"],
        "evaluation": ["eval/fid_10k"],
    }
    np.testing.assert_allclose(drawn["loss"]["loss/d"], [(s, 1 / s) for s in range(1, 41)])
    np.testing.assert_allclose(drawn["evaluation"]["eval/fid_10k"], [(40, 12.5)])
    with Image.open(tmp_path / "sub" / "curves.png") as image:
        assert image.format == "PNG" and image.size == (800, 700)
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["curves.png"]


@pytest.mark.parametrize("contents", ["", '{"step": 1', '{"step": 1, "other": 2}\n'])
def test_draw_curves_draws_nothing_of_nothing(contents, tmp_path):
    (tmp_path / "m.jsonl").write_text(contents)
    curves.draw_curves(tmp_path / "m.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_draw_points_returns_the_picture_it_writes(tmp_path, figures):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(50, 2)), rng.normal(size=(30, 2)).astype(np.float32)
    picture = curves.draw_points(real, fake, tmp_path / "points.png")
    with Image.open(tmp_path / "points.png") as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), picture)
    assert picture.dtype == np.uint8 and picture.shape == (400, 400, 3)
    (data, generated) = figures[0].axes[0].collections
    np.testing.assert_allclose(data.get_offsets(), real)
    np.testing.assert_allclose(generated.get_offsets(), fake)
    reach = 1.25 * np.abs(real).max()
    np.testing.assert_allclose(figures[0].axes[0].get_xlim(), (-reach, reach))
    assert [p.name for p in tmp_path.iterdir()] == ["points.png"]
