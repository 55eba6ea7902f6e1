"""Files as `torch.save` writes them, put together by hand, so that tests of their reader need no PyTorch."""

import io
import pickle
import struct
import zipfile

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
FORMATS = ("zip", "stream")


def write(tensors, numbers, format, **changes) -> bytes:
    """A file of views `{name: (shape, stride, offset)}` of one storage of float32."""
    body = b"ccollections\nOrderedDict\n)R("
    for name, (shape, stride, offset) in tensors.items():
        storage = [_text("storage"), b"ctorch\nFloatStorage\n", _text("7"), _text("cpu"), _number(len(numbers))]
        storage += [b"N"] if format == "stream" else []
        view = [_tuple(storage) + b"Q", _number(offset), _tuple(map(_number, shape)), _tuple(map(_number, stride))]
        body += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + _tuple([*view, b"\x89", b"N"]) + b"R"
    return pack(b"\x80\x02" + body + b"u.", {"7": numbers}, format, **changes)


def pack(pickled, storages, format, endian="little") -> bytes:
    """A file of a pickle and the storages that it refers to."""
    blobs = {key: np.asarray(numbers, "<f4").tobytes() for key, numbers in storages.items()}
    if format == "stream":
        head = [MAGIC, VERSION, {"little_endian": endian == "little"}]
        parts = [*(pickle.dumps(part, 2) for part in head), pickled, pickle.dumps(list(blobs), 2)]
        return b"".join(parts + [struct.pack("<q", len(blob) // 4) + blob for blob in blobs.values()])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("any/data.pkl", pickled)
        archive.writestr("any/byteorder", endian)
        for key, blob in blobs.items():
            archive.writestr(f"any/data/{key}", blob)
    return file.getvalue()


def contiguous(shapes) -> dict:
    """Views of those shapes, all from the start of the storage."""
    return {
        name: (shape, [int(np.prod(shape[i + 1 :])) for i in range(len(shape))], 0) for name, shape in shapes.items()
    }


def _text(text) -> bytes:
    return b"V" + text.encode() + b"\n"


def _number(number) -> bytes:
    return b"I%d\n" % number


def _tuple(items) -> bytes:
    return b"(" + b"".join(items) + b"t"
