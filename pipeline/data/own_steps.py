"""Cleaning steps of the user's own: `clean(table)` adds or changes columns after the built-in cleaning, row by row.

What a step computes becomes SQL over the clean columns, once, in the stage clean.  The SQL stands in the schema, is joined to the
frozen cleaning of the model package, and so serves without the user's file.  A value may depend on its own row alone: what else
a table could be asked for is refused here, since a request may hold one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import sqlglot
from ibis.backends.duckdb import Backend

from pipeline import extensions
from pipeline.data.engine import ROW_ID, read, write
from pipeline.data.reading import finite
from pipeline.data.schema import Column, Schema
from pipeline.errors import UserError

FOLDER, KEY = "cleaning", "clean.steps"
EXAMPLE = "clean(table), which returns the table with columns added or changed"
NAME = "t0"  # what frozen SQL calls the table of clean columns
SAMPLE = 12  # rows by which it is tried that a row is enough
MANY_ROWS = (ops.Reduction, ops.Analytic, ops.WindowFunction, ops.Subquery)


@dataclass(frozen=True)
class Made:
    """A column that a step adds or changes: its value over the clean columns, and the file that last set it."""

    value: ops.Value
    step: extensions.Extension


def load(steps: Sequence[str]) -> tuple[extensions.Extension, ...]:
    """The steps that clean.steps names.

    Raises:
        UserError: a file is not where steps lie, fails, or has no function `clean(table)`.
    """
    return tuple(extensions.load(extensions.place(KEY, path, FOLDER), "clean", EXAMPLE, given=1) for path in steps)


def write_with(backend: Backend, typed: ir.Table, schema: Schema, steps: Sequence[extensions.Extension], file: Path) -> tuple[int, Schema]:
    """Write the clean table with what the steps make; its number of rows, and the schema that tells of it.

    Raises:
        UserError: as `applied` and `check_alone`.
    """
    between = file.with_name("typed.parquet")
    write(typed, between, what=file.parent.name.removeprefix(".").removesuffix(".new"))
    stored = read(backend, between)
    table, told = applied(stored, schema, steps)
    check_alone(backend, stored, steps, told)
    with _apart(backend):
        rows = write(table, file)
    between.unlink()
    return rows, told


@contextmanager
def _apart(backend: Backend) -> Iterator[None]:
    """No part that two values share is computed for both: DuckDB 1.5 takes it out of TRY, where it fails."""
    backend.con.execute("SET disabled_optimizers = 'common_subexpressions'")
    try:
        yield
    finally:
        backend.con.execute("RESET disabled_optimizers")


def applied(table: ir.Table, schema: Schema, steps: Sequence[extensions.Extension]) -> tuple[ir.Table, Schema]:
    """The clean table with what the steps make, and the schema that tells of it.

    Args:
        table: clean columns, and the row id where there is one, which steps do not see.

    Raises:
        UserError: a step fails, asks for more than a row, loses a column or changes one that must stay.
    """
    if not steps:
        return table, schema
    seen = [name for name in table.columns if name != ROW_ID]
    base = ibis.table({name: table[name].type() for name in seen}, name="clean")
    made: dict[str, Made] = {}
    for step in steps:
        made = _asked(step, base, made, schema)
    if not made:
        raise steps[-1].mistake("the table came back as it was: expected columns added or changed")
    kinds = {name: _kind(one, name) for name, one in made.items()}
    columns = _columns(base, schema, made, kinds)
    values = {name: value.op().replace({base.op(): table.op()}).to_expr() for name, (_, value) in kinds.items()}
    added = [value.name(name) for name, value in values.items() if name not in seen]
    kept = [values[name].name(name) if name in values else table[name] for name in table.columns]
    return table.select([*kept, *added]), replace(schema, columns=columns)


def over(sql: str, schema: Schema, names: Sequence[str]) -> str:
    """DuckDB SQL that gives the columns `names` by `sql`, which gives the clean columns that they are made of."""
    made = {column.name: column.sql for column in schema.columns if column.sql}
    if not set(made) & set(names):
        return sql
    columns = [f"{made.get(name, _quoted(name))} AS {_quoted(name)}" for name in names]
    return f"SELECT {', '.join(columns)} FROM ({sql}) AS {_quoted(NAME)}"


def check_alone(backend: Backend, table: ir.Table, steps: Sequence[extensions.Extension], schema: Schema) -> None:
    """Some rows give the same alone as together: no function of the engine may look beyond its row.

    Args:
        table: clean columns before the steps.

    Raises:
        UserError: a column differs.
    """
    names = [column.name for column in schema.columns if column.sql]
    if not names:
        return
    needed = list(dict.fromkeys(name for column in schema.columns for name in column.reads))
    rows = backend.to_pyarrow(table.select(needed or table.columns[:1]).limit(SAMPLE))
    sql = over(f"SELECT {', '.join(map(_quoted, rows.column_names))} FROM rows", schema, names)

    def asked(some: pa.Table) -> list[dict[str, Any]]:
        with backend.con.cursor() as cursor:
            cursor.register("rows", some)
            found: list[dict[str, Any]] = cursor.execute(sql).to_arrow_table().to_pylist()
            return found

    try:
        with _apart(backend):
            together = asked(rows)
            each = [asked(rows.slice(at, 1))[0] for at in range(len(together))]
    except duckdb.Error as error:
        raise UserError(f"{_files(steps)}: the engine cannot compute it: {str(error).splitlines()[0]}") from error
    for alone, whole in zip(each, together, strict=True):
        if wrong := [name for name in names if not _same(alone[name], whole[name])]:
            raise UserError(
                f"{_files(steps)}: {wrong[0]} of one row is {alone[wrong[0]]!r} alone and {whole[wrong[0]]!r} beside others: "
                "a value must depend on its own row alone"
            )


def _asked(step: extensions.Extension, base: ir.Table, before: Mapping[str, Made], schema: Schema) -> dict[str, Made]:
    """What a step makes of the table that those before it gave, beside what they made."""
    given = base.mutate(**{name: one.value.to_expr() for name, one in before.items()}) if before else base
    try:
        found = step(given)
    except UserError as error:
        hint = f"; columns are {', '.join(given.columns)}" if "AttributeError" in str(error) or "not found" in str(error) else ""
        raise UserError(f"{error}{hint}") from error
    if not isinstance(found, ir.Table):
        raise step.mistake(f"expected clean() to return a table, got {type(found).__name__}")
    values = _values(step, found.op(), base)
    if lost := [name for name in given.columns if name not in values]:
        raise step.mistake(f"the column {lost[0]} is lost: expected the table with columns added or changed; data.columns can ignore one")
    made = dict(before)
    for name, value in values.items():
        was = before[name].value if name in before else ops.Field(base, name) if name in base.columns else None
        if value != was:
            _check(step, name, value, was, schema)
            made[name] = Made(value, step)
    return made


def _values(step: extensions.Extension, node: ops.Node, base: ir.Table) -> dict[str, ops.Value]:
    """Every column of a relation as a value over the base table."""
    if node == base.op():
        return {name: ops.Field(base, name) for name in base.columns}
    if isinstance(node, ops.DropColumns):
        return {name: value for name, value in _values(step, node.parent, base).items() if name not in node.columns_to_drop}
    if isinstance(node, ops.FillNull):
        below = _values(step, node.parent, base)
        fill = node.replacements if isinstance(node.replacements, Mapping) else {}
        filled = {name: ops.Coalesce((below[name], ops.Literal(value, below[name].dtype))) for name, value in fill.items()}
        return below | filled
    if not isinstance(node, ops.Project):
        raise step.mistake(
            f"{type(node).__name__.lower()} is not row by row: expected columns added or changed by table.mutate(...), every row kept"
        )
    below = _values(step, node.parent, base)
    fields = {ops.Field(node.parent, name): value for name, value in below.items()}
    found = {}
    for name, value in node.values.items():
        for part in value.find(ops.Value, filter=ops.Value):
            _check_part(step, name, part)
        found[name] = value.replace(fields) if fields else value
    return found


def _check_part(step: extensions.Extension, name: str, part: ops.Value) -> None:
    """A part of an expression can be computed from its row, and by the engine alone."""
    what = type(getattr(part, "func", part)).__name__.lower()
    if isinstance(part, MANY_ROWS):
        raise step.mistake(f"{name}: {what} looks at other rows, and a request may hold one: expected a value that its own row gives")
    if isinstance(part, ops.Unnest):
        raise step.mistake(f"{name}: unnest makes several rows of one: every row must stay one row")
    if isinstance(part, ops.ScalarUDF):
        if part.__input_type__.name != "BUILTIN":
            raise step.mistake(f"{name}: {part.__func_name__} is a function of Python, which SQL cannot ask: use expressions of Ibis")
    elif isinstance(part, ops.Impure):
        raise step.mistake(f"{name}: {what} gives another value each time it is asked")


def _check(step: extensions.Extension, name: str, value: ops.Value, was: ops.Value | None, schema: Schema) -> None:
    fixed = {*schema.targets, *((schema.forecast["time"], schema.forecast["series"]) if schema.forecast else ())}
    if name in fixed:
        raise step.mistake(f"{name} is what the task is about, and cannot be changed by a step: change it in the source, or by a load.py")
    if was is not None and value.dtype.copy(nullable=True) != was.dtype.copy(nullable=True):
        raise step.mistake(f"{name}: a changed column keeps its type, expected {was.dtype}, got {value.dtype}; give the result a new name")
    if was is None and any(column.name == name for column in schema.columns):
        raise step.mistake(f"{name}: there is a column of this name, which is ignored; give the result another name")
    if name.startswith("__"):
        raise step.mistake(f"{name}: names with two underscores are the pipeline's own")


def _columns(base: ir.Table, schema: Schema, made: Mapping[str, Made], kinds: Mapping[str, tuple[str, ir.Value]]) -> tuple[Column, ...]:
    """The schema's columns: those changed with their SQL, those added at the end with their kind by their type."""
    found: list[Column] = []
    for name, one in made.items():
        kind, value = kinds[name]
        made_of: dict[str, Any] = {"sql": _sql(base, value), "reads": tuple(sorted({field.name for field in value.op().find(ops.Field)}))}
        there = next((column for column in schema.columns if column.name == name), None)
        if there:
            found.append(replace(there, reason=f"{there.reason}; changed by {one.step.file}", **made_of))
        else:
            raw: Any = {"category": "text"}.get(kind, kind)
            found.append(Column(name, raw, kind, f"made by {one.step.file}", **made_of))
    changed = {column.name: column for column in found}
    old = [changed.get(column.name, column) for column in schema.columns]
    return (*old, *(column for column in found if column.name not in {one.name for one in schema.columns}))


def _kind(one: Made, name: str) -> tuple[str, ir.Value]:
    """What a made column is taken for, and its value in the type of that kind: missing where it cannot be computed, or is infinite."""
    value: Any = one.value.to_expr()
    kind = value.type()
    if isinstance(kind, dt.Boolean):
        return "boolean", tried(value, "boolean")
    if isinstance(kind, dt.Numeric):
        return "number", finite(tried(value if kind.is_float64() else value.cast("float64"), "float64"))
    if isinstance(kind, dt.Timestamp | dt.Date):
        return "datetime", tried(value if kind.copy(nullable=True) == dt.timestamp else value.cast("timestamp"), "timestamp")
    if isinstance(kind, dt.String):
        return "category", tried(value, "string")
    raise one.step.mistake(f"{name}: expected a number, text, true or false, or a time, got {kind}")


def tried(value: ir.Value, kind: str) -> ir.Value:
    """The value, missing where the engine fails on it, as on the logarithm of zero: one row must not fail a request."""
    engine: Any = ibis.udf.scalar.builtin(lambda given: None, name="try", signature=((kind,), kind))
    found: ir.Value = engine(value)
    return found


def _sql(base: ir.Table, value: ir.Value) -> str:
    """The value as DuckDB SQL over a table called NAME."""
    select = sqlglot.parse_one(ibis.to_sql(base.select(value.name("made")), dialect="duckdb"), dialect="duckdb")
    source = next(select.find_all(sqlglot.exp.Table))
    if source.alias != NAME:
        raise AssertionError(f"Ibis calls the table {source.alias}")
    return select.expressions[0].this.sql(dialect="duckdb")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _same(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


def _files(steps: Sequence[extensions.Extension]) -> str:
    return ", ".join(str(step.file) for step in steps)
