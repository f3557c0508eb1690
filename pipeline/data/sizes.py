"""What a split came to: sizes, groups and classes of the sides, and whether that will do."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID
from pipeline.data.schema import Schema
from pipeline.data.spelling import CLASSES
from pipeline.data.splitting import FOLD, REASON, SIDE, UNLABELLED
from pipeline.errors import UserError
from pipeline.paths import SIDES

TOLD = 5  # classes named in an error
DIGEST = 16  # characters of a row id that name the content


def describe(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams) -> dict[str, Any]:
    """Realised sizes of each side, its groups, its target (mean or class counts), folds, rows left out and rows equal to a train row.

    `sided` is what `splitting.marked` gave, `split` what `splitting.settled` gave.

    Raises:
        UserError: a side is empty, a class has too few rows on a side or a fold has none, with what to do about it.
    """
    target, labelled = sided[schema.target], schema.task in CLASSES
    parts: dict[str, ir.Scalar] = {"rows": sided.count()}
    if split.by is not None:
        parts["groups"] = sided[split.by].nunique()
    if not labelled:
        parts["target_mean"] = target.mean()
    found = backend.to_pyarrow(sided.group_by([SIDE, REASON]).aggregate(**parts)).to_pylist()
    dropped = {row[REASON]: row["rows"] for row in sorted(found, key=lambda row: row[REASON] or "") if row[SIDE] is None}
    sides = {row[SIDE]: {key: row[key] for key in parts} for row in found if row[SIDE] is not None}
    total = sum(row["rows"] for side, row in sides.items() if side in SIDES[:3])
    for side, row in sides.items():
        if side in SIDES[:3]:
            row["share"] = round(row["rows"] / total, 4)
        if row.get("target_mean") is not None:  # sums in parallel differ in the last digits
            row["target_mean"] = float(f"{row['target_mean']:.9g}")
    if labelled:
        labels = sided.select(SIDE, target.name("class"))  # the target itself may be called rows
        counts = labels.group_by([SIDE, "class"]).aggregate(rows=ibis._.count())
        for row in backend.to_pyarrow(counts.order_by([SIDE, "class"])).to_pylist():
            if row[SIDE] is not None and row["class"] is not None:
                sides[row[SIDE]].setdefault("classes", {})[row["class"]] = row["rows"]
    folds = _folds(backend, sided) if split.folds else {}
    _check(sides, folds, schema, split)
    told: dict[str, Any] = {"strategy": split.strategy, "by": split.by, "sides": {side: sides[side] for side in SIDES if side in sides}}
    if split.strategy == "time":
        told |= {"starts": dict(split.starts), "gap": split.gap}
    if split.strategy == "given":
        told["given"] = {side: list(values) for side, values in split.given.items()}
    if folds:
        told["folds"] = [folds[at] for at in range(split.folds)]
    unlabelled = dropped.pop(UNLABELLED, 0)
    return told | {"unlabelled": unlabelled, "dropped": dropped, "equal_to_train": _equal(backend, sided)}


def _folds(backend: Backend, sided: ir.Table) -> dict[int, int]:
    """The number of rows in each fold."""
    counts = sided.group_by(FOLD).aggregate(rows=ibis._.count())
    return {row[FOLD]: row["rows"] for row in backend.to_pyarrow(counts).to_pylist() if row[FOLD] is not None}


def _check(sides: dict[str, dict[str, Any]], folds: dict[int, int], schema: Schema, split: SplitParams) -> None:
    wrong = []
    if split.production is not None and "production" not in sides:
        wrong.append(f"split.production.in: no row has {split.production.column} in {list(split.production.values)}")
    empty = [side for side in SIDES[:3] if side not in sides]
    wrong += [f"split: no row is left for {side}: {_remedy(side, split)}" for side in empty]
    if schema.task in CLASSES:
        wrong += _lacking({side: sides[side].get("classes", {}) for side in SIDES[:3] if side in sides}, split)
    if not empty and (bare := [at for at in range(split.folds) if at not in folds]):
        wrong.append(f"split.folds: no row is left for fold {', '.join(map(str, bare))} of {split.folds}: use fewer folds")
    if wrong:
        raise UserError(*wrong)


def _remedy(side: str, split: SplitParams) -> str:
    if split.strategy == "time":
        gap = " or a smaller split.gap" if split.gap else ""
        return f"it would start at {split.starts.get(side, 'the first time')}; use other split.starts, other shares{gap}"
    if split.strategy == "given":
        return f"no value of {split.by} stands for it; say which in split.given, or use strategy random"
    few = f", or too few groups in {split.by}" if split.by else ""
    return f"the data are too few for these shares{few}; use larger shares, another seed or more rows"


def _lacking(classes: dict[str, dict[str, int]], split: SplitParams) -> list[str]:
    """What is wrong with the class counts of the sides."""
    wrong = []
    total: dict[str, int] = {}
    for have in classes.values():
        for name, rows in have.items():
            total[name] = total.get(name, 0) + rows
    advice = _advice(split)
    for side, have in classes.items():
        if len(have) < 2:
            wrong.append(f"split: {side} has one class only ({', '.join(have)}): {advice}")
            continue
        if side == "train" and (absent := sorted(name for name in total if name not in have)):
            wrong.append(f"split: train lacks class {_names(absent)}: too few rows of it; merge it, add rows or use another seed")
            continue
        if few := sorted(name for name in total if have.get(name, 0) < split.min_class_rows):
            counts = [f"{have.get(name, 0):,} of {name} (of {total[name]:,} in all)" for name in few]
            wrong.append(
                f"split.min_class_rows: expected at least {split.min_class_rows:,} rows of each class on {side}, got {_names(counts)}: "
                f"{advice}, merge rare classes, or lower split.min_class_rows (0 allows any)"
            )
    return wrong


def _advice(split: SplitParams) -> str:
    if split.strategy == "time":
        return "use other split.starts or larger shares"
    if split.strategy == "given":
        return "let split.given put other values there"
    return f"use {'strategy stratified, ' if split.strategy == 'random' else ''}larger shares or another seed"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - TOLD:,} more" if len(names) > TOLD else ""
    return ", ".join(names[:TOLD]) + more


def _equal(backend: Backend, sided: ir.Table) -> dict[str, int]:
    """Rows of validation and test that equal a row of train in every column.

    The row id is the content's digest and a number among equal rows from 0, so only digests with a row past 0 are looked at.
    """
    some = sided.filter(~sided[ROW_ID].endswith("-0")).select(digest=sided[ROW_ID].left(DIGEST)).distinct()
    repeated = backend.create_table("repeated", some, temp=True, overwrite=True)
    if not backend.to_pyarrow(repeated.count()).as_py():
        return dict.fromkeys(SIDES[1:3], 0)
    keyed = sided.select(SIDE, digest=sided[ROW_ID].left(DIGEST)).semi_join(repeated, "digest")
    counts = keyed.group_by(["digest", SIDE]).aggregate(rows=ibis._.count())
    sides = counts.group_by("digest").aggregate(
        **{side: counts["rows"].sum(where=counts[SIDE] == side).fill_null(0) for side in SIDES[:3]},
    )
    shared = sides.filter(sides["train"] > 0)
    found = backend.to_pyarrow(shared.aggregate(**{side: shared[side].sum().fill_null(0) for side in SIDES[1:3]})).to_pylist()[0]
    return {side: int(found[side]) for side in SIDES[1:3]}
