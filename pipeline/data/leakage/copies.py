"""Copies: rows of one content on two sides."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID, totals
from pipeline.data.leakage.finding import Finding
from pipeline.data.schema import Column, Schema
from pipeline.data.splitting import SIDE

EXAMPLES = 5
DIGEST = 16  # characters of a row id that name the content
DRAWN_BY = 3  # columns: as many as tell most rows apart
LOOKED_AT = 500_000  # rows among which near copies are looked for
DISTINCT = 0.5  # rows that differ in fewer than half of the cases are equal by chance, as in a table of few categories


def copies(backend: Backend, rows: ir.Table, schema: Schema, split: SplitParams, *, count: int, drawn: ir.Table) -> list[Finding]:
    """Rows of validation and test that stand in train too, whole or but for ids, case and white space.

    A note where most rows of the table have an equal, which few and coarse columns bring about by chance.

    Args:
        rows: those of train, validation and test; count: how many they are; drawn: at least those that `draw` takes.
    """
    held = int(backend.to_pyarrow((rows[SIDE] != "train").sum()).as_py() or 0)
    found = []
    # the row id is a digest of the content and a number among equal rows from 0
    later = rows.filter(~rows[ROW_ID].endswith("-0")).select(key=rows[ROW_ID].left(DIGEST)).distinct()
    repeated = backend.create_table("leakage_repeated", later, temp=True, overwrite=True)
    if backend.to_pyarrow(repeated.count()).as_py():
        equal = _shared(backend, _by_content(rows).semi_join(repeated, "key"))
        equal |= {"keys": equal["keys"] + count - equal["all"], "all": count, "held": held}
        found += [_finding("exact", equal, split)] if equal["rows"] else []
    used = _used(schema)
    if not used or any(column.kind in ("image", "audio", "sequence") for column in used):
        return found
    some = drawn.filter(draw(drawn, schema, count))
    whole = _shared(backend, _by_content(some))
    folded = ibis.struct({column.name: _folded(some[column.name], column.kind) for column in used})
    near = _shared(backend, some.select(SIDE, ROW_ID, key=folded.hash()))
    if near["rows"] > whole["rows"]:
        found.append(_finding("near", near, split, beyond=near["rows"] - whole["rows"]))
    return found


def draw(rows: ir.Table, schema: Schema, count: int) -> ir.BooleanValue:
    """Whether near copies are looked for among a row's kind: of many rows a part, drawn by what near copies have in common."""
    parts = count // LOOKED_AT
    if parts < 2 or not (used := _used(schema)):
        return ibis.literal(True)
    plain = [column for column in used if column.kind not in ("text", "category")][:DRAWN_BY] or used[:1]
    key = ibis.struct({column.name: _folded(rows[column.name], column.kind) for column in plain})
    return key.hash().abs() % parts == 0


def _used(schema: Schema) -> list[Column]:
    return [column for column in schema.columns if column.kind not in ("id", "ignore")]


def _by_content(rows: ir.Table) -> ir.Table:
    return rows.select(SIDE, ROW_ID, key=rows[ROW_ID].left(DIGEST))


def _folded(value: ir.Value, kind: str) -> ir.Value:
    """A value as near copies have it in common: texts without case, punctuation and white space."""
    return value.lower().re_replace(r"[^\p{L}\p{N}]+", " ").strip() if kind in ("text", "category") else value


def _shared(backend: Backend, keyed: ir.Table) -> dict[str, Any]:
    train = keyed[SIDE] == "train"
    keys = keyed.group_by("key").aggregate(
        train=train.sum(), held=(~train).sum(), first=keyed[ROW_ID].min(where=train), other=keyed[ROW_ID].min(where=~train)
    )
    both = (keys.train > 0) & (keys.held > 0)
    parts = {"keys": keys.count(), "all": (keys.train + keys.held).sum(), "held": keys.held.sum(), "rows": keys.held.sum(where=both)}
    found = totals(backend, keys, parts)
    examples = keys.filter(both).order_by("first").limit(EXAMPLES).select("first", "other")
    found = {name: int(value or 0) for name, value in found.items()}
    pairs = [list(row.values()) for row in backend.to_pyarrow(examples).to_pylist()] if found["rows"] else []
    return found | {"examples": pairs}


def _finding(kind: str, shared: dict[str, Any], split: SplitParams, *, beyond: int | None = None) -> Finding:
    rows, held, keys, all_ = (shared[name] for name in ("rows", "held", "keys", "all"))
    chance = keys < DISTINCT * all_
    apart = split.strategy in ("group", "stratified_group")
    how = (
        "stand in train too, equal in every column"
        if kind == "exact"
        else "stand in train too but for ids, case, punctuation and white space"
    )
    told = rows if beyond is None else beyond
    title = f"{told:,} of {held:,} validation and test rows ({100 * told / held:.1f}%) {how}."
    remedy = (
        "clean: {duplicates: drop}"
        if kind == "exact"
        else "split: {strategy: group, by: ...} with a column that such rows share, or one spelling of them in the source"
    )
    if chance or apart:
        title += " Equal rows are to be expected here: the columns are few and coarse." if chance else " They belong to different groups."
    severity = "note" if chance or apart else "warning"
    return Finding(f"{kind}_copies", severity, (), title, remedy, shared)  # type: ignore[arg-type]
