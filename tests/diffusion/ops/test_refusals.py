"""No argument, however wrong, reads memory that is not its own: every bad call ends in an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dispr_cli.diffusion.ops import (
    attention_3d,
    convolution_3d,
    group_norm_silu,
    kernels_status,
    linear_rows,
    normal_noise,
    patch_projection,
)
from dispr_cli.errors import ConfigError

ROOT = Path(__file__).parents[3]


def test_spoilt_arguments_are_refused_and_nothing_crashes() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.diffusion.ops.refusals"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = run.stdout.splitlines()[-1] if run.stdout else "nothing printed"
    assert run.returncode == 0, f"exit {run.returncode} at: {last}\n{run.stderr[-2000:]}"
    refused = int(last.split()[0])
    assert refused > (1000 if kernels_status()["built"] else 400), last


def test_errors_say_what_was_found_and_what_was_expected() -> None:
    with pytest.raises(ConfigError, match=r"linear_rows: weight has shape \(3, 8\), expected \(3, 64\)\."):
        linear_rows(torch.ones(2, 64), torch.ones(3, 8))
    with pytest.raises(ConfigError, match=r"convolution_3d: x has shape \(1, 4, 5, 5\), expected 5 axes\."):
        convolution_3d(torch.ones(1, 4, 5, 5), torch.ones(4, 4, 3, 3, 3))
    with pytest.raises(ConfigError, match=r"normal_noise: streams are torch\.int32 of shape \(2, 3\)"):
        normal_noise(torch.zeros(2, 3, dtype=torch.int32), 4)
    with pytest.raises(ConfigError, match=r"group_norm_silu: bias is torch\.int64, expected float32"):
        group_norm_silu(torch.ones(1, 4, 2), 2, torch.ones(4), torch.ones(4, dtype=torch.int64))
    with pytest.raises(ConfigError, match=r"patch_projection: weight is on meta, expected cpu, where x is\."):
        patch_projection(torch.ones(1, 1, 4, 4, 4), torch.ones(2, 64, device="meta"), gather=4)
    parameters = [torch.ones(shape) for shape in ((4,), (4,), (12, 4), (12,), (4, 4), (1,))]
    with pytest.raises(ConfigError, match=r"attention_3d: proj_bias has shape \(1,\), expected \(4,\)\."):
        attention_3d(torch.ones(1, 4, 2, 2, 2), 2, 2, *parameters)


def test_compiled_operators_refuse_by_themselves() -> None:
    if not kernels_status()["built"]:
        pytest.skip("the kernels are not built")
    with pytest.raises(RuntimeError, match=r"linear_rows: weight has shape \(3, 8\), expected \(3, 64\)"):
        torch.ops.dispr.linear_rows(torch.ones(2, 64), torch.ones(3, 8), None)
    with pytest.raises(RuntimeError, match="normal_noise: streams is of another type than int64"):
        torch.ops.dispr.normal_noise(torch.ones(2, 3), 4)
