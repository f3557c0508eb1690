"""A .sql file: one query, run over the SQLAlchemy URL in an environment variable."""

from __future__ import annotations

import datetime
import decimal
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from pipeline.config import DataParams
from pipeline.data.sources.parts import Source, mistake, named
from pipeline.errors import UserError

BATCH = 20_000  # rows
WIDER = (pa.null(), pa.bool_(), pa.int64(), pa.float64())  # each holds all that those before it hold


def read(backend: Backend, file: Path, data: DataParams, *, workspace: Path) -> Source:
    """The rows of the query, streamed to Parquet.

    Raises:
        UserError: the environment variable is absent or no URL, its driver is not installed, or the query fails.
    """
    import sqlalchemy as sql

    if not data.connection:
        raise UserError(f"data.connection: {file} needs the name of the environment variable that holds the database's SQLAlchemy URL")
    url = os.environ.get(data.connection)
    if not url:
        raise UserError(f"data.connection: the environment variable {data.connection} is not set: it must hold a SQLAlchemy URL")
    try:
        address = sql.make_url(url)
    except (sql.exc.ArgumentError, ValueError):
        raise UserError(f"data.connection: {data.connection} holds no SQLAlchemy URL such as postgresql+psycopg://user@host/name") from None
    try:
        query = file.read_text(encoding="utf-8-sig").strip().rstrip(";")
    except UnicodeDecodeError:
        raise mistake(file, "expected UTF-8 text") from None
    if not query:
        raise mistake(file, "holds no query")
    try:
        database = sql.create_engine(address)
    except ImportError as error:
        raise UserError(f"data.connection: {data.connection} needs a driver that is not installed: {error.name}") from None
    except sql.exc.SQLAlchemyError as error:
        raise UserError(f"data.connection: {data.connection}: {_told(error, address)}") from None
    parts: list[Path] = []
    try:
        with database.connect().execution_options(stream_results=True, max_row_buffer=BATCH) as connection:
            result = connection.exec_driver_sql(
                query.replace("%", "%%") if address.get_driver_name() in ("psycopg", "psycopg2", "pymysql") else query
            )
            if not result.returns_rows:
                raise mistake(file, "expected a query that returns rows")
            names = named(list(result.keys()), file)
            columns = [_Column() for _ in names]
            for rows in result.partitions(BATCH):
                part = workspace / f"query{len(parts)}.parquet"
                arrays = [column.array(values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)]
                pq.write_table(pa.table(arrays, names=names), part, compression="zstd")
                parts.append(part)
    except sql.exc.SQLAlchemyError as error:
        raise mistake(file, f"the query failed: {_told(error, address)}") from None
    finally:
        database.dispose()
    if not parts:
        part = workspace / "query.parquet"
        pq.write_table(pa.table({name: pa.array([], pa.string()) for name in names}), part)
        parts.append(part)
    schema = pa.schema(
        [(name, column.kind if column.kind != pa.null() else pa.string()) for name, column in zip(names, columns, strict=True)]
    )
    whole = workspace / "query_rows.parquet"
    with pq.ParquetWriter(whole, schema, compression="zstd") as writer:
        for part in parts:
            writer.write_table(pq.read_table(part).cast(schema))
            part.unlink()
    return Source(backend.read_parquet(whole), {"kind": "sql", "database": address.get_backend_name()})


def _told(error: Exception, address: Any) -> str:
    """The database's own words in one line, without the URL's password."""
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    for secret in (address.render_as_string(hide_password=False), address.password):
        text = text.replace(str(secret), "***") if secret else text
    return text[:300]


class _Column:
    """The narrowest type that holds all values of a column so far; those of unlike types become text."""

    def __init__(self) -> None:
        self.kind: pa.DataType = pa.null()

    def array(self, values: Sequence[Any]) -> pa.Array:
        plain = [_plain(value) for value in values]
        kind = _kind(plain)
        self.kind = _both(self.kind, kind)
        if kind == pa.string():
            plain = [value if value is None or isinstance(value, str) else str(value) for value in plain]
        return pa.array(plain, kind)


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    known = value is None or isinstance(value, bool | int | float | str | bytes)
    return value if known and not (isinstance(value, int) and abs(value) >= 2**63) else str(value)


def _kind(values: Sequence[Any]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    found = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), datetime.datetime: pa.timestamp("us"), bytes: pa.binary()}
    kind = pa.null()
    for each in kinds:
        kind = _both(kind, found.get(each, pa.string()))
    return kind


def _both(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other or pa.null() in (one, other):
        return other if one == pa.null() else one
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    return pa.string()
