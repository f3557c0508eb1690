"""Splits: which side each row is on, fixed by its key and the seed alone.

A side is decided by comparing md5(seed, key) with thresholds, so it is the same on every engine and stays the same
when rows are added or reordered.  The key is the row's id, or its group.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis.backends.duckdb import Backend

from pipeline.config import Scalar, SplitParams
from pipeline.data.engine import MISSING, ROW_ID, SEPARATOR, read, threshold, uniform
from pipeline.data.schema import Schema
from pipeline.errors import UserError
from pipeline.paths import SIDES

SIDE = "__side__"


def assign(table: ir.Table, schema: Schema, split: SplitParams, seed: int) -> ir.Table:
    """Add a side to each row: train, validation, test, production, or missing (unlabelled outside production).

    Raises:
        UserError: a column named by split is not there.
    """
    for key, name in (("by", split.by), ("production.column", split.production and split.production.column)):
        if name is not None and name not in table.columns:
            raise UserError(f"split.{key}: no column {name!r}; columns are {', '.join(c for c in table.columns if c != ROW_ID)}")
    draw = uniform(_key(table, schema, split), seed)
    labelled = table[schema.target].notnull()
    return table.mutate(
        ibis.cases(
            (_held_back(table, split), "production"),
            (~labelled, ibis.null("string")),
            (draw < threshold(split.test), "test"),
            (draw < threshold(split.test + split.validation), "validation"),
            else_="train",
        ).name(SIDE)
    )


def _key(table: ir.Table, schema: Schema, split: SplitParams) -> ir.StringValue:
    if split.strategy == "group":
        assert split.by is not None  # config checks it
        group = table[split.by].cast("string")
        return ibis.ifelse(group.isnull(), ibis.literal(MISSING) + table[ROW_ID], group)
    if split.strategy == "stratified":
        return table[schema.target].cast("string") + SEPARATOR + table[ROW_ID]
    return table[ROW_ID]


def _held_back(table: ir.Table, split: SplitParams) -> ir.BooleanValue:
    if split.production is None:
        return ibis.literal(False)
    column = table[split.production.column]
    if column.type().is_string():
        return column.isin([str(value) for value in split.production.values]).fill_null(False)
    read = {"float64": _number, "boolean": _boolean, "timestamp": _moment}[str(column.type()).partition("(")[0]]
    try:
        return column.isin([read(value) for value in split.production.values]).fill_null(False)
    except (TypeError, ValueError) as error:
        raise UserError(f"split.production.in: {list(split.production.values)} do not fit {column.get_name()}: {error}") from None


def _moment(value: Scalar) -> datetime:
    return datetime.fromisoformat(str(value))


def _number(value: Scalar) -> float:
    if isinstance(value, bool):
        raise TypeError(f"expected numbers, got {value}")
    return float(value)


def _boolean(value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {value!r}")
    return value


def raw_rows(backend: Backend, raw: Path, side: Path, *, most: int) -> pd.DataFrame:
    """The first `most` rows of a side as the source has them, in the side's order; the row id leads back to them.

    The order is that of digests, so the first rows are as good as drawn at random.
    """
    ids = read(backend, side).select(ROW_ID).order_by(ROW_ID).limit(most)
    return backend.to_pandas(read(backend, raw).semi_join(ids, ROW_ID).order_by(ROW_ID)).drop(columns=ROW_ID)


def describe(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams) -> dict[str, Any]:
    """Realised sizes of each side, its groups, its target (mean or class counts), and rows equal to a train row.

    Raises:
        UserError: a side is empty or lacks a class, with what to do about it.
    """
    target = sided[schema.target]
    by = {"groups": sided[split.by].nunique()} if split.by else {}
    sides = {row.pop(SIDE): row for row in backend.to_pyarrow(sided.group_by(SIDE).aggregate(rows=ibis._.count(), **by)).to_pylist()}
    total = sum(row["rows"] for side, row in sides.items() if side in SIDES[:3])
    for side in SIDES[:3]:
        if side in sides:
            sides[side]["share"] = round(sides[side]["rows"] / total, 4)
    if schema.task == "regression":
        for row in backend.to_pyarrow(sided.group_by(SIDE).aggregate(mean=target.mean())).to_pylist():
            sides[row[SIDE]]["target_mean"] = None if row["mean"] is None else float(f"{row['mean']:.9g}")
    else:
        labels = sided.filter(target.notnull()).select(SIDE, target.name("class"))  # the target itself may be called rows
        counts = labels.group_by([SIDE, "class"]).aggregate(rows=ibis._.count())
        for row in backend.to_pyarrow(counts.order_by([SIDE, "class"])).to_pylist():
            sides[row[SIDE]].setdefault("classes", {})[row["class"]] = row["rows"]
    _check(sides, schema, split)
    ordered = {side: sides[side] for side in SIDES if side in sides}
    unlabelled = sides.get(None, {}).get("rows", 0)
    return {
        "strategy": split.strategy,
        "by": split.by,
        "sides": ordered,
        "unlabelled": unlabelled,
        "equal_to_train": _equal(backend, sided),
    }


def _check(sides: dict[Any, dict[str, Any]], schema: Schema, split: SplitParams) -> None:
    wrong = []
    if split.production is not None and "production" not in sides:
        wrong.append(f"split.production.in: no row has {split.production.column} in {list(split.production.values)}")
    classes = sorted({name for side in SIDES[:3] for name in sides.get(side, {}).get("classes", {})})
    for side in SIDES[:3]:
        if side not in sides:
            wrong.append(f"split: no row is left for {side}: the data are too few for these shares, or too few groups in split.by")
        elif schema.task != "regression":
            have = sides[side].get("classes", {})
            if len(have) < 2:
                wrong.append(
                    f"split: {side} has one class only ({', '.join(have)}): use strategy stratified, larger shares or another seed"
                )
            elif side == "train" and (absent := [name for name in classes if name not in have]):
                wrong.append(f"split: train lacks class {', '.join(absent)}: too few rows of it; merge it, add rows or use another seed")
    if wrong:
        raise UserError(*wrong)


def _equal(backend: Backend, sided: ir.Table) -> dict[str, int]:
    """Rows of validation and test that equal a row of train in every column (the row id starts with the content's digest)."""
    keyed = sided.select(SIDE, digest=sided[ROW_ID].split("-")[0])
    train = keyed.filter(keyed[SIDE] == "train").select("digest").distinct()
    others = keyed.filter(keyed[SIDE].isin(["validation", "test"])).semi_join(train, "digest")
    found = {row[SIDE]: row["rows"] for row in backend.to_pyarrow(others.group_by(SIDE).aggregate(rows=ibis._.count())).to_pylist()}
    return {side: found.get(side, 0) for side in ("validation", "test")}
