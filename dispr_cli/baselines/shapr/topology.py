"""SHAPR's topological loss: distance of persistence diagrams of predicted and true volumes.

Volumes are seen as cubical complexes, voxels being the top cells (sublevel sets of the occupancy). A feature
is born and dies at two voxels, whose values carry the gradient (Waibel, Atwell, Meier, Marr & Rieck, arXiv
2203.01703). Tunnels alone need gudhi (the extra ``topology``); components and voids are found here.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

from dispr_cli.baselines.shapr.cubical import component_pairs, void_pairs
from dispr_cli.errors import ConfigError

VOIDS = 2
"""Dimension of the published loss: enclosed voids. 0 are components, 1 are tunnels."""


def topological_loss(
    predicted: torch.Tensor,
    true: torch.Tensor,
    resolution: int = 16,
    dimension: int = VOIDS,
    order: float = 2.0,
) -> torch.Tensor:
    """Mean over cells of the Wasserstein distance between persistence diagrams.

    Parameters
    ----------
    predicted, true
        (N, 1, D, H, W) occupancy in [0, 1]; gradients flow into ``predicted``.
    resolution
        Side of the grid that volumes are reduced to (nearest voxel, as published); 0 leaves them as they are.
    dimension
        Of the topological features compared.
    order
        Exponent q of the Wasserstein distance; distances in a diagram are maximum norms.

    Raises
    ------
    ConfigError
        If tunnels are compared and gudhi is not installed.
    """
    if resolution:
        predicted, true = (F.interpolate(volume, size=(resolution,) * 3) for volume in (predicted, true))
    device = predicted.device
    # Diagrams are small: one copy to the CPU and back costs a GPU less than their many small operations.
    predicted, true = predicted.cpu(), true.cpu()
    distances = [
        diagram_distance(persistence_diagram(a, dimension), persistence_diagram(b, dimension), order)
        for a, b in zip(predicted[:, 0], true[:, 0], strict=True)
    ]
    return torch.stack(distances).mean().to(device)


def persistence_diagram(volume: torch.Tensor, dimension: int) -> torch.Tensor:
    """Births and deaths of the features of one dimension, as values of ``volume``.

    Parameters
    ----------
    volume
        (D, H, W).

    Returns
    -------
    (K, 2), differentiable; features that never die are left out.
    """
    values = volume.detach().cpu().double().numpy()
    pairs = _pairs(values, dimension)
    flat = volume.reshape(-1)
    return torch.stack([flat[torch.from_numpy(cells).to(flat.device)] for cells in pairs.T], dim=1)


def _pairs(values: NDArray[np.float64], dimension: int) -> NDArray[np.int64]:
    if dimension == VOIDS:
        return void_pairs(values)
    return component_pairs(values) if dimension == 0 else tunnel_pairs(values)


def tunnel_pairs(values: NDArray[np.float64], dimension: int = 1) -> NDArray[np.int64]:
    """Voxels at which features of sublevel sets are born and die, by gudhi; see :func:`persistence_diagram`.

    Raises
    ------
    ConfigError
        If gudhi is not installed.
    """
    try:
        from gudhi import CubicalComplex
    except ImportError as error:
        raise ConfigError(
            "the topological loss of tunnels (topology_dimension 1) needs gudhi, which is not installed: "
            "pip install '.[topology]' in dispr's folder, or compare components (0) or voids (2)"
        ) from error
    # Fortran order is how gudhi numbers the cells; transposing lets its indices be those of our flat array.
    cube = CubicalComplex(top_dimensional_cells=values.transpose(2, 1, 0))
    cube.persistence()
    regular, _ = cube.cofaces_of_persistence_pairs()
    if dimension >= len(regular) or len(regular[dimension]) == 0:
        return np.empty((0, 2), np.int64)
    pairs: NDArray[np.int64] = regular[dimension].astype(np.int64)
    return pairs


def diagram_distance(first: torch.Tensor, second: torch.Tensor, order: float) -> torch.Tensor:
    """Wasserstein distance of two diagrams: the best matching, where a point may go to the diagonal.

    Parameters
    ----------
    first, second
        (K, 2) and (L, 2).
    order
        q in (sum of distances^q)^(1/q).
    """
    k, n = len(first), len(first) + len(second)
    if n == 0:
        return first.sum()
    between = (first[:, None] - second[None]).abs().amax(2)  # (K, L)
    to_diagonal = [0.5 * (points[:, 1] - points[:, 0]).abs() for points in (first, second)]
    cost = np.zeros((n, n))
    cost[:k, : n - k] = between.detach().cpu().numpy() ** order
    cost[:k, n - k :] = to_diagonal[0].detach().cpu().numpy()[:, None] ** order
    cost[k:, : n - k] = to_diagonal[1].detach().cpu().numpy()[None] ** order
    rows, columns = linear_sum_assignment(cost)
    matched = (rows < k) & (columns < n - k)
    parts = [
        between[rows[matched], columns[matched]],
        to_diagonal[0][rows[(rows < k) & ~matched]],
        to_diagonal[1][columns[(columns < n - k) & ~matched]],
    ]
    total = (torch.cat(parts) ** order).sum()
    # The root has no finite slope at 0, where the diagrams agree.
    return total.clamp_min(1e-12) ** (1.0 / order)
