"""Raw rows to a network's inputs, in serving: the frozen SQL, then the encoder that training used.

The model package carries this file and what it imports, so it stays free of Ibis, pydantic and the rest.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.data.encoding import Encoder
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError

TYPES = {
    "text": pa.string(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us"),
    "binary": pa.binary(),
    "list": pa.list_(pa.float64()),
}


class Request:
    """The rows asked about, as a table that a prepared query reads anew each time it runs."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class Frozen:
    """The files preprocessor.json, schema.json, clean.sql and features.sql of a folder, ready to prepare rows.

    Example:
        >>> Frozen(Path("models/package/artifacts/files")).prepare(rows)["number"].shape  # doctest: +SKIP
        (3, 12)
    """

    def __init__(self, files: Path) -> None:
        self.fitted = Preprocessor.from_json((files / "preprocessor.json").read_text(encoding="utf-8"))
        self.encoder = Encoder(self.fitted)
        schema = json.loads((files / "schema.json").read_text(encoding="utf-8"))
        self.raw = {column["name"]: column["raw"] for column in schema["columns"] if column["name"] in self.fitted.all_columns}
        self.connection = duckdb.connect(config={"threads": 1})
        self.request = Request(pa.table({name: pa.nulls(0, TYPES[raw]) for name, raw in self.raw.items()}))
        self.connection.register("rows", self.request)
        for name in ("clean", "features"):  # planned once: for a single row planning takes longer than answering
            self.connection.execute(f"PREPARE {name} AS {(files / f'{name}.sql').read_text(encoding='utf-8')}")
        self.lock = threading.Lock()

    def prepare(self, rows: pd.DataFrame, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """The inputs called `names` (all that there are where None) for raw rows: see `Encoder.shapes`.

        Raises:
            UserError: a column behind these inputs is not there or holds values of another type.
        """
        names = list(self.encoder.shapes) if names is None else names
        return self.encoder.blocks(self._answer("features", rows, self.encoder.columns(names)), names)

    def query(self, name: str, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """The columns that a frozen query (clean or features) gives for raw rows, in their order."""
        answer = self._answer(name, rows, self.fitted.columns)
        return {column: answer.column(column).to_numpy(zero_copy_only=False) for column in answer.schema.names}

    def _answer(self, name: str, rows: pd.DataFrame, needed: Collection[str]) -> pa.RecordBatch:
        table = self.arrow(rows, needed)
        with self.lock:  # a connection answers one request at a time
            self.request.table = table
            found = self.connection.execute(f"EXECUTE {name}").to_arrow_table()
        return pa.RecordBatch.from_arrays([_one(column) for column in found.columns], schema=found.schema)

    def arrow(self, rows: pd.DataFrame, needed: Collection[str]) -> pa.Table:
        """The model's columns, typed as the source had them in training; those that are not needed may be absent, and are then missing."""
        if missing := [name for name in self.raw if name in needed and name not in rows.columns]:
            raise UserError(f"missing column {', '.join(missing)}; the model reads {', '.join(needed)}")
        absent = pa.nulls(len(rows))
        read = {name: _typed(rows[name], name, raw) if name in rows.columns else absent.cast(TYPES[raw]) for name, raw in self.raw.items()}
        return pa.table(read)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _typed(values: pd.Series, name: str, raw: str) -> pa.Array:
    """One raw column as its type in TYPES, missing as null."""
    try:
        if raw == "text":
            return _texts(values)
        if raw == "number":
            return pa.array(pd.to_numeric(values).to_numpy(dtype="float64", na_value=np.nan), pa.float64(), from_pandas=True)
        if raw == "boolean":
            return pa.array([None if missing else _boolean(value) for value, missing in _pairs(values)], pa.bool_())
        if raw == "datetime":
            return pa.array(pd.to_datetime(values), pa.timestamp("us"), from_pandas=True)
        return pa.array([None if value is None or value is pd.NA else value for value in values], TYPES[raw])
    except (ValueError, TypeError, pa.ArrowException) as error:
        example = next(iter(values[values.notna()]), None)
        raise UserError(f"column {name}: expected {raw} values, got for example {str(example)[:100]!r} ({error})") from None


def _texts(values: pd.Series) -> pa.Array:
    if values.dtype == object:
        try:
            return pa.array(values.array, pa.string(), from_pandas=True)
        except (pa.ArrowException, TypeError):  # not text alone
            pass
    return pa.array([None if missing else _text(value) for value, missing in _pairs(values)], pa.string())


def _pairs(values: pd.Series) -> Iterator[tuple[Any, bool]]:
    """Each value, and whether it is missing."""
    return zip(values, values.isna(), strict=True)


def _text(value: Any) -> str:
    """A value as the text a CSV file has for it: 3.0, which pandas makes of 3 beside a missing value, is 3."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    text = str(value).strip().lower()
    if text in ("true", "t", "1", "1.0"):
        return True
    if text in ("false", "f", "0", "0.0"):
        return False
    raise ValueError(f"{value!r} is neither true nor false")
