"""Schema: what each column holds, and what the target asks for.

`inference` finds it out; `cleaning` types the columns by it; its JSON travels with the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

Raw = Literal["text", "number", "boolean", "datetime", "binary", "list"]
PLAIN = re.compile(r"[^\W\d][\w.-]*( [\w.-]+)*")  # names that YAML reads as they stand
WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))  # but for these


@dataclass(frozen=True)
class Column:
    """One source column: how the source types it, what it is taken for and why, and how its values are written.

    `format` is a datetime's format (None is ISO 8601, `%z` the same with offsets from UTC) or the sign beside a number,
    `missing` what else stands for no value, `low` and `high` are the ends of a number's possible values.  `unreadable`
    counts the values that were there but do not read as the kind, `notes` are for the quality report.  `sql` is what a step of the
    user's own (clean.steps) makes the column by, over the clean columns `reads`; such a column may be none of the source's.
    """

    name: str
    raw: Raw
    kind: str
    reason: str
    format: str | None = None
    decimal: str = "."
    thousands: str = ""
    missing: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unreadable: int = 0
    notes: tuple[str, ...] = ()
    sql: str = ""
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """All columns in the source's order; `missing` are the texts that mean no value.

    `target` is the first of `targets`; `forecast` holds time, series, look_back and horizon where the task is a forecast.
    """

    columns: tuple[Column, ...]
    target: str
    task: str
    positive: str | None
    missing: tuple[str, ...]
    targets: tuple[str, ...] = ()
    out_of_range: str = "missing"
    forecast: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.targets:
            object.__setattr__(self, "targets", (self.target,))

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def compared(self) -> list[str]:
        """Columns by whose values people tell rows apart, whether a network reads them or not; no target."""
        kinds = ("number", "category", "boolean", "datetime")
        return [column.name for column in self.columns if column.kind in kinds and column.name not in self.targets]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Schema:
        raw: dict[str, Any] = json.loads(text)
        columns = tuple(Column(**_frozen(column)) for column in raw.pop("columns"))
        return cls(columns=columns, **_frozen(raw))


def _frozen(raw: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}


def as_key(name: str) -> str:
    """A column's name as a key of params.yaml, in quotes where YAML would read it otherwise."""
    return name if PLAIN.fullmatch(name) and name.lower() not in WORDS else json.dumps(name, ensure_ascii=False)


def raw_type(column: ir.Column) -> Raw:
    """The kind of value that the source itself says a column holds."""
    kind = column.type()
    if isinstance(kind, dt.Boolean):
        return "boolean"
    if isinstance(kind, dt.Numeric):
        return "number"
    if isinstance(kind, dt.Binary):
        return "binary"
    if isinstance(kind, dt.Array) and isinstance(kind.value_type, dt.Numeric):
        return "list"
    return "datetime" if isinstance(kind, dt.Timestamp | dt.Date) else "text"


def is_whole(number: ir.FloatingValue) -> ir.BooleanValue:
    """Whether a float64 has no fraction (rounding it would go by way of a 64-bit integer, which large numbers overflow)."""
    return number % 1.0 == 0.0
