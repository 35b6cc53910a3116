"""The plainest TIFF files are read without a decoder; whatever is read is what the decoder reads."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from benchmarks.faults import seeds
from benchmarks.faults.mutation import mutated
from dispr_cli.inputs import images
from dispr_cli.inputs.image_header import ImageHeader
from dispr_cli.inputs.images import read_header, read_plane
from dispr_cli.inputs.plain_tiff import read_plain_tiff
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.tiff import open_tiff

KINDS = ("u1", "u2", "u4", "i1", "i2", "i4", "f4")


FLAT = arrays.array_shapes(min_dims=2, max_dims=2)


def written(pixels: NDArray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{"photometric": "minisblack", **options})
    return file.getvalue()


def decoded(path: Path) -> tuple[ImageHeader, NDArray]:
    with open_tiff(path) as tiff:
        return tiff.header, tiff.read({axis: 0 for axis in tiff.header.axes if axis not in "YXS"})


def assert_same(found: tuple[ImageHeader, NDArray], wanted: tuple[ImageHeader, NDArray]) -> None:
    assert found[0] == wanted[0]
    assert found[1].dtype == wanted[1].dtype
    np.testing.assert_array_equal(found[1], wanted[1])


@given(
    pixels=st.sampled_from(KINDS).flatmap(
        lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=2, max_dims=2))
    ),
    rows=st.one_of(st.none(), st.integers(1, 9)),
    resolution=st.one_of(st.none(), st.tuples(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))),
    unit=st.sampled_from([None, "NONE", "INCH", "CENTIMETER"]),
    described=st.booleans(),
    order=st.sampled_from("<>"),
)
@settings(max_examples=150, deadline=None)
def test_what_is_read_is_what_the_decoder_reads(
    tmp_path_factory: pytest.TempPathFactory,
    pixels: NDArray,
    rows: int | None,
    resolution: tuple[float, float] | None,
    unit: str | None,
    described: bool,
    order: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.tif"
    options = {} if described else {"metadata": None, "software": False}
    data = written(
        pixels, rowsperstrip=rows, resolution=resolution, resolutionunit=unit, byteorder=order, **options
    )
    path.write_bytes(data)
    found = read_plain_tiff(path, data)
    assert found is not None
    assert_same(found, decoded(path))


@given(
    pixels=st.sampled_from(("u1", "u2", "f4")).flatmap(lambda kind: arrays.arrays(kind, FLAT)),
    resolution=st.one_of(st.none(), st.tuples(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))),
    metadata=st.fixed_dictionaries(
        {},
        optional={
            "unit": st.sampled_from(["um", "micron", "\\u00B5m", "cm", "pixel", "2", "light year"]),
            "min": st.sampled_from([-3.5, 0.0, 250.0, 1e-9]),
            "max": st.integers(0, 65535),
            "loop": st.booleans(),
            "spacing": st.floats(0.1, 2),
            "Info": st.just("a cell"),
        },
    ),
    order=st.sampled_from("<>"),
)
@settings(max_examples=150, deadline=None)
def test_planes_of_imagej_are_read_as_the_decoder_reads_them(
    tmp_path_factory: pytest.TempPathFactory,
    pixels: NDArray,
    resolution: tuple[float, float] | None,
    metadata: dict[str, object],
    order: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "imagej.tif"
    data = written(pixels, imagej=True, resolution=resolution, metadata=metadata, byteorder=order)
    path.write_bytes(data)
    found = read_plain_tiff(path, data)
    simple = {"unit", "max"}
    assert found is not None or metadata.keys() - simple or metadata.get("unit") in ("2", "light year")
    if found is not None:
        assert_same(found, decoded(path))


@pytest.mark.parametrize("text", [
    "ImageJ=1.53t\nunit=micron\nmin=0.0\nmax=255.0\n",
    "ImageJ=1.54f\nunit=\\u00B5m\nloop=false\nmin=3.0\nmax=200.0\n",
    "ImageJ=1.52a\nmin=0.0\nmax=0.0\n", "ImageJ=1.54p\n",
])  # fmt: skip
def test_what_fiji_says_of_a_plane_needs_no_decoder(text: str, tmp_path: Path) -> None:
    path, options = tmp_path / "fiji.tif", {"metadata": None, "software": False, "byteorder": ">"}
    data = written(seeds.grey(), description=text, resolution=(5.8, 5.8), resolutionunit=1, **options)
    path.write_bytes(data)
    found = read_plain_tiff(path, data)
    assert found is not None
    assert_same(found, decoded(path))
    assert (found[0].pixel_size is None) == ("unit" not in text)


@pytest.mark.parametrize("text", [
    "ImageJ=1.53t\nimages=3\nslices=3\n", "ImageJ=1.53t\nunit=micron\nunit=cm\n",
    "ImageJ=1.53t\nchannels=2\nimages=2\n",
    "ImageJ=1.53t\nunit=inch\nyunit=cm\n", "ImageJ\n", "SCIFIO=0.3\nunit=um\n",
])  # fmt: skip
def test_what_imagej_says_of_more_is_left_to_the_decoder(text: str) -> None:
    assert read_plain_tiff(Path("a"), written(seeds.grey(), description=text, metadata=None)) is None


@pytest.mark.parametrize(
    "data",
    [
        *seeds.tiffs()[2:-4], *seeds.tiffs()[-3:],  # the others are plain
        written(seeds.grey(), description="a cell"),
        written(seeds.grey(), software="MetaMorph"),
        written(seeds.grey(), photometric="miniswhite"),
        written(seeds.grey(), extratags=[(274, 3, 1, 3, True)]),
        written(seeds.grey(), extratags=[(33628, 4, 1, 3, True)]),
        written(seeds.grey().astype(np.float64)),
        written(seeds.grey().astype(np.uint64)),
        written(np.stack([seeds.grey()] * 2)),
        seeds.pngs()[0],
        b"II*\0",
    ],
)  # fmt: skip
def test_all_else_is_left_to_the_decoder(data: bytes) -> None:
    assert read_plain_tiff(Path("a.tif"), data) is None


def test_unsound_files_are_left_to_the_decoder_or_read_as_it_does(tmp_path: Path) -> None:
    sound = written(seeds.grey(), resolution=(25_400, 25_400), resolutionunit="INCH")
    imagej = written(seeds.grey(), imagej=True, resolution=(5.8, 5.8), metadata={"unit": "um"}, byteorder=">")
    path, chance, read = tmp_path / "a.tif", random.Random(7), 0
    for number in range(2000):
        data = mutated((sound, imagej)[number % 2], chance, seeds.tiffs()[0], text=False, head=300)
        found = read_plain_tiff(path, data)
        if found is not None and 0 not in found[0].shape:
            path.write_bytes(data)
            assert_same(found, decoded(path))
            read += 1
    assert read > 60


def test_both_ways_of_reading_go_through_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, pixels = tmp_path / "a.tif", seeds.grey()
    path.write_bytes(written(pixels))
    monkeypatch.setattr(images, "open_tiff", lambda *_: pytest.fail("decoded"))
    assert read_header(path, InputSettings()).shape == pixels.shape
    assert np.array_equal(read_plane(path, InputSettings())[1], pixels)


def test_numbers_that_lead_out_of_the_file() -> None:
    data = written(seeds.grey())
    at = data.index(struct.pack("<HHI", 273, 4, 1)) + 8
    for start in (len(data) - 5, 2**32 - 1):
        assert read_plain_tiff(Path("a"), data[:at] + struct.pack("<I", start) + data[at + 4 :]) is None
