"""Files that hold typed tables: Parquet, Arrow IPC (Feather), JSON Lines and JSON arrays."""

from __future__ import annotations

import codecs
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from pipeline.data.engine import SOURCE_FILE
from pipeline.data.sources.encodings import as_utf8
from pipeline.data.sources.parts import Source, mistake, named, storable

JSON_DEPTH = 6  # of nested objects that become columns


def read(backend: Backend, files: Sequence[tuple[Path, str]], kind: str, *, workspace: Path) -> Source:
    """The rows of one or more files of a kind (parquet, arrow, json); where there are several, source_file tells which.

    Raises:
        UserError: a file cannot be read as its kind or has other columns than the first.
    """
    readers: dict[str, Callable[[Backend, Path, str, Path], ir.Table]] = {"parquet": _parquet, "arrow": _arrow, "json": _json}
    tables = [readers[kind](backend, path, name, workspace / f"{kind}{at}") for at, (path, name) in enumerate(files)]
    if len(tables) == 1:
        return Source(tables[0], {"kind": kind})
    first = tables[0]
    for table, (_, name) in zip(tables[1:], files[1:], strict=True):
        if set(table.columns) != set(first.columns):
            differ = ", ".join(map(repr, sorted(set(table.columns) ^ set(first.columns))))
            raise mistake(name, f"expected the columns of {files[0][1]}, but they differ in {differ}")
    named([*first.columns, SOURCE_FILE], files[0][1])
    told = [
        table.select(*first.columns).mutate(**{SOURCE_FILE: ibis.literal(name)}) for table, (_, name) in zip(tables, files, strict=True)
    ]
    kinds = {name: {table[name].type().copy(nullable=True) for table in told} for name in first.columns}
    wider = {name: _wider(types) for name, types in kinds.items() if len(types) > 1}
    told = [table.mutate(**{name: table[name].cast(kind) for name, kind in wider.items()}) for table in told]
    return Source(ibis.union(*told), {"kind": kind})


def _wider(kinds: set[dt.DataType]) -> str:
    if all(kind.is_integer() for kind in kinds):
        return "int64"
    return "float64" if all(kind.is_numeric() for kind in kinds) else "string"


def _parquet(backend: Backend, path: Path, name: str, _: Path) -> ir.Table:
    try:
        storable(pq.read_schema(path), name)
        table = backend.sql(f"SELECT * FROM read_parquet({_literal(path)})")
        backend.to_pyarrow(table.limit(1))
    except (pa.ArrowException, duckdb.Error, OSError) as error:
        raise mistake(name, f"not readable as Parquet: {str(error).splitlines()[0]}") from None
    return flattened(table, name)


def _arrow(backend: Backend, path: Path, name: str, copy: Path) -> ir.Table:
    """By way of Parquet, batch by batch."""
    try:
        with pa.memory_map(str(path)) as mapped:
            try:
                batches: Any = pa.ipc.open_file(mapped)
                each = (batches.get_batch(at) for at in range(batches.num_record_batches))
            except pa.ArrowInvalid:
                mapped.seek(0)
                each = batches = pa.ipc.open_stream(mapped)
            schema = storable(batches.schema, name)
            with pq.ParquetWriter(copy, schema, compression="zstd") as writer:
                for batch in each:
                    writer.write_table(pa.Table.from_batches([batch]).rename_columns(schema.names).cast(schema))
    except (pa.ArrowException, OSError) as error:
        raise mistake(name, f"not readable as Arrow: {str(error).splitlines()[0]}") from None
    return flattened(backend.read_parquet(copy), name)


def _json(backend: Backend, path: Path, name: str, copy: Path) -> ir.Table:
    """Objects, one a line or in an array: nested ones become columns a.b, values of several types become text."""
    text = as_utf8(path, "auto", copy.with_suffix(".json"))
    with text.path.open(encoding="utf-8-sig") as stream:
        first = next((c for c in iter(lambda: stream.read(1), "") if not c.isspace()), "")
    if first not in ("{", "["):
        raise mistake(name, f"not readable as JSON: expected objects, one a line or in an array, got {first!r}")
    form = "newline_delimited" if first == "{" else "array"
    source = text.path
    with source.open("rb") as raw:
        if raw.read(3) == codecs.BOM_UTF8:
            source = copy.with_suffix(".plain")
            with source.open("wb") as out:
                shutil.copyfileobj(raw, out)
    options = f"format = '{form}', records = true, sample_size = -1, maximum_depth = {JSON_DEPTH}, maximum_object_size = {1 << 26}"
    try:
        table = backend.sql(f"SELECT * FROM read_json({_literal(source)}, {options})")
        backend.to_pyarrow(table.count())
    except duckdb.Error as error:
        raise mistake(name, f"not readable as JSON: {str(error).split('. Try')[0].splitlines()[0][:300]}") from None
    return flattened(table, name)


def flattened(table: ir.Table, name: str) -> ir.Table:
    """Structs as columns `outer.inner`; JSON, times of day and lists of other than numbers as text; decimals as float64."""
    columns: dict[str, ir.Value] = {}

    def add(label: str, value: ir.Value, depth: int) -> None:
        kind = value.type()
        if isinstance(kind, dt.Struct) and depth < JSON_DEPTH:
            for inner in kind.names:
                add(f"{label}.{inner}", value[inner], depth + 1)
        elif isinstance(value, ir.JSONValue):
            labels.append(label)
            columns[label] = ibis.coalesce(value.str, value.cast("string"))
        elif isinstance(kind, dt.Decimal):
            labels.append(label)
            columns[label] = value.cast("float64")
        elif isinstance(kind, dt.Struct | dt.Map | dt.UUID | dt.Time) or (isinstance(kind, dt.Array) and not kind.value_type.is_numeric()):
            labels.append(label)
            columns[label] = value.cast("string")
        else:
            labels.append(label)
            columns[label] = value.cast("array<float64>") if isinstance(kind, dt.Array) else value

    labels: list[str] = []
    for label in table.columns:
        add(label, table[label], 0)
    named(labels, name)
    return table.select(**columns)


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
