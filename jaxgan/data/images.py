"""Opens image files and brings their pixels to one depth, one number of channels and one size."""

import dataclasses
import functools
import importlib
import importlib.util
import io
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxgan.errors import UserError, suggest

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# Named, so that a file's content cannot choose a decoder that starts another program (EPS does).
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
RARE_FORMATS = ("QOI", "ICO", "ICNS", "PSD", "DDS", "PCX", "SGI", "SUN")
# Files of these names are meant as images: where one cannot be read, it is damaged.
SUFFIXES = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff")
) | {".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpx"}
# Pictures that Pillow does not read by itself, and what reads them.
PACKAGES = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "the package pillow-heif reads them, once installed"),
    ".avif": "Pillow 11.3 or later reads them",
    ".jxl": "the package pillow-jxl-plugin converts them to PNG",
    ".svg": "the package cairosvg converts them to PNG",
    ".pdf": "the package pdf2image converts them to PNG",
    **dict.fromkeys(
        [".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"],
        "camera raw files, which the package rawpy converts to PNG",
    ),
}
RAW = tuple(suffix for suffix, words in PACKAGES.items() if "raw" in words)  # TIFF inside, with a small preview first
# Pillow gives 16-bit colors as their high bytes. Read in the other byte order, the same file gives the low bytes.
OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
DEPTHS = (1, 8, 10, 12, 14, 16)  # bits that the largest value of a set may stand for
FITS = ("crop", "pad", "stretch")
CHANNELS = (0, 1, 3, 4)

Color = tuple[int, int, int]
Size = tuple[int, int]  # height and width
WHITE: Color = (255, 255, 255)


@dataclasses.dataclass(frozen=True)
class Form:
    """Describes what all images of a set are brought to.

    Attributes:
      size: height and width in pixels; None keeps those of the source.
      fit: how an image of another shape gets this one: "crop" cuts off what is too much around the center, "pad" adds
        a border of the background, "stretch" changes its proportions.
      background: color behind transparent pixels, and of the border.
      channels: 1 (gray), 3 (RGB) or 4 (RGB and opacity); 0: 1 if all images are gray, else 3.
      max_value: the pixel value that is white; 0: see `white_of`.
    """

    size: Size | None = None
    fit: str = "crop"
    background: Color = WHITE
    channels: int = 0
    max_value: float = 0

    def __post_init__(self):
        if self.fit not in FITS:
            raise suggest("data.fit", self.fit, FITS)
        if self.channels not in CHANNELS:
            raise UserError(f"data.channels is {self.channels}: it must be 0 (as the data), 1, 3 or 4.")
        if not 0 <= self.max_value < np.inf:
            raise UserError(f"data.max_value is {self.max_value}: it must be 0 (from the data) or more.")


def as_size(given: Any) -> Size | None:
    """Turns one number for both sides, or a pair, into height and width; 0 becomes None, which keeps the source's.

    Raises:
      UserError: for anything else.

    >>> as_size(28), as_size((64, 128)), as_size(0)
    ((28, 28), (64, 128), None)
    """
    numbers = tuple(given) if isinstance(given, (tuple, list)) else (given, given)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in numbers)
    if len(numbers) == 1:
        numbers *= 2
    if not whole or len(numbers) != 2 or min(numbers) < 0 or (0 in numbers and numbers != (0, 0)):
        raise UserError(
            f"data.image_size is {given}, but must be 0 or more: one number of pixels, or height and width such as "
            "(64, 128); 0 keeps the source's own size."
        )
    return None if numbers == (0, 0) else (int(numbers[0]), int(numbers[1]))


def as_color(given: Any) -> Color:
    """Turns a name, "#rrggbb", "r,g,b" or three numbers into red, green and blue from 0 to 255.

    Raises:
      UserError: it is none of these.

    >>> as_color("white"), as_color("255, 0, 0"), as_color((1, 2, 3))
    ((255, 255, 255), (255, 0, 0), (1, 2, 3))
    """
    from PIL import ImageColor

    parts = given
    if isinstance(given, str) and "," in given:
        parts = [int(part) if part.strip().isdecimal() else -1 for part in given.strip("()[] ").split(",")]
    try:
        red, green, blue = ImageColor.getrgb(parts)[:3] if isinstance(parts, str) else parts
        if all(0 <= part <= 255 and int(part) == part for part in (red, green, blue)):
            return int(red), int(green), int(blue)
    except (ValueError, TypeError):
        pass
    raise UserError(
        f"data.background is {str(given)[:40]!r}: it must be the name of a color, such as 'white', or red, green and "
        "blue from 0 to 255, such as '255,0,0'."
    )


@functools.lru_cache(maxsize=1)
def formats() -> tuple[str, ...]:
    """Lists the formats that are opened: Pillow's own, and HEIF where the package pillow-heif is installed."""
    from PIL import Image

    Image.init()
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    return tuple(name for name in (*FORMATS, *RARE_FORMATS, "HEIF") if name in Image.OPEN)


def open_image(data: bytes) -> "PILImage":
    """Opens an encoded image (first frame) without decoding its pixels yet.

    Raises:
      ValueError: with the reason, if it is empty, no image, or too large to decode safely.
    """
    from PIL import Image

    if not data:
        raise ValueError("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=formats())
    except Image.UnidentifiedImageError:
        raise ValueError("not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError("too many pixels, a decompression bomb?") from None
    # Pillow only warns up to twice its limit.
    if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise ValueError("too many pixels, a decompression bomb?")
    return image


def upright(image: "PILImage") -> "PILImage":
    """Turns an image as its EXIF orientation says."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def deep_values(image: "PILImage", data: bytes, turned: bool = True) -> np.ndarray | None:
    """Decodes pixel values of more than 8 bits as the file has them, `[H, W, 1, 3 or 4]`; None if the image has 8.

    Args:
      image: as `open_image` gives it, not decoded yet.
      data: the encoded image.
      turned: whether the EXIF orientation is applied.

    Raises:
      ValueError: for values below 0 or not finite.
      OSError, SyntaxError: from Pillow, for broken data.
    """
    turn = upright if turned else lambda same: same
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(turn(image))[..., None]
        if image.mode == "F" and not np.isfinite(values).all():
            raise ValueError("floating-point pixels that are not finite")
        if values.min() < 0:
            raise ValueError("pixel values below 0")
        return values
    modes = [_raw_mode(tile) for tile in getattr(image, "tile", ())]
    if modes == ["LA;16B"]:  # four bytes each, which Pillow also reads as those of RGBA
        pairs = np.asarray(turn(_in_raw_mode(data, "RGBA"))).astype(np.uint16)
        return (pairs[..., 0::2] * 256 + pairs[..., 1::2])[..., [0, 0, 0, 1]]
    if len(set(modes)) != 1 or modes[0] not in OTHER_BYTE:
        return None
    low = _in_raw_mode(data, OTHER_BYTE[modes[0]])
    return np.asarray(turn(image)).astype(np.uint16) * 256 + np.asarray(turn(low))


def _raw_mode(tile: Any) -> str:
    arguments = tile[3]
    return str(arguments if isinstance(arguments, str) else arguments[0] if arguments else "")


def _in_raw_mode(data: bytes, mode: str) -> "PILImage":
    """Opens an image with another rule for how its bytes make pixels."""
    image: Any = open_image(data)
    image.tile = [
        type(tile)(*tile[:3], mode if isinstance(tile[3], str) else (mode, *tile[3][1:])) for tile in image.tile
    ]
    return image


def white_of(largest: float) -> float:
    """Finds the value that stands for white in a set of images whose largest pixel value is this one.

    The largest value that 1, 8, 10, 12, 14 or 16 bits can hold, whichever is the first to reach it: the container's
    type says little, since cameras and microscopes store 10 or 12 bits in files of 16 or 32. For fractions up to 1: 1.

    Raises:
      UserError: it is larger than 16 bits can hold, or a fraction between 1 and 2.

    >>> white_of(1), white_of(200), white_of(3000), white_of(65535), white_of(0.7)
    (1, 255, 4095, 65535, 1)
    """
    if 1 < largest < 2:
        raise UserError(
            f"The images have fractional pixel values up to {largest:.6g}: set data.max_value to the value that is "
            "white, such as 1."
        )
    for bits in DEPTHS:
        if largest <= 2**bits - 1:
            return 2**bits - 1
    raise UserError(
        f"The images have pixel values up to {largest:.10g}, more than 16 bits hold: set data.max_value to the value "
        "that is white."
    )


def to_bytes(values: np.ndarray, white: float) -> np.ndarray:
    """Scales pixel values from 0 to `white` to uint8 from 0 to 255, rounded to the nearest; larger ones become 255."""
    if values.shape[-1] == 4:  # opacity always has the depth of the file
        opacity = values[..., 3:] if values.dtype == np.uint8 else (values[..., 3:] >> 8).astype(np.uint8)
        return np.concatenate([to_bytes(values[..., :3], white), opacity], axis=-1)
    if white == 65535 and values.dtype == np.uint16 and values.shape[-1] == 3:
        return (values >> 8).astype(np.uint8)  # as Pillow does
    if np.issubdtype(values.dtype, np.integer) and float(white).is_integer():
        whole = int(white)
        return np.minimum((values.astype(np.int64) * 255 + whole // 2) // whole, 255).astype(np.uint8)
    return np.minimum(np.floor(values * (255 / white) + 0.5), 255).astype(np.uint8)


def flatten(image: "PILImage", background: Color = WHITE, opacity: bool = False) -> np.ndarray:
    """Decodes an 8-bit image to uint8 `[H, W, 1]` if it is gray and to `[H, W, 3]` if not.

    Gray are Pillow's modes 1, L and LA. Transparent pixels are laid over the background; only a gray background
    leaves a gray image gray.

    Args:
      image: as `open_image` gives it.
      background: color behind transparent pixels.
      opacity: return `[H, W, 4]` instead, RGB and opacity; invisible pixels get the background's color.

    Raises:
      OSError, SyntaxError, ValueError: from Pillow, for broken data.
    """
    from PIL import Image

    gray = image.mode in ("1", "L", "LA")
    transparent = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    if opacity:
        pixels = np.array(_converted(image, "RGBA"))
        pixels[pixels[..., 3] == 0, :3] = background
        return pixels
    if transparent:
        rgba = _converted(image, "RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (*background, 255)), rgba)
        gray = gray and len(set(background)) == 1
    pixels = np.asarray(_converted(image, "L" if gray else "RGB"))
    return pixels[..., None] if gray else pixels


def _converted(image: "PILImage", mode: str) -> "PILImage":
    if image.mode == "La":  # premultiplied, which Pillow turns into nothing but LA
        image = image.convert("LA")
    return image.convert(mode)


def resize(pixels: np.ndarray, size: Size, fit: str = "crop", background: Color = WHITE) -> np.ndarray:
    """Brings `[H, W, C]` to `[*size, C]` by Lanczos resampling, antialiased; see `Form.fit`.

    uint8 stays uint8, and uint8 of four channels is RGB and opacity. float32 is resampled as it is and kept within the
    range it had.

    Raises:
      UserError: for float images that would have to be padded: no value of theirs is known to be the background.
    """
    height, width, channels = pixels.shape
    if (height, width) == size:
        return np.ascontiguousarray(pixels)
    if fit == "stretch":
        return _resample(pixels, size)
    if fit == "crop":
        top, left, inner_height, inner_width = _largest((height, width), size)
        return _resample(pixels[top : top + inner_height, left : left + inner_width], size)
    if pixels.dtype != np.uint8:
        raise UserError("data.fit is 'pad', but the images are floats without a background: set it to crop or stretch.")
    top, left, inner_height, inner_width = _largest(size, (height, width))
    padded = np.empty((*size, channels), np.uint8)
    border: tuple[int, ...] = (_luma(background),) * channels
    if channels > 2:
        border = (*background, 0)[:channels]
    padded[:] = border
    inner = _resample(pixels, (inner_height, inner_width))
    padded[top : top + inner_height, left : left + inner_width] = inner
    return padded


def _luma(color: Color) -> int:
    return int(with_channels(np.array(color, np.uint8).reshape(1, 1, 3), 1).item())


def _largest(outer: Size, inner: Size) -> tuple[int, int, int, int]:
    """Finds top, left, height and width of the largest centered box in `outer` with the proportions of `inner`."""
    (outer_height, outer_width), (inner_height, inner_width) = outer, inner
    if outer_height * inner_width <= outer_width * inner_height:  # the height decides
        height, width = outer_height, max(1, round(outer_height * inner_width / inner_height))
    else:
        height, width = max(1, round(outer_width * inner_height / inner_width)), outer_width
    return (outer_height - height) // 2, (outer_width - width) // 2, height, width


def _resample(pixels: np.ndarray, size: Size) -> np.ndarray:
    from PIL import Image

    height, width, channels = pixels.shape
    pixels = np.ascontiguousarray(pixels)
    if (height, width) == size:
        return pixels

    def scaled(plane: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(plane))
        return np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS))

    # Pillow resamples channels independently, so RGB in one call is only the faster way; colors of RGBA it weighs by
    # their opacity, so that those of invisible pixels do not show at edges.
    if channels in (3, 4) and pixels.dtype == np.uint8:
        return scaled(pixels)
    out = np.stack([scaled(plane) for plane in np.moveaxis(pixels, -1, 0)], axis=-1)
    if out.dtype == np.uint8:
        return out
    return np.clip(out, pixels.min(), pixels.max())  # Lanczos overshoots at edges


def lost_by_cropping(height: np.ndarray, width: np.ndarray, size: Size) -> np.ndarray:
    """Computes the share of the pixels that cropping to the proportions of `size` cuts off, float `[N]`.

    >>> lost_by_cropping(np.array([10, 10]), np.array([20, 10]), (8, 8)).tolist()
    [0.5, 0.0]
    """
    kept = np.minimum(width * size[0], height * size[1]) / np.maximum(width * size[0], height * size[1])
    return 1 - kept


def resize_all(images: np.ndarray, form: Form) -> np.ndarray:
    """Resizes `[N, H, W, C]`; without a size, or with the one they have, returns the very same array."""
    if form.size is None or images.shape[1:3] == form.size:
        return images
    out = np.empty((len(images), *form.size, images.shape[-1]), images.dtype)
    for i, pixels in enumerate(images):
        out[i] = resize(pixels, form.size, form.fit, form.background)
    return out


def with_channels(pixels: np.ndarray, channels: int, background: Color = WHITE) -> np.ndarray:
    """Converts uint8 `[..., 1, 3 or 4]` to `[..., channels]`: gray is repeated, color becomes luma.

    Opacity is laid over the background where it is not wanted, and is 255 where there was none.
    """
    from PIL import Image

    if pixels.shape[-1] == channels:
        return pixels
    if pixels.shape[-1] == 4:
        weight = pixels[..., 3:].astype(np.int32)
        over = pixels[..., :3] * weight + np.array(background, np.int32) * (255 - weight)
        return with_channels(((over + 127) // 255).astype(np.uint8), channels)
    if channels == 4:
        opaque = np.full((*pixels.shape[:-1], 1), 255, np.uint8)
        return np.concatenate([with_channels(pixels, 3), opaque], axis=-1)
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    rows = pixels.reshape(-1, pixels.shape[-2], 3)  # Pillow's images have two axes beside the channels
    return np.asarray(Image.fromarray(rows).convert("L")).reshape(*pixels.shape[:-1], 1)
