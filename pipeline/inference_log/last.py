"""The last label of each row of a log, beside the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data.engine import engine

FOLDER = "labels"


class Last:
    """The last label of each row, looked up in DuckDB, which spills to disk where memory is short."""

    def __init__(self, connection: Any, folder: Path) -> None:
        self.connection, self.any = connection, False
        if connection is None:
            return
        connection.execute("CREATE TEMP TABLE last (request_id VARCHAR, row INTEGER, label VARCHAR, time BIGINT)")
        if files := _files(folder):
            connection.execute(
                "INSERT INTO last SELECT request_id, row, arg_max(label, moment), max(moment) "
                "FROM (SELECT *, epoch_us(time) AS moment FROM read_parquet($files)) GROUP BY ALL",
                {"files": [str(file) for file in files]},
            )
            self.any = True

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Last]:
        if not _files(folder):
            yield cls(None, folder)
            return
        with engine() as backend:
            yield cls(backend.con, folder)

    def beside(self, table: pa.Table, keys: pa.Table) -> pa.Table:
        """`table` with `label` and `label_time` of the rows that `keys` names by request_id and row."""
        label, moment = pa.nulls(len(table), pa.string()), pa.nulls(len(table), pa.int64())
        if self.any and len(table):
            wanted = keys.select(["request_id", "row"]).append_column("place", pa.array(range(len(keys)), pa.int64()))
            self.connection.register("wanted", wanted)
            found = self.connection.execute(
                "SELECT label, time FROM wanted LEFT JOIN last "
                "ON last.request_id = wanted.request_id AND last.row = wanted.row ORDER BY place"
            ).to_arrow_table()
            self.connection.unregister("wanted")
            label, moment = found["label"].cast(pa.string()), found["time"]
        return table.append_column("label", label).append_column("label_time", pc.cast(moment, pa.timestamp("us", "UTC")))


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in (folder / FOLDER).glob("*.parquet") if not file.name.startswith("."))
