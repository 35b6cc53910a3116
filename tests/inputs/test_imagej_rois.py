import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi
from skimage.draw import polygon

from dispr_cli.errors import InputError
from dispr_cli.inputs.imagej_rois import read_rois
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.planned import only_message

pytestmark = pytest.mark.usefixtures("nothing_leaks")

SHAPE = (120, 160)


def archive(*regions: ImagejRoi | bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for number, region in enumerate(regions):
            data = region if isinstance(region, bytes) else region.tobytes()
            writer.writestr(f"{number:04d}.roi", data)
    return file.getvalue()


@pytest.fixture
def save_rois(tmp_path):
    def write(*regions: ImagejRoi | bytes, name: str = "RoiSet.zip", **options):
        (tmp_path / name).write_bytes(archive(*regions, **options))
        return tmp_path / name

    return write


def outline(centre, radius, corners=40):
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.column_stack([centre[1] + radius * np.cos(angles), centre[0] + radius * np.sin(angles)])


def read(path, shape=SHAPE, **settings):
    return read_rois(path, shape, InputSettings(**settings))


def message_of(path, **settings):
    with pytest.raises(InputError) as caught:
        read(path, **settings)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def painted(corners, shape=SHAPE):
    """By another hand: corners lie between pixels in ImageJ, on their centres in scikit-image."""
    mask = np.zeros(shape, bool)
    mask[polygon(corners[:, 1] - 0.5, corners[:, 0] - 0.5, shape)] = True
    return mask


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_outlines_become_labels_in_their_order(save_rois, compression):
    corners = [outline((30, 30), 12.3), outline((40, 90), 14.7), outline((90, 155), 15.2)]
    regions = [ImagejRoi.frompoints(part.astype(np.float32)) for part in corners]
    labels, dropped = read(save_rois(*regions, compression=compression))
    assert dropped == []
    for label, part in enumerate(corners, start=1):
        assert np.array_equal(labels == label, painted(part.astype(np.float32).astype(float)))


@given(st.integers(0, 2**32 - 1))
def test_any_outline_is_painted_by_the_even_odd_rule(tmp_path_factory, seed):
    random = np.random.default_rng(seed)
    corners = random.uniform(-20, 180, (random.integers(3, 9), 2)).astype(np.float32)
    path = tmp_path_factory.mktemp("rois") / "RoiSet.zip"
    path.write_bytes(archive(ImagejRoi.frompoints(corners)))
    assert np.array_equal(read(path)[0] > 0, painted(corners.astype(float)))


def test_corners_in_whole_pixels_enclose_whole_pixels(save_rois):
    square = np.array([[10, 20], [15, 20], [15, 23], [10, 23]])
    expected = np.zeros(SHAPE, bool)
    expected[20:23, 10:15] = True
    rectangle = ImagejRoi(roitype=ROI_TYPE.RECT, top=20, left=10, bottom=23, right=15)
    for region in (ImagejRoi.frompoints(square), rectangle):
        assert np.array_equal(read(save_rois(region))[0] > 0, expected)


def test_an_oval(save_rois):
    labels, _ = read(save_rois(ImagejRoi(roitype=ROI_TYPE.OVAL, top=20, left=10, bottom=60, right=70)))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    inside = ((y - 40) / 20) ** 2 + ((x - 40) / 30) ** 2 < 1
    assert np.count_nonzero((labels > 0) != inside) < 0.02 * inside.sum()


def test_a_hole_in_a_region_stays_one(save_rois):
    outer, inner = ([[5, 5], [25, 5], [25, 25], [5, 25]], [[10, 10], [20, 10], [20, 20], [10, 20]])
    path = [value for ring in (outer, inner) for k, (x, y) in enumerate(ring) for value in (min(k, 1), x, y)]
    multi = np.array([*path[:12], 4, *path[12:], 4], np.float32)
    region = ImagejRoi(
        roitype=ROI_TYPE.RECT,
        top=5,
        left=5,
        bottom=25,
        right=25,
        shape_roi_size=len(multi),
        multi_coordinates=multi,
    )
    labels, _ = read(save_rois(region))
    assert np.count_nonzero(labels) == 400 - 100
    assert not labels[10:20, 10:20].any()


def test_what_cannot_be_seen_or_is_no_area_is_said(save_rois):
    seen = ImagejRoi.frompoints(outline((30, 30), 12))
    outside = ImagejRoi.frompoints(outline((300, 300), 12))
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1.0, y1=1.0, x2=9.0, y2=9.0)
    text = ImagejRoi(roitype=ROI_TYPE.RECT, subtype=ROI_SUBTYPE.ARROW, right=50, bottom=50)
    labels, dropped = read(save_rois(seen, outside, line, text))
    assert np.unique(labels).tolist() == [0, 1]
    assert dropped == [
        "2 region(s) that are no areas, or of other planes",
        "1 region(s) outside the image or under others",
    ]


def test_regions_of_several_planes_need_a_plane(save_rois):
    regions = [ImagejRoi.frompoints(outline((30, 30 + 40 * k), 12)) for k in range(3)]
    for k, region in enumerate(regions):
        region.position = k
    path = save_rois(*regions)
    assert "regions of 2 planes (1 to 2 as ImageJ counts); say which with --plane, from 0" in message_of(path)
    labels, dropped = read(path, plane=1)
    assert (labels[30, 30], labels[30, 70], labels[30, 110]) == (1, 0, 2)
    assert dropped == ["1 region(s) that are no areas, or of other planes"]
    assert read(save_rois(regions[1], regions[0]))[1] == []


@pytest.mark.parametrize("name", ["RoiSet.zip", "f_rois.zip", "f_RoiSet.zip"])
def test_a_folder_with_nothing_but_regions(save, save_rois, field, tmp_path, name):
    save("f.tif", field[0])
    circles = [((30, 30), 12), ((40, 90), 14), ((90, 60), 16)]
    save_rois(*(ImagejRoi.frompoints(outline(*circle)) for circle in circles), name=name)
    for source in (tmp_path, tmp_path / "f.tif"):
        found = plan_cells(source)
        assert [ref.name for ref in found.cells] == ["f#1", "f#2", "f#3"]
        assert found.cells[0].bounding_box == (18, 18, 42, 42)


def test_labels_win_over_regions_of_the_same_image(save, save_rois, field, tmp_path):
    save("f.tif", field[0])
    save("Label Image.tif", field[1])
    save_rois(ImagejRoi.frompoints(outline((30, 30), 12)))
    found = plan_cells(tmp_path)
    assert len(found.cells) == 4
    assert [(left.path.name, left.reason) for left in found.left_out] == [
        ("RoiSet.zip", "Label Image.tif is read for the same image")
    ]


def test_an_archive_of_any_name_may_be_named(save, save_rois, field, tmp_path):
    save("cells/f.tif", field[0])
    path = save_rois(ImagejRoi.frompoints(outline((30, 30), 12)), name="mine.zip")
    assert [ref.name for ref in plan_cells(tmp_path / "cells", masks=path).cells] == ["f"]


def test_unsound_archives_are_refused(save_rois, tmp_path, save, field):
    sound = ImagejRoi.frompoints(outline((30, 30), 12).astype(np.float32)).tobytes()
    cut = save_rois(sound)
    cut.write_bytes(cut.read_bytes()[:-30])
    assert "damaged or truncated (File is not a zip file)" in message_of(cut)
    assert "damaged or truncated" in message_of(save_rois(sound[:200]))
    assert "damaged or truncated (not an ImageJ ROI" in message_of(save_rois(b"x" * 100))
    assert "an archive without any ImageJ region" in message_of(save_rois())
    assert "compressed in a way that ImageJ does not write" in message_of(
        save_rois(sound, compression=zipfile.ZIP_LZMA)
    )
    nowhere = ImagejRoi.frompoints(outline((30, 30), 12).astype(np.float32))
    nowhere.subpixel_coordinates[3] = np.nan
    assert "region 1 has corners that are no numbers" in message_of(save_rois(nowhere))
    save("f.tif", field[0])
    assert "RoiSet.zip: region 1 has corners" in only_message(tmp_path)


def test_bombs_take_no_memory(save_rois):
    path = save_rois(b"Iout" + bytes(300_000_000))
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    assert "a region of more than 4,194,304 bytes" in message_of(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_an_outline_without_end_is_refused(save_rois):
    zigzag = np.column_stack([np.arange(40_000) % 150, (np.arange(40_000) % 2) * 110]).astype(np.float32)
    assert "runs to and fro without end" in message_of(save_rois(ImagejRoi.frompoints(zigzag)))


@given(st.data())
def test_damaged_regions_are_read_or_refused(tmp_path_factory, data):
    sound = bytearray(ImagejRoi.frompoints(outline((30, 30), 12).astype(np.float32)).tobytes())
    for _ in range(data.draw(st.integers(1, 6))):
        sound[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("rois") / "RoiSet.zip"
    path.write_bytes(archive(bytes(sound)))
    try:
        labels, _ = read(path)
    except InputError:
        return
    assert labels.max() <= 1
