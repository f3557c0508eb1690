"""Row-wise cleaning: one expression from raw columns to typed ones.

The same expression runs over all rows in `clean` and, frozen as SQL, over the rows of a request in the model package.
Nothing here depends on other rows.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from pipeline.data.engine import ROW_ID
from pipeline.data.schema import FALSE, TRUE, Column, Schema, text_value, try_strptime


def clean(table: ir.Table, schema: Schema) -> ir.Table:
    """Typed columns for every column of the schema that is not ignored and that `table` has.

    number becomes float64 (infinite and unreadable values missing), boolean boolean, datetime timestamp, all else
    trimmed text.  The row id, where there is one, stays.
    """
    columns = {c.name: typed(table[c.name], c, schema.missing) for c in schema.columns if c.kind != "ignore" and c.name in table.columns}
    if ROW_ID in table.columns:
        columns = {ROW_ID: table[ROW_ID], **columns}
    return table.select(**columns)


def typed(value: ir.Column, column: Column, missing: tuple[str, ...]) -> ir.Value:
    """One raw column as its kind."""
    text = text_value(value, missing) if column.raw == "text" else value
    if column.kind == "number":
        number = text.try_cast("float64") if column.raw == "text" else value.cast("float64")
        return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)
    if column.kind == "boolean":
        if column.raw in ("boolean", "number"):
            return value.cast("boolean")
        lower = text.lower()
        return ibis.cases((lower.isin(TRUE + ("yes", "y", "1")), True), (lower.isin(FALSE + ("no", "n", "0")), False))
    if column.kind == "datetime":
        if column.raw == "text":
            return try_strptime(text, column.format) if column.format else text.try_cast("timestamp")
        return value.cast("timestamp")
    if column.raw == "number" and value.type().is_floating():  # 3.0 and 3 name the same category
        whole = value.round() == value
        written = ibis.ifelse(whole, value.try_cast("int64").cast("string"), value.cast("string"))
        return ibis.ifelse(value.isnan(), ibis.null("string"), written)
    return text.cast("string")


def unreadable(table: ir.Table, schema: Schema) -> dict[str, ir.IntegerScalar]:
    """For each column, the number of values that are there but do not read as its kind (they become missing)."""
    counts = {}
    for column in schema.columns:
        if column.raw == "text" and column.kind in ("number", "boolean", "datetime"):
            before = text_value(table[column.name], schema.missing)
            after = typed(table[column.name], column, schema.missing)
            counts[column.name] = (before.notnull() & after.isnull()).sum().fill_null(0)
    return counts
