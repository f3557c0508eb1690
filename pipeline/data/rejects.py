"""Rejects: rows that cannot be used, each with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import CleanParams
from pipeline.data.cleaning import number, outside
from pipeline.data.engine import ROW_ID
from pipeline.data.schema import Column, Schema

REASON = "__reason__"
BATCH = 256  # pictures or sounds held at a time


def repeated(table: ir.Table) -> ir.BooleanValue:
    """Whether a row equals an earlier one in every column: the row id numbers equal rows from 0."""
    return ~table[ROW_ID].endswith("-0")


def marked(backend: Backend, raw: ir.Table, schema: Schema, clean: CleanParams) -> tuple[ir.Table, bool]:
    """The raw rows with the column `__reason__`, which says why a row is dropped and is missing for those that stay.

    Returns:
        The table, in the order of its row ids, and whether any row may have a reason.
    """
    cases: list[tuple[Any, Any]] = []
    if clean.duplicates == "drop":
        cases.append((repeated(raw), "equal to an earlier row"))
    for column in schema.columns:
        if (column.low, column.high) != (None, None) and schema.out_of_range == "drop":
            cases.append((outside(number(raw[column.name], column), column), f"{column.name} outside {interval(column)}"))
    sequences = [raw[column.name] for column in schema.columns if column.kind == "sequence"]
    for first, other in pairwise(sequences):
        unequal = (first.length() != other.length()).fill_null(False)
        cases.append((unequal, f"{first.get_name()} and {other.get_name()} are of unequal length"))
    broken: dict[str, list[str]] = {}
    for column in schema.columns:
        if column.kind in ("image", "audio"):
            for row, problem in _problems(backend, raw, column):
                broken.setdefault(f"{column.name}: {problem}", []).append(row)
    cases += [(raw[ROW_ID].isin(rows), reason) for reason, rows in sorted(broken.items())]
    reason = ibis.cases(*cases) if cases else ibis.null("string")
    table = raw.mutate(reason.name(REASON))
    return (table.order_by(ROW_ID) if broken else table), bool(cases)


def interval(column: Column) -> str:
    """A number column's range, in words."""
    low, high = ("" if end is None else f"{end:g}" for end in (column.low, column.high))
    return f"[{low}, {high}]"


def _problems(backend: Backend, raw: ir.Table, column: Column) -> Iterator[tuple[str, str]]:
    """The rows whose file cannot be decoded, and why."""
    from pipeline.data.media import problem

    some = raw.filter(raw[column.name].notnull()).select(row=raw[ROW_ID], data=raw[column.name])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in backend.to_pyarrow_batches(some, chunk_size=BATCH):
            found = pool.map(lambda data: problem(column.kind, data), batch["data"].to_pylist())
            yield from ((row, told) for row, told in zip(batch["row"].to_pylist(), found, strict=True) if told is not None)
