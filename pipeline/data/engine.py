"""The table engine: Ibis expressions on DuckDB.

Everything in which engines differ stands here, so that the same expressions can run elsewhere.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

ROW_ID = "__row_id__"  # names a row by its content, so that it stays the same when rows are reordered or appended

SEPARATOR = "\x1f"
MISSING = "\x1e"


@contextmanager
def engine() -> Iterator[Backend]:
    """A private DuckDB connection that spills to a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="pipeline-") as spill:
        backend = ibis.duckdb.connect(temp_directory=spill)
        try:
            yield backend
        finally:
            backend.disconnect()


def read(backend: Backend, file: Path) -> ir.Table:
    """The table that `write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not file.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    return backend.read_parquet(file)


def write(table: ir.Table, file: Path) -> int:
    """Write `table` in the order of its row id, the same bytes for the same rows; returns the number of rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table.order_by(ROW_ID).to_parquet(file, compression="zstd", row_group_size=122_880)
    return parquet_rows(file)


def parquet_rows(file: Path) -> int:
    """Number of rows, from the file's footer."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


@ibis.udf.scalar.builtin(name="trim")
def trim(text: str) -> str:
    """DuckDB's TRIM: 2.6 times as fast as Ibis' strip; takes spaces only."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="md5")
def md5(text: str) -> str:
    """MD5 as 32 hex digits, the same in every engine."""
    raise NotImplementedError


def text_of(table: ir.Table, columns: tuple[str, ...]) -> ir.StringValue:
    """The values of `columns` as one text that differs wherever a value differs, missing from empty included."""
    parts = [table[name].cast("string").fill_null(MISSING) for name in columns]
    return ibis.literal(SEPARATOR).join(parts)


def uniform(text: ir.StringValue, seed: int) -> ir.StringValue:
    """32 hex digits that are uniform over texts and fixed by (seed, text); compare with `threshold`."""
    return md5(ibis.literal(f"{seed}{SEPARATOR}") + text)


def threshold(share: float) -> str:
    """The hex text below which a `share` of all `uniform` values lies."""
    return f"{min(int(share * 16**13), 16**13 - 1):013x}"


def with_row_id(table: ir.Table) -> ir.Table:
    """Add the row id: 16 hex digits of the row's content and its number among equal rows, from 0.

    Equal rows are interchangeable, so the ids, and everything keyed by them, do not depend on the order of rows.
    """
    digest = md5(text_of(table, tuple(table.columns))).left(16)
    keyed = table.mutate(__digest__=digest)
    number = ibis.row_number().over(ibis.window(group_by=keyed.__digest__, order_by=keyed.__digest__))
    ids = keyed.__digest__ + "-" + number.cast("string")
    return keyed.mutate(ids.name(ROW_ID)).drop("__digest__").relocate(ROW_ID)
