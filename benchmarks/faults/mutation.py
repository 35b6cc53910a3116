"""Sound bytes made unsound, the ways files break and the ways attackers break them."""

from __future__ import annotations

import random
import re
import struct
import zlib

_NUMBERS = (
    *(0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000),
    *(0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF),
)
_WORDS = (
    *("", "0", "-1", "1e999", "-1e999", "nan", "inf", "null", "true", "[]", "{}", '"', "'", "\\", "\x00"),
    *("99999999999999999999", "0.1e-400", "../../../../etc/passwd", "/etc/passwd", "/dev/zero", "CON"),
    *("=cmd|' /C calc'!A0", "@SUM(A1)", "\u202egnp", "\ud83d\ude00", "a" * 300, "a" * 70_000, "[" * 3000),
    *('{"a":' * 2000, "%s%n", "${HOME}", "$(id)", "\r\n", "\t", ",", ";", "é", "<!ENTITY a 'b'>", "file:///"),
)
_TOKENS_IN = 8192
_TOKEN = re.compile(rb"-?\d+(?:\.\d+)?|\"[^\"\n]*\"|\w+|[^\w\s]")


def mutated(content: bytes, chance: random.Random, other: bytes, text: bool, head: int) -> bytes:
    """Return the bytes with one to a few faults.

    Parameters
    ----------
    other
        Another sound file of the same kind, to be spliced with.
    text
        Whether tokens can be told apart.
    head
        So many bytes at the beginning are hit as often as all others together.
    """
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if not data:
            break
        if text and chance.random() < 0.6:
            data = _with_another_token(data, chance)
        else:
            data = chance.choice(_FAULTS)(data, _place(len(data), chance, head), chance, other)
    return bytes(data)


def with_right_sums(png: bytes) -> bytes:
    """Return a PNG file whose chunks carry the checksums of what they hold now."""
    data, at = bytearray(png), 8
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        end = at + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(bytes(data[at + 4 : end])))
        at = end + 4
    return bytes(data)


def _place(size: int, chance: random.Random, head: int) -> int:
    return chance.randrange(min(size, head) if chance.random() < 0.5 else size)


def _with_another_token(data: bytearray, chance: random.Random) -> bytearray:
    tokens = list(_TOKEN.finditer(bytes(data[:_TOKENS_IN])))
    if not tokens:
        return data
    found = chance.choice(tokens)
    word = chance.choice(_WORDS).encode("utf-8", "surrogatepass")
    if chance.random() < 0.2:
        word = chance.choice(tokens).group()
    data[found.start() : found.end()] = b'"' + word + b'"' if chance.random() < 0.3 else word
    return data


def _flip(data: bytearray, at: int, chance: random.Random, other: bytes) -> bytearray:
    data[at] ^= 1 << chance.randrange(8)
    return data


def _byte(data: bytearray, at: int, chance: random.Random, other: bytes) -> bytearray:
    data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return data


def _number(data: bytearray, at: int, chance: random.Random, other: bytes) -> bytearray:
    size = chance.choice((2, 4, 8))
    number = chance.choice(_NUMBERS) & (256**size - 1)
    data[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))
    return data


def _cut(data: bytearray, at: int, chance: random.Random, other: bytes) -> bytearray:
    return data[:at]


def _delete(data: bytearray, at: int, chance: random.Random, other: bytes) -> bytearray:
    del data[at : at + chance.choice((1, 2, 4, 16, 256))]
    return data


def _repeat(data: bytearray, at: int, chance: random.Random, other: bytes) -> bytearray:
    data[at:at] = data[at : at + chance.choice((1, 4, 64))] * chance.choice((1, 2, 50))
    return data


def _insert(data: bytearray, at: int, chance: random.Random, other: bytes) -> bytearray:
    data[at:at] = chance.randbytes(chance.choice((1, 4, 64)))
    return data


def _splice(data: bytearray, at: int, chance: random.Random, other: bytes) -> bytearray:
    return data[:at] + other[chance.randrange(len(other)) :]


_FAULTS = (_flip, _flip, _byte, _byte, _number, _number, _number, _cut, _delete, _repeat, _insert, _splice)
