"""DISPR's network and diffusion agree with the public code to 1e-4 relative."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from dispr_cli.baselines.dispr2022.diffusion import Diffusion, linear_betas, make_schedule
from dispr_cli.baselines.dispr2022.unet import PublishedNetwork

PARITY = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "parity"

pytestmark = pytest.mark.skipif(
    not (PARITY / "dispr2022.npz").exists(), reason="the parity files (../shared/data/parity) are not here"
)

STEPS = (0, 1, 250, 999)
LOSS_STEPS = (0, 250, 999)


def synthetic(name: str, shape: list[int]) -> torch.Tensor:
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype("float32") * 0.05
    return torch.from_numpy(values + (1.0 if len(shape) == 1 and name.endswith("weight") else 0.0)).float()


@pytest.fixture(scope="module")
def keys() -> dict[str, list[int]]:
    return dict(json.loads((PARITY / "dispr2022_keys.json").read_text()))


@pytest.fixture(scope="module")
def known() -> dict[str, torch.Tensor]:
    with np.load(PARITY / "dispr2022.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def network(keys: dict[str, list[int]]) -> PublishedNetwork:
    network = PublishedNetwork()
    network.load_state_dict({name: synthetic(name, shape) for name, shape in keys.items()})
    return network.eval()


@pytest.fixture(scope="module")
def diffusion() -> Diffusion:
    return Diffusion(make_schedule())


def at(step: int) -> torch.Tensor:
    return torch.tensor([step])


def run(
    network: PublishedNetwork, known: dict[str, torch.Tensor], x: torch.Tensor, step: int
) -> torch.Tensor:
    with torch.inference_mode():
        return network(torch.cat([known["condition"], x], 1), at(step)).clone()


def agree(found: torch.Tensor, expected: torch.Tensor, scale: float | None = None) -> None:
    """1e-4 of each value; small ones to 3e-6 of the largest, which is what CPUs differ by in rounding."""
    scale = float(expected.abs().max()) if scale is None else scale
    torch.testing.assert_close(found.double(), expected.double(), rtol=1e-4, atol=3e-6 * scale)


def test_parameters_have_the_public_names_and_shapes(keys: dict[str, list[int]]) -> None:
    found = {name: list(tensor.shape) for name, tensor in PublishedNetwork().state_dict().items()}
    assert found == keys
    assert len(found) == 208


def test_schedule(known: dict[str, torch.Tensor]) -> None:
    schedule = make_schedule()
    np.testing.assert_allclose(linear_betas(), known["betas"], rtol=1e-12)
    np.testing.assert_allclose(schedule.signal, known["alphas_cumprod"], rtol=1e-12)
    np.testing.assert_allclose(schedule.posterior_variance, known["posterior_variance"], rtol=1e-12)


@pytest.mark.parametrize("step", STEPS)
def test_network_output(network: PublishedNetwork, known: dict[str, torch.Tensor], step: int) -> None:
    agree(run(network, known, known["x"], step), known[f"model_out_t{step}"])


@pytest.mark.parametrize("step", STEPS)
def test_prediction_and_ddim_step(
    network: PublishedNetwork, diffusion: Diffusion, known: dict[str, torch.Tensor], step: int
) -> None:
    x = known["x"]
    prediction = diffusion.predict(run(network, known, x, step), x, at(step))
    # x0 is a small difference of large numbers, up to 157 |x| at the last step.
    subtracted = float(x.abs().max() / diffusion.schedule.signal[step] ** 0.5)
    agree(prediction.x0, known[f"pred_xstart_t{step}"], scale=subtracted)
    agree(prediction.mean, known[f"mean_t{step}"])
    agree(prediction.log_variance, known[f"log_variance_t{step}"])
    agree(diffusion.ddim_step(prediction, x, at(step)), known[f"ddim_t{step}"])


@pytest.mark.parametrize("step", LOSS_STEPS)
def test_losses(
    network: PublishedNetwork, diffusion: Diffusion, known: dict[str, torch.Tensor], step: int
) -> None:
    x = diffusion.diffuse(known["x0"], at(step), known["noise"])
    output = run(network, known, x, step)
    loss = diffusion.loss(output, known["x0"], x, at(step), known["noise"])
    agree(loss.mse, known[f"loss_mse_t{step}"])
    agree(loss.bound, known[f"loss_vb_t{step}"])
    agree(loss.total, known[f"loss_loss_t{step}"])
