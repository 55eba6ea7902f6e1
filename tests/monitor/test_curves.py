import json
from types import SimpleNamespace

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


@pytest.mark.parametrize(
    "wrong",
    [
        '{"step": "2", "a": 5.0}',
        '{"step": -2, "a": 5.0}',
        '{"step": true, "a": 5.0}',
        '{"step": 2.0, "a": 5.0}',
        '{"step": 2, "a": null}',
        '{"step": 2, "a": [1], "b": "text", "c": true, "d": {}}',
        f'{{"step": 2, "a": 1{"0" * 400}}}',
        "[" * 100_000,
    ],
)
def test_read_metrics_takes_nothing_but_numbers(wrong, tmp_path):
    (tmp_path / "m.jsonl").write_text(f'{{"step": 1, "a": 1}}\n{{"step": 2, "a": 2.0}}\n{wrong}\n')
    assert curves.read_metrics(tmp_path / "m.jsonl") == [{"step": 1, "a": 1.0}, {"step": 2, "a": 2.0}]


def test_draw_curves_draws_the_panels_there_are(tmp_path, figures):
    rows = [{"step": s, "loss/d": 1 / s, "loss/g": s, "score/real": 0.5, "other": 3} for s in range(1, 41)]
    rows[-1]["eval/fid_10k"] = 12.5
    write(tmp_path / "m.jsonl", rows)
    curves.draw_curves(tmp_path / "m.jsonl", tmp_path / "sub" / "curves.png")
    [figure] = figures
    drawn = {
        axes.get_title("left"): {line.get_label(): line.get_xydata() for line in axes.lines} for axes in figure.axes
    }
    assert {title: list(lines) for title, lines in drawn.items()} == {
        "loss": ["loss/d", "loss/g"],
        "P(real)": ["score/real"],
        "fid_10k": ["_child0", "best: 12.5 at step 40"],
    }
    np.testing.assert_allclose(drawn["loss"]["loss/d"], [(s, 1 / s) for s in range(1, 41)])
    np.testing.assert_allclose(drawn["fid_10k"]["_child0"], [(40, 12.5)])
    with Image.open(tmp_path / "sub" / "curves.png") as image:
        assert image.format == "PNG" and image.size == (800, 700)
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["curves.png"]


def test_draw_curves_marks_the_best_the_ends_and_the_findings(tmp_path, figures):
    layers = ("", "/Dense_0", "/Dense_1", "/bottom", "/top")
    rows = [{"step": s} | {f"grad_norm/g{layer}": 1.0 + s for layer in layers} for s in range(10, 60, 10)]
    for row, value in zip(rows, (5.0, 3.0, 1.0, 2.0, 4.0), strict=True):
        row |= {"eval/kid_1k": value, "eval/recall_1k": value, "loss/d": 1.0, "score/real": 0.5}
    write(tmp_path / "m.jsonl", rows)
    found = [
        SimpleNamespace(kind="late_degradation", severity="problem", step=40, until=None),
        SimpleNamespace(kind="mode_hopping", severity="info", step=10, until=20),
    ]
    curves.draw_curves(tmp_path / "m.jsonl", tmp_path / "curves.png", found)
    panels = {axes.get_title("left"): axes for axes in figures[0].axes}
    for title, best in (("kid_1k", (30, 1.0)), ("recall_1k", (10, 5.0))):
        np.testing.assert_array_equal(panels[title].lines[1].get_xydata(), [best])
    widths = {line.get_label(): line.get_linewidth() for line in panels["gradient norm of G"].lines}
    assert widths["all layers"] == widths["top"] == widths["bottom"] > 2 * widths["Dense_0"] == 2 * widths["Dense_1"]
    assert panels["gradient norm of G"].get_yscale() == "log"
    for title in ("loss", "P(real)", "kid_1k", "recall_1k", "gradient norm of G"):
        shades = [(patch.get_x(), patch.get_width()) for patch in panels[title].patches]
        assert shades == [(40, 10), (10, 10)]
    assert figures[0].axes[-1].axison is False  # five panels in two columns


@pytest.mark.parametrize("panels", [1, 4, 5, 12])
def test_draw_curves_has_room_for_all_texts(panels, tmp_path, figures):
    """Legends keep off the panels beside them, titles and ticks off those above."""
    layers = [f"update_ratio/g/{i}_ConvTranspose_{i}" for i in range(3)]
    names = [*layers, *(f"eval/kid_{i}k" for i in range(panels - 1))]
    rows = [{"step": s} | {name: s * -1.2345e-4 for name in names} for s in (10_000, 99_999)]
    write(tmp_path / "m.jsonl", rows)
    curves.draw_curves(tmp_path / "m.jsonl", tmp_path / "curves.png")
    [figure] = figures
    drawn = [axes for axes in figure.axes if axes.axison]
    assert len(drawn) == panels
    boxes = [axes.get_tightbbox() for axes in drawn]  # with its texts
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_draw_paths_is_a_picture(figures):
    paths = np.random.default_rng(0).normal(size=(3, 10, 2))
    picture = curves.draw_paths(np.ones((5, 2)), paths)
    assert picture.dtype == np.uint8 and picture.shape == (400, 400, 3)
    np.testing.assert_array_equal(figures[0].axes[0].lines[0].get_xydata(), paths[0])


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
