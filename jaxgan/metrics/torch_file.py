"""Reads the named tensors that `torch.save` wrote, without PyTorch, and runs nothing that such a file asks for."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np

from jaxgan.errors import UserError

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # at the start of files from before PyTorch 1.6
ZIP = b"PK\x03\x04"  # at the start of later ones
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Storage(NamedTuple):
    """A run of numbers, which are elsewhere in the file."""

    dtype: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and stride count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _StandIn:
    """Stands in for a function that a file names, because a pickle may change whatever object it is handed.

    It has no attributes that could be set. Called, it notes down the arguments, and nothing else.
    """

    __slots__ = ()


class _DictStandIn(_StandIn):
    __slots__ = ()

    def __call__(self) -> Any:
        return OrderedDict()


class _TensorStandIn(_StandIn):
    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, stride: Any, *_gradient_and_hooks: Any) -> _Tensor:
        return _Tensor(storage, offset, shape, stride)


class _ParameterStandIn(_StandIn):
    __slots__ = ()

    def __call__(self, tensor: Any, *_gradient_and_hooks: Any) -> Any:
        return tensor


# Everything that a file may name: an ordered dict, two functions that build tensors, and types of numbers.
ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _DictStandIn(),
    ("torch._utils", "_rebuild_tensor_v2"): _TensorStandIn(),
    ("torch._utils", "_rebuild_parameter"): _ParameterStandIn(),
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Knows what `ALLOWED` names and nothing else, and gathers the storages that the pickle refers to."""

    def __init__(self, file: io.BytesIO, name: str):
        super().__init__(file)
        self.name = name
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            asked = f"{module}.{name}"
            raise UserError(
                f"{self.name} is refused, because it asks to run {asked[:80]}: "
                "a file of weights may hold nothing but named tensors (a state_dict)."
            )
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, length, *view = pid
        if kind != "storage" or dtype not in STORAGES.values() or any(view):
            raise ValueError("unknown reference to numbers")
        return self.storages.setdefault(key, _Storage(dtype, key, length))


def read_state_dict(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Reads the tensors of a `state_dict` that `torch.save` wrote, by name.

    Takes the zip format of PyTorch 1.6 and later, and the older format. Both consist of pickles, which can ask for any
    function to be run, and for any amount of memory: here they get inert stand-ins for the names in `ALLOWED`, and no
    more memory than a few times the size of the file.

    Args:
      data: the file's contents.
      name: what to call the file in errors.

    Returns:
      Read-only arrays; tensors that share numbers in the file share them here.

    Raises:
      UserError: the file asks for anything else, holds anything but named tensors, is damaged, or is no such file.
    """
    try:
        state, blobs = _read_zip(data, name) if data.startswith(ZIP) else _read_stream(data, name)
        if not isinstance(state, dict) or not all(
            isinstance(k, str) and isinstance(t, _Tensor) for k, t in dict.items(state)
        ):
            raise UserError(f"{name} must hold named tensors and nothing else (a state_dict).")
        return {key: _array(tensor, blobs) for key, tensor in dict.items(state)}
    except UserError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]
        raise UserError(f"{name} is damaged, or torch.save did not write it ({reason}).") from error


def _read_zip(data: bytes, name: str) -> tuple[Any, dict[str, bytes]]:
    """Reads one pickle, and a file for each storage."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        # torch.save compresses nothing: what would unpack to more than the file is no work of it.
        compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values())
        if compressed or sum(entry.file_size for entry in entries.values()) > len(data):
            raise ValueError("it declares more than it holds")
        (pickled,) = (entry for entry in entries if entry.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        if root + "byteorder" in entries and archive.read(root + "byteorder") != b"little":
            raise ValueError("its numbers are not little-endian")
        unpickler = _checked(io.BytesIO(archive.read(pickled)), name)
        state = unpickler.load()
        return state, {key: archive.read(f"{root}data/{key}") for key in unpickler.storages}


def _read_stream(data: bytes, name: str) -> tuple[Any, dict[str, bytes]]:
    """Reads five pickles: magic number, version, system, tensors, and keys of storages; then the storages' numbers."""
    file = io.BytesIO(data)
    magic, version, system = (_checked(file, name).load() for _ in range(3))
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError("it starts otherwise")
    if not system["little_endian"]:
        raise ValueError("its numbers are not little-endian")
    unpickler = _checked(file, name)
    state, keys, blobs = unpickler.load(), _checked(file, name).load(), {}
    for key in keys:
        (length,) = struct.unpack("<q", file.read(8))
        blobs[key] = file.read(length * np.dtype(unpickler.storages[key].dtype).itemsize)
    return state, blobs


def _checked(file: io.BytesIO, name: str) -> _Unpickler:
    """An unpickler for the pickle at the file's position, once it is known to declare no more than the file holds.

    The unpickler allocates whatever length and number of objects a pickle declares before it reads any; the scan of
    `pickletools` allocates nothing, and raises where a length is beyond the end of the file.
    """
    start = file.tell()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if "PUT" in opcode.name and int(argument or 0) > number:  # objects are numbered in order
            raise ValueError("it declares more objects than it holds")
    file.seek(start)
    return _Unpickler(file, name)


def _array(tensor: _Tensor, blobs: dict[str, bytes]) -> np.ndarray:
    """The numbers that a tensor views, after a check that it views no others; not copied."""
    storage, offset, shape, stride = tensor
    numbers = np.frombuffer(blobs[storage.key], storage.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if len(numbers) != storage.length or min((offset, *shape, *stride)) < 0 or math.prod(shape) > len(numbers):
        raise ValueError("a tensor has other numbers than it says")
    if math.prod(shape) and last >= len(numbers):
        raise ValueError("a tensor reaches beyond its numbers")
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)
