"""Quality: what stands in the clean table, for people to look at.  Nothing that later stages fit comes from here.

Counts of missing values and ranges are over all rows; distinct values, histograms and categories over the first
`SAMPLE` stored rows, which are as good as drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.data import columns as describing
from pipeline.data.bias import balance, by_category
from pipeline.data.cleaning import number, outside
from pipeline.data.engine import ROW_ID, md5, sample, totals
from pipeline.data.histogram import shown
from pipeline.data.rejects import REASON, repeated
from pipeline.data.schema import Schema

Report = dict[str, Any]
Ends = tuple[int, Any, Any]

SAMPLE = 262_144
MEDIA_SAMPLE = 200
FOLDED = "[^\\p{L}\\p{N}\x1f]+"  # what near duplicates may differ in, beside case
EXAMPLES = 3
TELLING = 0.5  # share of the distinct rows that must stay distinct when folded: below it rows are alike by chance


def describe(
    backend: Backend, raw: ir.Table, rows: ir.Table, rejects: ir.Table, schema: Schema, *, footer: Mapping[str, Ends] | None = None
) -> dict[str, Any]:
    """Everything that reports/clean shows: rows, rejects, columns, target, and the target by category.

    Args:
        raw: the rows as the source has them.
        rows: the clean rows.
        rejects: the rows dropped, with their reason.
        schema: what the columns are taken for.
        footer: what `engine.footer` tells of the clean rows; the rest is counted.
    """
    told = [column for column in schema.columns if column.name in rows.columns]
    all_rows = _ranges(backend, rows, schema, footer or {}) | totals(
        backend, raw, {"read": raw.count(), "duplicates": repeated(raw).sum()} | _outside(raw, schema)
    )
    kept = int(all_rows["kept"])
    reasons = backend.to_pyarrow(
        rejects.group_by(reason=rejects[REASON]).aggregate(rows=ibis._.count()).order_by(ibis.desc("rows"), "reason")
    )
    some = sample(rows, SAMPLE)
    columns: dict[str, Any] = {column.name: {"kind": column.kind, "reason": column.reason} for column in schema.columns}
    bias: dict[str, Any] = {}
    answer = backend.to_pyarrow(some.select(v=rows[schema.target]))["v"].combine_chunks()
    for column in told:
        missing = kept - int(all_rows[f"count:{column.name}"])
        media = column.kind in ("image", "audio", "sequence")
        values = backend.to_pyarrow(sample(rows, MEDIA_SAMPLE if media else SAMPLE).select(v=rows[column.name]))["v"].combine_chunks()
        ends = {end: all_rows[f"{end}:{column.name}"] for end in ("min", "max") if f"{end}:{column.name}" in all_rows}
        found = describing.describe(
            values, column, missing=missing, rows=kept, ends=ends, out_of_range=int(all_rows.get(f"outside:{column.name}") or 0)
        )
        columns[column.name] |= found
        viewed = column.name not in schema.targets and column.kind in ("category", "boolean")
        if viewed and (view := by_category(values, answer, schema)):
            bias[column.name] = view
    target = {"name": schema.target, "task": schema.task} | balance(backend, rows, schema)
    return {
        "rows": {
            "read": int(all_rows["read"]),
            "kept": kept,
            "duplicates": int(all_rows["duplicates"] or 0),
            "dropped": int(all_rows["read"]) - kept,
        },
        "rejects": {row["reason"]: row["rows"] for row in reasons.to_pylist()},
        "sample": min(kept, SAMPLE),
        "near_duplicates": near_duplicates(backend, some, schema, columns),
        "target": target,
        "columns": columns,
        "bias": dict(sorted(bias.items(), key=lambda item: -item[1]["apart"])),
    }


def _ranges(backend: Backend, rows: ir.Table, schema: Schema, footer: Mapping[str, Ends]) -> dict[str, Any]:
    """Rows, values of each column and the ends of those that have an order, in one pass."""
    parts: dict[str, ir.Value] = {"kept": rows.count()}
    known: dict[str, Any] = {}
    for column in schema.columns:
        if column.name not in rows.columns:
            continue
        value, ordered = rows[column.name], column.kind in ("number", "datetime")
        if column.name in footer:
            known[f"count:{column.name}"], *ends = footer[column.name]
            known |= {f"{end}:{column.name}": at for end, at in zip(("min", "max"), ends, strict=True) if ordered}
        else:
            parts[f"count:{column.name}"] = value.count()
            parts |= {f"min:{column.name}": value.min(), f"max:{column.name}": value.max()} if ordered else {}
    return totals(backend, rows, parts) | known


def _outside(raw: ir.Table, schema: Schema) -> dict[str, ir.Value]:
    """For each column with a range the raw values outside it."""
    ranged = [column for column in schema.columns if (column.low, column.high) != (None, None)]
    return {f"outside:{c.name}": outside(number(raw[c.name], c), c).sum() for c in ranged}


def near_duplicates(backend: Backend, some: ir.Table, schema: Schema, told: dict[str, Any]) -> dict[str, Any]:
    """Rows equal to another but for case, white space and punctuation, columns like ids left out.

    Returns:
        `rows`, those beyond the first of each group that are no exact duplicates; `examples`, pairs of rows.
    """
    names = [c.name for c in schema.columns if c.name in some.columns and c.kind not in ("id", "image", "audio", "sequence")]
    names = [name for name in names if not told[name].get("id_like")]
    if not set(names) - set(schema.targets):
        return {"rows": 0, "examples": [], "columns": []}
    texts = [_folded(some[name]) for name in names]
    exact, near = some[ROW_ID].left(16), md5(ibis.literal("\x1f").join(texts))
    keyed = some.select([exact.name("exact"), near.name("near")])
    with keyed.cache() as kept:
        groups = kept.group_by("near").aggregate(exact=kept.exact.nunique(), first=kept.exact.min(), last=kept.exact.max())
        groups = groups.filter(groups.exact > 1)
        count = totals(backend, groups, {"rows": (groups.exact - 1).sum()})["rows"]
        distinct = totals(backend, kept, {"exact": kept.exact.nunique(), "near": kept.near.nunique()})
        if distinct["near"] < TELLING * distinct["exact"]:
            count = 0
        pairs = backend.to_pyarrow(groups.order_by("near").limit(EXAMPLES)).to_pylist() if count else []
    ids = [f"{pair[end]}-0" for pair in pairs for end in ("first", "last")]
    full = {row[ROW_ID]: row for row in backend.to_pyarrow(some.filter(some[ROW_ID].isin(ids))).to_pylist()} if ids else {}
    examples = []
    for pair in pairs:
        both = [full[key] for end in ("first", "last") if (key := f"{pair[end]}-0") in full]
        if len(both) == 2:
            differ = [n for n in both[0] if n != ROW_ID and both[0][n] != both[1][n] and not isinstance(both[0][n], bytes | list)]
            examples.append({"rows": [row[ROW_ID] for row in both], "differ": {n: [shown(row[n]) for row in both] for n in differ[:6]}})
    return {
        "rows": int(count or 0),
        "examples": examples,
        "columns": [c.name for c in schema.columns if c.name in some.columns and c.name not in names],
    }


def _folded(value: ir.Column) -> ir.StringValue:
    from pipeline.data.reading import replace_all

    text = value.cast("string").fill_null("\x1e")
    return replace_all(text.lower(), FOLDED, "", "g") if isinstance(value, ir.StringColumn) else text
