"""Long lists of small things in little memory."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar, overload

_Item = TypeVar("_Item")
_BLOCK = 128


class Packed(Sequence[_Item]):
    """Things that can be pickled, kept so in blocks: a twentieth of the memory, and quick to walk through.

    Parameters
    ----------
    items
        Taken one after the other.
    """

    def __init__(self, items: Iterable[_Item] = ()) -> None:
        self._blocks: list[bytes] = []
        self._count = 0
        waiting = iter(items)
        while block := list(islice(waiting, _BLOCK)):
            self._blocks.append(zlib.compress(pickle.dumps(block, pickle.HIGHEST_PROTOCOL), 1))
            self._count += len(block)
        # Threads that read ahead of each other are at most a few blocks apart.
        self._block = lru_cache(maxsize=4)(self._unpacked)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[_Item]:
        for number in range(len(self._blocks)):
            yield from self._unpacked(number)

    @overload
    def __getitem__(self, index: int) -> _Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[_Item]: ...

    def __getitem__(self, index: int | slice) -> _Item | list[_Item]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        block, place = divmod(index % len(self), _BLOCK)
        return self._block(block)[place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        more = ", ..." if len(self) > 3 else ""
        return f"Packed([{', '.join(map(repr, self[:3]))}{more}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return Packed, (list(self),)

    def _unpacked(self, number: int) -> list[_Item]:
        # Made above and never read from a file, so nothing strange is unpickled.
        block: list[_Item] = pickle.loads(zlib.decompress(self._blocks[number]))
        return block
