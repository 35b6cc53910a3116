import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.inputs.settings import InputSettings

pytestmark = pytest.mark.usefixtures("nothing_leaks")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("channel", -1, "channel is -1, expected a whole number from 0"),
        ("channel", 1.5, "channel is 1.5"),
        ("plane", True, "plane is True"),
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
