import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support.traced import Traced

from jaxgan.techniques.augment import AUGMENTATIONS, ada_update
from jaxgan.techniques.augment import augment as uncompiled

BOUNDS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
NAMES = tuple(AUGMENTATIONS)
N = 256
augment = jax.jit(uncompiled, static_argnames=("policy", "bounds"))


def examples(n, shape=(8, 10, 3)):
    return np.random.RandomState(0).uniform(-1, 1, (n, *shape)).astype(np.float32)


@pytest.fixture
def keys(key):
    return jax.random.split(key, N)


def numpy_color(x, key, middle, width):
    b, s, c = np.asarray(jax.random.uniform(key, (3,)))
    x = x + (b - 0.5) * width / 2
    gray = x.mean(-1, keepdims=True)
    x = gray + (x - gray) * 2 * s
    return x.mean() + (x - x.mean()) * (c + 0.5)


def numpy_translation(x, key, middle, width):
    h, w, _ = x.shape
    dy, dx = (
        int(jax.random.randint(k, (), 0, 2 * int(n / 8 + 0.5) + 1)) - int(n / 8 + 0.5)
        for k, n in zip(jax.random.split(key), (h, w), strict=True)
    )
    out = np.full_like(x, middle)
    for i in range(h):
        for j in range(w):
            if 0 <= i + dy < h and 0 <= j + dx < w:
                out[i, j] = x[i + dy, j + dx]
    return out


def numpy_cutout(x, key, middle, width):
    out = x.copy()
    starts = []
    for k, n in zip(jax.random.split(key), x.shape, strict=False):
        box = int(n / 2 + 0.5)
        center = int(jax.random.randint(k, (), 0, n + 1 - box % 2))
        starts.append(center - box // 2)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if all(0 <= at - s < int(n / 2 + 0.5) for at, s, n in zip((i, j), starts, x.shape, strict=False)):
                out[i, j] = middle
    return out


REFERENCES = {"color": numpy_color, "translation": numpy_translation, "cutout": numpy_cutout}


@pytest.mark.slow
@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
@pytest.mark.parametrize("shape", [(8, 10, 3), (9, 24, 1), (16, 17, 4)], ids=str)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_equals_its_numpy_version(name, shape, bounds, keys):
    low, high = bounds
    images = examples(8, shape) * (high - low) / 2 + (low + high) / 2
    found = jax.jit(jax.vmap(lambda x, k: AUGMENTATIONS[name](x, k, bounds)))(images, keys[:8])
    for image, key, out in zip(images, keys, found, strict=False):
        expected = REFERENCES[name](image, key, (low + high) / 2, high - low)
        assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_commutes_with_the_change_of_range(name, keys):
    images = examples(16)
    wide = augment(images, keys[:16], (name,), jnp.float32(1), (-1.0, 1.0))
    narrow = augment((images + 1) / 2, keys[:16], (name,), jnp.float32(1), (0.0, 1.0))
    assert_allclose(2 * narrow - 1, wide, atol=1e-5)
    assert not np.allclose(wide, images)


@pytest.mark.slow
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_passes_gradients_on(name, keys):
    images = examples(16)
    weights = np.random.RandomState(1).randn(*images.shape).astype(np.float32)

    def loss(x):
        return jnp.sum(weights * augment(x, keys[:16], (name,), jnp.float32(1)))

    gradient = jax.grad(loss)(images)
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).sum((1, 2, 3)) > 0).all()
    direction = np.random.RandomState(2).randn(*images.shape).astype(np.float32)
    # Every augmentation is affine in the image, so a difference of any size is the slope.
    assert_allclose(np.vdot(gradient, direction), loss(images + direction) - loss(images), rtol=1e-3)


@pytest.mark.slow
def test_color_of_one_channel_leaves_its_saturation(keys):
    image = examples(1, (8, 8, 1))[0]
    b, _, c = np.asarray(jax.random.uniform(keys[0], (3,)))
    brighter = image + b - 0.5
    expected = brighter.mean() + (brighter - brighter.mean()) * (c + 0.5)
    assert_allclose(AUGMENTATIONS["color"](image, keys[0]), expected, rtol=1e-5, atol=1e-6)


def test_translation_reaches_every_shift_alike(keys):
    """A lone bright pixel of a 16x16 image goes to the 5x5 places around it."""
    image = np.zeros((16, 16, 1), np.float32)
    image[8, 8] = 1
    found = jax.jit(jax.vmap(lambda k: AUGMENTATIONS["translation"](image, k)))(keys)
    counts = np.asarray(found).sum((0, 3))
    assert counts.sum() == N and counts[6:11, 6:11].sum() == N
    assert_allclose(counts[6:11].sum(1) / N, 0.2, atol=4 * np.sqrt(0.16 / N))
    assert_allclose(counts[:, 6:11].sum(0) / N, 0.2, atol=4 * np.sqrt(0.16 / N))


def test_cutout_erases_what_its_box_covers_on_average(keys):
    """Of a row of 8 with a box of 4 at 9 places, 4, 3, 2 and so on cells are erased: sum / (9 * 8) of a side."""
    image = np.ones((8, 8, 1), np.float32)
    found = jax.jit(jax.vmap(lambda k: AUGMENTATIONS["cutout"](image, k)))(keys)
    side = (2 + 3 + 4 + 4 + 4 + 4 + 4 + 3 + 2) / (9 * 8)
    assert_allclose(np.mean(np.asarray(found) == 0), side**2, atol=0.02)


@pytest.mark.slow
def test_augment_with_probability_zero_is_the_identity(keys):
    images = examples(16)
    gradient = jax.grad(lambda x: jnp.sum(x * augment(x, keys[:16], NAMES, jnp.float32(0))) / 2)(images)
    assert_array_equal(augment(images, keys[:16], NAMES, jnp.float32(0)), images)
    assert_array_equal(gradient, images)
    assert_array_equal(augment(images, keys[:16], (), jnp.float32(1)), images)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augment_has_its_frequency(name, keys):
    images = examples(N)
    found = augment(images, keys, (name,), jnp.float32(0.3))
    always = np.any(np.asarray(augment(images, keys, (name,), jnp.float32(1))) != images, axis=(1, 2, 3))
    changed = np.any(np.asarray(found) != images, axis=(1, 2, 3))
    assert not changed[~always].any()  # a shift by nothing
    assert_allclose(changed.sum() / always.sum(), 0.3, atol=4 * np.sqrt(0.21 / N))


def test_augment_applies_each_augmentation_on_its_own(keys):
    images = np.ones((N, 16, 16, 1), np.float32)
    found = np.asarray(augment(images, keys, ("color", "cutout"), jnp.float32(0.5)))
    colored, cut = (found.max((1, 2, 3)) != 1), (found == 0).any((1, 2, 3))
    for both in (colored & cut, colored & ~cut, ~colored & cut, ~colored & ~cut):
        assert_allclose(both.mean(), 0.25, atol=4 * np.sqrt(0.1875 / N))


@pytest.mark.slow
def test_augment_does_not_depend_on_the_split_of_the_batch(keys):
    images, p = examples(8), jnp.float32(0.7)
    parts = [augment(x, k, NAMES, p) for x, k in zip(np.split(images, 4), jnp.split(keys[:8], 4), strict=True)]
    assert_array_equal(augment(images, keys[:8], NAMES, p), np.concatenate(parts))


def test_augment_compiles_once_for_all_probabilities(keys):
    traced = Traced(lambda x, p: uncompiled(x, keys[:8], NAMES, p))
    f = jax.jit(traced)
    images = examples(8)
    found = [f(images, jnp.float32(p)) for p in (0, 0.5, 1)]
    assert traced.times == 1
    assert not np.array_equal(found[1], found[2])


def test_augment_keeps_the_type(keys):
    assert augment(jnp.bfloat16(examples(4)), keys[:4], NAMES, jnp.float32(1)).dtype == jnp.bfloat16


def test_augment_refuses_points(keys):
    with pytest.raises(ValueError, match="needs images"):
        augment(np.zeros((4, 2), np.float32), keys[:4], NAMES, jnp.float32(1))


def test_ada_goes_from_0_to_1_in_its_thousands_of_examples_and_stays_within():
    p = jnp.float32(0)
    for _ in range(10):
        p = ada_update(p, jnp.float32(0.7), 64, 0.6, 1.28)
    assert_allclose(p, 0.5, rtol=1e-5)
    for _ in range(20):
        p = ada_update(p, jnp.float32(0.7), 64, 0.6, 1.28)
    assert p == 1
    for _ in range(30):
        p = ada_update(p, jnp.float32(0.5), 64, 0.6, 1.28)
    assert p == 0


def test_ada_holds_its_target():
    """A D that overfits less the more it is augmented: r_t = 1 - p."""
    p = jnp.float32(0)
    for _ in range(200):
        p = ada_update(p, 1 - p, 64, 0.6, 6.4)
    assert_allclose(p, 0.4, atol=0.011)
