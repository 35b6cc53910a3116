"""Every instruction set of this processor in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dispr_cli.diffusion.ops import kernels_status, library


@pytest.fixture(params=library.INSTRUCTION_SETS)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test with the kernels of each instruction set this processor has."""
    if not kernels_status()["built"]:
        pytest.skip("the kernels are not built")
    if not library.choose_instruction_set(request.param):
        pytest.skip(f"this processor or build has no {request.param}")
    yield request.param
    library.choose_instruction_set("")
