"""Long rows, one a time step, as one row a series."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import SeriesParams
from pipeline.data.engine import totals
from pipeline.data.sources.parts import Source, mistake
from pipeline.errors import UserError


def gathered(backend: Backend, source: Source, params: SeriesParams, where: str, *, channels: Collection[str] = ()) -> Source:
    """One row a series: columns constant within every series stay, the others and `channels` become lists of numbers in the order of time.

    Raises:
        UserError: a column is absent, a row has no series or no time, two rows of a series have one time, or a value that changes
            is no number.
    """
    table = source.table
    for key, name in (("id", params.id), ("time", params.time)):
        if name not in table.columns:
            raise UserError(f"data.series.{key}: {where} has no column {name!r}; it has {', '.join(table.columns)}")
    table = table.mutate(
        **{
            name: ibis.cases((table[name].strip() == "", ibis.null("string")), else_=table[name])
            for name in table.columns
            if table[name].type().is_string()
        }
    )
    if table[params.time].type().is_string():
        numbers = table[params.time].try_cast("float64")
        times = totals(backend, table, {"there": table[params.time].count(), "numbers": numbers.count()})
        if times["there"] == times["numbers"]:
            table = table.mutate(**{params.time: numbers})
    others = [name for name in table.columns if name not in (params.id, params.time)]
    missing = totals(backend, table, {name: table[name].isnull().sum() for name in (params.id, params.time)})
    if bad := next((name for name, count in missing.items() if count), None):
        raise mistake(where, f"column {bad}: {missing[bad]} rows have no value, so that they belong to no series or time")
    groups = table.group_by(params.id).aggregate(
        **{f"n{at}": table[name].nunique() + table[name].isnull().any().cast("int64") for at, name in enumerate(others)},
        times=table[params.time].nunique(),
        rows=table.count(),
    )
    most = totals(
        backend, groups, {**{name: groups[f"n{at}"].max() for at, name in enumerate(others)}, "\0": (groups.rows - groups.times).max()}
    )
    if most.pop("\0"):
        raise mistake(where, f"column {params.time}: a series ({params.id}) has two rows of one time")
    changing = [name for name in others if most[name] > 1 or name in channels]
    values = {
        name: table[name].try_cast("float64") if table[name].type().is_string() else table[name].cast("float64")
        for name in changing
        if table[name].type().is_string() or table[name].type().is_numeric() or table[name].type().is_boolean()
    }
    if odd := [name for name in changing if name not in values]:
        raise mistake(where, f"column {odd[0]}: changes within a series, so it must be a number")
    lost = totals(backend, table, {name: (table[name].notnull() & value.isnull()).sum() for name, value in values.items()})
    if bad := next((name for name, count in lost.items() if count), None):
        raise mistake(where, f"column {bad}: changes within a series, so it must be a number, but {lost[bad]} values are none")
    order = table[params.time]
    lists: dict[str, ir.Value] = {name: value.fill_null(float("nan")).collect(order_by=order) for name, value in values.items()}
    kept: dict[str, ir.Value] = {
        name: table[name].max() if not table[name].type().is_boolean() else table[name].any() for name in others if name not in changing
    }
    try:
        found = table.group_by(params.id).aggregate(**kept, **lists)
    except duckdb.Error as error:
        raise mistake(where, f"not readable as series: {error}") from None
    return replace(source, table=found, found={**source.found, "series": params.id})
