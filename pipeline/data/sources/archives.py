"""Archives: zip and tar are unpacked into the workspace; nothing in them can be written elsewhere."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from pipeline.data.sources.parts import mistake

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MOST_FILES = 5_000_000
LEFT = 1 << 30  # bytes of the disk that stay free


def unpacked(path: Path, folder: Path) -> Path | None:
    """The one file or folder that an archive holds (`folder` where it holds several), or None where `path` is no archive.

    Raises:
        UserError: the archive is broken, too large for the disk, or holds a link, a device or a path that leads out of it.
    """
    name = path.name.lower()
    if not path.is_file() or not name.endswith((".zip", *TARS)):
        return None
    folder.mkdir(parents=True)
    room = shutil.disk_usage(folder).free - LEFT
    try:
        for at, (inside, size, opened) in enumerate(_zipped(path) if name.endswith(".zip") else _tarred(path)):
            parts = PurePosixPath(inside.replace("\\", "/"))
            if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
                raise mistake(path, f"its entry {inside!r} leads out of the archive")
            room -= size
            if room < 0 or at >= MOST_FILES:
                raise mistake(path, "unpacks to more than the disk of the workspace has room for")
            file = folder / parts
            file.parent.mkdir(parents=True, exist_ok=True)
            with cast(IO[bytes], opened()) as source, file.open("wb") as out:
                _copy(source, out, size)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise mistake(path, f"not readable as an archive: {error}") from None
    while len(entries := _entries(folder)) == 1 and entries[0].is_dir():
        folder = entries[0]
    return entries[0] if len(entries) == 1 else folder


def _entries(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.name != "__MACOSX" and not entry.name.startswith(".")]


def _copy(source: IO[bytes], out: IO[bytes], size: int) -> None:
    left = size
    while chunk := source.read(min(1 << 20, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise ValueError("an entry is larger than the archive tells")
        out.write(chunk)


def _zipped(path: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes] | None]]]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            if (mode & 0o170000) == 0o120000:
                raise mistake(path, f"its entry {entry.filename!r} is a link")
            if not entry.is_dir():
                yield entry.filename, entry.file_size, partial(archive.open, entry)


def _tarred(path: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes] | None]]]:
    with tarfile.open(path, "r|*") as archive:
        for entry in archive:
            if entry.isdir():
                continue
            if not entry.isfile():
                raise mistake(path, f"its entry {entry.name!r} is a link or a device")
            yield entry.name, entry.size, partial(archive.extractfile, entry)
