"""What went wrong outside of this program, in a line that says what to do: a full disk, a locked store, memory, rights, ports."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline import paths

AGAIN = "then run the same command again: what is done is kept"
FULL = re.compile(r"No space left on device|disk is full|Disk quota exceeded", re.IGNORECASE)
LOCKED = re.compile(r"database(?: table)? is locked", re.IGNORECASE)
READ_ONLY = re.compile(r"attempt to write a readonly database", re.IGNORECASE)
MEMORY = re.compile(r"Out of Memory Error|std::bad_alloc|Unable to allocate|cannot allocate memory", re.IGNORECASE)


def told(error: BaseException) -> str | None:
    """The line for an error, or for what caused it; None where it is none of these, and so a defect of the program.

    An error whose class says nothing is known by its words: those of SQLite, DuckDB, Arrow and NumPy.
    """
    for one in _chain(error):
        if isinstance(one, OSError) and (line := _of_system(one)):
            return line
        if isinstance(one, MemoryError):
            return _memory()
        text = str(one)
        if FULL.search(text):
            return _full(None)
        if LOCKED.search(text):
            return (
                f"a database is locked by another process ({_first(text)}): wait until that ends (`pipeline doctor` may name it), {AGAIN}"
            )
        if READ_ONLY.search(text):
            return f"a database cannot be written ({_first(text)}): give yourself the right to write it, {AGAIN}"
        if MEMORY.search(text):
            return _memory()
    return None


def _of_system(error: OSError) -> str | None:
    place = str(error.filename) if error.filename is not None else None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(place)
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{place or 'a file'}: permission denied: give yourself the right to read and write it (ls -ld shows who has it), {AGAIN}"
    if error.errno == errno.EROFS:
        return f"{place or 'a file'}: its file system is read-only: work in a folder that can be written (PIPELINE_STATE moves .state)"
    if error.errno == errno.EADDRINUSE:
        return f"the port is taken by another process ({_first(str(error))}): stop that, or choose another by --port"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open: raise the limit by `ulimit -n 8192`, {AGAIN}"
    if error.errno == errno.ENOMEM:
        return _memory()
    return None


def _full(place: str | None) -> str:
    """Where the disk is full; of an error that does not say, the place that this program writes to with the least room."""
    at = Path(place) if place else min(_written(), key=_room)
    while not at.exists() and at != at.parent:
        at = at.parent
    room = ""
    with suppress(OSError):
        room = f" ({_room(at) / 1e9:.1f} GB free)"
    return f"disk full at {place or at}{room}: free some room (`dvc gc -w` removes results of old runs from DVC's cache), {AGAIN}"


def _written() -> list[Path]:
    """Folders that are written to."""
    places = [Path(name) for name in ("data", "models", "reports", tempfile.gettempdir(), os.curdir)]
    return [place for place in (*places, paths.state_folder()) if place.exists()]


def _room(place: Path) -> int:
    return shutil.disk_usage(place).free


def _memory() -> str:
    return f"out of memory: close other programs, set `memory: 2GB` in params.yaml, or lower train.batch_size or tune.workers, {AGAIN}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and what that was."""
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        seen.append(one)
        yield one
        one = one.__cause__ or one.__context__


def _first(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:120]
