"""Pixels: opening, flattening to 8-bit gray or RGB, and the one resize that all image sources share."""

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# Named, so that a file's content cannot choose a decoder that starts another program (EPS does).
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")


def open_image(data: bytes) -> "PILImage":
    """Opens an encoded image (first frame) without decoding its pixels yet.

    Raises:
      ValueError: with the reason, if it is empty, no image, or too large to decode safely.
    """
    from PIL import Image

    if not data:
        raise ValueError("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise ValueError("not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError("too many pixels, a decompression bomb?") from None
    # Pillow only warns up to twice its limit.
    if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise ValueError("too many pixels, a decompression bomb?")
    return image


def flatten(image: "PILImage") -> np.ndarray:
    """Decodes to uint8 `[H, W, 1]` if the image is gray and `[H, W, 3]` if not.

    Gray are Pillow's modes 1, L, LA and I (16 bits, brought to 8). Transparency is composited on white.

    Raises:
      ValueError: for pixels that have no 8-bit meaning (32-bit integers, floats).
      OSError, SyntaxError: from Pillow, for broken data.
    """
    from PIL import Image

    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError("integer pixels of more than 16 bits")
        return ((wide * 255 + 32767) // 65535).astype(np.uint8)[..., None]
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    gray = image.mode in ("1", "L", "LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    pixels = np.asarray(image.convert("L" if gray else "RGB"))
    return pixels[..., None] if gray else pixels


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Crops the center square of `[H, W, C]` and resamples it to `[size, size, C]` (Lanczos, antialiased).

    uint8 stays uint8; float32 is resampled as it is and kept within the range it had.
    """
    from PIL import Image

    height, width, channels = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    if side == size:
        return square
    # Pillow resamples channels independently, so RGB in one call is only the faster way.
    planes = [square] if channels == 3 and square.dtype == np.uint8 else list(np.moveaxis(square, -1, 0))
    small = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((size, size), Image.Resampling.LANCZOS))
        for plane in planes
    ]
    out = small[0] if small[0].ndim == 3 else np.stack(small, axis=-1)
    if out.dtype == np.uint8:
        return out
    return np.clip(out, square.min(), square.max())  # Lanczos overshoots at edges


def resize_all(images: np.ndarray, size: int) -> np.ndarray:
    """`resize` for `[N, H, W, C]`; `size` 0, or the size they have, gives the very same array."""
    if size == 0 or images.shape[1:3] == (size, size):
        return images
    out = np.empty((len(images), size, size, images.shape[-1]), images.dtype)
    for i, pixels in enumerate(images):
        out[i] = resize(pixels, size)
    return out


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 `[H, W, 1 or 3]` as `[H, W, channels]`: gray is repeated, color turned into luma."""
    from PIL import Image

    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
