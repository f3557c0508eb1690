"""Leakage: columns that give the target away.  A finding to look at; nothing is changed by it."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.data.engine import ROW_ID
from pipeline.data.schema import Schema

GIVEN_AWAY = 0.95  # share of the target's uncertainty that one column takes away, from which it is named
FEW_VALUES = 100  # a number with at most this many distinct values is looked at value by value
ROWS_A_VALUE = 20  # a category with fewer rows a value, such as an id, is pure by chance


def giveaways(backend: Backend, train: ir.Table, schema: Schema, *, group: str | None) -> dict[str, float]:
    """Columns from which alone the target can be told, with the share of its uncertainty that they take away.

    For classes and categories: how much of the gap between the share of the largest class and certainty is closed by
    guessing the commonest class of each value (Goodman and Kruskal's lambda).  For classes and numbers with many values:
    by how much less often than by chance the class changes when rows are sorted by the number (Wald and Wolfowitz's
    runs).  For a regression: the squared correlation of numbers with the target.  `group` keeps rows together and is no
    input.
    """
    found = {}
    for column in schema.columns:
        if column.name in (schema.target, group) or column.kind in ("ignore", "id", "text"):
            continue
        if schema.task != "regression":
            distinct = backend.to_pyarrow(train[column.name].nunique()).as_py()
            many = column.kind in ("number", "datetime") and distinct > FEW_VALUES
            share = (_runs if many else _lambda)(backend, train, column.name, schema.target)
        elif column.kind == "number":
            share = _correlation(backend, train, column.name, schema.target)
        else:
            continue
        if share >= GIVEN_AWAY:
            found[column.name] = round(share, 4)
    return found


def _lambda(backend: Backend, train: ir.Table, name: str, target: str) -> float:
    counts = train.select(v=train[name], t=train[target]).group_by(["v", "t"]).aggregate(rows=ibis._.count())
    values = counts.group_by("v").aggregate(most=ibis._.rows.max(), rows=ibis._.rows.sum())
    told = backend.to_pyarrow(values.aggregate(most=ibis._.most.sum(), rows=ibis._.rows.sum(), values=ibis._.count())).to_pylist()[0]
    largest = max(_classes(backend, train, target))
    if told["rows"] == largest or told["values"] * ROWS_A_VALUE > told["rows"]:
        return 0.0
    return float((told["most"] - largest) / (told["rows"] - largest))


def _runs(backend: Backend, train: ir.Table, name: str, target: str) -> float:
    order = ibis.window(order_by=[train[name], train[ROW_ID]])  # ties in the order of the row id: as good as at random
    neighbours = train.select(t=train[target], before=train[target].lag().over(order))
    changes = backend.to_pyarrow((neighbours.t != neighbours.before).sum()).as_py()
    classes = _classes(backend, train, target)
    rows = sum(classes)
    expected = rows * (1 - sum((count / rows) ** 2 for count in classes))
    return 1 - changes / expected if expected else 0.0


def _classes(backend: Backend, train: ir.Table, target: str) -> list[int]:
    """Rows of each class."""
    return [row["rows"] for row in backend.to_pyarrow(train.group_by(target).aggregate(rows=ibis._.count())).to_pylist()]


def _correlation(backend: Backend, train: ir.Table, name: str, target: str) -> float:
    found = backend.to_pyarrow(train.aggregate(r=train[name].corr(train[target], how="pop"))).to_pylist()[0]["r"]
    return 0.0 if found is None or found != found else float(found**2)
