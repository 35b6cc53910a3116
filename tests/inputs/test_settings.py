import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.inputs.settings import InputSettings, plane_of, with_choice

pytestmark = pytest.mark.usefixtures("nothing_leaks")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("channel", -1, "channel is -1, expected a whole number from 0"),
        ("channel", 1.5, "channel is 1.5"),
        ("plane", True, "plane is True"),
        ("plane", "max", "plane is 'max', expected a whole number"),
        ("invert", 1, "invert is 1, expected True or False"),
        ("pixel_size_um", 0.0, "pixel_size_um is 0 um, expected 0.001 to 100"),
        ("pixel_size_um", float("nan"), "expected a length in micrometres"),
        ("pixel_size_um", "0.1", "expected a length in micrometres"),
        ("pixel_size_um", 500, "give the side of one pixel"),
        ("mask_from", "cellpose", "mask_from is 'cellpose', expected one of otsu"),
        ("labels", "all", "expected one of auto, single, components, values"),
        ("border", "cut", "expected one of keep, drop"),
        ("scale", "none", "expected one of auto, physical, fit"),
        ("grid_voxel_size_um", -0.1, "grid_voxel_size_um is -0.1 um"),
        ("min_cell_pixels", 0, "expected a whole number of at least 1"),
        ("max_pixels", 1e6, "max_pixels is 1000000.0, expected a whole number"),
    ],
)
def test_a_senseless_option_names_itself_and_what_is_expected(option, value, message):
    with pytest.raises(ConfigError) as caught:
        InputSettings(**{option: value})
    assert message in str(caught.value)


def test_defaults_are_valid():
    assert InputSettings().grid_voxel_size_um == 0.172


@pytest.mark.parametrize(
    ("text", "plane"), [("0", 0), (" 12 ", 12), ("middle", "middle"), ("Middle", "middle")]
)
def test_planes_in_words(text, plane):
    assert plane_of(text) == plane
    assert InputSettings(plane=plane_of(text)).plane == plane


@pytest.mark.parametrize("text", ["-1", "1.5", "all", "", "\u0663", "9" * 5000])
def test_what_is_no_plane(text):
    with pytest.raises(
        ConfigError, match=r"^plane is .*, expected a whole number from 0 upwards, or middle\.$"
    ):
        plane_of(text)


def test_a_projection_is_no_plane():
    with pytest.raises(ConfigError, match="a projection shows all planes at once"):
        plane_of("max")


def test_a_choice_for_one_image_leaves_the_rest():
    settings = InputSettings(plane=1, channel=2, invert=True)
    assert with_choice(settings, None, None) is settings
    assert with_choice(settings, 3, None) == InputSettings(plane=3, channel=2, invert=True)
    assert with_choice(settings, None, 0) == InputSettings(plane=1, channel=0, invert=True)
