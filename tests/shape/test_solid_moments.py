from __future__ import annotations

import numpy as np

from dispr_cli.shape.solid_moments import solid_moments


def test_moments_are_the_weighted_sums() -> None:
    occupancy = np.random.default_rng(0).random((5, 6, 7)).astype(np.float32)
    moments = solid_moments(occupancy)
    weights = occupancy.ravel().astype(float) / occupancy.sum(dtype=float)
    places = np.argwhere(np.ones(occupancy.shape))
    centred = places - weights @ places
    np.testing.assert_allclose(moments.centre, weights @ places, rtol=1e-9)
    np.testing.assert_allclose(moments.second, np.einsum("n,ni,nj->ij", weights, centred, centred), atol=1e-9)
    third = np.einsum("n,ni,nj,nk->ijk", weights, centred, centred, centred)
    np.testing.assert_allclose(moments.third, third, atol=1e-8)
    direction = np.array([0.6, 0.0, 0.8])
    assert np.isclose(moments.third_along(direction), weights @ (centred @ direction) ** 3)
