"""What a folder is planned and read as."""

import pytest

from dispr_cli.errors import CellError, InputError
from dispr_cli.inputs.plan import plan_cells, read_cells
from dispr_cli.inputs.settings import InputSettings


def read_all(source, **settings):
    chosen = InputSettings(**settings)
    found = plan_cells(source, chosen)
    return {found.cells[i].name: cell for i, cell in read_cells(found.cells, chosen)}


def failures(source, **settings):
    return {n: str(c) for n, c in read_all(source, **settings).items() if isinstance(c, CellError)}


def only_message(source, **settings):
    with pytest.raises(InputError) as caught:
        plan_cells(source, InputSettings(**settings))
    return str(caught.value)
