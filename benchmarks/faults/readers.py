"""Every kind of file the program reads from strangers: sound ones, and how an unsound one is read."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.faults import seeds
from benchmarks.faults.mutation import with_right_sums
from dispr_cli.baselines.public_weights import read_public_tensors
from dispr_cli.classification.labels import read_labels
from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.errors import DisprError
from dispr_cli.inputs.plan import plan_cells, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import read_truth_volume
from dispr_cli.morphology.table import read_table as read_features
from dispr_cli.training_settings import read_settings, settings_of
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.seal import SEAL, seal
from dispr_cli.volumes.store import open_store
from dispr_cli.volumes.table import read_table
from dispr_cli.volumes.verify import verify_store

MAX_PIXELS = 1_000_000
SETTINGS = InputSettings(max_pixels=MAX_PIXELS)
_IMAGE, _MASK = seeds.as_tiff(seeds.grey()), seeds.as_tiff(seeds.mask() > 0)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    sound
        Sound files, by name where that matters.
    read
        Writes an unsound file into a folder and reads it.
    text, head
        How it is mutated, see :func:`benchmarks.faults.mutation.mutated`.
    """

    sound: list[tuple[str, bytes]]
    read: Callable[[Path, str, bytes], None]
    text: bool = False
    head: int = 256


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file the program reads from strangers."""

    def unnamed(found: list[bytes]) -> list[tuple[str, bytes]]:
        return [("", content) for content in found]

    return {
        "tiff": Kind(unnamed(seeds.tiffs()), _read_image(".tif")),
        "png": Kind(unnamed(seeds.pngs()), _read_image(".png"), head=64),
        "seg": Kind(unnamed(seeds.cellpose_files()), _read_only_mask("a_seg.npy")),
        "rois": Kind(unnamed(seeds.roi_lists()), _read_only_mask("a_rois.zip"), head=64),
        "manifest": Kind(unnamed(seeds.manifests()), _read_manifest, text=True),
        "store": Kind(list(seeds.store_files(folder / "seed.zarr")), _read_store, text=True),
        "weights": Kind(unnamed(seeds.weights(folder)), _read_weights, text=True, head=2048),
        "checkpoint": Kind(unnamed(seeds.checkpoints()), _read_checkpoint),
        "truth": Kind(seeds.truths(), _read_truth, head=128),
        "features": Kind(seeds.feature_tables(folder), _read_features, text=True),
        "classes": Kind(unnamed(seeds.class_tables()), _read_classes, text=True),
        "toml": Kind(unnamed(seeds.tomls()), _read_toml, text=True),
    }


def _read_image(suffix: str) -> Callable[[Path, str, bytes], None]:
    sound = {"image": _IMAGE, "mask": _MASK}

    def read(folder: Path, name: str, content: bytes) -> None:
        # The image in one half of the cases, the mask in the other.
        hit = ("image", "mask")[zlib.crc32(content) & 1]
        for part in ("image", "mask"):
            (folder / part).mkdir(exist_ok=True)
            (folder / part / f"a{'.tif' if part != hit else suffix}").write_bytes(
                content if part == hit else sound[part]
            )
        if content.startswith(b"\x89PNG"):
            (folder / hit / f"a{suffix}").write_bytes(with_right_sums(content))
        plan = plan_cells(folder, SETTINGS)
        for _, cell in read_cells(plan.cells[:20], SETTINGS):
            if isinstance(cell, DisprError):
                check_sentence(cell)

    return read


def _read_only_mask(mask: str) -> Callable[[Path, str, bytes], None]:
    def read(folder: Path, _: str, content: bytes) -> None:
        (folder / "a.tif").write_bytes(_IMAGE)
        (folder / mask).write_bytes(content)
        plan = plan_cells(folder, replace(SETTINGS, plane=0))
        for _number, cell in read_cells(plan.cells[:20], replace(SETTINGS, plane=0)):
            if isinstance(cell, DisprError):
                check_sentence(cell)

    return read


def _read_manifest(folder: Path, name: str, content: bytes) -> None:
    (folder / "a.tif").write_bytes(_IMAGE)
    (folder / "m.tif").write_bytes(_MASK)
    (folder / "table.csv").write_bytes(content)
    plan = plan_cells(folder / "table.csv", SETTINGS)
    for ref in plan.cells:
        assert not set(ref.name) & set('/\\:*?"<>|\x00\n'), ref.name
    for _, cell in read_cells(plan.cells[:20], SETTINGS):
        if isinstance(cell, DisprError):
            check_sentence(cell)


def _read_store(folder: Path, name: str, content: bytes) -> None:
    store = folder / "out.zarr"
    for other, sound in _sound_store():
        (store / other).parent.mkdir(parents=True, exist_ok=True)
        (store / other).write_bytes(_sealed(content) if other == name else sound)
    failed: list[DisprError] = []
    for read in (_read_cells_of, verify_store, _resume, lambda path: [*read_table(path / "cells.csv")]):
        try:
            read(store)
        except DisprError as error:
            check_sentence(error)
            failed.append(error)
    if failed:
        raise failed[0]


_store: list[tuple[str, bytes]] = []
_tables: list[tuple[str, bytes]] = []


def _sound_store() -> list[tuple[str, bytes]]:
    if not _store:
        with tempfile.TemporaryDirectory() as folder:
            _store.extend(seeds.store_files(Path(folder) / "seed.zarr"))
    return _store


def _sealed(content: bytes) -> bytes:
    """Seal a changed document anew in half of the cases, to get behind the checksum."""
    if zlib.crc32(content) & 1:
        return content
    try:
        document = json.loads(content)
        ours = document["attributes"]["dispr"] if "attributes" in document else document
        ours |= seal({key: value for key, value in ours.items() if key != SEAL}) if SEAL in ours else {}
        return json.dumps(document).encode()
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        return content


def _read_cells_of(path: Path) -> None:
    store = open_store(path)
    store.progress()
    for index in range(min(store.num_cells, 4)):
        try:
            store.read(index)
        except DisprError as error:
            check_sentence(error)


def _resume(path: Path) -> None:
    create_or_resume(path, **seeds.STORE).pending_shards()


def _read_weights(folder: Path, name: str, content: bytes) -> None:
    (folder / "w.safetensors").write_bytes(content)
    load_denoiser(folder / "w.safetensors")


def _read_checkpoint(folder: Path, name: str, content: bytes) -> None:
    (folder / "w.pt").write_bytes(content)
    read_public_tensors(folder / "w.pt")


def _read_truth(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    read_truth_volume(folder / name)


def _read_features(folder: Path, name: str, content: bytes) -> None:
    for other, sound in _sound_tables():
        (folder / other).write_bytes(content if other == name else sound)
    read_features(folder / ("t.parquet" if name == "t.parquet" else "t.csv"))


def _sound_tables() -> list[tuple[str, bytes]]:
    if not _tables:
        with tempfile.TemporaryDirectory() as folder:
            _tables.extend(seeds.feature_tables(Path(folder)))
    return _tables


def _read_classes(folder: Path, name: str, content: bytes) -> None:
    (folder / "c.csv").write_bytes(content)
    read_labels(folder / "c.csv")


def _read_toml(folder: Path, name: str, content: bytes) -> None:
    (folder / "t.toml").write_bytes(content)
    settings_of(TrainingConfig, read_settings(folder / "t.toml"))


def check_sentence(error: DisprError) -> None:
    """Take only what one may read as one clear sentence."""
    text = str(error)
    assert 10 < len(text) < 2000, f"a message of {len(text)} characters"
    assert "memory" not in text or "too large" not in text, text
