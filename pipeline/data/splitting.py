"""Splits: which side each row is on, fixed by the row, its key, the seed and the params alone.

A side is decided by comparing md5(seed, key) with thresholds, so it is the same on every engine and stays the same
when rows are added or reordered.  The key is the row's id (with its class where the split is stratified), or its group.

A group's side can depend on nothing but its key: any rule that looks at the classes in it or at other groups moves old
rows when rows are appended.  So a stratified_group split draws whole groups like a group split, and `balance` holds it
to its name: it compares the class shares of the sides and names a seed that balances them where they are far apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data import givensplit, timesplit
from pipeline.data.engine import MISSING, ROW_ID, SEPARATOR, read, threshold, uniform, write
from pipeline.data.scalars import fitting
from pipeline.data.schema import Schema
from pipeline.errors import UserError

SIDE = "__side__"  # in memory only
FOLD = "__fold__"  # 0, 1, ... on train and validation rows, stored where folds are asked for
REASON = "__reason__"  # why a row is on no side
UNLABELLED = "the target is missing"
DRAW, LOT = "__draw__", "__lot__"  # inside `marked` only
GROUPED = ("group", "stratified_group")


def settled(table: ir.Table, schema: Schema, split: SplitParams) -> SplitParams:
    """`split` with what it leaves to the data filled in: the column of the time and where sides start, or the values given.

    Raises:
        UserError: a column is not there, or the strategy does not fit the data.
    """
    for place, name in (("by", split.by), ("production.column", split.production and split.production.column)):
        if name is not None and name not in table.columns:
            ignored = any(column.name == name and column.kind == "ignore" for column in schema.columns)
            columns = ", ".join(c for c in table.columns if not c.startswith("__"))
            hint = f"; it is ignored: set data.columns.{name} to another kind" if ignored else ""
            raise UserError(f"split.{place}: no column {name!r}; columns are {columns}{hint}")
    if schema.task == "forecast" and split.strategy != "time":
        raise UserError(
            f"split.strategy: a forecast needs train before validation before test, got {split.strategy}; set split: {{strategy: time}}"
        )
    if split.strategy == "time":
        split = split.model_copy(update={"by": timesplit.column(table, schema, split)})
        return timesplit.pinned(split, table, _used(table, schema, split))
    return givensplit.pinned(split, table, _used(table, schema, split)) if split.strategy == "given" else split


def assign(table: ir.Table, schema: Schema, split: SplitParams, seed: int) -> ir.Table:
    """Add to each row its side (train, validation, test, production, or missing) and, where asked for, its fold."""
    return marked(table, schema, split, seed).drop(REASON)


def marked(table: ir.Table, schema: Schema, split: SplitParams, seed: int) -> ir.Table:
    """Add side and fold like `assign`, and the reason where there is no side; rows keep their order.

    Raises:
        UserError: a column is not there, or the strategy does not fit the data.
    """
    split = settled(table, schema, split)
    table = _drawn(table, schema, split, seed)
    cases = [(_held_back(table, split), "production", None), (~_labelled(table, schema), None, UNLABELLED), *_cases(table, split)]
    side = ibis.cases(*((when, ibis.null("string") if side is None else side) for when, side, _ in cases), else_="train")
    while cases[-1][2] is None:  # nothing but rows with a side from here on
        cases.pop()
    reason = ibis.cases(*((when, ibis.null("string") if reason is None else ibis.literal(reason)) for when, _, reason in cases))
    columns = {SIDE: side, REASON: reason}
    if split.folds:
        columns[FOLD] = _folds(table, split, side)
    return table.mutate(**columns).drop(*(name for name in (DRAW, LOT) if name in table.columns))


def stored(backend: Backend, marked: ir.Table, files: Mapping[str, Path]) -> ir.Table:
    """Write each side of a `marked` table to its file, in the table's order, and return the sides as one table, side by side.

    Rows on no side go to the last file, with the reason.  Folds are stored with train and validation.
    """
    none = list(files)[-1]
    counts = backend.to_pyarrow(marked.group_by(SIDE).aggregate(rows=ibis._.count())).to_pylist()
    filled = {row[SIDE] or none for row in counts}
    parts = []
    for side in files:
        here = marked.filter(marked[SIDE].isnull() if side == none else marked[SIDE] == side) if side in filled else marked.limit(0)
        here = here.drop(SIDE)
        extra = [] if side in ("train", "validation") else folds_of(marked)
        write(here.drop(*extra, *([] if side == none else [REASON])), files[side])
        there = read(backend, files[side])
        said = {} if side == none else {REASON: ibis.null("string")}
        said |= {name: ibis.null("int64") for name in extra}
        parts.append(there.mutate(**{SIDE: ibis.null("string") if side == none else ibis.literal(side)}, **said).select(marked.columns))
    return ibis.union(*parts)


def folds_of(table: ir.Table) -> list[str]:
    """The column of the folds, where there is one."""
    return [name for name in table.columns if name == FOLD]


def _drawn(table: ir.Table, schema: Schema, split: SplitParams, seed: int) -> ir.Table:
    """Add what the side and the fold are drawn from, as columns of their own so that each hash is taken once."""
    if split.strategy == "time":
        return table
    decisive = key(table, schema, split)
    draws = {DRAW: uniform(decisive, seed)}
    if split.folds:
        draws[LOT] = uniform(ibis.literal(f"fold{SEPARATOR}") + decisive, seed)
    return table.mutate(**draws)


def _cases(table: ir.Table, split: SplitParams) -> list[tuple[ir.BooleanValue, str | None, str | None]]:
    if split.strategy == "time":
        return timesplit.cases(table, split)
    draw = table[DRAW]
    if split.strategy == "given":
        return givensplit.cases(table, split, draw < threshold(split.validation))
    return [(draw < threshold(split.test), "test", None), (draw < threshold(split.test + split.validation), "validation", None)]


def _folds(table: ir.Table, split: SplitParams, side: ir.StringValue) -> ir.IntegerValue:
    """The fold of rows on train and validation: by a hash of the key of its own, or blocks in time."""
    kept = side.isin(["train", "validation"]).fill_null(False)
    if split.strategy == "time":
        fold = timesplit.folds(table, split, kept)
    else:
        ends = ((table[LOT] < threshold((at + 1) / split.folds), at) for at in range(split.folds - 1))
        fold = ibis.cases(*ends, else_=split.folds - 1)
    return ibis.ifelse(kept, fold, ibis.null("int64")).cast("int64")


def key(table: ir.Table, schema: Schema, split: SplitParams) -> ir.StringValue:
    """What decides a row's side together with the seed: its id (beside its class) or its group; a row without a group is one."""
    if split.strategy in GROUPED:
        assert split.by is not None  # config checks it
        group = table[split.by].cast("string")
        return ibis.ifelse(group.isnull(), ibis.literal(MISSING) + table[ROW_ID], group)
    if split.strategy == "stratified":  # in lower case, so that spellings of one class are one
        return table[schema.target].cast("string").lower() + SEPARATOR + table[ROW_ID]
    return table[ROW_ID]


def _labelled(table: ir.Table, schema: Schema) -> ir.BooleanValue:
    """Whether a row has a label; a step of a forecast without one is still a step back for others."""
    return ibis.literal(True) if schema.task == "forecast" else table[schema.target].notnull()


def _used(table: ir.Table, schema: Schema, split: SplitParams) -> ir.BooleanValue:
    return ~_held_back(table, split) & _labelled(table, schema)


def _held_back(table: ir.Table, split: SplitParams) -> ir.BooleanValue:
    if split.production is None:
        return ibis.literal(False)
    column = table[split.production.column]
    return column.isin(fitting(column, split.production.values, key="split.production.in")).fill_null(False)


def raw_rows(backend: Backend, raw: Path, side: Path, *, most: int) -> pd.DataFrame:
    """The first `most` rows of a side as the source has them, in the side's order; the row id leads back to them.

    The order is that of digests, so the first rows are as good as drawn at random.
    """
    ids = read(backend, side).select(ROW_ID).limit(most)
    return backend.to_pandas(read(backend, raw).semi_join(ids, ROW_ID).order_by(ROW_ID)).drop(columns=ROW_ID)
