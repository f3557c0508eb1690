"""The body of a request to a table: MLflow's four forms of JSON, CSV, Parquet or an Arrow stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.serving.about import About
from pipeline.serving.columns import Unreadable, arrays, shown, texts
from pipeline.serving.tables import decoded, missing_columns, of_arrow, of_csv, of_parquet, places
from pipeline.serving.unread import unread

__all__ = ["ARROW", "CSV", "FORMS", "JSON", "PARQUET", "TYPES", "Unreadable", "table", "unread"]

JSON, CSV = "application/json", "text/csv"
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
TYPES = (JSON, CSV, PARQUET, ARROW)
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")

Values = Mapping[str, Sequence[Any]]


def table(body: bytes, content_type: str | None, about: About, keep: Sequence[str] = ()) -> pa.Table:
    """The rows of a request: `about.columns`, then those of `keep` that are no column of the model's, as text, null where it has none.

    Example:
        >>> table(b'{"dataframe_records": [{"age": 31}]}', "application/json", about).column_names  # doctest: +SKIP
        ['age']

    Raises:
        Unreadable: 415 for a type that is not taken, 400 for a body that is not what its type says or holds no rows, 422 where
            columns are missing, 413 for a Parquet file or an Arrow stream of more than a million rows.
    """
    kind = _kind(content_type)
    further = [name for name in dict.fromkeys(keep) if name not in about.columns]
    if not body.strip():
        raise Unreadable(400, f"the body is empty; expected {_words(kind)}")
    try:
        return READERS[kind](body, about, further)
    except RecursionError:
        raise Unreadable(400, "the body is nested too deeply to be rows") from None


def _kind(content_type: str | None) -> str:
    taken = f"expected one of {', '.join(TYPES)}, in UTF-8"
    if content_type is None or not content_type.strip():
        raise Unreadable(415, f"the request has no Content-Type; {taken}")
    kind, *parameters = (part.strip() for part in content_type.split(";"))
    if kind.lower() not in TYPES:
        raise Unreadable(415, f"Content-Type {kind[:100]!r} is not taken; {taken}")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8", "us-ascii"):
            raise Unreadable(415, f"charset {value.strip()[:100]!r} is not taken; {taken}")
    return kind.lower()


def _words(kind: str) -> str:
    if kind == JSON:
        return f"a JSON object with exactly one of {', '.join(FORMS)}"
    return {CSV: "a header line and rows", PARQUET: "a Parquet file", ARROW: "an Arrow stream"}[kind]


def _json(body: bytes, about: About, further: Sequence[str]) -> pa.Table:
    text = decoded(body)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(
            400, f"expected JSON, got {error.msg[:1].lower()}{error.msg[1:]} at line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError:  # a whole number of more than 4,300 digits
        raise Unreadable(400, "expected JSON, got a number of too many digits") from None
    values, rows = _values(found, about, further)
    found = arrays(values, about)
    found += [texts(values[name], name) if name in values else pa.nulls(rows, pa.string()) for name in further]
    return pa.Table.from_arrays(found, names=[*about.columns, *further])


def _values(found: Any, about: About, further: Sequence[str]) -> tuple[Values, int]:
    """The values by column, and how many rows there are."""
    columns = about.columns
    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        return _records(found, columns, further, "row")
    if not isinstance(found, dict):
        raise Unreadable(400, f"expected {_words(JSON)}, got {_what(found)}")
    forms = [form for form in FORMS if form in found]
    if len(forms) > 1:
        raise Unreadable(400, f"expected {_words(JSON)}, got {' and '.join(forms)}")
    if not forms:
        if all(name in found for name in columns):
            return _records([found], columns, further, "row")
        raise Unreadable(400, f"expected {_words(JSON)}, got an object of {shown(found, 5)}")
    rows = found[forms[0]]
    if forms[0] == "dataframe_split":
        return _split(rows, columns, further)
    if forms[0] == "inputs" and isinstance(rows, dict):
        return _by_column(rows, about, further)
    if not isinstance(rows, list):
        many = "an object of columns or a list" if forms[0] == "inputs" else "a list"
        raise Unreadable(400, f"{forms[0]}: expected {many} of rows, got {_what(rows)}")
    if forms[0] != "dataframe_records" and rows and not isinstance(rows[0], dict):
        return _ordered(rows, columns, forms[0])
    return _records(rows, columns, further, f"{forms[0]}, row")


def _records(rows: list[Any], columns: Sequence[str], further: Sequence[str], where: str) -> tuple[Values, int]:
    for at, row in enumerate(rows):
        if not isinstance(row, dict):
            raise Unreadable(400, f"{where} {at}: expected an object of columns, got {_what(row)}")
    try:
        values = {name: [row[name] for row in rows] for name in columns}
    except KeyError:
        at = next(at for at, row in enumerate(rows) if not all(name in row for name in columns))
        raise missing_columns(columns, rows[at], f"{where} {at}: ", " (null where there is no value)") from None
    return values | {name: [row.get(name) for row in rows] for name in further}, len(rows)


def _split(found: Any, columns: Sequence[str], further: Sequence[str]) -> tuple[Values, int]:
    keys = set(found) if isinstance(found, dict) else set()
    if not {"columns", "data"} <= keys <= {"columns", "data", "index"}:
        got = f"an object of {shown(found, 5)}" if isinstance(found, dict) else _what(found)
        raise Unreadable(400, f"dataframe_split: expected an object of columns, data and, if need be, index, got {got}")
    names, rows, index = found["columns"], found["data"], found.get("index")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Unreadable(400, f"dataframe_split, columns: expected a list of names, got {_what(names)}")
    if not isinstance(rows, list):
        raise Unreadable(400, f"dataframe_split, data: expected a list of rows, got {_what(rows)}")
    where = places(names, columns, further, "dataframe_split, columns: ")
    for at, row in enumerate(rows):
        if not isinstance(row, list):
            raise Unreadable(400, f"dataframe_split, data, row {at}: expected a list of values, got {_what(row)}")
        if len(row) != len(names):
            raise Unreadable(400, f"dataframe_split, data, row {at}: expected {len(names)} values, one a column, got {len(row)}")
    if index is not None and (not isinstance(index, list) or len(index) != len(rows)):
        raise Unreadable(400, f"dataframe_split, index: expected a list of {len(rows)}, one a row, got {_what(index)}")
    return {name: [row[at] for row in rows] for name, at in where.items()}, len(rows)


def _ordered(rows: list[Any], columns: Sequence[str], where: str) -> tuple[Values, int]:
    """Rows as lists of values in the order of the model's columns; of a single column its values."""
    if len(columns) == 1 and not all(isinstance(row, list) and len(row) == 1 for row in rows):
        return {columns[0]: rows}, len(rows)
    for at, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            got = f"{len(row)} values" if isinstance(row, list) else _what(row)
            raise Unreadable(400, f"{where}, row {at}: expected {len(columns)} values, of {shown(columns)}, got {got}")
    return {name: [row[at] for row in rows] for at, name in enumerate(columns)}, len(rows)


def _by_column(found: dict[str, Any], about: About, further: Sequence[str]) -> tuple[Values, int]:
    """By column its values or, of a single row, the value."""
    columns = about.columns
    if any(name not in found for name in columns):
        raise missing_columns(columns, found, "inputs: ")
    there = {name: found[name] for name in (*columns, *further) if name in found}
    single = [name for name in columns if about.raw[name] != "list"]  # a list of numbers is a value of the others
    if not any(isinstance(there[name], list) for name in single) if single else not any(map(_holds_lists, there.values())):
        return {name: [value] for name, value in there.items()}, 1
    for name, values in there.items():
        if not isinstance(values, list):
            raise Unreadable(400, f"inputs, column {name}: expected a list of values, as other columns have, got {_what(values)}")
        if len(values) != len(there[columns[0]]):
            first = f"{len(there[columns[0]])} as {columns[0]} has"
            raise Unreadable(400, f"inputs, column {name}: expected as many values as there are in all columns, {first}, got {len(values)}")
    return there, len(there[columns[0]])


def _holds_lists(values: Any) -> bool:
    return isinstance(values, list) and any(isinstance(value, list) for value in values)


READERS: Mapping[str, Callable[[bytes, About, Sequence[str]], pa.Table]] = {JSON: _json, CSV: of_csv, PARQUET: of_parquet, ARROW: of_arrow}


def _what(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
