from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.inputs.images import read_header
from dispr_cli.inputs.pixel_size import (
    PixelSize,
    choose_pixel_size,
    pixel_size_from_imagej,
    pixel_size_from_ome,
    pixel_size_from_resolution,
    plane_spacing_from_ome,
    unit_in_um,
)
from dispr_cli.inputs.settings import InputSettings

pytestmark = pytest.mark.usefixtures("nothing_leaks")

PLANE = np.zeros((20, 30), np.uint8)


@pytest.mark.parametrize(
    ("unit", "um"),
    [
        ("µm", 1),
        ("μm", 1),
        ("\\u00B5m", 1),
        ("Âµm", 1),
        ("um", 1),
        ("micron", 1),
        ("Microns", 1),
        ("micrometer", 1),
        ("nm", 1e-3),
        ("mm", 1e3),
        ("cm", 1e4),
        ("Å", 1e-4),
        ("inch", 25400),
        ("pixel", None),
        ("pixels", None),
        ("reference frame", None),
        ("", None),
        (None, None),
    ],
)
def test_units_as_microscopes_write_them(unit, um):
    assert unit_in_um(unit) == um


def test_option_beats_manifest_beats_file():
    file = PixelSize(0.3, 0.3, "OME-XML")
    assert choose_pixel_size(0.1, 0.2, file) == PixelSize(0.1, 0.1, "option")
    assert choose_pixel_size(None, 0.2, file) == PixelSize(0.2, 0.2, "manifest")
    assert choose_pixel_size(None, None, file) is file
    assert choose_pixel_size(None, None, None) is None


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 600, 1200, 4800])
def test_the_density_of_a_screen_or_printer_is_no_pixel_size(dpi):
    assert pixel_size_from_resolution((dpi, dpi), 25_400.0, "TIFF resolution") is None
    assert pixel_size_from_imagej("inch", (dpi, dpi)) is None


def test_the_density_of_a_microscope_is_one():
    assert pixel_size_from_resolution((100_000, 50_000), 10_000.0, "TIFF resolution") == PixelSize(
        0.1, 0.2, "TIFF resolution"
    )


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('PhysicalSizeX="0.2" PhysicalSizeY="0.1"', (0.1, 0.2)),
        ('PhysicalSizeX="108" PhysicalSizeXUnit="nm"', (0.108, 0.108)),
        ('PhysicalSizeX="0.0002" PhysicalSizeXUnit="mm" PhysicalSizeY="0.2"', (0.2, 0.2)),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"', None),
        ('PhysicalSizeX="0"', None),
        ('PhysicalSizeX="nan"', None),
        ("", None),
    ],
)
def test_ome_xml(attributes, expected):
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels '
        f'SizeX="3" {attributes}/></Image></OME>'
    )
    found = pixel_size_from_ome(xml)
    assert (found and (found.y_um, found.x_um)) == (expected and pytest.approx(expected))


@pytest.mark.parametrize("xml", ["", "no xml", "<OME/>", "<OME><Pixels PhysicalSizeX='1'>"])
def test_broken_ome_xml_says_nothing(xml):
    assert pixel_size_from_ome(xml) is None


def test_an_ome_tiff_knows_its_pixel_size(save):
    meta = {"axes": "YX", "PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 65.0}
    path = save("a.ome.tif", PLANE, metadata={**meta, "PhysicalSizeYUnit": "nm"}, resolution=(7, 7))
    assert read_header(path, InputSettings()).pixel_size == PixelSize(0.065, 0.065, "OME-XML")


def ome_of(*sides_um: float) -> str:
    images = (
        f'<Image><Pixels PhysicalSizeX="{side}" PhysicalSizeZ="{3 * side}"/></Image>' for side in sides_um
    )
    return f"<OME>{''.join(images)}</OME>"


def test_each_image_of_an_ome_xml_has_its_own_size():
    xml = ome_of(0.1, 0.2)
    assert [pixel_size_from_ome(xml, image, 2).x_um for image in (0, 1)] == [0.1, 0.2]
    assert [plane_spacing_from_ome(xml, image, 2) for image in (0, 1)] == pytest.approx([0.3, 0.6])


@pytest.mark.parametrize("num_images", [1, 3])
def test_of_more_or_fewer_images_than_the_file_holds_only_a_common_size_counts(num_images):
    assert pixel_size_from_ome(ome_of(0.1, 0.2), 0, num_images) is None
    assert plane_spacing_from_ome(ome_of(0.1, 0.2), 0, num_images) is None
    assert pixel_size_from_ome(ome_of(0.1, 0.1), 0, num_images) == PixelSize(0.1, 0.1, "OME-XML")


@pytest.mark.parametrize(("plane", "side_um"), [(0, 0.5), (1, 0.125)])
def test_the_chosen_image_of_an_ome_tiff_has_its_own_size(tmp_path: Path, plane: int, side_um: float):
    path = tmp_path / "overview_and_cell.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for pixels, side in ((PLANE, 0.5), (PLANE[:9], 0.125)):
            meta = {"axes": "YX", "PhysicalSizeX": side, "PhysicalSizeY": side}
            tiff.write(pixels, photometric="minisblack", metadata=meta)
    found = read_header(path, InputSettings(plane=plane))
    assert (found.height, found.pixel_size) == ((20, 9)[plane], PixelSize(side_um, side_um, "OME-XML"))


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_an_imagej_tiff_knows_its_pixel_size(save, unit):
    path = save("a.tif", PLANE, imagej=True, metadata={"unit": unit}, resolution=(5, 10))
    assert read_header(path, InputSettings()).pixel_size == PixelSize(0.1, 0.2, "ImageJ")


def test_an_imagej_tiff_without_a_unit_does_not(save):
    path = save("a.tif", PLANE, imagej=True, resolution=(5, 10))
    assert read_header(path, InputSettings()).pixel_size is None


def test_tiff_resolution_counts_when_plausible(save):
    fine = save("fine.tif", PLANE, resolution=(1e5, 1e5), resolutionunit="CENTIMETER")
    assert read_header(fine, InputSettings()).pixel_size == PixelSize(0.1, 0.1, "TIFF resolution")
    screen = save("screen.tif", PLANE, resolution=(96, 96), resolutionunit="INCH")
    assert read_header(screen, InputSettings()).pixel_size is None


def test_the_imagej_sample_of_hela_cells(fov):
    found = read_header(fov / "hela-cells.tif", InputSettings(channel=0)).pixel_size
    assert found is not None
    assert found.source == "ImageJ"
    assert found.x_um == pytest.approx(0.0515, abs=1e-4)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_resolution_without_a_unit_says_nothing(save, compression):
    for unit, expected in (("NONE", None), ("INCH", PixelSize(1.0, 1.0, "TIFF resolution"))):
        path = save("a.tif", PLANE, resolution=(25_400, 25_400), resolutionunit=unit, compression=compression)
        assert read_header(path, InputSettings()).pixel_size == expected
