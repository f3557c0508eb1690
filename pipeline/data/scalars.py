"""Values given in params, in the type of the column that they are compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis.expr.types as ir

from pipeline.config import Scalar
from pipeline.errors import UserError

UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(UNITS)})")


def fitting(column: ir.Column, values: Iterable[Scalar], *, key: str) -> list[Any]:
    """`values` in the column's type: texts, numbers, booleans or moments (in UTC where they name an offset).

    Raises:
        UserError: a value does not fit the column.
    """
    values = list(values)
    if column.type().is_string():
        return [str(value) for value in values]
    read = _boolean if column.type().is_boolean() else _number if column.type().is_numeric() else _moment
    try:
        return [read(value) for value in values]
    except (TypeError, ValueError) as error:
        raise UserError(f"{key}: {values} do not fit {column.get_name()}: {error}") from None


def span(column: ir.Column, value: Scalar, *, key: str) -> Any:
    """A length of time in the unit in which a column's values differ: a number, or a timedelta for a datetime column.

    Raises:
        UserError: the value is no length of time of that column.
    """
    unit = SPAN.fullmatch(str(value).strip())
    if column.type().is_numeric():
        if isinstance(value, str) or value < 0:
            raise UserError(f"{key}: {column.get_name()} is a number, so expected a number from 0 in its unit, got {value!r}")
        return float(value)
    if unit is not None:
        try:
            return timedelta(**{UNITS[unit[2]]: float(unit[1])})
        except OverflowError:
            raise UserError(f"{key}: {value!r} is longer than any two dates lie apart") from None
    if value == 0:
        return timedelta()
    raise UserError(
        f"{key}: {column.get_name()} is a datetime, so expected a number and one of {', '.join(UNITS)}, such as 7d, got {value!r}"
    )


def written(value: Any) -> Scalar:
    """A column's value as it is written in params."""
    if isinstance(value, datetime):
        return value.date().isoformat() if value == datetime.combine(value.date(), datetime.min.time()) else value.isoformat(sep=" ")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    found: Scalar = value
    return found


def _moment(value: Scalar) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _number(value: Scalar) -> float:
    if isinstance(value, bool):
        raise TypeError(f"expected numbers, got {value}")
    return float(value)


def _boolean(value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {value!r}")
    return value
