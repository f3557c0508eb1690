"""Inference: the kind of every column from the way its values are written, over all rows.

How often values occur plays no part: what depends on frequencies (constant columns, ids, free text, vocabularies) is
decided on train alone, in `preprocessing`.  A sample (the first stored rows, which does not depend on the order of the
source) excludes forms that few of its values fit; whatever it leaves open is counted over all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import CleanParams, DataParams
from pipeline.data.cleaning import infinite, present, typed, unread
from pipeline.data.engine import ROW_ID, SOURCE_FILE, sample, totals
from pipeline.data.look import SAMPLE, look
from pipeline.data.reading import FALSE, TRUE, finite, word
from pipeline.data.resolving import Count, resolve
from pipeline.data.schema import Column, Schema, raw_type
from pipeline.data.signatures import told_by_bytes
from pipeline.data.target import with_target
from pipeline.errors import UserError

SPELLINGS = 5  # unreadable spellings that are named

MEDIA = {"image": "binary", "audio": "binary", "sequence": "list"}
UNFIT = (("number", "datetime"), ("boolean", "datetime"), ("datetime", "number"), ("datetime", "boolean"))  # override, source's type


def infer(backend: Backend, table: ir.Table, data: DataParams, clean: CleanParams) -> Schema:
    """Infer the kind of every column and what the target asks for.

    Raises:
        UserError: a column named in params is not there or does not fit, the target is constant, all missing or does not fit the task.
    """
    return with_target(backend, table, kinds(backend, table, data, clean), data, clean)


def kinds(backend: Backend, table: ir.Table, data: DataParams, clean: CleanParams) -> tuple[Column, ...]:
    """What every column is taken for before anything is asked of the target.

    Raises:
        UserError: a column named in params is not there or does not fit.
    """
    _check_names(table, data, clean)
    names = [name for name in table.columns if name != ROW_ID]
    raws = {name: Column(name, raw_type(table[name]), "", "", missing=data.missing_in.get(name, ())) for name in names}
    texts = [name for name in names if raws[name].raw == "text"]
    with sample(table.select(texts or [ibis.literal(1).name("none")]), SAMPLE).cache() as some:
        seen = look(backend, some, raws, data)
        whole = seen.rows < SAMPLE
        candidates = [form for name in texts for form in seen.candidates(raws[name], data)]
        counts = _count(backend, some if whole else table, candidates, data)
        found = resolve({name: [count for count in counts if count.column.name == name] for name in texts}, raws, seen, data)
        found |= _typed_by_source(backend, table, raws, data)
        if SOURCE_FILE in found and SOURCE_FILE not in data.columns:
            found[SOURCE_FILE] = replace(found[SOURCE_FILE], kind="id", reason="the file that a row came from")
        columns = [_with_range(found[name], data, clean) for name in names]
        return tuple(_with_spellings(backend, some if whole else table, column, data) for column in columns)


def _check_names(table: ir.Table, data: DataParams, clean: CleanParams) -> None:
    """Columns that params name must be there and hold what is said of them."""
    names = [name for name in table.columns if name != ROW_ID]
    listed = ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")
    wrong = [f"data.target: {name!r} is no column of the source; columns are {listed}" for name in data.targets if name not in names]
    for key, mapping in (("data.columns", data.columns), ("data.missing_in", data.missing_in), ("clean.ranges", clean.ranges)):
        wrong += [f"{key}.{name}: no such column; columns are {listed}" for name in mapping if name not in names]
    for key, name in (("time", data.forecast.time), ("series", data.forecast.series)) if data.forecast else ():
        if name is not None and name not in names:
            wrong.append(f"data.forecast.{key}: {name!r} is no column of the source; columns are {listed}")
    for name, (low, high) in clean.ranges.items():
        if low is not None and high is not None and low > high:
            wrong.append(f"clean.ranges.{name}: expected [low, high] with low at most high, got [{low:g}, {high:g}]")
    if not wrong:
        for name, kind in data.columns.items():
            raw = raw_type(table[name])
            media = kind not in ("ignore", MEDIA.get(kind)) and (
                MEDIA.get(kind, raw) != raw or (raw in MEDIA.values() and kind not in MEDIA)
            )
            if (kind, raw) in UNFIT or media:
                wrong.append(f"data.columns.{name}: {kind} does not fit: the source types it as {raw}")
    if wrong:
        raise UserError(*wrong)


def _count(backend: Backend, table: ir.Table, candidates: Sequence[Column], data: DataParams) -> list[Count]:
    """All candidate forms counted over all rows, in one scan."""
    parts: dict[str, ir.Value] = {}
    for at, form in enumerate(candidates):
        value = table[form.name]
        if form.kind == "boolean":  # told from true and false alone, though yes and 1 are read once a column is one
            read = ibis.ifelse(present(value, form, data.missing).lower().isin(TRUE + FALSE), True, ibis.null("boolean"))
            read = typed(value, form, data.missing) if data.columns.get(form.name) == "boolean" else read
            parts |= {f"good:{at}": read.count(), f"bad:{at}": (present(value, form, data.missing).notnull() & read.isnull()).sum()}
            continue
        parts |= {f"good:{at}": typed(value, form, data.missing).count(), f"bad:{at}": unread(value, form, data.missing).sum()}
    found = totals(backend, table, parts)
    # infinite ones are numbers, though they become missing
    some = {at: form for at, form in enumerate(candidates) if form.kind == "number" and found[f"bad:{at}"]}
    found |= totals(backend, table, {f"infinite:{at}": infinite(table[form.name], form).sum() for at, form in some.items()})
    told = []
    for at, form in enumerate(candidates):
        good, bad, endless = (int(found.get(f"{what}:{at}") or 0) for what in ("good", "bad", "infinite"))
        told.append(Count(replace(form, unreadable=bad), good + endless, bad - endless))
    return told


def _typed_by_source(backend: Backend, table: ir.Table, raws: Mapping[str, Column], data: DataParams) -> dict[str, Column]:
    """Columns that the source types: their kind is the source's, unless no value is there."""
    typed_ = {name: column for name, column in raws.items() if column.raw != "text"}
    values = {name: finite(table[name].cast("float64")).count() if c.raw == "number" else table[name].count() for name, c in typed_.items()}
    counts = totals(backend, table, values)
    found = {}
    for name, column in typed_.items():
        kind, reason = {"list": "sequence"}.get(column.raw, column.raw), f"the source types it as {column.raw}"
        if name in data.columns:
            kind, reason = data.columns[name], "set in data.columns"
        elif not counts[name]:
            kind, reason = "ignore", "every value is missing"
        elif column.raw == "binary":
            kind, reason = told_by_bytes(backend, table, name)
        found[name] = replace(column, kind=kind, reason=reason)
    return found


def _with_range(column: Column, data: DataParams, clean: CleanParams) -> Column:
    if column.name not in clean.ranges:
        return column
    if column.kind != "number":
        raise UserError(
            f"clean.ranges.{column.name}: expected a number column, but it is {column.kind} ({column.reason}); "
            f"set data.columns.{column.name}: number"
        )
    low, high = clean.ranges[column.name]
    return replace(column, low=low, high=high)


def _with_spellings(backend: Backend, table: ir.Table, column: Column, data: DataParams) -> Column:
    """A column with a note of the commonest values that do not read as its kind."""
    if column.raw != "text" or not column.unreadable:
        return column
    value = table[column.name]
    bad = table.filter(unread(value, column, data.missing)).group_by(text=word(value).left(40)).aggregate(rows=ibis._.count())
    top = backend.to_pyarrow(bad.order_by([ibis.desc("rows"), "text"]).limit(SPELLINGS)).to_pylist()
    named = ", ".join(f"{row['text']!r} ({row['rows']:,})" for row in top)
    return replace(column, notes=(*column.notes, f"{column.unreadable:,} values do not read as {column.kind} and become missing: {named}"))
