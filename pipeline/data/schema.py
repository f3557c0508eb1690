"""Schema: what each column holds, inferred over all rows, and what the target asks for.

Inference looks at how values are written, never at how often they occur: what depends on frequencies (constant
columns, ids, free text, vocabularies) is decided on train alone, in `preprocessing`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.data.engine import ROW_ID, trim
from pipeline.errors import UserError

TRUE, FALSE = ("true", "t"), ("false", "f")
DATE_FORMATS = ("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M")
FEW_CLASSES = 10  # whole-number targets with at most this many values are read as classes

Raw = Literal["text", "number", "boolean", "datetime"]

UNFIT = (("number", "datetime"), ("boolean", "datetime"), ("datetime", "number"), ("datetime", "boolean"))  # override, source's type


@dataclass(frozen=True)
class Column:
    """One source column: how the source types it, what it is taken for, and why."""

    name: str
    raw: Raw
    kind: str
    reason: str
    format: str | None = None


@dataclass(frozen=True)
class Schema:
    """All columns in the source's order; `missing` are the texts that mean no value."""

    columns: tuple[Column, ...]
    target: str
    task: str
    positive: str | None
    missing: tuple[str, ...]

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Schema:
        raw = json.loads(text)
        columns = tuple(Column(**column) for column in raw.pop("columns"))
        return cls(columns=columns, missing=tuple(raw.pop("missing")), **raw)


def raw_type(column: ir.Column) -> Raw:
    """The kind of value that the source itself says a column holds."""
    kind = column.type()
    if isinstance(kind, dt.Boolean):
        return "boolean"
    if isinstance(kind, dt.Numeric):
        return "number"
    return "datetime" if isinstance(kind, dt.Timestamp | dt.Date) else "text"


def text_value(column: ir.Column, missing: tuple[str, ...]) -> ir.StringValue:
    """A column as trimmed text, with the missing tokens as missing."""
    text = trim(column.cast("string"))
    return ibis.ifelse(text.isin(missing), ibis.null("string"), text) if missing else text


def present(column: ir.Column, missing: tuple[str, ...]) -> ir.Column:
    """A column with everything that stands for no value as missing: the missing tokens in text, NaN among numbers."""
    if raw_type(column) == "text":
        return text_value(column, missing)
    return ibis.ifelse(column.isnan(), ibis.null(column.type()), column) if column.type().is_floating() else column


def is_whole(number: ir.FloatingValue) -> ir.BooleanValue:
    """Whether a float64 has no fraction (rounding it would go by way of a 64-bit integer, which large numbers overflow)."""
    return number % 1.0 == 0.0


def as_timestamp(text: ir.StringValue) -> ir.TimestampValue:
    """ISO 8601 text as a timestamp; missing where it is none (the engine would read `infinity` as one)."""
    written = (text.length() >= 8) & ~text.lower().endswith("infinity")
    return ibis.ifelse(written, text, ibis.null("string")).try_cast("timestamp")


def infer(
    backend: Backend,
    table: ir.Table,
    *,
    target: str,
    task: str,
    positive: str | None,
    overrides: Mapping[str, str],
    missing: tuple[str, ...],
) -> Schema:
    """Infer the kind of every column from the way its values are written.

    Raises:
        UserError: the target or an overridden column is not there, the target is constant, all missing or does not fit the task.
    """
    names = [name for name in table.columns if name != ROW_ID]
    unknown = [f"data.columns.{name}: no such column; columns are {', '.join(names)}" for name in overrides if name not in names]
    if target not in names:
        unknown.insert(0, f"data.target: {target!r} is no column of the source; columns are {', '.join(names)}")
    if unknown:
        raise UserError(*unknown)
    counts = _count(backend, table, names, missing, overrides)
    columns = [_column(table, name, counts, overrides) for name in names]
    at = names.index(target)
    unfit = [
        f"data.columns.{name}: {kind} does not fit: the source types it as {raw}"
        for name, kind in overrides.items()
        if (kind, raw := raw_type(table[name])) in UNFIT
    ]
    if unfit:
        raise UserError(*unfit)
    if target in overrides and overrides[target] not in ("number", "category", "boolean"):
        raise UserError(f"data.columns.{target}: the target must be number, category or boolean, got {overrides[target]}")
    columns[at], task = _target(backend, table, columns[at], counts, task, missing)
    if positive is not None and task != "binary":
        raise UserError(f"data.positive: only a binary task has a positive class, this one is {task}")
    return Schema(tuple(columns), target, task, positive, missing)


def _count(backend: Backend, table: ir.Table, names: list[str], missing: tuple[str, ...], overrides: Mapping[str, str]) -> dict[str, int]:
    """For each column its values, and for text how many of them read as number, as boolean and as each form of date.

    Dates are costly to try, so a second pass tries them on those columns alone whose values all start with a digit.
    """
    texts = [name for name in names if raw_type(table[name]) == "text"]
    values = {name: present(table[name], missing) for name in names}
    first: dict[str, ir.Scalar] = {f"{name}:values": values[name].count() for name in names}
    for name in texts:
        first[f"{name}:number"] = values[name].try_cast("float64").count()
        first[f"{name}:boolean"] = values[name].lower().isin(TRUE + FALSE).sum()
        first[f"{name}:digit"] = values[name].left(1).between("0", "9").sum()
    counts = _totals(backend, table, first)
    second: dict[str, ir.Scalar] = {}
    for name in texts:
        told = [counts[f"{name}:{what}"] for what in ("values", "number", "boolean", "digit")]
        if overrides.get(name) == "datetime" or (told[0] not in told[1:3] and told[0] == told[3] > 0):
            second |= {f"{name}:datetime": as_timestamp(values[name]).count()}
            second |= {f"{name}:{form}": try_strptime(values[name], form).count() for form in DATE_FORMATS}
    untried = dict.fromkeys([f"{name}:{form}" for name in texts for form in ("datetime", *DATE_FORMATS)], 0)
    return untried | counts | _totals(backend, table, second)


def _totals(backend: Backend, table: ir.Table, parts: Mapping[str, ir.Scalar]) -> dict[str, int]:
    """The sums of `parts` over the table; names of columns are no names of results, so these are numbered."""
    if not parts:
        return {}
    found = backend.to_pyarrow(table.aggregate(**{f"p{at}": part for at, part in enumerate(parts.values())})).to_pylist()[0]
    return {key: int(found[f"p{at}"] or 0) for at, key in enumerate(parts)}


@ibis.udf.scalar.builtin(name="try_strptime")
def try_strptime(text: str, form: str) -> dt.Timestamp(timezone=None):  # type: ignore[valid-type]
    """DuckDB's date parser: missing where the text does not fit the format."""
    raise NotImplementedError


def _column(table: ir.Table, name: str, counts: Mapping[str, int], overrides: Mapping[str, str]) -> Column:
    raw, values = raw_type(table[name]), counts[f"{name}:values"]
    formats = [form for form in DATE_FORMATS if raw == "text" and values and counts[f"{name}:{form}"] == values]
    if name in overrides:
        form = None
        if raw == "text" and overrides[name] == "datetime":  # what most values fit; the others are unreadable
            most = max(DATE_FORMATS, key=lambda form: counts[f"{name}:{form}"])
            form = most if counts[f"{name}:{most}"] > counts[f"{name}:datetime"] else None
        return Column(name, raw, overrides[name], "set in data.columns", form)
    if not values:
        return Column(name, raw, "ignore", "every value is missing")
    if raw != "text":
        return Column(name, raw, raw, f"the source types it as {raw}")
    for kind in ("number", "boolean", "datetime"):
        if counts[f"{name}:{kind}"] == values:
            return Column(name, raw, kind, f"all {values} values read as {kind}")
    if len(formats) == 1:
        return Column(name, raw, "datetime", f"all {values} values read as {formats[0]}", formats[0])
    if formats:
        return Column(
            name, raw, "category", f"dates, but {' and '.join(formats)} both fit: set data.columns.{name}: datetime to take the first"
        )
    number = counts[f"{name}:number"]
    note = f", {number} of {values} values read as numbers" if number else ""
    return Column(name, raw, "category", f"text{note}")


def _target(
    backend: Backend, table: ir.Table, column: Column, counts: Mapping[str, int], task: str, missing: tuple[str, ...]
) -> tuple[Column, str]:
    """The target's column and task: classes are kept as categories, a regression's target as a number."""
    name, place = column.name, f"data.target: {column.name!r}"
    if not counts[f"{name}:values"]:
        raise UserError(f"{place} has no value in any row")
    value = present(table[name], missing)
    number = column.kind == "number" or (column.raw == "text" and counts[f"{name}:number"] == counts[f"{name}:values"])
    whole = is_whole(value.try_cast("float64")).all() if number else ibis.literal(True)
    found = backend.to_pyarrow(table.aggregate(distinct=value.nunique(), whole=whole)).to_pylist()[0]
    distinct = int(found["distinct"])
    if distinct == 1:
        raise UserError(f"{place} is constant: there is nothing to predict")
    if task == "auto":
        classes = column.kind in ("category", "boolean") or distinct == 2 or (found["whole"] and distinct <= FEW_CLASSES)
        task = "regression" if not classes else "binary" if distinct == 2 else "multiclass"
    if task == "regression" and not number:
        raise UserError(f"{place}: regression needs numbers, but {column.reason}")
    if task == "binary" and distinct != 2:
        raise UserError(f"{place}: a binary task needs two classes, found {distinct} values")
    if task != "regression" and distinct > 1000:
        raise UserError(f"{place}: {distinct} classes; for numbers set data.task: regression")
    kind = "number" if task == "regression" else "category"
    return Column(name, column.raw, kind, f"target, {distinct} distinct values, {task}"), task
