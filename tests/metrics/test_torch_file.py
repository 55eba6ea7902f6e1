import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from support.torch_files import FORMATS, contiguous, pack, write

from jaxgan.errors import UserError
from jaxgan.metrics.torch_file import ALLOWED, read_state_dict

NUMBERS = np.arange(24, dtype=np.float32)
formats = pytest.mark.parametrize("format", FORMATS)


@formats
def test_tensors_come_back_as_views_say(format):
    views = {
        "a.weight": ((2, 3, 4), (12, 4, 1), 0),
        "b": ((3, 2), (1, 12), 5),
        "c": ((), (), 23),
        "d": ((0, 2), (2, 1), 9),
    }
    state = read_state_dict(write(views, NUMBERS, format), "w.pth")
    expected = {
        "a.weight": NUMBERS.reshape(2, 3, 4),
        "b": np.float32([[5, 17], [6, 18], [7, 19]]),
        "c": np.float32(23),
        "d": np.zeros((0, 2), np.float32),
    }
    assert list(state) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, strict=True)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_pytorch_are_read(zipped):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 2), torch.nn.BatchNorm2d(5))
    state = net.to(memory_format=torch.channels_last).state_dict(keep_vars=True)  # with Parameters and strides
    for dtype in (torch.float64, torch.float16, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        state[f"extra.{dtype}"] = torch.arange(-3, 5).to(dtype)[2:]
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    ours = read_state_dict(file.getvalue(), "w.pth")
    assert list(ours) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(ours[name], tensor.detach().numpy(), strict=True)


class Malicious:
    """Asks whoever unpickles it to run a command."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("format", [*FORMATS, "bare pickle"])
def test_a_file_that_asks_to_run_code_is_refused(format, tmp_path):
    target = tmp_path / "ran"
    pickled = pickle.dumps({"weight": Malicious(target)}, 2)
    pickle.loads(pickled)
    assert target.exists(), "the file would do no harm"
    target.unlink()
    data = pickled if format == "bare pickle" else pack(pickled, {}, format)
    with pytest.raises(UserError, match=r"^w\.pth is refused, because it asks to run posix\.system: .*state_dict\)\.$"):
        read_state_dict(data, "w.pth")
    assert not target.exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "builtins getattr", "torch load", "collections OrderedDict.fromkeys"]
)
@formats
def test_nothing_but_tensors_may_be_asked_for(format, name):
    with pytest.raises(UserError, match="asks to run"):
        read_state_dict(pack(b"\x80\x04V%b\nV%b\n\x93." % tuple(name.encode().split()), {}, format), "w.pth")


# BUILD sets attributes of an object, by a state or by slots: these would change a function's.
CHANGES = (b"}Vmark\nI1\nsb", b"N}V__defaults__\n(I1\nI2\nts\x86b", b"N}V__kwdefaults__\n}s\x86b")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["collections OrderedDict", "torch._utils _rebuild_tensor_v2"])
@formats
def test_a_file_cannot_change_what_it_is_handed(format, name, change):
    module, function = name.split()
    pickled = f"\x80\x02c{module}\n{function}\n".encode("latin-1") + change + b"."
    before = read_state_dict(write(contiguous({"a": (2, 3)}), NUMBERS, format), "w.pth")
    with pytest.raises(UserError, match=r"^w\.pth is damaged, or torch\.save did not write it \(.*attribute.*\)\.$"):
        read_state_dict(pack(pickled, {}, format), "w.pth")
    after = read_state_dict(write(contiguous({"a": (2, 3)}), NUMBERS, format), "w.pth")
    np.testing.assert_array_equal(after["a"], before["a"], strict=True)


def test_what_a_file_is_handed_cannot_be_changed():
    for stand_in in ALLOWED.values():
        for name in ("__defaults__", "__dict__", "anything"):
            with pytest.raises((AttributeError, TypeError)):
                setattr(stand_in, name, ())


@pytest.mark.parametrize(
    "declared",
    [
        b"}r" + (2**27).to_bytes(4, "little"),  # an object of that number
        b"}p%d\n" % 2**27,
        b"\x8e" + (2**31).to_bytes(8, "little"),  # bytes of that length
        b"\x96" + (2**31).to_bytes(8, "little"),
        b"\x8d" + (2**31).to_bytes(8, "little"),  # a text
        b"\x8b" + (2**31 - 1).to_bytes(4, "little"),  # an integer
        b"\x95" + (2**31).to_bytes(8, "little"),  # a frame
    ],
)
@formats
def test_a_file_that_declares_more_than_it_holds_takes_no_memory(format, declared):
    data = pack(b"\x80\x05" + declared + b".", {}, format)
    assert len(data) < 500
    tracemalloc.start()
    with pytest.raises(UserError, match=r"^w\.pth is damaged"):
        read_state_dict(data, "w.pth")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_a_zip_that_would_unpack_to_more_than_it_is_takes_no_memory():
    file = io.BytesIO()
    plain = zipfile.ZipFile(io.BytesIO(write(contiguous({"a": (2, 3)}), NUMBERS, "zip")))
    with plain, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name) if name != "any/data/7" else bytes(2**26))
    data = file.getvalue()
    assert len(data) < 100_000
    tracemalloc.start()
    with pytest.raises(UserError, match="declares more than it holds"):
        read_state_dict(data, "w.pth")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


@formats
def test_tensors_that_share_numbers_share_memory(format):
    """Else a small file of many views would take any amount."""
    views = {str(i): ((1000,), (1,), 0) for i in range(1000)}
    data = write(views, np.arange(1000), format)
    tracemalloc.start()
    state = read_state_dict(data, "w.pth")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(state) == 1000 and peak < 3e6  # 4 MB if each had its own


def test_long_names_are_cut_in_errors():
    asked = b"V" + b"x" * 10_000 + b"\n"
    with pytest.raises(UserError, match="asks to run") as found:
        read_state_dict(pack(b"\x80\x04" + asked + asked + b"\x93.", {}, "zip"), "w.pth")
    assert len(str(found.value)) < 300


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.999])
@formats
def test_a_truncated_file_is_refused(format, share):
    data = write(contiguous({"a": (2, 3), "b": (4, 6)}), NUMBERS, format)
    with pytest.raises(UserError, match=r"^w\.pth is damaged, or torch\.save did not write it \(.+\)\.$"):
        read_state_dict(data[: int(share * len(data))], "w.pth")


@pytest.mark.parametrize("data", [b"", b"no weights", pickle.dumps({"a": 1}), pickle.dumps([1])])
def test_other_files_are_refused(data):
    with pytest.raises(UserError, match=r"^w\.pth is damaged, or torch\.save did not write it"):
        read_state_dict(data, "w.pth")


@pytest.mark.parametrize("content", [{"a": 1}, {"state": {}}, [1], 3])
@formats
def test_contents_that_are_no_tensors_are_refused(format, content):
    with pytest.raises(UserError, match="must hold named tensors and nothing else"):
        read_state_dict(pack(pickle.dumps(content, 2), {}, format), "w.pth")


@pytest.mark.parametrize(
    "view",
    [((5, 5), (5, 1), 0), ((2,), (1,), 23), ((2,), (24,), 0), ((2,), (-1,), 5), ((1,), (1,), -1), ((99,), (0,), 0)],
)
@formats
def test_views_beyond_the_numbers_are_refused(format, view):
    with pytest.raises(UserError, match=r"damaged.*a tensor"):
        read_state_dict(write({"a": view}, NUMBERS, format), "w.pth")


@formats
def test_numbers_of_another_byte_order_are_refused(format):
    with pytest.raises(UserError, match="little-endian"):
        read_state_dict(write(contiguous({"a": (2, 3)}), NUMBERS, format, endian="big"), "w.pth")
