"""Detail is brought out between two steps, and a shape neither gains nor loses volume by it."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool3d, interpolate

from dispr_cli.diffusion.representation import to_field, to_share
from dispr_cli.diffusion.sharpening import BLOCK, sharpen

CLIP = 4.0


def ellipsoids(*semi_axes: tuple[float, float, float], size: int = 32) -> torch.Tensor:
    """Fields of about the distances to ellipsoids, (N, 1, size, size, size)."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(size) - (size - 1) / 2] * 3, indexing="ij"))
    fields = []
    for axes in semi_axes:
        radius = (grid / torch.tensor(axes).view(3, 1, 1, 1)).square().sum(0).sqrt()
        fields.append(to_field((1.0 - radius) * min(axes), CLIP))
    return torch.stack(fields)[:, None]


def undecided(field: torch.Tensor) -> torch.Tensor:
    """The same shapes with a field that stays near 0 around their surface, as where an estimate is unsure."""
    return field * (0.4 + 0.6 * field.abs())


def volumes(field: torch.Tensor) -> torch.Tensor:
    return to_share(field, CLIP).sum((1, 2, 3, 4))


def test_nothing_is_done_where_nothing_is_asked() -> None:
    field = ellipsoids((8.0, 10.0, 6.0))
    assert sharpen(field, 0.0, CLIP) is field


def test_a_field_goes_away_from_its_blurred_self() -> None:
    """Up to the volume it is unsharp masking, as PyTorch's own pooling and interpolation have it."""
    field = 0.2 * torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    blurred = interpolate(avg_pool3d(field, BLOCK), scale_factor=BLOCK, mode="trilinear")
    added = sharpen(field, 0.7, CLIP) - (field + 0.7 * (field - blurred))
    inner = (sharpen(field, 0.7, CLIP).abs() < 1.0) & ((added - added[:, :, :1, :1, :1]).abs() < 1.0)
    assert inner.float().mean() > 0.95
    for one, kept in zip(added, inner, strict=True):
        torch.testing.assert_close(one[kept], one[kept][:1].expand(int(kept.sum())), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_volumes_are_kept(amount: float) -> None:
    field = undecided(ellipsoids((10.0, 9.0, 4.0), (6.0, 12.0, 8.0), (11.0, 11.0, 11.0)))
    sharp = sharpen(field, amount, CLIP)
    blurred = interpolate(avg_pool3d(field, BLOCK), scale_factor=BLOCK, mode="trilinear")
    masked = volumes(field + amount * (field - blurred)) - volumes(field)
    assert ((volumes(sharp) - volumes(field)).abs() < 0.25 * masked.abs()).all()


def test_what_wavers_over_a_few_voxels_is_brought_out() -> None:
    """A ripple of six voxels on a wide slope grows by about the amount; the slope stays."""
    z = torch.arange(32.0) - 15.5
    slope, ripple = z / 40.0, 0.05 * torch.sin(2.0 * torch.pi * torch.arange(32.0) / 6.0)
    field = (slope[:, None, None] + ripple).expand(1, 1, 32, 32, 32).contiguous()
    added = (sharpen(field, 1.0, CLIP) - field)[0, 0, 6:-6, 16, 6:-6]
    grown = (added * ripple[6:-6]).sum() / (ripple[6:-6].square().sum() * len(added))
    assert 0.6 < float(grown) < 1.1
    assert added.mean(1).abs().max() < 0.02


def test_what_is_decided_everywhere_stays_within_bounds() -> None:
    field = ellipsoids((10.0, 9.0, 4.0))
    sharp = sharpen(field, 3.0, CLIP)
    assert sharp.min() >= -1.0
    assert sharp.max() <= 1.0
    assert torch.equal(sharp[field == -1.0], field[field == -1.0])


@pytest.mark.parametrize("value", [-1.0, 1.0, 0.0])
def test_fields_without_a_surface_stay_as_they_are(value: float) -> None:
    field = torch.full((1, 1, 16, 16, 16), value)
    torch.testing.assert_close(sharpen(field, 1.0, CLIP), field)


def test_each_volume_is_on_its_own_and_threads_change_no_bit() -> None:
    fields = torch.cat([undecided(ellipsoids((10.0, 9.0, 4.0), size=64)), torch.randn(3, 1, 64, 64, 64) / 3])
    together, before = sharpen(fields, 1.0, CLIP), torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            for number in range(len(fields)):
                alone = sharpen(fields[number : number + 1], 1.0, CLIP)
                assert torch.equal(alone, together[number : number + 1])
    finally:
        torch.set_num_threads(before)
