"""One column of a request as Arrow, so that the package reads what it would read of the values themselves.

Where every value is of its column's type, the column has that type, whatever the values came as, so that requests can be answered
together.  Where one is not, the package has to see it to say so: the column then is text.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline.data.frozen import TYPES, _text, _typed
from pipeline.data.frozen import _read as _read_one
from pipeline.errors import UserError
from pipeline.serving.about import About

SENT = {**TYPES, "binary": pa.string()}  # base64, which the package decodes
AS_IS = pa.large_string()  # texts in which the package looks for no token that stands for a missing value, as JSON has null for that
EXPECTED = {
    "text": "a text",
    "number": "a number",
    "boolean": "true or false",
    "datetime": "a time",
    "binary": "base64 text",
    "list": "a list of numbers",
}
FEW = 64  # rows for which the number of calls to Arrow is what counts
SHOWN = 60  # characters of a value in a message
ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?)?")
PANDAS = (OverflowError, RuntimeError)  # that pandas raises for some texts and numbers that are no time
UNREADABLE = (pa.ArrowException, ValueError, TypeError, *PANDAS)


class Unreadable(Exception):
    """A request that is no rows for the model: the HTTP status, and in words what was expected and what came."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate of the request could not be sent back
        super().__init__(self.text)


def arrays(values: Mapping[str, Sequence[Any]], about: About) -> list[pa.Array]:
    """The values that JSON has for the model's columns, None and nan where there is none.

    Raises:
        Unreadable: a value is an object or a list where one value is expected, is none that Arrow can carry, or is neither a list
            in a column of lists nor text in one of pictures.
    """
    there = {name: values[name] for name in about.columns}
    few = 0 < len(there[about.columns[0]]) <= FEW
    if few and not about.whole and "list" not in about.raw.values():
        with suppress(*UNREADABLE):  # one call to Arrow for all columns takes a fifth of the time that 25 take
            given = [_times(some) if about.raw[name] == "datetime" else some for name, some in there.items()]
            found = pa.array(list(zip(*given, strict=True)), _struct(tuple(about.raw.items())), from_pandas=True).flatten()
            for name in about.columns:
                if about.raw[name] == "binary":
                    encoded(there[name], name)
            return found
    return [column(some, name, about) for name, some in there.items()]


@lru_cache(64)
def _struct(raw: tuple[tuple[str, str], ...]) -> pa.DataType:
    return pa.struct([(name, SENT[kind]) for name, kind in raw])


def column(values: Sequence[Any], name: str, about: About) -> pa.Array:
    """One of `arrays`."""
    raw = about.raw[name]
    if about.whole:  # asked alone, and its series are told back as they came
        return _natural(values, name, raw)
    if raw == "binary":
        _carried(values, name, raw)
        return pa.array(encoded(values, name), pa.string())
    try:
        return pa.array(_times(values) if raw == "datetime" else values, SENT[raw], from_pandas=raw != "list")
    except UNREADABLE:
        return _each(values, name, raw)


def _times(values: Sequence[Any]) -> list[datetime.datetime | None]:
    """Times that can be written in one way alone, of years that pandas has."""
    if not all(value is None or (ISO.fullmatch(value) and "1678" <= value[:4] <= "2261") for value in values):
        raise ValueError("not all are plain")
    return [None if value is None else datetime.datetime.fromisoformat(value) for value in values]


def texts(values: Sequence[Any], name: str) -> pa.Array:
    """Values as the texts that a CSV file has for them, objects and lists as JSON."""
    _carried(values, name, "list", nested=True)
    told = [None if is_missing(value) else json.dumps(value) if isinstance(value, list | dict) else _text(value) for value in values]
    return pa.array(told, pa.string())


def _each(values: Sequence[Any], name: str, raw: str) -> pa.Array:
    """The column where not every value is as JSON writes its type."""
    _carried(values, name, raw)
    if raw == "text":
        return texts(values, name)
    if raw == "list":
        return pa.array([None if is_missing(value) else _numbers(value, name, at) for at, value in enumerate(values)], TYPES[raw])
    values = [_small(value, raw) for value in values]
    with suppress(UserError, *PANDAS):
        return _typed(pd.Series(values, dtype=object), name, raw, (), None)
    found, strange = one_by_one(values, raw)
    if not any(strange):
        return pa.array(found, TYPES[raw])
    each = zip(values, strange, found, strict=True)
    return pa.array([_strange(value, raw) if odd else _again(typed) for value, odd, typed in each], AS_IS)


def one_by_one(values: Sequence[Any], raw: str) -> tuple[list[Any], list[bool]]:
    """The values that the package reads where it cannot read all of them together, and which of those that are there it does not."""
    numbers = raw == "number"
    distinct = {repr(value): value for value in values if not (numbers and isinstance(value, int | float))}
    read = {key: _one(value, raw) for key, value in distinct.items()}
    found = [_float(value) if numbers and isinstance(value, int | float) else read[repr(value)] for value in values]
    found = [None if is_missing(value) else value for value in found]
    return found, [one is None and not is_missing(value) for one, value in zip(found, values, strict=True)]


def _one(value: Any, raw: str) -> Any:
    with suppress(*PANDAS):
        return _read_one(value, raw)
    return None


def _natural(values: Sequence[Any], name: str, raw: str) -> pa.Array:
    try:
        found = pa.array(values, from_pandas=raw != "list")
    except UNREADABLE:  # of several types
        _carried(values, name, raw)
        return texts(values, name)
    if pa.types.is_nested(found.type):
        _carried(values, name, raw)
    return found


def _carried(values: Sequence[Any], name: str, raw: str, *, nested: bool = False) -> None:
    for at, value in enumerate(values):
        if (isinstance(value, dict) and not nested) or (isinstance(value, list) and raw != "list"):
            what = "an object" if isinstance(value, dict) else "a list"
            raise Unreadable(400, f"column {name}, row {at}: expected {EXPECTED[raw]}, got {what}: {short(json.dumps(value))}")
        if isinstance(value, str) and not _encodes(value):
            raise Unreadable(400, f"column {name}, row {at}: expected Unicode text, got {short(json.dumps(value))} with a lone surrogate")


def _numbers(value: Any, name: str, at: int) -> list[float | None]:
    try:
        if isinstance(value, list):
            return [None if one is None else _float(one) for one in value]
    except TypeError:
        pass
    raise Unreadable(400, f"column {name}, row {at}: expected a list of numbers, got {short(json.dumps(value))}")


def encoded(values: Sequence[Any], name: str) -> list[str | None]:
    """Texts that the package can decode; one that it cannot would cost all rows their answer."""
    for at, value in enumerate(values):
        try:
            if not is_missing(value):
                base64.b64decode("".join(value.split()), validate=True)
        except (ValueError, AttributeError):
            raise Unreadable(400, f"column {name}, row {at}: expected base64 text, got {short(json.dumps(value))}") from None
    return [None if is_missing(value) else value for value in values]


def _strange(value: Any, raw: str) -> str:
    """A value that is none of its column's type as a text that is none either: 1678 as text would be a year."""
    return f"{value} (a number)" if raw == "datetime" and not isinstance(value, str) else str(value)


def _again(value: Any) -> str | None:
    """A text of which the package makes this value, of a number with more than 15 digits perhaps the one next to it, as pandas reads it."""
    return value if value is None else value.isoformat() if isinstance(value, datetime.datetime) else repr(value)


def _small(value: Any, raw: str) -> Any:
    """A whole number of any size as pandas can take it."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return _float(value) if raw == "number" else str(value)
    return value


def _float(value: Any) -> float:
    if not isinstance(value, int | float):
        raise TypeError
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_missing(value: Any) -> bool:
    return value is None or value != value


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def short(text: str, most: int = SHOWN) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def shown(names: Sequence[str] | Mapping[str, Any], most: int = 50) -> str:
    """Names for a message, in their order."""
    some = ", ".join(short(name) for name in list(names)[:most])
    return f"{some} and {len(names) - most} more" if len(names) > most else some or "none"
