from __future__ import annotations

import pytest
import torch

from dispr_cli.baselines.shapr.topology import diagram_distance, persistence_diagram, topological_loss

pytest.importorskip("gudhi", reason="gudhi (extra 'topology') is not installed")


def hollow_box(wall: float, inside: float, size: int = 7) -> torch.Tensor:
    volume = torch.zeros(size, size, size, dtype=torch.float64)
    volume[1:-1, 1:-1, 1:-1] = wall
    volume[2:-2, 2:-2, 2:-2] = inside
    return volume


def test_a_void_is_born_with_the_shell_and_dies_with_its_filling() -> None:
    # Sublevel sets: a bright kernel in a dark shell is enclosed once the shell is there.
    volume = torch.full((7, 7, 7), 0.9, dtype=torch.float64)
    volume[1:-1, 1:-1, 1:-1] = 0.2
    volume[3, 3, 3] = 0.7
    diagram = persistence_diagram(volume, 2)
    torch.testing.assert_close(diagram, torch.tensor([[0.2, 0.7]], dtype=torch.float64))


def test_components_and_asymmetric_positions() -> None:
    volume = torch.full((3, 4, 5), 1.0, dtype=torch.float64)
    volume[0, 1, 2], volume[2, 3, 4] = 0.1, 0.3
    # Two minima; the younger one dies where they meet, the elder never does.
    torch.testing.assert_close(
        persistence_diagram(volume, 0), torch.tensor([[0.3, 1.0]], dtype=torch.float64)
    )


def test_distances_of_small_diagrams_are_the_ones_done_by_hand() -> None:
    one = torch.tensor([[0.0, 1.0]])
    near = torch.tensor([[0.1, 0.8]])
    nothing = torch.empty(0, 2)
    assert diagram_distance(one, near, 2.0).item() == pytest.approx(0.2)
    assert diagram_distance(one, nothing, 2.0).item() == pytest.approx(0.5)
    # Far apart, both would rather go to the diagonal: sqrt(0.05² + 0.05²), not 0.7.
    apart = torch.tensor([[0.7, 0.8]])
    short = torch.tensor([[0.0, 0.1]])
    assert diagram_distance(short, apart, 2.0).item() == pytest.approx(0.05 * 2**0.5)
    both = torch.cat([one, short])
    assert diagram_distance(both, near, 1.0).item() == pytest.approx(0.2 + 0.05)
    assert diagram_distance(near, both, 1.0).item() == pytest.approx(0.2 + 0.05)


def test_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    predicted = torch.rand(2, 1, 6, 6, 6, dtype=torch.float64, requires_grad=True)
    true = torch.rand(2, 1, 6, 6, 6, dtype=torch.float64)
    for dimension in (0, 1, 2):
        assert torch.autograd.gradcheck(
            lambda x, d=dimension: topological_loss(x, true, 0, d), (predicted,), eps=1e-7, atol=1e-4
        )


def test_equal_volumes_cost_nothing_and_the_reduced_grid_is_used() -> None:
    torch.manual_seed(1)
    volume = torch.rand(1, 1, 12, 12, 12)
    assert topological_loss(volume, volume, 0).item() < 1e-5
    changed = volume.clone()
    changed[..., 1::2] = 0.5  # voxels that reduction to 6³ leaves out
    assert topological_loss(changed, volume, 6).item() < 1e-5 < topological_loss(changed, volume, 0).item()


def test_descent_on_the_loss_fills_a_hole() -> None:
    true = hollow_box(1.0, 1.0)[None, None]
    logits = (8.0 * (hollow_box(1.0, 0.4)[None, None] - 0.5)).requires_grad_()
    before = topological_loss(torch.sigmoid(logits), torch.sigmoid(8.0 * (true - 0.5)), 0, dimension=0)
    before.backward()
    with torch.no_grad():
        stepped = logits - 1.0 * logits.grad
    after = topological_loss(torch.sigmoid(stepped), torch.sigmoid(8.0 * (true - 0.5)), 0, dimension=0)
    assert after < before
