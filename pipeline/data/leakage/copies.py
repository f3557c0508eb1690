"""Copies: rows of one content on two sides."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID, totals
from pipeline.data.leakage.finding import Finding
from pipeline.data.schema import Schema
from pipeline.data.splitting import SIDE

HELD_OUT = ("validation", "test")
EXAMPLES = 5
LOOKED_AT = 500_000  # rows among which near copies are looked for
DISTINCT = 0.5  # rows that differ in fewer than half of the cases are equal by chance, as in a table of few categories


def copies(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams) -> list[Finding]:
    """Rows of validation and test that stand in train too, whole or but for ids, case and white space.

    A note where most rows of the table have an equal, which few and coarse columns bring about by chance.
    """
    used = tuple(column for column in schema.columns if column.kind not in ("id", "ignore"))
    rows = sided.filter(sided[SIDE].isin(["train", *HELD_OUT]))
    # the row id is a digest of the content and a number among equal rows from 0
    repeated = rows.filter(~rows[ROW_ID].endswith("-0")).select(key=rows[ROW_ID].split("-")[0]).distinct()
    counted = totals(backend, rows, {"all": rows.count(), "held": (rows[SIDE] != "train").sum()})
    equal = rows.select(SIDE, ROW_ID, key=rows[ROW_ID].split("-")[0]).semi_join(repeated, "key")
    whole = _shared(backend, equal)
    whole |= {"keys": whole["keys"] + counted["all"] - whole["all"], "all": counted["all"], "held": int(counted["held"] or 0)}
    found = [_finding("exact", whole, split)] if whole["rows"] else []
    if not used or any(column.kind in ("image", "audio", "sequence") for column in used):
        return found
    if (parts := counted["all"] // LOOKED_AT) > 1:  # drawn by what near copies have in common, so that they come together
        plain = [c for c in used if c.kind not in ("text", "category")] or list(used[:1])
        drawn = ibis.literal("\x1f").join([_folded(rows[c.name], c.kind) for c in plain])
        rows = rows.filter(drawn.hash().abs() % parts == 0)
        whole = _shared(backend, rows.select(SIDE, ROW_ID, key=rows[ROW_ID].split("-")[0]))
    folded = [_folded(rows[column.name], column.kind) for column in used]
    near = _shared(backend, rows.select(SIDE, ROW_ID, key=ibis.literal("\x1f").join(folded).hash()))
    if near["rows"] > whole["rows"]:
        found.append(_finding("near", near, split, beyond=near["rows"] - whole["rows"]))
    return found


def _folded(value: ir.Value, kind: str) -> ir.StringValue:
    text = value.cast("string")
    if kind in ("text", "category"):
        text = text.lower().re_replace(r"[^\p{L}\p{N}]+", " ").strip()
    return text.fill_null("\x1e")


def _shared(backend: Backend, keyed: ir.Table) -> dict[str, Any]:
    keyed = keyed.filter(keyed[SIDE].isin(["train", *HELD_OUT]))
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
