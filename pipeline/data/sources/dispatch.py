"""One path or URL becomes one table of rows as the source has them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from ibis.backends.duckdb import Backend

from pipeline.config import DataParams
from pipeline.data.sources import archives, database, folders, remote, series
from pipeline.data.sources.parts import Source, mistake

CHUNK = 1 << 20


def read(backend: Backend, data: DataParams, *, workspace: Path) -> Source:
    """The source's rows as they stand in it, what was found out about it, and the rows that could not be read.

    Text tables keep every value as text (types are inferred by `clean`); the other kinds keep their own types.

    Args:
        workspace: an empty folder for copies, which must outlive the table.

    Raises:
        UserError: the source is absent, empty, of an unknown kind, or cannot be read.
    """
    shown = remote.shown(data.source)
    if remote.is_remote(data.source):
        path = remote.fetch(data, workspace / "fetched")
    else:
        path = Path(data.source)
        if not path.exists():
            raise mistake(shown, "no such file or folder")
    if path.is_file() and path.stat().st_size == 0:
        raise mistake(shown, "the file is empty")
    found = {"sha256": digest(path)}
    if path.suffix.lower() == ".sql":
        source = database.read(backend, path, data, workspace=workspace)
    else:
        unpacked = archives.unpacked(path, workspace / "unpacked")
        source = folders.read(backend, unpacked or path, data, workspace=workspace)
        found |= {"archive": path.name} if unpacked else {}
    if data.series:
        source = series.gathered(backend, source, data.series, shown)
    return replace(source, found={"source": shown, **source.found, **found})


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's file names and contents (without __pycache__)."""
    sha = hashlib.sha256()
    files = sorted(f for f in path.rglob("*") if f.is_file() and "__pycache__" not in f.parts) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            sha.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                sha.update(chunk)
    return sha.hexdigest()
