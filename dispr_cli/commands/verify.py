"""``dispr verify``: is everything in a store as it was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dispr_cli.commands.input_options import Masks
from dispr_cli.commands.options import Json, Quiet
from dispr_cli.commands.status import Store
from dispr_cli.errors import EXIT_BAD_INPUT, ConfigError

if TYPE_CHECKING:
    from dispr_cli.inputs.plan import CellRef
    from dispr_cli.volumes.store import VolumeStore
    from dispr_cli.volumes.verify import Verification

_SHOWN = 50


def verify(
    store: Store,
    weights: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option("--weights", help="Check that the store was made with this file of weights."),
    ] = None,
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--input", help="Check that its cells were made from these images and masks."),
    ] = None,
    masks: Masks = None,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Check a whole store: every checksum, the rows, the table, the attributes, the weights, the input.

    Ends with exit code 2 if anything is damaged, or weights or input are not those of the store, and says
    what to do; pending cells are no damage.
    """
    from dispr_cli.commands.following import Following
    from dispr_cli.volumes.store import open_store
    from dispr_cli.volumes.verify import verify_store

    if masks is not None and source is None:
        raise ConfigError("--masks says where the masks of --input are: give both")
    with Following("shards checked", quiet or json_output) as following:
        found = verify_store(store, following.show)
    opened = open_store(store)
    configuration = opened.configuration
    # What was given beside a store may be wrong though the store is sound.
    others = [*_of_weights(configuration, weights)]
    if source is not None and not found.damages:
        others += _of_input(opened, source, masks)
    found.notes += _notes_on_weights(configuration, weights)
    if json_output:
        typer.echo(json.dumps(_as_json(store, found, others)))
    else:
        _print(store, found, others)
    if found.damages or others:
        raise typer.Exit(EXIT_BAD_INPUT)


def _print(store: Path, found: Verification, others: list[str]) -> None:
    told = [("Note", note) for note in found.notes[:_SHOWN]]
    told += [("Damaged", str(damage)) for damage in found.damages[:_SHOWN]]
    told += [("Differs", text) for text in others[:_SHOWN]]
    for kind, text in told:
        typer.echo(f"{kind}: {text}", err=True)
    left = max(0, len(found.damages) - _SHOWN) + max(0, len(others) - _SHOWN)
    if left:
        typer.echo(f"... and {left} more, see --json", err=True)
    progress = found.progress
    if progress is not None:
        typer.echo(f"cells:   {progress.done} done, {progress.failed} failed, {progress.pending} pending")
        damaged = f", {found.shards_damaged} damaged" if found.shards_damaged else ""
        typer.echo(f"shards:  {found.shards_checked} of {found.num_shards} written and read whole{damaged}")
    if others:
        typer.echo("differs: the weights or the input given are not those the store was made from")
    typer.echo(f"{'damaged' if found.damages else 'intact'}:  {store}")


def _as_json(store: Path, found: Verification, others: list[str]) -> dict[str, Any]:
    progress = found.progress
    counts = {} if progress is None else {
        "done": progress.done, "failed": progress.failed, "pending": progress.pending
    }  # fmt: skip
    return {
        "store": str(store),
        "is_intact": not found.damages,
        "shards": found.num_shards,
        "shards_checked": found.shards_checked,
        "shards_damaged": found.shards_damaged,
        **counts,
        "damages": [str(damage) for damage in found.damages],
        "differs": others,
        "notes": found.notes,
    }


def _of_weights(configuration: Mapping[str, Any], weights: Path | None) -> Iterator[str]:
    if weights is None:
        return
    folds: Mapping[str, str] = configuration.get("held_out_weights") or {}
    if not folds:
        wanted = configuration.get("weights_sha256")
        if _digest(weights) != wanted:
            yield f"{weights}: did not make this store: expected the SHA-256 {wanted}. Give the right file."
    elif weights.is_dir():
        for name, wanted in folds.items():
            if _digest(weights / name) != wanted:
                yield f"{weights / name}: is not what drew its cells: expected the SHA-256 {wanted}."
    elif _digest(weights) not in folds.values():
        yield f"{weights}: is none of the {len(folds)} files that made this store. Give their folder."


def _of_input(store: VolumeStore, source: Path, masks: Path | None) -> Iterator[str]:
    """Compare the pixels that each finished cell was made from with those that are there."""
    from dispr_cli.inputs.packed import Packed
    from dispr_cli.inputs.plan import plan_cells
    from dispr_cli.inputs.settings import InputSettings
    from dispr_cli.scale.same_cells import changed_cells
    from dispr_cli.volumes.names import digest

    inputs = InputSettings.of_store(store.configuration)
    cells: Sequence[CellRef] = plan_cells(source, inputs, masks=masks).cells
    if digest(ref.name for ref in cells) != store.cells_sha256:
        # A store may hold some cells of its input only: those that its weights never saw.
        places = {ref.name: place for place, ref in enumerate(cells)}
        missing = [name for name in store.cells.names if name not in places]
        if missing:
            yield (
                f"{source}: lacks {len(missing)} cells of the store (first: {missing[0]!r}). Give the images "
                "and masks that it was made from (--masks, if these were elsewhere)."
            )
            return
        cells = Packed(cells[places[name]] for name in store.cells.names)
    for name in changed_cells(store, cells, range(store.grid.num_shards), inputs, read_all=True):
        yield f"{source}: cell {name!r} was made from another image or mask than this input holds."


def _notes_on_weights(configuration: Mapping[str, Any], weights: Path | None) -> Iterator[str]:
    wanted = configuration.get("weights_sha256")
    if weights is not None or wanted is None:
        return
    if folds := configuration.get("held_out_weights"):
        yield f"made with {len(folds)} networks, each on cells it never saw; --weights FOLDER checks them"
        return
    from dispr_cli.diffusion.checkpoint import DEFAULT_WEIGHTS

    if _digest(DEFAULT_WEIGHTS) != wanted:
        yield f"made with weights of SHA-256 {wanted}, not the shipped ones; --weights FILE checks a file"


def _digest(path: Path) -> str:
    from dispr_cli.errors import WeightsError

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: weights cannot be read ({error.strerror or error}).") from error
