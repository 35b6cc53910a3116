import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs import fields
from dispr_cli.inputs.fields import FieldCache, read_field, read_labelling
from dispr_cli.inputs.settings import InputSettings

pytestmark = pytest.mark.usefixtures("nothing_leaks")


@pytest.fixture
def files(save, field):
    return save("a.tif", field[0]), save("a_mask.tif", field[1])


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded, in order."""
    names: list[str] = []
    real = fields.read_plane
    lock = threading.Lock()

    def counted(path, *rest):
        with lock:
            names.append(path.name)
        return real(path, *rest)

    monkeypatch.setattr(fields, "read_plane", counted)
    return names


def test_a_field_is_an_image_with_its_labels(files, field):
    found = read_field(*files, InputSettings())
    assert np.array_equal(found.image, field[0])
    assert np.array_equal(found.labelling.labels, field[1])


def test_without_a_mask_the_image_is_segmented(files, field):
    found = read_labelling(files[0], None, InputSettings(mask_from="otsu"))
    assert len(found.regions) == 4
    assert np.mean((found.labels > 0) == (field[1] > 0)) > 0.98


def test_sizes_that_differ_name_both(files, save, field):
    mask = save("b_mask.tif", field[1][:100])
    with pytest.raises(InputError, match=r"160 x 120 pixels, but its mask .*b_mask.tif has 160 x 100"):
        read_field(files[0], mask, InputSettings())


def test_many_cells_of_a_file_decode_it_once(files, decoded):
    cache = FieldCache(InputSettings())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cache.get(*files), range(40)))
    assert decoded == ["a.tif", "a_mask.tif"]
    assert all(one is found[0] for one in found)


def test_old_fields_are_let_go(save, field, decoded):
    pairs = [(save(f"{k}.tif", field[0]), save(f"{k}_mask.tif", field[1])) for k in range(3)]
    cache = FieldCache(InputSettings(), max_bytes=2 * (field[0].nbytes + field[1].nbytes))
    for k in (0, 1, 0, 2, 0, 1):  # 2 pushes out 1, the one not asked for longest
        cache.get(*pairs[k])
    assert decoded[::2] == ["0.tif", "1.tif", "2.tif", "1.tif"]


def test_a_field_larger_than_the_cache_is_still_shared(files, decoded):
    cache = FieldCache(InputSettings(), max_bytes=1)
    assert cache.get(*files) is cache.get(*files)


def test_damage_is_told_to_everyone_who_asks(files, decoded):
    files[0].write_bytes(files[0].read_bytes()[:2000])
    cache = FieldCache(InputSettings())
    for _ in range(2):
        with pytest.raises(InputError, match="damaged or truncated"):
            cache.get(*files)
    assert decoded == ["a.tif"]


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "i2", "i4", "f4", "f8"])
def test_inverted_images_have_their_order_turned_round(save, field, dtype):
    pixels = (field[1] > 0) if dtype == "?" else (field[0] // 5).astype(dtype)
    files = save("a.tif", pixels), save("a_mask.tif", field[1])
    plain = read_field(*files, InputSettings())
    turned = read_field(*files, InputSettings(invert=True))
    assert np.array_equal(plain.labelling.labels, turned.labelling.labels)
    total = plain.image.astype(float) + turned.image.astype(float)
    assert total.min() == total.max()


def test_dark_cells_are_segmented_when_said_so(save, field):
    path = save("a.tif", 3000 - field[0])
    with pytest.raises(
        InputError, match=r"a.tif: Otsu's threshold finds bright cells .* give --invert if the cells"
    ):
        read_labelling(path, None, InputSettings(mask_from="otsu"))
    found = read_labelling(path, None, InputSettings(mask_from="otsu", invert=True))
    assert len(found.regions) == 4
    assert np.mean((found.labels > 0) == (field[1] > 0)) > 0.98


def test_other_settings_are_another_field(files, decoded):
    cache = FieldCache(InputSettings())
    other = InputSettings(invert=True)
    assert cache.get(*files) is cache.get(*files, InputSettings())
    assert cache.get(*files, other) is cache.get(*files, other) is not cache.get(*files)
    assert decoded == ["a.tif", "a_mask.tif"] * 2
