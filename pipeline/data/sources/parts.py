"""What all kinds of sources share: the result, column names, and rows that stream to Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError

REJECTED = pa.schema([("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())])
LONGEST = 10_000  # characters of a rejected row that are kept
BATCH_BYTES = 32 << 20


@dataclass(frozen=True)
class Source:
    """The rows, what was found out about them, and the rows that could not be read (file, line, reason, text)."""

    table: ir.Table
    found: dict[str, Any] = field(default_factory=dict)
    rejects: Path | None = None


def mistake(where: str | Path, text: str) -> UserError:
    """The error that all sources raise: one line that begins with the key and the file."""
    return UserError(f"data.source: {where}: {' '.join(text.split())}")


def listing(names: Iterable[str]) -> str:
    """The first five names and how many more there are."""
    found = sorted(names)
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "") if found else "nothing"


def named(names: Sequence[str], where: str | Path) -> list[str]:
    """`names`, each of which must differ from all others in more than case: in SQL, Age and age are one column.

    Raises:
        UserError: two names are equal.
    """
    seen: dict[str, list[str]] = {}
    for name in names:
        seen.setdefault(name.lower(), []).append(name)
    if equal := [" and ".join(map(repr, same)) for same in seen.values() if len(same) > 1]:
        raise mistake(where, f"columns {'; '.join(equal)} have the same name (case aside): rename all but one")
    return list(names)


def stream(file: Path, schema: pa.Schema, rows: Iterable[tuple[Any, ...]]) -> Path:
    """Write rows as Parquet, a batch of about 32 MB at a time, so that any number of them fits the memory."""
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        batch: list[tuple[Any, ...]] = []
        size = 0

        def flush() -> None:
            columns = zip(*batch, strict=True)
            writer.write_table(pa.table([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema=schema))

        for row in rows:
            batch.append(row)
            size += 64 + sum(len(value) for value in row if isinstance(value, str | bytes | list))
            if size > BATCH_BYTES or len(batch) >= 65_536:
                flush()
                batch, size = [], 0
        if batch:
            flush()
    return file


def storable(schema: pa.Schema, where: str | Path) -> pa.Schema:
    """`schema` with a name for every column and text as the type of columns that hold nothing.

    Raises:
        UserError: no column, two of one name, or a type that has no place here.
    """
    if not schema.names:
        raise mistake(where, "expected a table with columns, got one without")
    if odd := [f"{f.name} ({f.type})" for f in schema if pa.types.is_duration(f.type) or isinstance(f.type, pa.BaseExtensionType)]:
        raise mistake(where, f"columns of a type that has no place here: {', '.join(odd)}; make them numbers or text")
    names = named([name or f"column{at}" for at, name in enumerate(schema.names)], where)
    types = [pa.string() if pa.types.is_null(kind) else kind for kind in schema.types]
    return pa.schema(list(zip(names, types, strict=True)))
