"""Bodies that are tables already: CSV, Parquet, an Arrow stream."""

from __future__ import annotations

import csv as text_tables
import difflib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config import DataParams
from pipeline.data.frozen import TYPES, _typed
from pipeline.data.sources.dialect import Dialect, rows_of, tell
from pipeline.serving.about import About
from pipeline.serving.columns import EXPECTED, SENT, UNREADABLE, Unreadable, encoded, short, shown, texts

MOST_MISSING = 5  # that are named
MOST_ROWS = 1_000_000  # as in predict.py: a small file can hold any number of equal rows
LIKELY = 0.66  # of a name that was meant for another
COMPARED = 30  # names that came


def of_csv(body: bytes, about: About, further: Sequence[str]) -> pa.Table:
    """The rows below a header line, by the dialect that training would tell."""
    lines = io.StringIO(decoded(body), newline="")
    header = next((line for line in lines if line.strip()), "")
    dialect = _dialect(header, about.columns[0])
    at_names = places(dialect.names, about.columns, further, "the header: ")
    rows = list[list[str]]()
    try:
        for row in rows_of(lines, dialect.delimiter, dialect.quote):
            if len(row) == len(dialect.names):
                rows.append(row)
            elif any(value.strip() for value in row):
                raise Unreadable(400, f"row {len(rows)}: expected {len(dialect.names)} values, one a name of the header, got {len(row)}")
    except text_tables.Error as error:
        why = "a quote is opened and never closed" if "unexpected end" in str(error) else str(error)
        raise Unreadable(400, f"row {len(rows)}: expected CSV text, got a row that is none: {why}") from None
    found = {name: pa.array([row[at] or None for row in rows], pa.string()) for name, at in at_names.items()}
    return _table(pa.table(found), about, further)


@lru_cache(16)  # telling takes longer than reading a few rows
def _dialect(header: str, target: str) -> Dialect:
    return tell([header], False, DataParams(source="-", target=target), tab=False)


def of_parquet(body: bytes, about: About, further: Sequence[str]) -> pa.Table:
    """The rows of a Parquet file."""

    def opened() -> pa.Table:
        file = pq.ParquetFile(pa.BufferReader(body))
        _few(file.metadata.num_rows)
        names = list(places(file.schema_arrow.names, about.columns, further, "the Parquet file: "))
        return file.read(columns=names, use_threads=False).select(names)

    return _table(_opened(opened, "a Parquet file"), about, further)


def of_arrow(body: bytes, about: About, further: Sequence[str]) -> pa.Table:
    """The rows of an Arrow IPC stream."""

    def opened() -> pa.Table:
        with pa.ipc.open_stream(pa.BufferReader(body)) as stream:
            names = list(places(stream.schema.names, about.columns, further, "the Arrow stream: "))
            batches, rows = [], 0
            for batch in stream:
                rows += len(batch)
                _few(rows)
                batches.append(batch)
            return pa.Table.from_batches(batches, stream.schema).select(names)

    return _table(_opened(opened, "an Arrow stream"), about, further)


def _opened(read: Callable[[], pa.Table], what: str) -> pa.Table:
    try:
        found = read()
        found.validate(full=True)  # offsets that lead out of the body, text that is no UTF-8
        return found
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, MemoryError) as error:
        raise Unreadable(400, f"expected {what}, got a body that cannot be read ({' '.join(str(error).split())[:200]})") from None


def _few(rows: int) -> None:
    if rows > MOST_ROWS:
        raise Unreadable(413, f"expected at most {MOST_ROWS:,} rows, got {rows:,} or more")


def _table(found: pa.Table, about: About, further: Sequence[str]) -> pa.Table:
    columns = [read(found[name], name, about) for name in about.columns]
    for name in further:
        if name not in found.column_names:
            columns.append(pa.nulls(len(found), pa.string()))
        elif pa.types.is_string(found[name].type):
            columns.append(found[name])
        else:
            columns.append(_kept(found[name], name))
    return pa.Table.from_arrays(columns, names=[*about.columns, *further])


def _kept(values: pa.ChunkedArray, name: str) -> pa.Array:
    try:
        return texts(values.to_pylist(), name)
    except UNREADABLE as error:  # a time that Python has no date for, for one
        raise Unreadable(400, f"column {name}: expected values that have a text, got {values.type} ({short(str(error), 200)})") from None


def read(values: pa.ChunkedArray, name: str, about: About) -> pa.ChunkedArray | pa.Array:
    """The column of a CSV, Parquet or Arrow table, where texts may be tokens that stand for a missing value.

    Raises:
        Unreadable: it has a type that cannot be read as the column's.
    """
    raw = about.raw[name]
    try:
        return _read(values, name, raw, about)
    except UNREADABLE as error:
        raise Unreadable(400, f"column {name}: expected {EXPECTED[raw]}, got {values.type} ({short(str(error), 200)})") from None


def _read(values: pa.ChunkedArray, name: str, raw: str, about: About) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), SENT[raw])
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    if pa.types.is_nested(values.type) and raw != "list":
        raise Unreadable(400, f"column {name}: expected {EXPECTED[raw]}, got {short(str(values.type))}")
    is_text = pa.types.is_string(values.type)
    if about.whole:
        return without_tokens(values, about.missing[name]) if raw != "text" else values
    if is_text and raw == "binary":
        return pa.array(encoded(values.to_pylist(), name), pa.string())
    if raw == "datetime" and pa.types.is_timestamp(values.type):
        return values.cast(TYPES[raw], safe=False)  # in UTC; below a microsecond nothing is kept
    odd: dict[str, np.ndarray] = {}
    found = _typed(values, name, raw, about.missing[name], odd)
    return values.cast(pa.string()) if name in odd and odd[name].any() else found


def without_tokens(values: pa.ChunkedArray, missing: Sequence[str]) -> pa.ChunkedArray:
    """Texts, with null for those that stand for a missing value; another type as it is."""
    if not pa.types.is_string(values.type):
        return values
    return pc.if_else(pc.is_in(values, pa.array(missing, pa.string())), pa.scalar(None, pa.string()), values)


def places(names: Sequence[str], columns: Sequence[str], further: Sequence[str], where: str) -> dict[str, int]:
    """Where each column stands among `names`."""
    if any(name not in names for name in columns):
        raise missing_columns(columns, names, where)
    if twice := [name for name in (*columns, *further) if names.count(name) > 1]:
        raise Unreadable(400, f"{where}expected each column once, got {shown(twice)} more than once")
    return {name: names.index(name) for name in (*columns, *further) if name in names}


def missing_columns(columns: Sequence[str], came: Sequence[str] | Mapping[str, Any], where: str, hint: str = "") -> Unreadable:
    """The refusal where columns are missing, with the name that was perhaps meant for each."""
    missing = [name for name in columns if name not in came]
    left = [name for name in list(came)[:COMPARED] if name not in columns and len(name) <= 100]
    told = []
    for name in missing[:MOST_MISSING]:
        alike = {one: difflib.SequenceMatcher(None, name.casefold(), one.casefold().strip()).ratio() for one in left}
        near = max(alike, key=lambda one: alike[one], default=None)
        told.append(f"{name} (is {near!r} meant for it?)" if near is not None and alike[near] >= LIKELY else name)
    more = f" and {len(missing) - len(told)} more" if len(missing) > len(told) else ""
    return Unreadable(422, f"{where}missing column {', '.join(told)}{more}; expected {shown(columns)}{hint}; got {shown(came)}")


def decoded(body: bytes) -> str:
    """The text of a body, a byte order mark apart."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(400, f"expected UTF-8 text, got the byte 0x{body[error.start]:02x} at position {error.start}") from None
