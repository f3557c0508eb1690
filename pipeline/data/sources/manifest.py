"""A table with a column of paths to pictures or sounds beside it: the paths become the files' bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.sources.classes import IMAGES, SOUNDS
from pipeline.data.sources.parts import Source, mistake, named, stream

LOOKED_AT = 50  # rows that show whether a column holds paths


def with_media(backend: Backend, source: Source, home: Path, *, workspace: Path) -> Source:
    """`source` with a column `image` or `audio` for its first column whose values are paths of such files in `home`.

    Raises:
        UserError: a path leads out of the folder, or there is no such file.
    """
    head = backend.to_pyarrow(source.table.limit(LOOKED_AT)).to_pydict()
    found = (
        (name, kind)
        for name, values in head.items()
        for kind, endings in (("image", IMAGES), ("audio", SOUNDS))
        if any(values) and all(value.lower().endswith(endings) and (home / value).is_file() for value in values if value)
    )
    column, kind = next(found, ("", ""))
    if not column:
        return source
    at, root = source.table.columns.index(column), home.resolve()
    schema = pa.schema([(kind, pa.binary()), *((name, pa.string()) for name in source.table.columns)])
    named(schema.names, home)

    def rows() -> Iterator[tuple[Any, ...]]:
        for batch in backend.to_pyarrow_batches(source.table, chunk_size=1000):
            for row in zip(*(values.to_pylist() for values in batch.columns), strict=True):
                yield _bytes(root, row[at], column), *row

    table = backend.read_parquet(stream(workspace / "media.parquet", schema, rows()))
    return Source(table, {**source.found, "media": column}, source.rejects)


def _bytes(root: Path, value: str | None, column: str) -> bytes | None:
    if value is None:
        return None
    file = (root / value).resolve()
    if not file.is_relative_to(root):
        raise mistake(root, f"column {column}: {value!r} leads out of the folder")
    if not file.is_file():
        raise mistake(root, f"column {column}: {value!r}: no such file")
    return file.read_bytes()
