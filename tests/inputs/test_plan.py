import gc
import os
import pickle
import threading
import tracemalloc

import numpy as np
import pytest
import tifffile

from dispr_cli.inputs import fields
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import plan_cells, read_cell, read_cells
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.planned import only_message, read_all

pytestmark = pytest.mark.usefixtures("nothing_leaks")


def test_a_folder_of_crops(pairs, crop):
    source = pairs("c2", "c1")
    found = plan_cells(source)
    assert [ref.name for ref in found.cells] == ["c1", "c2"]
    assert found.left_out == []
    assert found.voxel_size_um is None
    cell = read_cell(found.cells[0])
    assert cell.name == "c1"
    assert cell.source == source / "image" / "c1.tif"
    assert cell.label is None
    assert cell.truth is None
    assert cell.voxel_size_um is None
    assert np.array_equal(cell.mask, crop[1] > 0)
    assert cell.bounding_box == found.cells[0].bounding_box == (12, 10, 53, 51)


def test_a_field_of_view(save, field, tmp_path):
    save("f.tif", field[0])
    save("f_masks.tif", field[1])
    cells = read_all(tmp_path, pixel_size_um=0.15)
    assert list(cells) == ["f#2", "f#3", "f#7", "f#40"]
    assert [cell.label for cell in cells.values()] == [2, 3, 7, 40]
    assert [cell.touches_border for cell in cells.values()] == [False, False, False, True]
    assert all(cell.voxel_size_um == 0.172 for cell in cells.values())


def test_cut_cells_are_dropped_and_said(save, field, tmp_path):
    save("f.tif", field[0])
    save("f_masks.tif", field[1])
    found = plan_cells(tmp_path, InputSettings(border="drop"))
    assert [ref.name for ref in found.cells] == ["f#2", "f#3", "f#7"]
    assert [(left.path.name, left.reason) for left in found.left_out] == [
        ("f_masks.tif", "label 40: cut by the border of the image")
    ]


def test_a_field_without_cells_is_left_out_and_no_failure(save, field, tmp_path):
    for name, labels in (("f", field[1]), ("g", np.zeros_like(field[1]))):
        save(f"{name}.tif", field[0])
        save(f"{name}_masks.tif", labels)
    found = plan_cells(tmp_path)
    assert [ref.name for ref in found.cells] == ["f#2", "f#3", "f#7", "f#40"]
    assert all(ref.problem is None for ref in found.cells)
    assert [(left.path.name, left.reason) for left in found.left_out] == [
        ("g_masks.tif", "no cells in this mask (all values are 0)")
    ]


def test_nothing_but_fields_without_cells(save, field, tmp_path):
    save("g.tif", field[0])
    save("g_masks.tif", np.zeros_like(field[1]))
    assert "every cell was left out (first g_masks.tif, no cells in this mask" in only_message(tmp_path)


def test_a_note_on_a_mask_stands_in_the_plan(save, field, tmp_path):
    save("f.tif", field[0])
    save("f_masks.tif", np.where(field[1] == 7, 2, field[1] > 0).astype(np.uint8))
    notes = plan_cells(tmp_path).notes
    assert [note.path.name for note in notes] == ["f_masks.tif"]
    assert "label 1 consists of 3 separate pieces" in notes[0].text


def test_nothing_but_cut_cells(save, field, tmp_path):
    save("f.tif", field[0])
    save("f_masks.tif", np.where(field[1] == 40, field[1], 0))
    assert "every cell was left out (first f_masks.tif, the cell: cut" in only_message(
        tmp_path, border="drop"
    )


def test_the_real_cells(rbc):
    found = plan_cells(rbc)
    assert len(found.cells) == 108
    assert found.left_out == []
    for ref, (index, cell) in zip(found.cells, read_cells(found.cells), strict=True):
        assert isinstance(cell, Cell)
        assert found.cells[index] == ref
        assert cell.truth == rbc / "obj" / f"{cell.name}.tif"
        assert np.array_equal(cell.mask, tifffile.imread(rbc / "mask" / f"{cell.name}.tif") > 127)


def test_the_fields_of_others(fov):
    cells = read_all(fov)
    assert len(cells) == 65 + 63 + 2 + 2
    assert all(isinstance(cell, Cell) for cell in cells.values())
    assert {name.split("#")[0] for name in cells} == {
        "bbbc007_A9 p5d (cropped 1)",
        "bbbc007_A9 p5d (cropped 2)",
        "blobs_blobs",
        "stardist_nuclei",
    }
    for cell in cells.values():
        y, x = np.nonzero(cell.mask)
        assert (y.min() + y.max(), x.min() + x.max()) == pytest.approx((63, 63), abs=4), cell.name


def test_nuclei_without_a_mask(fov):
    assert "--mask-from otsu" in only_message(fov / "hela-cells.tif")
    assert "say which with --channel 0 to 2" in only_message(fov / "hela-cells.tif", mask_from="otsu")
    cells = read_all(fov / "hela-cells.tif", mask_from="otsu", channel=2)
    assert len(cells) == 4
    for cell in cells.values():
        assert cell.voxel_size_um == 0.172
        assert 4 < 0.172 * np.sqrt(4 / np.pi * cell.mask.sum()) < 8


def test_pixel_size_of_option_manifest_and_file(save, field, tmp_path):
    save("f.tif", field[0], imagej=True, metadata={"unit": "um"}, resolution=(8, 8))
    save("f_masks.tif", field[1])
    (tmp_path / "list.csv").write_text("image,mask,pixel_size_um\nf.tif,f_masks.tif,0.1\n")
    sources = {None: ("ImageJ", 0.125), 0.07: ("option", 0.07)}
    for option, (source, um) in sources.items():
        size = plan_cells(tmp_path / "f.tif", InputSettings(pixel_size_um=option)).cells[0].pixel_size
        assert (size.source, size.x_um) == (source, um)
    size = plan_cells(tmp_path / "list.csv").cells[0].pixel_size
    assert (size.source, size.x_um) == ("manifest", 0.1)
    size = plan_cells(tmp_path / "list.csv", InputSettings(pixel_size_um=0.07)).cells[0].pixel_size
    assert size.source == "option"


def test_one_voxel_size_of_all_or_none(pairs, save, field):
    assert plan_cells(pairs("a")).voxel_size_um is None
    assert plan_cells(pairs("a"), InputSettings(pixel_size_um=0.173)).voxel_size_um == pytest.approx(0.173)
    save("cells/image/f.tif", field[0])
    save("cells/mask/f.tif", field[1])
    both = InputSettings(pixel_size_um=0.35)
    found = plan_cells(pairs(), both)
    assert found.voxel_size_um is None
    assert {ref.scaled for ref in found.cells} == {"physical", "fit"}
    assert plan_cells(pairs(), InputSettings(pixel_size_um=0.172)).voxel_size_um == 0.172


def test_a_labelled_image_has_no_single_truth(save, field, tmp_path):
    save("image/f.tif", field[0])
    save("mask/f.tif", field[1])
    save("obj/f.tif", np.zeros((64, 64, 64), np.uint8))
    assert all(ref.truth is None for ref in plan_cells(tmp_path).cells)


def test_names_are_unique_and_safe(save, crop, tmp_path):
    for name in ("a/b", "a_b", "a:b"):
        save(f"{name}.tif", crop[0])
        save(f"{name}_mask.tif", crop[1])
    names = [ref.name for ref in plan_cells(tmp_path).cells]
    assert sorted(names) == ["a_b", "a_b~2", "a_b~3"]


def test_references_are_small_and_picklable(save, field, tmp_path):
    save("f.tif", field[0])
    save("f_masks.tif", field[1])
    refs = plan_cells(tmp_path).cells
    data = pickle.dumps(refs[0])
    assert len(data) < 1500
    assert pickle.loads(data) == refs[0]
    assert np.array_equal(read_cell(pickle.loads(data)).image, read_cell(refs[0]).image)


@pytest.mark.parametrize("threads", [1, 4])
def test_order_and_bytes_do_not_depend_on_threads(pairs, save, field, threads):
    source = pairs("b", "a")
    save("cells/image/f.tif", field[0])
    save("cells/mask/f.tif", field[1])
    found = plan_cells(source, threads=threads)
    assert [ref.name for ref in found.cells] == ["a", "b", "f#2", "f#3", "f#7", "f#40"]
    cells = list(read_cells(found.cells, threads=threads, ahead=3))
    assert [index for index, _ in cells] == list(range(6))
    for (_, cell), ref in zip(cells, found.cells, strict=True):
        alone = read_cell(ref)
        assert np.array_equal(cell.image, alone.image)
        assert np.array_equal(cell.mask, alone.mask)


def test_some_cells_in_an_order_of_choice(pairs):
    found = plan_cells(pairs("a", "b", "c"))
    assert [(i, cell.name) for i, cell in read_cells(found.cells, indices=[2, 0])] == [(2, "c"), (0, "a")]
    assert list(read_cells(found.cells, indices=[])) == []


def test_a_field_is_decoded_once_for_all_its_cells(save, field, tmp_path, monkeypatch):
    save("f.tif", field[0])
    save("f_masks.tif", field[1])
    refs = plan_cells(tmp_path).cells
    decoded = []
    real = fields.read_plane
    monkeypatch.setattr(
        fields, "read_plane", lambda path, *rest: decoded.append(path.name) or real(path, *rest)
    )
    assert len(list(read_cells(refs))) == 4
    assert decoded == ["f.tif", "f_masks.tif"]


def test_planning_does_not_decode_images(pairs, monkeypatch):
    source = pairs("a", "b")
    decoded = []
    real = fields.read_plane
    monkeypatch.setattr(
        fields, "read_plane", lambda path, *rest: decoded.append(path.parent.name) or real(path, *rest)
    )
    plan_cells(source)
    assert set(decoded) == {"mask"}


def test_reading_stays_a_few_cells_ahead(pairs):
    refs = [*plan_cells(pairs("a", "b")).cells] * 20
    asked, before = [], threading.active_count()
    cells = read_cells(refs, indices=(asked.append(i) or i for i in range(40)), ahead=4)
    next(cells)
    assert asked == [0, 1, 2, 3]
    next(cells)
    assert asked == [0, 1, 2, 3, 4]
    cells.close()
    assert threading.active_count() < before + 10


def test_memory_does_not_grow_with_the_number_of_cells(pairs):
    found = plan_cells(pairs("a"))
    refs = [*found.cells] * 600

    def peak(count):
        tracemalloc.start()
        for _ in read_cells(refs[:count], ahead=8):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(600) < 1.5 * peak(100) + 100_000


def test_a_plan_of_many_files_keeps_little_in_memory(pairs):
    """A cell that was planned keeps two hundred bytes, of which most are names that pathlib remembers."""
    source = pairs("a")

    def planned(count):
        for part in ("image", "mask"):
            first = source / part / "a.tif"
            for number in range(count):
                os.link(first, source / part / f"b{number:05d}.tif")
        tracemalloc.start()
        found = plan_cells(source)
        gc.collect()  # Python keeps freed tuples for later until then.
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(found.cells) == count + 1
        for part in ("image", "mask"):
            for path in (source / part).glob("b*.tif"):
                path.unlink()
        return kept

    planned(10)
    assert planned(2000) < planned(200) + 200 * 1800


def test_each_row_of_a_manifest_has_its_plane_and_channel(save, crop, tmp_path):
    other = np.roll(crop[0], 3, axis=0)
    stack = np.stack([crop[0], other, crop[0]])
    save("z.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    save("c.tif", stack[:2], imagej=True, metadata={"axes": "CYX"})
    save("m.tif", crop[1])
    (tmp_path / "list.csv").write_text(
        "image,mask,name,plane,channel\nz.tif,m.tif,first,0,\nz.tif,m.tif,mid,middle,\nz.tif,m.tif,given,,\nc.tif,m.tif,c,0,1\n"
    )
    cells = read_all(tmp_path / "list.csv", plane=2)
    assert list(cells) == ["first", "mid", "given", "c"]
    assert np.array_equal(cells["first"].image, cells["given"].image)
    assert np.array_equal(cells["mid"].image, cells["c"].image)
    assert not np.array_equal(cells["mid"].image, cells["first"].image)
    assert "--plane 0 to 2 or middle" in plan_cells(tmp_path / "list.csv").cells[2].problem


def test_inverted_dark_cells_are_the_bright_ones(pairs, save, crop):
    source = pairs("a")
    save("dark/image/a.tif", 255 - crop[0])
    save("dark/mask/a.tif", crop[1])
    bright, dark = read_all(source)["a"], read_all(source.parent / "dark", invert=True)["a"]
    assert np.allclose(bright.image, dark.image, atol=1e-6)


def test_masks_of_another_place(save, field, tmp_path):
    save("cells/a.tif", field[0])
    path = save("elsewhere/x.png", field[1])
    for masks in (path, path.parent):
        found = plan_cells(tmp_path / "cells", masks=masks)
        assert [ref.name for ref in found.cells] == ["a#2", "a#3", "a#7", "a#40"]
        assert found.cells[0].mask == path
