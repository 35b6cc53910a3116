import io
import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispr_cli.errors import InputError
from dispr_cli.inputs.cellpose_seg import read_cellpose_masks
from dispr_cli.inputs.images import read_plane
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings

pytestmark = pytest.mark.usefixtures("nothing_leaks")

FILE = Path("a_seg.npy")
MOST = 1_000_000


def seg(content: object) -> bytes:
    """What ``np.save`` makes of a dictionary, as Cellpose calls it."""
    file = io.BytesIO()
    np.save(file, content, allow_pickle=True)
    return file.getvalue()


def raw(stream: bytes) -> bytes:
    """The same beginning with any pickle behind it."""
    whole = seg({})
    return whole[: 10 + struct.unpack("<H", whole[8:10])[0]] + stream


def like_cellpose(masks: np.ndarray) -> dict[str, object]:
    """Everything that Cellpose's window saves beside the masks."""
    return {
        "outlines": masks * 0,
        "colors": np.zeros((9, 3), np.uint8),
        "masks": masks,
        "chan_choose": [0, 0],
        "img": np.random.default_rng(0).normal(size=masks.shape),
        "filename": Path("/data/plate/a.tif"),
        "flows": [np.zeros((4, *masks.shape), np.float32), [], None],
        "ismanual": np.zeros(9, bool),
        "manual_changes": [["2026-11-28, 10:00:00", "removed mask", [3]]],
        "model_path": 0,
        "diameter": np.float64(31.5),
        "ratio": 1.0,
        "text": "\u00fc",
    }


def read(data: bytes, most: int = MOST):
    return read_cellpose_masks(FILE, data, most)


def message_of(data: bytes, most: int = MOST) -> str:
    with pytest.raises(InputError) as caught:
        read(data, most)
    text = str(caught.value)
    assert text.startswith("a_seg.npy: ")
    assert "\n" not in text
    assert len(text) < 400
    return text


@pytest.mark.parametrize("dtype", ["u1", "u2", "<u4", ">u2", "i4", "i8", "f4", "?"])
@pytest.mark.parametrize("protocol", [3, 4])
def test_the_masks_are_those_that_were_saved(field, dtype, protocol):
    masks = field[1].astype(dtype)
    whole = np.empty((), object)
    whole[()] = like_cellpose(masks)
    header, found = read(raw(pickle.dumps(whole, protocol=protocol)))
    assert np.array_equal(found, masks)
    assert found.dtype == masks.dtype.newbyteorder("=")
    assert found.flags.owndata
    assert (header.axes, header.shape) == ("YX", masks.shape)
    assert np.array_equal(read(seg(like_cellpose(masks)))[1], masks)


def test_arrays_in_columns_and_names_of_old_numpy(field):
    data = seg({"masks": np.asfortranarray(field[1])})
    assert np.array_equal(read(data)[1], field[1])
    old = data.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
    assert len(old) < len(data)
    assert np.array_equal(read(_unframed(old))[1], field[1])


def _unframed(data: bytes) -> bytes:
    at = data.index(b"\x95")
    return data[:at] + data[at + 9 :]


def test_a_stack_needs_a_plane(tmp_path, field):
    path = tmp_path / "a_seg.npy"
    path.write_bytes(seg({"masks": np.stack([field[1] * 0, field[1]])}))
    with pytest.raises(
        InputError, match=r"holds 2 z planes \(Z=2, Y=120, X=160, uint16\); say which with --plane"
    ):
        read_plane(path, InputSettings(), "mask")
    assert np.array_equal(read_plane(path, InputSettings(plane=1), "mask")[1], field[1])


def test_a_folder_with_nothing_but_it(save, field, tmp_path):
    save("a.tif", field[0])
    (tmp_path / "a_seg.npy").write_bytes(seg(like_cellpose(field[1])))
    found = plan_cells(tmp_path)
    assert [ref.name for ref in found.cells] == ["a#2", "a#3", "a#7", "a#40"]
    assert found.left_out == []


class Call:
    """Pickles as a call."""

    def __init__(self, function: object, *args: object) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (Call(os.system, "touch trap"), "posix.system"),
        (Call(eval, "open('trap', 'w')"), "builtins.eval"),
        (Call(exec, "open('trap', 'w')"), "builtins.exec"),
        (Call(getattr, 1, "real"), "builtins.getattr"),
        (Call(np.load, "trap"), "numpy.load"),
        (Call(np.fromfile, "trap"), "numpy.fromfile"),
        (Call(np.lib.format.open_memmap, "trap"), "numpy.lib"),
        (Call(bytearray, 10**12), "builtins.bytearray"),
        (Path.cwd, "builtins.getattr"),
        (np.ma.masked_array([1]), "numpy.ma"),
        (io.BytesIO(), "_io.BytesIO"),
    ],
)
@pytest.mark.parametrize("where", ["beside", "masks", "root"])
def test_no_other_name_is_ever_looked_up(tmp_path, monkeypatch, field, thing, name, where):
    monkeypatch.chdir(tmp_path)
    content = {"beside": {"masks": field[1], "x": thing}, "masks": {"masks": thing}, "root": thing}[where]
    text = message_of(raw(pickle.dumps(content, protocol=4)))
    assert f"names {name}" in text
    assert "neither an array nor a number" in text
    assert not (tmp_path / "trap").exists()


def test_nothing_of_numpy_is_called_either(field, monkeypatch):
    """Marks stand for NumPy's own names too: an array of a terabyte is no more than a number."""
    whole = pickle.dumps(
        {"masks": field[1], "x": Call(np._core.multiarray._reconstruct, np.ndarray, (10**12,), b"b")}
    )
    assert np.array_equal(read(raw(whole))[1], field[1])


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.array([[1, "a"], [None, 2]], object), "its masks are no array of numbers"),
        (np.zeros((2, 2), "U3"), "its masks hold U3"),
        (np.zeros((2, 2), "c8"), "its masks hold c8"),
        (np.zeros((2, 2), "f4,i2"), "its masks hold V6"),
        (np.zeros((2, 2), "M8[s]"), "its masks hold M8"),
        ([np.zeros((2, 2))], "no single array (found list)"),
        (np.float64(3), "no single array (found numpy.scalar)"),
        (None, "no single array (found NoneType)"),
        (np.zeros(5, int), "have 1 axes, expected 2"),
        (np.zeros((1, 1, 2, 2), int), "have 4 axes"),
        (np.zeros((0, 5), int), "holds no image plane"),
        (np.zeros((1001, 1000), np.uint8), "1000 x 1001 pixels are more than the limit of 1,000,000"),
    ],
)
def test_what_is_no_mask_is_said(masks, message):
    assert message in message_of(seg({"masks": masks}))


def test_other_contents_are_said():
    assert "holds no masks (found: img, outlines)" in message_of(seg({"img": 1, "outlines": 2, 3: 4}))
    assert "holds list, expected the dictionary" in message_of(raw(pickle.dumps([{"masks": 1}])))
    assert "a NumPy array, not what Cellpose saves" in message_of(seg(np.zeros((3, 3))))
    assert "not a NumPy file" in message_of(b"II*\0" + b"x" * 50)


def test_shapes_that_do_not_fit_the_bytes_are_damage():
    data = seg({"masks": np.ones((7, 9), np.uint8)})
    assert data.count(b"K\x07K\x09\x86") == 1
    for lie in (
        b"K\x07K\x0a\x86",
        b"J\xff\xff\xff\x7fK\x09\x86",
        b"J\xff\xff\xff\xffK\x09\x86",
        b"\x8a\x09" + b"\x7f" * 9 + b"K\x09\x86",
    ):
        assert "damaged or truncated" in message_of(_unframed(data.replace(b"K\x07K\x09\x86", lie)))


BOMBS = {
    "bytes of a terabyte": b"\x80\x04\x8e" + struct.pack("<Q", 10**12) + b"x.",
    "a bytearray of a terabyte": b"\x80\x05\x96" + struct.pack("<Q", 10**12) + b"x.",
    "a text of a terabyte": b"\x80\x04\x8d" + struct.pack("<Q", 10**12) + b"x.",
    "a frame of a terabyte": b"\x80\x04\x95" + struct.pack("<Q", 10**12) + b"N.",
    "a number of two gigabytes": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "something remembered far out": b"\x80\x04Nr\xff\xff\xff\xff.",
    "lists of lists": b"\x80\x04]"
    + b"".join(b"q%c](" % k + b"h%c" % k * 9 + b"e" for k in range(1, 60))
    + b".",
    "a deep list": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a deep key": b"\x80\x04}" + b"N" + b"\x85" * 2_000_000 + b"Ns.",
    "deep keys": b"\x80\x04}(" + b"N" + b"\x85" * 2_000_000 + b"Nu.",
    "a class by number": b"\x80\x02\x82\x01.",
    "something persistent": b"\x80\x02Pabc\n.",
    "a class made anew": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "an old instance": b"\x80\x02(inumpy\nndarray\n.",
    "nothing": b"",
    "no end": b"\x80\x04N",
    "an unknown code": b"\x80\x04\xff.",
}


@pytest.mark.parametrize("stream", BOMBS.values(), ids=BOMBS)
def test_bombs_take_no_memory(stream):
    tracemalloc.start()
    text = message_of(raw(stream))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert any(
        part in text for part in ("damaged or truncated", "expected the dictionary", "no masks (found: noth")
    )
    assert peak < 100 * len(stream) + 1_000_000


def test_a_file_far_larger_than_any_picture_is_not_opened(tmp_path):
    path = tmp_path / "a_seg.npy"
    with path.open("wb") as file:
        file.truncate(256 * 1000 + 1)
    with pytest.raises(InputError, match=r"256,001 bytes are more than --max-pixels 1,000 allows for"):
        read_plane(path, InputSettings(max_pixels=1000), "mask")


def test_what_else_is_saved_is_not_copied(field):
    content = {"masks": field[1], "img": np.zeros((3000, 1000))}
    data = seg(content)
    tracemalloc.start()
    found = read(data)[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, field[1])
    assert peak < 1_000_000


@given(st.data())
def test_damaged_files_are_read_or_refused_in_a_sentence(data):
    sound = bytearray(seg(like_cellpose(np.eye(20, dtype=np.uint16))))
    for _ in range(data.draw(st.integers(1, 6))):
        sound[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    del sound[data.draw(st.integers(0, len(sound))) :]
    try:
        found = read(bytes(sound))[1]
    except InputError:
        return
    assert found.ndim in (2, 3)
    assert found.nbytes <= len(sound)
