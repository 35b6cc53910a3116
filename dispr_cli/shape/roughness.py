"""How rough a surface is: how far smoothing moves it, as a mesh (Humphrey) and as voxels (Gaussian)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED
from dispr_cli.shape.connectivity import outgoing_edges
from dispr_cli.shape.mesh import Mesh
from dispr_cli.shape.threshold import foreground

HUMPHREY_ALPHA, HUMPHREY_BETA, HUMPHREY_ITERATIONS = 0.1, 0.5, 10
BLUR_SIGMA = 2.0
BLUR_TRUNCATION = 4.0


def humphrey_roughness(mesh: Mesh) -> float:
    """Measure how far Humphrey's smoothing moves the vertices altogether.

    Parameters
    ----------
    mesh
        The surface.

    Returns
    -------
    float
        Frobenius norm of vertices minus smoothed vertices, in the mesh's unit; 0 for an empty mesh. It grows
        with the square root of the number of vertices.
    """
    return float(np.linalg.norm(mesh.vertices - humphrey_smoothed(mesh)))


def humphrey_smoothed(
    mesh: Mesh,
    alpha: float = HUMPHREY_ALPHA,
    beta: float = HUMPHREY_BETA,
    iterations: int = HUMPHREY_ITERATIONS,
) -> NDArray[np.float64]:
    """Smooth by Laplacian steps whose shrinking is pushed back (Vollmer, Mencl & Mueller 1999, HC algorithm).

    With L the mean over the ends of a vertex's directed edges, as in trimesh: q' = L q, b = q' - (alpha o +
    (1 - alpha) q), and the next q = q' - (beta b + (1 - beta) L b), where o are the first vertices.

    Parameters
    ----------
    mesh
        The surface.
    alpha
        Pull towards the first vertices; 0 for none.
    beta
        Share of a vertex's own push against its neighbours' mean push.
    iterations
        Number of steps.

    Returns
    -------
    ndarray
        (V, 3) smoothed vertices.
    """
    starts, ends = outgoing_edges(len(mesh.vertices), mesh.faces)
    return _smoothed(mesh.vertices, starts, ends, alpha, beta, iterations)


def gaussian_roughness(volume: NDArray[Any]) -> int:
    """Count the voxels that a Gaussian blur (sigma 2 voxels) and a threshold at one half change.

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool; taken as foreground or not. Beyond
        the grid its border voxels go on.

    Returns
    -------
    int
        Number of changed voxels.

    Raises
    ------
    CellError
        If the volume is not one of the three kinds.
    """
    inside = foreground(volume)
    radius = int(BLUR_TRUNCATION * BLUR_SIGMA + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / BLUR_SIGMA) ** 2)
    cropped = _cropped(inside)
    blurred = _blurred(cropped, weights / (weights[0] + 2 * weights[1:].sum()))
    return int(np.count_nonzero((blurred > 0.5) != cropped))


def boundary_voxels(volume: NDArray[Any]) -> int:
    """Count the foreground voxels with a background voxel among their 26 neighbours within the grid.

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.

    Returns
    -------
    int
        Number of voxels.

    Raises
    ------
    CellError
        If the volume is not one of the three kinds.
    """
    inside = foreground(volume)
    eroded = inside.copy()
    for axis in range(3):
        before = np.moveaxis(eroded.copy(), axis, 0)
        after = np.moveaxis(eroded, axis, 0)
        after[1:] &= before[:-1]
        after[:-1] &= before[1:]
    return int(np.count_nonzero(inside) - np.count_nonzero(eroded))


def _cropped(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cut out the foreground with one voxel around it.

    Beyond its bounding box less than half of the weights lies inside, so nothing changes there; and going on
    with the one background voxel is as good as having them all.
    """
    slices = []
    for axis in range(3):
        hits = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        if len(hits) == 0:
            return inside[:1, :1, :1]
        slices.append(slice(max(int(hits[0]) - 1, 0), int(hits[-1]) + 2))
    return np.ascontiguousarray(inside[tuple(slices)])


@njit(**COMPILED)
def _blurred(inside: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve along z, y and x with symmetric weights, given from the centre outwards; borders go on."""
    depth, height, width = inside.shape
    source, target = np.empty((depth, height * width)), np.empty((depth, height * width))
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                source[z, y * width + x] = 1.0 if inside[z, y, x] else 0.0
    _blur_rows(source, target, weights)
    for z in range(depth):
        plane, other = target[z].reshape(height, width), source[z].reshape(height, width)
        _blur_rows(plane, other, weights)
        _blur_along_rows(other, plane, weights)
    return target.reshape(depth, height, width)


@njit(**COMPILED)
def _blur_rows(
    source: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> None:
    """Mix whole rows, that is, convolve (along, items) along its first axis."""
    along, items = source.shape
    for row in range(along):
        for item in range(items):
            target[row, item] = source[row, item] * weights[0]
        for step in range(1, len(weights)):
            before, after = max(row - step, 0), min(row + step, along - 1)
            for item in range(items):
                target[row, item] += (source[before, item] + source[after, item]) * weights[step]


@njit(**COMPILED)
def _blur_along_rows(
    source: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> None:
    """Convolve (rows, along) along its second axis, by way of a row with its ends drawn out."""
    rows, along = source.shape
    reach = len(weights) - 1
    drawn_out = np.empty(along + 2 * reach)
    for row in range(rows):
        for place in range(len(drawn_out)):
            drawn_out[place] = source[row, min(max(place - reach, 0), along - 1)]
        for place in range(along):
            target[row, place] = drawn_out[place + reach] * weights[0]
        for step in range(1, len(weights)):
            for place in range(along):
                pair = drawn_out[place + reach - step] + drawn_out[place + reach + step]
                target[row, place] += pair * weights[step]


@njit(**COMPILED)
def _smoothed(
    vertices: NDArray[np.float64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    alpha: float,
    beta: float,
    iterations: int,
) -> NDArray[np.float64]:
    # One row of numbers, three to a vertex, and unsigned places in it: twice as fast as rows of vertices.
    first, places = vertices.copy().reshape(-1), (3 * ends).astype(np.uint32)
    current, averaged, push = first.copy(), np.empty(len(first)), np.empty(len(first))
    for _ in range(iterations):
        for vertex in range(len(vertices)):
            means = _neighbour_means(current, places, starts[vertex], starts[vertex + 1])
            for axis in range(3):
                place = 3 * vertex + axis
                averaged[place] = means[axis]
                push[place] = means[axis] - (alpha * first[place] + (1.0 - alpha) * current[place])
        for vertex in range(len(vertices)):
            means = _neighbour_means(push, places, starts[vertex], starts[vertex + 1])
            for axis in range(3):
                place = 3 * vertex + axis
                current[place] = averaged[place] - (beta * push[place] + (1.0 - beta) * means[axis])
    return current.reshape(-1, 3)


@njit(**COMPILED)
def _neighbour_means(
    values: NDArray[np.float64], places: NDArray[np.uint32], start: int, stop: int
) -> tuple[float, float, float]:
    """Average the vertices at the places from start to stop; 0 if there are none."""
    z, y, x = 0.0, 0.0, 0.0
    for edge in range(start, stop):
        place = places[edge]
        z += values[place]
        y += values[place + np.uint32(1)]
        x += values[place + np.uint32(2)]
    share = 1.0 / max(stop - start, 1)
    return z * share, y * share, x * share
