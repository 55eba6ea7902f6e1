from functools import partial

import jax
import numpy as np
import pytest
from PIL import Image
from support.recorded import IMAGES, POINTS, add_samples

from jaxgan.config.config import Config
from jaxgan.data import from_arrays, to_floats
from jaxgan.errors import UserError
from jaxgan.metrics.features import random_network
from jaxgan.sampling import views
from jaxgan.sampling.grid import cells, grid, to_uint8
from jaxgan.sampling.sampler import Sampler
from jaxgan.steps.gan import build, init

CONDITIONED = {**IMAGES, "model": {**IMAGES["model"], "g_conditioning": "concat", "d_conditioning": "concat"}}
CODES = {**IMAGES, "infogan": {"categorical": (4,), "continuous": 1}}


def make(values: dict, shape=(8, 8, 1), classes=()) -> Sampler:
    config = Config.from_dict(values)
    gan = build(config, shape, num_classes=len(classes))
    return Sampler(config, gan, jax.jit(partial(init, gan))(jax.random.key(0)), classes)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return make(IMAGES)


@pytest.mark.parametrize("way", [views.linear, views.spherical])
def test_ways_lead_from_one_end_to_the_other(way):
    a, b = np.random.RandomState(0).normal(size=(2, 5, 7))
    path = way(a, b, np.linspace(0, 1, 4))
    assert path.shape == (5, 4, 7)
    np.testing.assert_allclose(path[:, 0], a, rtol=1e-12)
    np.testing.assert_allclose(path[:, -1], b, rtol=1e-12)


def test_spherical_goes_at_an_even_speed_along_the_circle():
    a, b = np.array([[2.0, 0.0]]), 2 * np.array([[np.cos(2.0), np.sin(2.0)]])
    t = np.linspace(0, 1, 9)
    expected = 2 * np.stack([np.cos(2 * t), np.sin(2 * t)], axis=1)
    np.testing.assert_allclose(views.spherical(a, b, t)[0], expected, atol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0, 0.0])
def test_spherical_is_the_line_where_there_is_no_angle(factor):
    a, t = np.array([[0.3, -1.2, 0.4]]), np.linspace(0, 1, 5)
    np.testing.assert_allclose(views.spherical(a, factor * a, t), views.linear(a, factor * a, t), atol=1e-6)


def test_of_inputs_gives_the_samples_of_their_inputs(sampler):
    np.testing.assert_array_equal(sampler.of_inputs(sampler.inputs(70, seed=3)), sampler.sample(70, seed=3))


def test_interpolations_start_and_end_at_samples(sampler):
    picture = views.interpolations(sampler, rows=3, columns=5)
    shown = cells(picture, 8, 8)
    assert shown.shape == (3, 5, 8, 8, 1)
    images = sampler.images(6)
    assert np.abs(shown[:, 0].astype(int) - images[:3]).max() <= 1
    assert np.abs(shown[:, -1].astype(int) - images[3:]).max() <= 1
    between = sampler.of_inputs(views.linear(*np.split(sampler.inputs(6), 2), np.array([0.5]))[:, 0])
    middle = cells(views.interpolations(sampler, views.linear, rows=3, columns=5), 8, 8)[:, 2]
    assert np.abs(middle - (between + 1) / 2 * 255).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("values", "classes"), [(CODES, ()), (CONDITIONED, ("a", "b"))])
def test_interpolations_keep_codes_and_go_through_the_classes(values, classes, monkeypatch):
    made, asked = make(values, classes=classes), []
    blank = np.zeros((12, 8, 8, 1))
    monkeypatch.setattr(made, "of_inputs", lambda inputs, labels: asked.append((inputs, labels)) or blank)
    views.interpolations(made, rows=3, columns=4)
    [(inputs, labels)] = asked
    codes = inputs.reshape(3, 4, -1)[..., 3:]
    np.testing.assert_array_equal(codes, np.repeat(made.inputs(3)[:, None, 3:], 4, axis=1))
    assert (labels is None) if not classes else labels.tolist() == [0] * 4 + [1] * 4 + [0] * 4


@pytest.mark.slow
def test_interpolations_of_points_are_paths():
    picture = views.interpolations(make(POINTS, (2,)), real=np.zeros((3, 2)) + 1)
    assert picture.shape == (400, 400, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


@pytest.mark.slow
def test_interpolations_refuse_what_no_picture_can_show():
    with pytest.raises(UserError, match=r"examples of shape \(8, 8, 2\), which no picture can show"):
        views.interpolations(make(IMAGES, (8, 8, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("floats", [False, True])
def test_nearest_examples_are_those_of_a_full_search(features, floats, monkeypatch):
    monkeypatch.setattr(views, "BLOCK", 16)
    random = np.random.RandomState(0)
    real, queries = random.randint(0, 255, (50, 8, 8, 1)).astype(np.uint8), random.randint(0, 255, (3, 8, 8, 1))
    queries = queries.astype(np.uint8)
    queries[1] = real[33]
    source = from_arrays(to_floats(real, "tanh") if floats else real)
    network = random_network((8, 8, 1), output="tanh") if features else None

    def represent(x):
        return (network(to_floats(x, "tanh"))[0] if network else x).reshape(len(x), -1).astype(float)

    distances = np.linalg.norm(represent(queries)[:, None] - represent(real), axis=-1)
    found = views.nearest_examples(queries, source, 4, network)
    np.testing.assert_array_equal(found.indices, np.argsort(distances, axis=1)[:, :4])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :4], rtol=1e-4, atol=1e-3)
    assert found.indices[1, 0] == 33 and found.distances[1, 0] < 1e-3


def test_neighbors_show_a_copy_beside_its_original(sampler):
    images = sampler.images(20)
    picture = views.neighbors(sampler, from_arrays(images[::-1].copy()), rows=2, k=2)
    wide = 8 // 4
    assert picture.shape == (2 * 10 + 2, 3 * 10 + 2 + wide, 1)
    np.testing.assert_array_equal(picture[2:10, 2:10], images[0])
    np.testing.assert_array_equal(picture[2:10, 12 + wide : 20 + wide], images[0])


def test_strip_has_a_column_for_each_time(tmp_path):
    add_samples(tmp_path, (0, 100, 20))
    files = views.sample_files(tmp_path)
    assert list(files) == [0, 20, 100]
    shown = cells(views.strip(list(files.values()), 8, 8, rows=3), 8, 8)
    assert shown.shape == (3, 3, 8, 8, 1)
    for column, file in enumerate(files.values()):
        with Image.open(file) as image:
            whole = cells(np.asarray(image)[..., None], 8, 8)
        np.testing.assert_array_equal(shown[:, column], whole[0, :3])
    with pytest.raises(ValueError, match="no grid of images of 28 x 28"):
        views.strip(list(files.values()), 28, 28)


def test_code_files_are_the_newest(tmp_path):
    add_samples(tmp_path, (5,))
    for name in ("step_00000005_code_0", "step_00000010_code_0", "step_00000010_code_12"):
        (tmp_path / "samples" / f"{name}.png").write_bytes(b"")
    assert {code: path.name for code, path in views.code_files(tmp_path).items()} == {
        0: "step_00000010_code_0.png",
        12: "step_00000010_code_12.png",
    }
    assert list(views.sample_files(tmp_path)) == [5]
    assert views.sample_files(tmp_path / "nowhere") == {}


@pytest.mark.parametrize("channels", [1, 3])
def test_cells_take_a_grid_apart(channels):
    images = np.random.RandomState(0).randint(0, 255, (6, 5, 4, channels)).astype(np.uint8)
    np.testing.assert_array_equal(cells(grid(images, 3), 5, 4), images.reshape(2, 3, 5, 4, channels))


@pytest.mark.slow
def test_class_grid_has_a_class_to_a_column_and_a_latent_to_a_row():
    made = make(CONDITIONED, classes=("a", "b", "c"))
    shown = cells(views.class_grid(made, rows=3, columns=2, seed=5), 8, 8)
    assert shown.shape == (3, 2, 8, 8, 1)
    for column in range(2):
        expected = to_uint8(made.of_inputs(made.inputs(3, seed=5), np.full(3, column)), "tanh")
        np.testing.assert_array_equal(shown[:, column], expected)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "taken"), [(0, np.eye(4)), (1, np.linspace(-1, 1, 5)[:, None])])
def test_code_sweep_shows_all_values_of_a_code(code, taken):
    made = make(CODES)
    shown = cells(views.code_sweep(made, code, rows=2, columns=5), 8, 8)
    inputs = made.inputs(2).copy()
    start = inputs.shape[1] - 5 + 4 * code
    for column, value in enumerate(taken):
        inputs[:, start : start + len(value)] = value
        assert np.abs(shown[:, column].astype(int) - to_uint8(made.of_inputs(inputs), "tanh")).max() <= 1


@pytest.mark.slow
def test_views_of_classes_and_codes_name_what_is_missing(sampler):
    for view, words in [
        (lambda: views.class_grid(sampler), "not conditioned on classes"),
        (lambda: views.code_sweep(sampler, 0), "code is 0: .* this run has none"),
        (lambda: views.code_sweep(make(CODES), 2), "code is 2: .* from 0 to 1"),
    ]:
        with pytest.raises(UserError, match=words):
            view()
