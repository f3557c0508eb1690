"""Answers and errors as MLflow's scoring server writes them, so that its clients read them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

MOST = 20  # refused rows that are told one by one
NOTHING = b'{"predictions": []}'


def predictions(answer: pa.Table) -> bytes:
    """{"predictions": [{column: value}]}, one object a row: nan, infinities and what is missing are null, times ISO 8601, bytes base64.

    Example:
        >>> predictions(pa.table({"prediction": [0.1, float("nan")]}))
        b'{"predictions": [{"prediction": 0.1}, {"prediction": null}]}'
    """
    names = answer.column_names
    rows = [dict(zip(names, row, strict=True)) for row in zip(*map(_values, answer.columns), strict=True)]
    return json.dumps({"predictions": rows}, allow_nan=False).encode()


def problem(code: str, text: str, **more: Any) -> bytes:
    """An error as MLflow's exceptions are written, such as code BAD_REQUEST; `more` stands beside it."""
    return json.dumps({"error_code": code, "message": text, **more}).encode()


def refusals(answer: pa.Table) -> list[str]:
    """Why rows are not answered, "row 0: age is missing, which it never was in training"; beyond MOST how many more there are."""
    if "refused" not in answer.column_names:
        return []
    told = [f"row {at}: {why}" for at, why in enumerate(answer["refused"].to_pylist()) if why is not None]
    return told if len(told) <= MOST else [*told[:MOST], f"and {len(told) - MOST:,} more"]


def refusal(answer: pa.Table) -> bytes:
    """The error of a request of which no row is answered; its predictions stand beside it, as they would in an answer."""
    return problem("INVALID_PARAMETER_VALUE", "; ".join(refusals(answer)), **json.loads(predictions(answer)))


def _values(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    values = column.to_pylist()
    if pa.types.is_floating(kind):
        return [None if value is None or value - value else value for value in values]  # nan is true, as is inf - inf
    if pa.types.is_temporal(kind):
        return _each(values, lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _each(values, lambda value: base64.encodebytes(value).decode("ascii"))
    if pa.types.is_nested(kind) or pa.types.is_decimal(kind):
        return _each(values, _plain)
    return values


def _each(values: list[Any], write: Callable[[Any], Any]) -> list[Any]:
    return [None if value is None else write(value) for value in values]


def _plain(value: Any) -> Any:
    """A value of any type as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, float):
        return None if value - value else value
    return value if value is None or isinstance(value, bool | int | str) else str(value)
