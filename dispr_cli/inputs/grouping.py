"""Files of one place that may belong together become pairs; what is left of them is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dispr_cli.inputs.pairing import LeftOut, Pair, Pairing, match, split_companions
from dispr_cli.inputs.settings import InputSettings

NO_MASK = "no mask belongs to this image"
NO_IMAGE = "no image belongs to this mask"


@dataclass(frozen=True, slots=True)
class Group:
    """Files that may belong together, by name.

    Attributes
    ----------
    images, masks, truths
        From folders of each, or what lies in one folder as images.
    other_masks
        From a folder that is less surely one of masks: for the images that find none elsewhere.
    """

    images: dict[str, str]
    masks: dict[str, str] = field(default_factory=dict)
    truths: dict[str, str] = field(default_factory=dict)
    other_masks: dict[str, str] = field(default_factory=dict)


def pair_group(prefix: str, group: Group, pairing: Pairing, settings: InputSettings) -> None:
    """Add the pairs of a group, and what is left out of it, to what was found elsewhere.

    Parameters
    ----------
    prefix
        What stands before the names of the group, as seen from the source.
    group
        The files.
    pairing
        Is added to.
    settings
        ``mask_from`` and ``channel`` count here.

    Raises
    ------
    InputError
        If it is ambiguous what belongs together.
    """
    split = split_companions(group.images, group.masks)
    images, found = split.images, _Found()
    for masks in (split.masks, group.other_masks):
        for m in match(_without(images, found.used), masks, settings.channel):
            truth = group.truths.get(m.name, group.truths.get(m.image))
            found.pairs.append(Pair(prefix + m.name, images[m.image], masks[m.mask], truth))
            found.used |= {m.image, *m.others}
            best = Path(masks[m.mask]).name
            found.spare |= {masks[key]: f"{best} is read for the same image" for key in m.spare}
            found.spare |= {images[key]: f"another channel of {m.name}" for key in m.others}
    lonely = _without(images, found.used)
    if settings.mask_from is not None:
        found.pairs += [
            Pair(prefix + name, path, None, group.truths.get(name)) for name, path in lonely.items()
        ]
        lonely = {}
    read = {path for pair in found.pairs for path in (pair.mask, pair.truth)} | found.spare.keys()
    pairing.pairs += found.pairs
    pairing.left_out += [
        *(LeftOut(Path(path), reason) for path, reason in found.spare.items()),
        *(LeftOut(Path(path), "a picture of Cellpose's masks") for path in split.by_products.values()),
        *(LeftOut(Path(path), NO_MASK) for path in lonely.values()),
        *(
            LeftOut(Path(path), NO_IMAGE)
            for path in (*split.masks.values(), *group.other_masks.values())
            if path not in read
        ),
        *(
            LeftOut(Path(path), "no image belongs to this ground truth")
            for path in group.truths.values()
            if path not in read
        ),
    ]


@dataclass
class _Found:
    """Pairs, the names of their images, and files that are another version of theirs, with the reason."""

    pairs: list[Pair] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    spare: dict[str, str] = field(default_factory=dict)


def _without(images: dict[str, str], used: set[str]) -> dict[str, str]:
    return {name: path for name, path in images.items() if name not in used}
