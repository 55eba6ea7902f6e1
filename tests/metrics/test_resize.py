import numpy as np
import pytest
from PIL import Image

from jaxgan.metrics.resize import RESIZES, clean_bicubic, resize_images

SIZES = [(1, 1), (8, 8), (32, 32), (28, 45), (37, 37), (38, 120), (200, 75)]
SIDE = 37


def images(height, width, channels=2):
    return np.random.RandomState(0).randint(0, 256, (2, height, width, channels)).astype(np.float32)


def tf1_by_a_loop(image):
    """Output pixel (i, j) lies at (i H / SIDE, j W / SIDE), in float32, between its four neighbors."""
    height, width, _ = image.shape
    down, across = np.float32(height / SIDE), np.float32(width / SIDE)
    out = np.zeros((SIDE, SIDE, image.shape[2]))
    for i in range(SIDE):
        for j in range(SIDE):
            y, x = np.float32(i) * down, np.float32(j) * across
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            above = image[top, left] + (image[top, right] - image[top, left]) * (x - left)
            below = image[bottom, left] + (image[bottom, right] - image[bottom, left]) * (x - left)
            out[i, j] = above + (below - above) * (y - top)
    return out


def by_pillow(image):
    channels = [
        np.asarray(Image.fromarray(channel).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for channel in np.moveaxis(image, -1, 0)
    ]
    assert channels[0].dtype == np.float32
    return np.stack(channels, axis=-1).clip(0, 255)  # as clean-fid does


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "reference"), [("tf1", tf1_by_a_loop), ("clean", by_pillow)])
def test_resize_is_that_of_its_reference(name, reference, size):
    x = images(*size)
    resized = np.asarray(resize_images(x, SIDE, RESIZES[name]))
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, np.stack([reference(image) for image in x]), rtol=0, atol=1e-3)


def test_the_clean_resize_stays_within_a_byte_at_an_edge():
    """Where its weights alone would pass both ends by a tenth; elsewhere nothing is clipped."""
    x = np.repeat(np.array([0.0, 255.0], np.float32), 4)[None, None, :, None] * np.ones((1, 8, 1, 1), np.float32)
    free = np.einsum("h,xh->x", x[0, 0, :, 0], clean_bicubic(8, SIDE))
    assert free.min() < -10 and free.max() > 265
    np.testing.assert_allclose(resize_images(x, SIDE, clean_bicubic)[0, 0, :, 0], free.clip(0, 255), atol=1e-3)


@pytest.mark.parametrize("name", RESIZES)
def test_resize_to_the_same_size_changes_nothing(name):
    x = images(SIDE, SIDE)
    np.testing.assert_array_equal(resize_images(x, SIDE, RESIZES[name]), x)


def test_only_the_clean_resize_sees_pixels_between():
    """A source four times as large: every fourth pixel is all that the papers' resize sees."""
    x = np.zeros((1, 4 * SIDE, 4 * SIDE, 1), np.float32)
    x[:, ::4, ::4] = 1
    assert np.ptp(resize_images(x, SIDE, RESIZES["tf1"])) == 0
    np.testing.assert_allclose(np.mean(resize_images(x, SIDE, RESIZES["tf1"])), 1, rtol=1e-6)
    np.testing.assert_allclose(np.mean(resize_images(x, SIDE, RESIZES["clean"])), 1 / 16, rtol=0.02)
