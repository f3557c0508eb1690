"""The target: what it asks for, and the checks that it can be predicted at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import CleanParams, DataParams
from pipeline.data.cleaning import infinite, number, typed
from pipeline.data.engine import sample, totals
from pipeline.data.schema import Column, Schema, is_whole
from pipeline.errors import UserError

FEW_CLASSES = 10  # whole-number targets with at most this many values are read as classes
MANY_CLASSES = 1000
SAMPLE = 20_000


def with_target(backend: Backend, table: ir.Table, columns: tuple[Column, ...], data: DataParams, clean: CleanParams) -> Schema:
    """The schema, once the target's column and the task are settled: classes are categories, amounts numbers.

    Raises:
        UserError: the target is constant, all missing or does not fit the task.
    """
    by_name = {column.name: column for column in columns}
    for name in data.targets:
        if data.columns.get(name, "number") not in ("number", "category", "boolean"):
            raise UserError(f"data.columns.{name}: the target must be number, category or boolean, got {data.columns[name]}")
    task: str = "forecast" if data.forecast is not None else data.task
    forecast: Mapping[str, Any] | None = None
    if task == "forecast":
        forecast = _forecast(by_name, data)
        changed = {name: _predicted(backend, table, by_name[name], data) for name in data.targets}
        if forecast["series"] is not None:  # its name is kept as it is written
            series = by_name[forecast["series"]]
            changed[series.name] = replace(series, kind="category", format=None, reason="names the series of the forecast")
    else:
        column, task = _settled(backend, table, by_name[data.targets[0]], data, task)
        changed = {column.name: column}
    if data.positive is not None and task != "binary":
        raise UserError(f"data.positive: only a binary task has a positive class, this one is {task}")
    final = tuple(changed.get(column.name, column) for column in columns)
    return Schema(final, data.targets[0], task, data.positive, data.missing, data.targets, clean.out_of_range, forecast)


def _forecast(columns: Mapping[str, Column], data: DataParams) -> dict[str, Any]:
    """Where the time of a forecast stands, and how far it looks."""
    assert data.forecast is not None
    times = [name for name, column in columns.items() if column.kind == "datetime"]
    time = data.forecast.time or (times[0] if len(times) == 1 else None)
    if time is None:
        raise UserError(
            f"data.forecast.time: expected one datetime column, found {', '.join(times) or 'none'}; name the column of the time"
        )
    if columns[time].kind not in ("datetime", "number"):
        raise UserError(
            f"data.forecast.time: {time!r} must be a datetime or a number, but it is {columns[time].kind} ({columns[time].reason})"
        )
    if same := {time, data.forecast.series} & set(data.targets):
        raise UserError(f"data.target: {', '.join(sorted(filter(None, same)))} cannot be both target and time or series of the forecast")
    if time == data.forecast.series:
        raise UserError(f"data.forecast.series: {time!r} is the time; name the column that tells the series apart")
    return {"time": time, "series": data.forecast.series, "look_back": data.forecast.look_back, "horizon": data.forecast.horizon}


def _predicted(backend: Backend, table: ir.Table, column: Column, data: DataParams) -> Column:
    """A forecast's target: a number that varies."""
    place = f"data.target: {column.name!r}"
    if column.kind == "ignore":
        raise UserError(f"{place} has no value in any row")
    if column.kind != "number":
        raise UserError(f"{place}: a forecast needs numbers, but {column.reason}")
    value = typed(table[column.name], column, data.missing)
    ends = totals(backend, table, {"low": value.min(), "high": value.max()})
    if ends["low"] == ends["high"]:
        raise UserError(f"{place} is constant: there is nothing to predict")
    return replace(column, reason=f"target of the forecast; {column.reason}")


def _settled(backend: Backend, table: ir.Table, column: Column, data: DataParams, task: str) -> tuple[Column, str]:
    """The target's column and task."""
    name, place = column.name, f"data.target: {column.name!r}"
    if column.kind in ("image", "audio", "sequence", "datetime") and column.raw != "text":
        raise UserError(f"{place}: the target must be number, category or boolean, but {column.reason}")
    as_class = replace(column, kind="category", format=None)
    value = typed(table[name], as_class, data.missing).lower()  # spellings that differ in case alone are one class
    as_number = column if column.kind == "number" else None
    if column.kind == "category" and name in data.columns:  # set so, yet a task may ask for the number
        as_number = _if_numbers(backend, table, column, data)
    distinct, exact = _distinct(backend, table, value if as_number is None else _amount(table, as_number, data))
    if not distinct:
        raise UserError(f"{place} has no value in any row")
    if distinct == 1:
        raise UserError(f"{place} is constant: there is nothing to predict")
    if task == "auto":
        whole = as_number is None or (exact and _whole(backend, table, as_number, data))
        classes = column.kind in ("category", "boolean") or distinct == 2 or (whole and distinct <= FEW_CLASSES)
        task = "regression" if not classes else "binary" if distinct == 2 else "multiclass"
    count = str(distinct) if exact else f"more than {MANY_CLASSES:,}"
    if task == "regression" and as_number is None:
        raise UserError(f"{place}: regression needs numbers, but {column.reason}")
    if task == "binary" and distinct != 2:
        raise UserError(f"{place}: a binary task needs two classes, found {count} values")
    if task != "regression" and (distinct > MANY_CLASSES or not exact):
        raise UserError(f"{place}: {count} classes; for numbers set data.task: regression")
    reason = f"target, {count} distinct values, {task}"
    if task == "regression":
        assert as_number is not None
        return replace(as_number, reason=reason), task
    return replace(as_class, reason=reason, unreadable=0, notes=()), task


def _distinct(backend: Backend, table: ir.Table, value: ir.Value) -> tuple[int, bool]:
    """The number of distinct values, and whether it is exact: from so many on, the sample's number will do."""
    values = table.select(v=value)
    some = int(totals(backend, sample(values, SAMPLE), {"n": ibis._.v.nunique()})["n"] or 0)
    if some > MANY_CLASSES:
        rows = int(totals(backend, table, {"n": table.count()})["n"])
        return some, rows <= SAMPLE
    found = int(totals(backend, values, {"n": values.v.nunique()})["n"] or 0)
    return found, True


def _amount(table: ir.Table, column: Column, data: DataParams) -> ir.FloatingValue:
    """The target as a number, infinite ones kept: they are values, though they become missing."""
    value, endless = table[column.name], infinite(table[column.name], column)
    return ibis.ifelse(endless, float("inf"), typed(value, column, data.missing))


def _whole(backend: Backend, table: ir.Table, column: Column, data: DataParams) -> bool:
    """Whether all numbers are whole."""
    return not totals(backend, table, {"odd": (~is_whole(_amount(table, column, data))).sum()})["odd"]


def _if_numbers(backend: Backend, table: ir.Table, column: Column, data: DataParams) -> Column | None:
    """The column as a number where all its values read so."""
    as_number = replace(column, kind="number")
    value, text = number(table[column.name], as_number), typed(table[column.name], column, data.missing)
    found = totals(backend, table, {"numbers": value.count(), "texts": text.count()})
    return as_number if found["numbers"] == found["texts"] else None
