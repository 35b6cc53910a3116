"""Files that are there whole or not at all, whatever moment the process is killed at."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dispr_cli.errors import StoreError

PARTIAL = ".partial"
"""Ending of the files and folders that a killed process may leave behind."""

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def partial_path(path: Path) -> Path:
    """Return a name beside `path` that no other process uses, so that renaming stays in one folder."""
    return path.with_name(f".{path.name[:100]}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a file to write, which takes the place of `path` when the block ends without an error.

    The bytes reach the disk before the name does, so a reader or a power cut meets the old file or
    the new one, never half of either.

    Raises
    ------
    OSError
        As the operating system gives it; the partial file is removed.
    """
    partial = partial_path(path)
    try:
        yield partial
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the place of `path`, as :func:`replacing` says."""
    with replacing(path) as partial, partial.open("wb") as file:
        yield file


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    with replaced(path) as file:
        file.write(content)


def remove_partial_files(folder: Path, name: str | None = None) -> None:
    """Remove what processes of this machine that are no more left half-made in one folder.

    Parameters
    ----------
    folder
        Where to look; nothing happens if it is not there.
    name
        Only what was to become this file or folder.
    """
    wanted = "*" if name is None else glob.escape(name[:100])
    for left in folder.glob(f".{wanted}.{_host()}-*{PARTIAL}"):
        owner = re.search(r"-(\d+)-[0-9a-f]+\.partial$", left.name)
        if owner and not _is_alive(int(owner[1])):
            with contextlib.suppress(OSError):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


@contextlib.contextmanager
def explained(path: Path, action: str) -> Iterator[None]:
    """Turn an error of the operating system into one that a user understands.

    Raises
    ------
    StoreError
        Naming the path, the action that failed and, where it is known, what to do.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot {action}: {error.strerror or error}. {_advice(error)}") from error


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "Choose an output folder that you may write to."
        case number if number in DISK_FULL:
            return "Free some space and run the same command again: what was finished is kept."
        case errno.ENAMETOOLONG:
            return "Choose a shorter output path."
        case _:
            return "Check the path and the disk, then run the same command again."


def _host() -> str:
    """Name this machine in names of files: beginnings of long names are often equal, digests are not."""
    name = platform.node()
    return re.sub(r"[^0-9A-Za-z]", "", name)[:12] + hashlib.blake2b(name.encode(), digest_size=4).hexdigest()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
