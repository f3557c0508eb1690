"""Spellings of a class: those that differ in case or white space alone are one class."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.data.schema import Schema
from pipeline.data.splitting import SIDE

CLASSES = ("binary", "multiclass")


def merged(backend: Backend, sided: ir.Table, schema: Schema) -> tuple[ir.Table, dict[str, list[str]]]:
    """The table with one spelling of each class, and for each class of several spellings the others.

    What stays is the commonest spelling in train (where train has none, anywhere), the first in order among equals.
    """
    target = sided[schema.target]
    if schema.task not in CLASSES or not target.type().is_string():
        return sided, {}
    words = sided.filter(target.notnull()).select(spelling=target, folded=target.re_replace(r"\s+", " ").strip().lower(), side=sided[SIDE])
    known = words.group_by(["folded", "spelling"]).aggregate().group_by("folded").aggregate(spellings=ibis._.count())
    several = known.filter(known["spellings"] > 1).folded
    folded: list[str] = backend.to_pyarrow(several).to_pylist()
    if not folded:
        return sided, {}
    some = words.filter(words["folded"].isin(folded))
    counted = some.group_by(["folded", "spelling"]).aggregate(train=(some["side"] == "train").sum().fill_null(0), rows=some.count())
    spellings: dict[str, list[str]] = {}
    for row in backend.to_pyarrow(counted.order_by(["folded", ibis.desc("train"), ibis.desc("rows"), "spelling"])).to_pylist():
        spellings.setdefault(row["folded"], []).append(row["spelling"])
    others = {kept: rest for kept, *rest in spellings.values()}
    one = target.substitute({spelling: kept for kept, rest in others.items() for spelling in rest})
    return sided.mutate(one.name(schema.target)), others
