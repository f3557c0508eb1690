"""Raw rows to a network's inputs, in serving: the frozen SQL, then the encoder that training used.

The model package carries this file and what it imports, so it stays free of Ibis, pydantic and the rest.
"""

from __future__ import annotations

import json
import os
import queue
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data.encoding import Encoder
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError

PART = 16_384  # rows that a thread takes at once, at most
BLANK, VISIBLE = ord(" "), ord("~")  # the least and the largest of printable ASCII

TYPES = {
    "text": pa.string(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us"),
    "binary": pa.binary(),
    "list": pa.list_(pa.float64()),
}

LIKE = {  # Arrow types that become the ones above without a look at each value
    "text": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind) or pa.types.is_integer(kind),
    "number": lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind),
    "boolean": pa.types.is_boolean,
    "datetime": lambda kind: pa.types.is_timestamp(kind) and kind.tz is None,
    "binary": lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
    "list": lambda kind: pa.types.is_list(kind) and pa.types.is_floating(kind.value_type),
}


Look = Callable[[pa.Table, pa.RecordBatch, Mapping[str, np.ndarray], int], None]


class Cleaner:
    """A connection that runs the frozen queries, one request at a time, over a table that it reads anew each time."""

    def __init__(self, queries: Mapping[str, str], empty: pa.Table) -> None:
        self.table = empty
        config: dict[str, Any] = {"threads": 1}
        if any("TRY(" in query for query in queries.values()):  # DuckDB 1.5 moves parts that columns share out of TRY, where they fail
            config["disabled_optimizers"] = "common_subexpressions"
        self.connection = duckdb.connect(config=config)
        self.connection.register("rows", self)
        for name, query in queries.items():  # planned once: for a single row planning takes longer than answering
            self.connection.execute(f"PREPARE {name} AS {query}")

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)

    def answer(self, query: str, table: pa.Table) -> pa.RecordBatch:
        """The clean columns of raw rows."""
        self.table = table
        found = self.connection.execute(f"EXECUTE {query}").to_arrow_table()
        return pa.RecordBatch.from_arrays([_one(column) for column in found.columns], schema=found.schema)


class Frozen:
    """The files preprocessor.json, schema.json, clean.sql and clean_plain.sql of a folder, ready to prepare rows.

    Rows come as a pandas or an Arrow table of raw columns as the source has them; their order and further columns do not
    matter.

    Example:
        >>> Frozen(Path("models/package/artifacts/files")).prepare(rows)["number"].shape  # doctest: +SKIP
        (3, 12)
    """

    def __init__(self, files: Path) -> None:
        self.fitted = Preprocessor.from_json((files / "preprocessor.json").read_text(encoding="utf-8"))
        self.encoder = Encoder(self.fitted)
        schema = json.loads((files / "schema.json").read_text(encoding="utf-8"))
        read = {column["name"]: column for column in schema["columns"] if column["name"] in self.fitted.raw_columns}
        self.raw = {name: column["raw"] for name, column in read.items()}
        self.missing = {name: (*schema["missing"], *column["missing"]) for name, column in read.items()}
        self.words = [name for name, column in read.items() if column["raw"] == "text" and column["kind"] != "text"]
        self.empty = pa.table({name: pa.nulls(0, TYPES[raw]) for name, raw in self.raw.items()})
        self.queries = {name: (files / f"{name}.sql").read_text(encoding="utf-8") for name in ("clean", "clean_plain")}
        self.idle: queue.SimpleQueue[Cleaner] = queue.SimpleQueue()
        self.idle.put(Cleaner(self.queries, self.empty))

    def prepare(
        self, rows: pd.DataFrame | pa.Table, names: Collection[str] | None = None, *, look: Look | None = None
    ) -> dict[str, np.ndarray]:
        """The inputs called `names` (all that there are where None) for raw rows: see `Encoder.shapes`.

        Many rows are shared out to the processor's cores.

        Args:
            look: sees some rows at a time: raw, clean, by column which values were none of its type, and the place of the first.
                Such values are read as missing; without `look` they are an error.

        Raises:
            UserError: a column behind these inputs is not there or holds values of another type.
        """
        names = list(self.encoder.shapes) if names is None else names
        needed = self.fitted.raw_of(self.encoder.columns(names))

        def typed() -> Iterator[tuple[pa.Table, dict[str, np.ndarray]]]:
            for some in _cut(rows):
                odd: dict[str, np.ndarray] = {}
                yield self.arrow(some, needed, odd if look else None), odd

        def cleaned(part: tuple[pa.Table, dict[str, np.ndarray]]) -> tuple[pa.Table, pa.RecordBatch, dict[str, np.ndarray]]:
            return part[0], self.cleaned(part[0]), part[1]

        def encoded(raw: pa.Table, clean: pa.RecordBatch, odd: dict[str, np.ndarray], first: int = 0) -> dict[str, np.ndarray]:
            if look:
                look(raw, clean, odd, first)
            return self.encoder.blocks(clean, names)

        if len(rows) <= PART:
            return encoded(*cleaned(next(typed())))
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # the engine cleans beside; what comes before and after holds Python's lock
            found = [encoded(*part, at * PART) for at, part in enumerate(pool.map(cleaned, typed()))]
        return {name: np.concatenate([blocks[name] for blocks in found]) for name in found[0]}

    def clean(self, rows: pd.DataFrame | pa.Table) -> pa.RecordBatch:
        """The clean columns of raw rows.

        Raises:
            UserError: as for `prepare`.
        """
        return self.cleaned(self.arrow(rows, self.fitted.raw_columns))

    def cleaned(self, table: pa.Table) -> pa.RecordBatch:
        """The clean columns of what `arrow` gave."""
        try:
            cleaner = self.idle.get_nowait()
        except queue.Empty:  # as many as there are requests at the same time
            cleaner = Cleaner(self.queries, self.empty)
        try:
            return cleaner.answer("clean_plain" if all(is_plain(table[name]) for name in self.words) else "clean", table)
        finally:
            self.idle.put(cleaner)

    def arrow(self, rows: pd.DataFrame | pa.Table, needed: Collection[str], odd: dict[str, np.ndarray] | None = None) -> pa.Table:
        """The model's columns, typed as the source had them in training; those that are not needed may be absent, and are then missing.

        Args:
            odd: gets (rows,) whether a value is none of its column's type, where there are any, which then is missing.
        """
        there = rows.column_names if isinstance(rows, pa.Table) else rows.columns
        if missing := [name for name in self.raw if name in needed and name not in there]:
            raise UserError(f"missing column {', '.join(missing)}; the model reads {', '.join(needed)}")
        read = {name: _typed(rows[name], name, raw, self.missing[name], odd) for name, raw in self.raw.items() if name in there}
        return pa.table({name: read.get(name, pa.nulls(len(rows), TYPES[raw])) for name, raw in self.raw.items()})


def is_plain(texts: pa.ChunkedArray) -> bool:
    """Whether each text is missing, empty or what `reading.PLAIN_WORD` says: visible ASCII with single blanks inside."""
    for chunk in texts.chunks:
        _, ends, data = chunk.buffers()
        if data is None or not len(chunk):
            continue
        bounds = np.frombuffer(ends, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        content = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
        if not len(content):
            continue
        if (least := content.min()) < BLANK or content.max() > VISIBLE:
            return False
        if least == BLANK:
            blank, filled, at = content == BLANK, np.diff(bounds) > 0, bounds - bounds[0]
            first, last = np.take(blank, at[:-1], mode="clip"), np.take(blank, at[1:] - 1, mode="clip")
            if (blank[1:] & blank[:-1]).any() or ((first | last) & filled).any():
                return False
    return True


def _cut(rows: pd.DataFrame | pa.Table) -> Iterator[pd.DataFrame | pa.Table]:
    for start in range(0, max(len(rows), 1), PART):
        yield rows.slice(start, PART) if isinstance(rows, pa.Table) else rows.iloc[start : start + PART]


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _typed(
    values: pd.Series | pa.ChunkedArray, name: str, raw: str, missing: Sequence[str], odd: dict[str, np.ndarray] | None
) -> pa.Array | pa.ChunkedArray:
    """One raw column as its type in TYPES, missing as null; in Arrow's texts for another type the tokens `missing` are null too."""
    values = pa.chunked_array(values.array.__arrow_array__()) if isinstance(getattr(values, "dtype", None), pd.ArrowDtype) else values
    if isinstance(values, pa.ChunkedArray):
        if LIKE[raw](values.type):
            return values.cast(TYPES[raw], safe=raw != "number")
        if raw in ("number", "boolean", "datetime") and pa.types.is_string(values.type):
            values = pc.if_else(pc.is_in(values, pa.array(missing, pa.string())), pa.scalar(None, pa.string()), values)
            with suppress(pa.ArrowInvalid):  # else a spelling that pandas may know
                return values.cast(TYPES[raw])
        values = values.to_pandas()
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
        if odd is not None:
            read = [_read(value, raw) for value in values]
            odd[name] = np.array([one is None for one in read]) & values.notna().to_numpy()
            return pa.array(read, TYPES[raw])
        example = next(iter(values[values.notna()]), None)
        raise UserError(f"column {name}: expected {raw} values, got for example {str(example)[:100]!r} ({error})") from None


def _read(value: Any, raw: str) -> Any:
    """One value as its type, None where it is none."""
    try:
        return _typed(pd.Series([value], dtype=object), "", raw, (), None)[0].as_py()
    except UserError:
        return None


def _texts(values: pd.Series) -> pa.Array:
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        try:
            return pa.array(values.to_numpy(), pa.string(), from_pandas=True)
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
