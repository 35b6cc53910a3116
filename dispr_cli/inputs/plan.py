"""From a source to its cells: first the plan, cheap and complete, then one cell after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from dispr_cli.errors import CellError, DisprError, InputError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.crops import Scaled, crop_region, digest_of_crop, place_region
from dispr_cli.inputs.fields import Field, FieldCache, check_equal_sizes, read_field, read_labelling
from dispr_cli.inputs.images import read_header, read_plane
from dispr_cli.inputs.labels import Region
from dispr_cli.inputs.layouts import find_pairs
from dispr_cli.inputs.packed import Packed
from dispr_cli.inputs.pairing import LeftOut, Note, Pair
from dispr_cli.inputs.pixel_size import PixelSize, choose_pixel_size
from dispr_cli.inputs.reading_ahead import as_threads_pay, by_threads
from dispr_cli.inputs.settings import InputSettings, Plane, with_choice
from dispr_cli.inputs.stamps import stamp_of_files

_THREADS = 2
_PAIRS_AT_ONCE = 16
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class CellRef:
    """A cell that can be read: small and picklable.

    Attributes
    ----------
    name
        Unique in its plan; ``file`` or ``file#label``.
    image, mask, truth
        Its files; no mask where it is segmented from the image.
    region
        Where it is in the mask; None if that could not be read.
    label
        Its value in the label image; None where the mask holds a single cell.
    shape
        (height, width) of the image.
    pixel_size
        Of the image, with who says so; None if unknown.
    voxel_size_um
        Of the grid it will be read onto; None if unknown.
    voxel_size_px
        The same in pixels of the image.
    scaled
        How it will be laid on the grid, see :data:`dispr_cli.inputs.crops.Scaled`.
    stamp
        Which files these are, by name, size and time, before they were read.
    plane, channel
        Which of the image to read, where the manifest says so; else the settings count.
    problem
        Why it cannot be read, known from planning; it is counted as a failed cell.
    """

    name: str
    image: Path
    mask: Path | None
    truth: Path | None = None
    region: Region | None = None
    label: int | None = None
    shape: tuple[int, int] = (0, 0)
    pixel_size: PixelSize | None = None
    voxel_size_um: float | None = None
    voxel_size_px: float | None = None
    scaled: Scaled | None = None
    stamp: str = ""
    plane: Plane | None = None
    channel: int | None = None
    problem: str | None = None

    @property
    def bounding_box(self) -> tuple[int, int, int, int] | None:
        """(y0, x0, y1, x1) in pixels of the image, half open."""
        return None if self.region is None else self.region.bounding_box

    @property
    def touches_border(self) -> bool:
        """Whether the border of the image cuts the cell."""
        return self.region is not None and self.region.touches_border


@dataclass(frozen=True)
class Plan:
    """What a run will do: the cells in their final order, what is left out and why, and what to look at."""

    source: Path
    cells: Sequence[CellRef]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @cached_property
    def voxel_size_um(self) -> float | None:
        """The one voxel size of all readable cells; None if it is unknown or they differ."""
        sizes = {ref.voxel_size_um for ref in self.cells if ref.problem is None}
        return sizes.pop() if len(sizes) == 1 else None

    def cell(self, name: str) -> CellRef:
        """Find a cell by its name.

        Raises
        ------
        InputError
            If there is none.
        """
        for ref in self.cells:
            if ref.name == name:
                return ref
        some = ", ".join(ref.name for ref in self.cells[:5])
        raise InputError(f"{self.source}: has no cell {name!r}; there are {some} ...")


def plan_cells(
    source: Path,
    settings: InputSettings | None = None,
    threads: int = _THREADS,
    masks: Path | None = None,
) -> Plan:
    """Find all cells of a folder, a manifest or a file; masks are read, images are only looked at.

    Parameters
    ----------
    source
        A folder in one of the known layouts, a CSV manifest, or an image file.
    settings
        How to read; the defaults if None.
    threads
        Files looked at at the same time, where that pays.
    masks
        A file or a folder of masks; None if they are to be found by their names beside the images.

    Returns
    -------
    Plan
        The same for the same files, whatever the number of threads.

    Raises
    ------
    InputError
        If the source is missing or ambiguous, nothing in it pairs, or no cell can be read.
    """
    settings = settings or InputSettings()
    source = Path(source)
    pairing = find_pairs(source, settings, masks)
    left_out, notes = list(pairing.left_out), list(pairing.notes)

    def scan(pairs: Sequence[Pair]) -> list[_Scanned]:
        return [_scan(pair, settings) for pair in pairs]

    def found() -> Iterator[CellRef]:
        starts = range(0, len(pairing.pairs), _PAIRS_AT_ONCE)
        groups = (pairing.pairs[start : start + _PAIRS_AT_ONCE] for start in starts)
        for group in as_threads_pay(scan, groups, threads, ahead=8):
            for scanned in group:
                left_out.extend(scanned.left_out)
                notes.extend(scanned.notes)
                yield from scanned.cells

    # A hundred thousand cells must not take more memory than their shapes do.
    cells = Packed(_with_unique_names(found()))
    _check_some(source, cells, left_out)
    return Plan(source, cells, left_out, notes)


def read_cell(ref: CellRef, settings: InputSettings | None = None, cache: FieldCache | None = None) -> Cell:
    """Read one cell.

    Parameters
    ----------
    ref
        From a plan made with the same settings.
    settings
        How to read; the defaults if None.
    cache
        Of images read with the same settings, for whoever reads several cells of one.

    Raises
    ------
    CellError
        If this cell cannot be read; the reason names its file.
    """
    settings = settings or InputSettings()
    return _read(ref, settings, read_field if cache is None else cache.get)


def read_cells(
    refs: Sequence[CellRef],
    settings: InputSettings | None = None,
    indices: Iterable[int] | None = None,
    threads: int = _THREADS,
    ahead: int = 32,
    cache: FieldCache | None = None,
) -> Iterator[tuple[int, Cell | CellError]]:
    """Read cells in order, some ahead of the one that is asked for.

    Parameters
    ----------
    refs
        The cells of a plan made with the same settings.
    settings
        How to read; the defaults if None.
    indices
        Which of `refs`, in this order; all if None.
    threads
        Files decoded at the same time.
    ahead
        Cells held ready at most.
    cache
        Of images read with the same settings, for whoever reads several times from the same ones.

    Yields
    ------
    index, cell
        The position in `refs` and the cell, or why it could not be read.
    """
    settings = settings or InputSettings()
    get = (cache or FieldCache(settings)).get

    def read(index: int) -> tuple[int, Cell | CellError]:
        try:
            return index, _read(refs[index], settings, get)
        except CellError as error:
            return index, error

    yield from by_threads(read, range(len(refs)) if indices is None else indices, threads, ahead)


def _read(
    ref: CellRef, settings: InputSettings, get: Callable[[Path, Path | None, InputSettings], Field]
) -> Cell:
    if ref.problem is not None or ref.region is None:
        raise CellError(ref.problem or f"{ref.image}: its mask was not read.")
    try:
        found = get(ref.image, ref.mask, with_choice(settings, ref.plane, ref.channel))
        placement = place_region(
            ref.region, ref.label is None, ref.shape, ref.pixel_size, settings, ref.truth is not None
        )
        field = (found.image, found.labelling.labels, ref.region, placement)
        image, mask = crop_region(*field)
    except CellError as error:
        raise CellError(f"{ref.image}: {error}") from error
    except DisprError as error:
        raise CellError(str(error)) from error
    return Cell(
        ref.name,
        image,
        mask,
        placement.voxel_size_um,
        ref.image,
        ref.label,
        ref.region.bounding_box,
        ref.region.touches_border,
        ref.truth,
        digest_of_crop(*field),
    )


@dataclass(frozen=True, slots=True)
class _Scanned:
    """What one pair gives to a plan."""

    cells: list[CellRef]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def _scan(pair: Pair, settings: InputSettings) -> _Scanned:
    image = Path(pair.image)
    if pair.problem is not None:
        return _Scanned([CellRef(cell_name(pair.name), image, None, problem=pair.problem)])
    mask, truth = (None if text is None else Path(text) for text in (pair.mask, pair.truth))
    settings = with_choice(settings, pair.plane, pair.channel)
    stamp = stamp_of_files(image, mask, (pair.plane, pair.channel, pair.pixel_size_um))
    ref = CellRef(
        cell_name(pair.name), image, mask, truth, stamp=stamp, plane=pair.plane, channel=pair.channel
    )
    try:
        header = read_header(image, settings)
        if header.length("S") - header.has_alpha > 1 and settings.channel is None:
            read_plane(image, settings)  # only its values tell whether it is grey
        found = read_labelling(image, mask, settings)
        shape = (header.height, header.width)
        check_equal_sizes(image, shape, mask, found.labels.shape)
    except DisprError as error:
        return _Scanned([replace(ref, problem=str(error))])
    size = choose_pixel_size(settings.pixel_size_um, pair.pixel_size_um, header.pixel_size)
    ref = replace(ref, shape=shape, pixel_size=size)
    refs = [_place(ref, region, found.kind == "single", settings) for region in found.regions]
    file = mask or image
    left_out = [LeftOut(file, reason) for reason in found.dropped]
    return _Scanned(refs, left_out, [Note(file, text) for text in found.notes])


def _place(ref: CellRef, region: Region, alone: bool, settings: InputSettings) -> CellRef:
    if alone:
        ref = replace(ref, region=region)
    else:
        ref = replace(ref, region=region, label=region.label, name=f"{ref.name}#{region.label}", truth=None)
    try:
        placed = place_region(region, alone, ref.shape, ref.pixel_size, settings, ref.truth is not None)
    except CellError as error:
        return replace(ref, problem=f"{ref.image}: {error}")
    return replace(
        ref,
        voxel_size_um=placed.voxel_size_um,
        voxel_size_px=placed.voxel_size_px,
        scaled=placed.scaled,
    )


def cell_name(name: str) -> str:
    """Make a name that can stand in a path, a table and an archive: no separators, no control characters."""
    readable = name.encode("utf-8", "replace").decode()  # a file system may hold bytes that are no text
    return re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]', "_", readable).strip() or "cell"


def _with_unique_names(cells: Iterable[CellRef]) -> Iterator[CellRef]:
    taken: set[str] = set()
    for ref in cells:
        name, count = ref.name, 1
        while name in taken:
            count += 1
            name = f"{ref.name}~{count}"
        taken.add(name)
        yield ref if name == ref.name else replace(ref, name=name)


def _check_some(source: Path, cells: Sequence[CellRef], left_out: list[LeftOut]) -> None:
    if not cells:
        reason = left_out[0]
        raise InputError(f"{source}: every cell was left out (first {reason.path.name}, {reason.reason}).")
    if all(ref.problem is not None for ref in cells):
        more = f" The other {len(cells) - 1} cell(s) fail too." if len(cells) > 1 else ""
        raise InputError(f"{cells[0].problem}{more}")
