"""A table with a column that names pictures or sounds beside it: their bytes become a column of their own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.sources.classes import IMAGES, SOUNDS
from pipeline.data.sources.parts import Source, mistake, named, stream

LOOKED_AT = 50  # rows that show whether a column names files
MOST_PLACES = 50  # folders beside the table in which they may lie
FIRST = 1000  # files of a folder that show which endings they have
LONGEST = 250  # characters of a name
MOST = 0.5  # share of the names above which one that leads to no file is a mistake


def with_media(backend: Backend, source: Source, home: Path, *, workspace: Path) -> Source:
    """`source` with a column `image` or `audio` for its first column whose values name such files: by paths from `home` or from a
    folder in it, with or without their ending.

    Raises:
        UserError: a path leads out of the folder, or there is no such file.
    """
    head = backend.to_pyarrow(source.table.limit(LOOKED_AT)).to_pydict()
    found = _found(head, _places(home))
    if found is None:
        return source
    column, kind, place, ending = found
    at, root = source.table.columns.index(column), place.resolve()
    schema = pa.schema([(kind, pa.binary()), *((name, pa.string()) for name in source.table.columns)])
    named(schema.names, home)

    def rows() -> Iterator[tuple[Any, ...]]:
        for batch in backend.to_pyarrow_batches(source.table, chunk_size=1000):
            for row in zip(*(values.to_pylist() for values in batch.columns), strict=True):
                yield _bytes(root, row[at], ending, column), *row

    table = backend.read_parquet(stream(workspace / "media.parquet", schema, rows()))
    return Source(table, {**source.found, "media": column}, source.rejects)


def _places(home: Path) -> list[Path]:
    """Where names may begin: `home` and the folders in it."""
    inside = sorted(name for name, is_folder in _entries(home) if is_folder and not name.startswith("."))
    return [home, *(home / name for name in inside[:MOST_PLACES])]


def _found(head: dict[str, list[Any]], places: list[Path]) -> tuple[str, str, Path, str] | None:
    """The first column of which most values name files of a kind in one place, the kind, the place, and the ending that the names lack."""
    lacking = [(place, ending) for place in places for ending in _endings(place)]
    for name, values in head.items():
        named = [str(value) for value in values if value]
        for kind, endings in (("image", IMAGES), ("audio", SOUNDS)):
            whole = bool(named) and named[0].lower().endswith(endings)
            for place, ending in [(place, "") for place in places] if whole else lacking:
                if named and np.mean([_is_file(place, f"{value}{ending}", endings) for value in named]) > MOST:
                    return name, kind, place, ending
    return None


def _endings(place: Path) -> list[str]:
    """Those of the pictures and sounds among the first files of a folder."""
    found = {os.path.splitext(name)[1] for name, _ in itertools.islice(_entries(place), FIRST)}
    return sorted(ending for ending in found if ending.lower() in (*IMAGES, *SOUNDS))


def _entries(place: Path) -> Iterator[tuple[str, bool]]:
    """Names in a folder, and whether each is a folder; nothing where it may not be read."""
    with suppress(PermissionError), os.scandir(place) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir(follow_symlinks=False)


def _is_file(place: Path, name: str, endings: tuple[str, ...]) -> bool:
    return name.lower().endswith(endings) and len(name) < LONGEST and (place / name).is_file()


def _bytes(root: Path, value: str | None, ending: str, column: str) -> bytes | None:
    if value is None:
        return None
    file = (root / f"{value}{ending}").resolve()
    if not file.is_relative_to(root):
        raise mistake(root, f"column {column}: {value!r} leads out of the folder")
    if not file.is_file():
        raise mistake(root, f"column {column}: {value!r}: no such file")
    return file.read_bytes()
