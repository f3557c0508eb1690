"""Params against the values of the data: by the functions of clean and split, on the rows that were looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import Params
from pipeline.data import cleaning, rejects, sizes, splitting
from pipeline.data.bias import class_rows, too_few
from pipeline.data.engine import ROW_ID, totals
from pipeline.data.inference import infer
from pipeline.data.schema import Column, Schema
from pipeline.data.spelling import CLASSES, merged
from pipeline.errors import UserError
from pipeline.preflight.finding import Level
from pipeline.preflight.naming import unknown_labels, without
from pipeline.preflight.network import Shape, shape_of
from pipeline.preflight.sampling import Sample

MARKS = (";", "\t", "|", ",")
SHOWN = {"\t": "\\t"}
DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}[- ][A-Za-z]{3,9}[- ,]+\d{4})\b.*")
DATES = 0.8  # share of a column's values that look like dates
LOOKED_AT = 1000  # values of a column whose shape is looked at
SIDES = 3  # of which each needs a row of each class
TOLD = 10  # classes named
PARTLY = ("is constant", "has no value in any row")  # which the rows that were not looked at may yet mend

Told = tuple[Level, str]


def one_column(sample: Sample) -> str | None:
    """What to tell of a table whose only column is a whole line."""
    if sample.kind != "csv" or len(sample.columns) > 1:
        return None
    name = sample.columns[0]
    mark = max(MARKS, key=name.count)
    if not name.count(mark):
        return None
    shown = SHOWN.get(mark, mark)
    return f'data.csv.delimiter: the table has one column, {name[:60]!r}: set data.csv.delimiter: "{shown}", which divides its values'


@dataclass(frozen=True)
class Fitted:
    """What the values told: the schema that clean would infer, what a row is to a network, and the rows on each side."""

    schema: Schema
    shape: Shape
    sides: Mapping[str, int]


def fitting(engine: Backend, sample: Sample, params: Params) -> tuple[Fitted | None, list[Told]]:
    """What the values tell, and what in params does not fit them; columns that are named must be there.

    With a part of the rows, what the others may mend is a warning.
    """
    params = without(params, sample.table.columns)
    try:
        schema = infer(engine, sample.table, params.data, params.clean)
    except UserError as error:
        return None, [_softened(message, sample) for message in error.messages]
    found: list[Told] = [("warning", text) for text in _dates(engine, sample.table, schema)]
    marked, some = rejects.marked(engine, sample.table, schema, params.clean)
    rows = marked.filter(marked[rejects.REASON].isnull()) if some else sample.table
    clean = engine.create_table("cleaned", cleaning.clean(rows, schema), overwrite=True)
    if not int(engine.to_pyarrow(clean.count()).as_py()):
        return None, [*found, ("error", f"clean: no row is left of the {sample.rows:,} that were looked at")]
    rare: list[Told] = []
    if schema.task in CLASSES:
        classes = class_rows(engine, clean, schema)
        found += [("error" if sample.whole else "warning", text) for text in unknown_labels(params, list(classes))]
        found += _unweighed(list(classes), params)
        if params.split.min_class_rows and sample.whole:
            rare = [("error", text) for text in _rare(classes, schema, params)]
        found += rare
        if sample.whole:
            least = SIDES * params.split.min_class_rows  # of fewer an error tells
            few = too_few({name: rows for name, rows in classes.items() if rows >= least}, schema.target)
            found += [("warning", f"data.target: {few}")] if few else []
    elif not isinstance(params.train.class_weight, str) or params.train.class_weight != "none":
        found.append(("error", f"train.class_weight: is for classes, but the target's values make this a {schema.task}; set it to none"))
    sides, told = _sides(engine, clean, sample, schema, params, rare=bool(rare))
    if params.clean.steps:  # which are not run here: columns may come of them, by which rows are split
        told = [("warning", text) for _, text in told]
    return Fitted(schema, shape_of(engine, clean, schema, params), sides), [*found, *told]


def _softened(message: str, sample: Sample) -> Told:
    soft = not sample.whole and any(part in message for part in PARTLY)
    return ("warning", f"{message} (in {sample.rows:,} rows of some {sample.total:,})") if soft else ("error", message)


def _dates(engine: Backend, table: ir.Table, schema: Schema) -> list[str]:
    """Columns whose values look like dates and are not read as such."""

    def doubtful(column: Column) -> bool:
        return column.raw == "text" and column.kind in ("category", "text", "id") and column.name not in schema.targets

    names = [column.name for column in schema.columns if doubtful(column) and column.reason != "set in data.columns"]
    if not names:
        return []
    texts = engine.to_pyarrow(table.select(*names).limit(LOOKED_AT)).to_pydict()
    found = []
    for name in names:
        values = [value for value in texts[name] if value and value.strip() not in schema.missing]
        dates = [value for value in values if DATE.fullmatch(value)]
        if len(values) < 3 or len(dates) < DATES * len(values):
            continue
        column = schema.column(name)
        other = next((value for value in values if not DATE.fullmatch(value)), None)
        told = "set data.columns" in column.reason
        odd = f" (beside {other!r})" if other else ""
        found.append(
            f"data.columns.{name}: values such as {dates[0]!r}{odd} look like dates, but are read as {column.kind}; "
            + (column.reason if told else f"set data.columns.{name}: datetime if they are")
        )
    return found


def _rare(classes: dict[str, int], schema: Schema, params: Params) -> list[str]:
    """Classes of fewer rows than sides need."""
    needed = SIDES * params.split.min_class_rows
    few = [f"{name!r} has {rows:,}" for name, rows in sorted(classes.items(), key=lambda item: item[1]) if rows < needed]
    if not few:
        return []
    more = f" and {len(few) - TOLD} more" if len(few) > TOLD else ""
    regression = " (or is it a number? then set data.task: regression)" if len(few) > TOLD and schema.task == "multiclass" else ""
    return [
        f"data.target: train, validation and test need {params.split.min_class_rows:,} {_rows(params.split.min_class_rows)} of each class, "
        f"at least {needed:,} in all, but class {', '.join(few[:TOLD])}{more}{regression}: leave those rows out, merge classes, add rows, "
        "or set split.min_class_rows: 0"
    ]


def _unweighed(classes: Sequence[str], params: Params) -> list[Told]:
    """Classes without a weight where others have one."""
    weights = params.train.class_weight
    if isinstance(weights, str):
        return []
    given = {name.strip().casefold() for name in weights}
    without = [name for name in classes if name.strip().casefold() not in given]
    return [("error", f"train.class_weight: expected a weight for each class, got none for {', '.join(without[:TOLD])}")] if without else []


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _sides(
    engine: Backend, clean: ir.Table, sample: Sample, schema: Schema, params: Params, *, rare: bool
) -> tuple[dict[str, int], list[Told]]:
    """The rows on each side, as far as these rows tell, what split would end with, and groups that are none."""
    found, sides = list[Told](), dict[str, int]()
    split = params.split
    try:
        split = splitting.settled(clean, schema, split)
        sided, _ = merged(engine, splitting.marked(clean, schema, split, params.seed), schema)
        kept = list(dict.fromkeys([ROW_ID, splitting.SIDE, splitting.REASON, *splitting.folds_of(sided), schema.target, *_by(split.by)]))
        sided = engine.create_table("sided", sided.select(*kept), overwrite=True)
        counts = engine.to_pyarrow(sided.group_by(splitting.SIDE).aggregate(rows=ibis._.count())).to_pylist()
        sides = {row[splitting.SIDE]: round(row["rows"] * sample.total / sample.rows) for row in counts if row[splitting.SIDE]}
        if sample.whole:
            sizes.describe(engine, sided, schema, split)
        elif split.production is not None and "production" not in sides:
            column, values = split.production.column, list(split.production.values)
            found.append(("warning", f"split.production.in: none of {sample.rows:,} rows looked at has {column} in {values}"))
    except UserError as error:
        told = [message for message in error.messages if not (rare and ("min_class_rows" in message or "lacks class" in message))]
        found += [("error", message) for message in told]
    if split.strategy in splitting.GROUPED and split.by in clean.columns:
        if split.by == schema.target:
            return sides, [
                *found,
                ("error", f"split.by: {split.by} is the target: whole groups of it would leave each side with other answers"),
            ]
        count = totals(engine, clean, {"rows": clean[split.by].count(), "groups": clean[split.by].nunique()})
        if sample.whole and count["rows"] and count["rows"] == count["groups"]:
            found.append(
                ("warning", f"split.by: every row has a {split.by} of its own, so that group splits like random; name what repeats")
            )
    return sides, found


def _by(name: str | None) -> Sequence[str]:
    return [name] if name else []
