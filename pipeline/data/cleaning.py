"""Row-wise cleaning: one expression from raw columns to typed ones.

The same expression runs over all rows in `clean` and, frozen as SQL, over the rows of a request in the model package.
Nothing here depends on other rows.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from pipeline.data.engine import ROW_ID
from pipeline.data.schema import FALSE, TRUE, Column, Schema, as_timestamp, is_whole, present, text_value, try_strptime


def clean(table: ir.Table, schema: Schema) -> ir.Table:
    """Typed columns for every column of the schema that is not ignored and that `table` has.

    number becomes float64 (infinite and unreadable values missing), boolean boolean, datetime timestamp, all else
    trimmed text.  The row id, where there is one, stays.
    """
    columns = {c.name: typed(table[c.name], c, schema.missing) for c in schema.columns if c.kind != "ignore" and c.name in table.columns}
    if ROW_ID in table.columns:
        columns = {ROW_ID: table[ROW_ID], **columns}
    return table.select([value.name(name) for name, value in columns.items()])  # not as keywords: a column may be called self


def typed(value: ir.Column, column: Column, missing: tuple[str, ...]) -> ir.Value:
    """One raw column as its kind."""
    text = value = present(value, missing)
    if column.raw == "number":  # a request's numbers come as float64 and its dates as timestamps: so must these
        value = value.cast("float64")
    elif column.raw == "datetime":
        value = value.cast("timestamp")
    if column.kind == "number":
        number = text.try_cast("float64") if column.raw == "text" else value.cast("float64")
        return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)
    if column.kind == "boolean":
        if column.raw in ("boolean", "number"):
            return value.cast("boolean")
        lower = text.lower()
        return ibis.cases((lower.isin((*TRUE, "yes", "y", "1")), True), (lower.isin((*FALSE, "no", "n", "0")), False))
    if column.kind == "datetime":
        if column.raw == "text":
            return try_strptime(text, column.format) if column.format else as_timestamp(text)
        return value
    if column.raw == "number":  # 3.0 and 3 name the same category
        whole = ibis.ifelse(is_whole(value), value.try_cast("int64").cast("string"), ibis.null("string"))
        return ibis.coalesce(whole, value.cast("string"))
    return value.cast("string")


def unreadable(table: ir.Table, schema: Schema) -> dict[str, ir.IntegerScalar]:
    """For each column, the number of values that are there but do not read as its kind (they become missing)."""
    counts = {}
    for column in schema.columns:
        if column.raw == "text" and column.kind in ("number", "boolean", "datetime"):
            before = text_value(table[column.name], schema.missing)
            after = typed(table[column.name], column, schema.missing)
            counts[column.name] = (before.notnull() & after.isnull()).sum().fill_null(0)
    return counts
