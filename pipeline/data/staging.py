"""A query in which what is repeated is computed once.

Ibis writes an expression out wherever it is used, so that a column cleaned in five steps may become pages of SQL, and
DuckDB, which plans every page, evaluates what stands in branches of CASE again.  Here each repeated part moves into an
inner query and is read from there by name.  The result is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlglot
from sqlglot import exp


def staged(sql: str) -> str:
    """DuckDB SQL with the same result as `sql`, whose selects hold no large expression twice.

    Only what is evaluated for every row anyhow moves: what stands only in later branches of CASE, COALESCE, AND and OR
    stays, since there it is computed for few rows, or guarded against values it would fail on.
    """
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    counter = iter(range(10**9))
    for select in reversed(list(tree.find_all(exp.Select))):  # inner ones first
        _stage(select, counter)
    return tree.sql(dialect="duckdb")


def _stage(select: exp.Select, names: Iterator[int]) -> None:
    """Move the largest repeated parts of a select's columns into an inner select, then those of the inner one, and so on."""
    source = select.args.get("from_") or select.args.get("from")
    if source is None or select.args.get("joins") or select.args.get("group") or select.args.get("where"):
        return
    keys: dict[Any, int] = {}
    places: dict[int, list[exp.Expression]] = {}
    always: set[int] = set()
    computed: set[int] = set()
    for column in select.expressions:
        _collect(column, True, keys, places, always, computed)
    repeated = {key for key, found in places.items() if len(found) > 1 and key in always}
    moved: dict[int, str] = {}
    inner: list[exp.Expression] = []
    for column in select.expressions:
        _move(column, repeated, keys, moved, inner, names)
    if not inner:
        return
    below = exp.Select(expressions=[exp.Star(), *inner])
    below.set("from_" if "from_" in select.args else "from", source.copy())
    table = source.this
    name = table.alias_or_name
    source.set("this", exp.Subquery(this=below, alias=exp.TableAlias(this=exp.to_identifier(name, quoted=True))))
    _stage(below, names)


def _collect(
    node: Any, always: bool, keys: dict[Any, int], places: dict[int, list[exp.Expression]], sure: set[int], computed: set[int]
) -> int:
    """Number the expressions below `node`, equal ones alike; note where they stand and which are evaluated for every row."""
    parts: list[Any] = []
    varies = isinstance(node, exp.Column)
    for name, value in node.args.items():
        for at, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, exp.Expression):
                number = _collect(child, always and _is_sure(node, name, at), keys, places, sure, computed)
                varies = varies or number in computed
                parts.append((name, at, number))
            elif child is not None:
                parts.append((name, at, (type(child).__name__, child)))
    key = keys.setdefault((type(node), tuple(parts)), len(keys))
    node.meta["number"] = key
    if varies:
        computed.add(key)
    if varies and not isinstance(node, exp.Alias | exp.If | exp.Column | exp.Paren):
        places.setdefault(key, []).append(node)
        if always:
            sure.add(key)
    return key


def _is_sure(node: exp.Expression, name: str, at: int) -> bool:
    """Whether a child is evaluated whenever its parent is."""
    if isinstance(node, exp.Case):
        return name == "this" or (name == "ifs" and at == 0)
    if isinstance(node, exp.If):
        return name == "this"
    if isinstance(node, exp.Try):
        return False  # outside of it what fails would fail the query
    if isinstance(node, exp.Coalesce | exp.And | exp.Or):
        return name == "this"
    return True


def _move(
    node: exp.Expression, repeated: set[int], keys: dict[Any, int], moved: dict[int, str], inner: list[exp.Expression], names: Iterator[int]
) -> None:
    number = node.meta.get("number")
    if number in repeated and not isinstance(node, exp.Alias):
        if number not in moved:
            moved[number] = f"__{next(names)}__"
            inner.append(exp.alias_(node.copy(), moved[number], quoted=True))
        node.replace(exp.column(exp.to_identifier(moved[number], quoted=True)))
        return
    for child in list(node.iter_expressions()):
        _move(child, repeated, keys, moved, inner, names)
