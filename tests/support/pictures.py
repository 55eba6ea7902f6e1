"""Small image files for tests of data."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(seed: int, height: int = 12, width: int = 12, channels: int = 3) -> np.ndarray:
    """Random uint8 pixels."""
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


def save(path: Path, array: np.ndarray, **options) -> Path:
    """Writes an image file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(path, **options)
    return path


def tree(root: Path, *names: str) -> Path:
    """Makes files: an image of its own where a name ends in .png, an empty folder for "/", else a text."""
    for seed, name in enumerate(names):
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        elif name.endswith(".png"):
            save(path, pixels(seed))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("not an image")
    return root


def deep_png(values: np.ndarray) -> bytes:
    """Encodes uint16 [H, W, C] as PNG of 16 bits: gray, gray and opacity, RGB or RGBA, most of which Pillow cannot."""
    height, width, channels = values.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def deep_tiff(values: np.ndarray, order: str, compressed: bool) -> bytes:
    """Encodes uint16 [H, W, 3] as TIFF of 16-bit colors, in the byte order "<" or ">"."""
    height, width, channels = values.shape
    data = values.astype(f"{order}u2").tobytes()
    if compressed:
        data = zlib.compress(data)
    end = 8 + 2 + 9 * 12 + 4  # of header and directory; the numbers of bits follow, then the pixels
    entries = [
        (256, 1, width), (257, 1, height), (258, channels, end), (259, 1, 8 if compressed else 1), (262, 1, 2),
        (273, 1, end + 2 * channels), (277, 1, channels), (278, 1, height), (279, 1, len(data)),
    ]  # fmt: skip
    directory = b"".join(
        struct.pack(f"{order}HHII", tag, 3 if tag == 258 else 4, count, value) for tag, count, value in entries
    )
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, len(entries))
    return start + directory + bytes(4) + struct.pack(f"{order}{channels}H", *[16] * channels) + data
