"""Row-wise cleaning: one expression from raw columns to typed ones.

The same expression runs over all rows in `clean` and, frozen as SQL, over the rows of a request in the model package.
Nothing here depends on other rows.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from pipeline.data.engine import ROW_ID
from pipeline.data.reading import ISO_LENGTH, as_boolean, as_number, as_time, finite, prose, without, word
from pipeline.data.schema import Column, Schema, is_whole

READ = ("number", "boolean", "datetime")  # kinds as which a text may be unreadable


def clean(table: ir.Table, schema: Schema, *, plain: bool = False) -> ir.Table:
    """Typed columns for every column of the schema that is not ignored and that `table` has.

    number becomes float64 (infinite, unreadable and, unless they are clipped or kept, impossible values missing), boolean
    boolean, datetime timestamp, image and audio the file's bytes, sequence a list of float64, all else tidy text.  The row
    id, where there is one, stays.  `plain` gives a shorter expression for rows whose texts, but for prose, are plain: see
    `reading`.
    """
    kept = [column for column in schema.columns if column.kind != "ignore" and column.name in table.columns]
    columns = {column.name: cleaned(table[column.name], column, schema, plain=plain) for column in kept}
    if ROW_ID in table.columns:
        columns = {ROW_ID: table[ROW_ID], **columns}
    return table.select([value.name(name) for name, value in columns.items()])  # not as keywords: a column may be called self


def cleaned(value: ir.Column, column: Column, schema: Schema, *, plain: bool = False) -> ir.Value:
    """One raw column as its kind, within its range."""
    return within(typed(value, column, schema.missing, plain=plain), column, schema.out_of_range)


def typed(value: ir.Column, column: Column, missing: tuple[str, ...], *, plain: bool = False) -> ir.Value:
    """One raw column as its kind."""
    tokens = (*missing, *(token for token in column.missing if token not in missing))
    if column.kind == "number":
        return _without_numbers(number(value, column, plain=plain), tokens)
    if column.kind in ("image", "audio"):
        return value
    if column.kind == "sequence":
        return value.cast("array<float64>")
    if column.raw == "text":
        if column.kind == "datetime":
            dates = tuple(token for token in tokens if token[:1].isdigit() and len(token) >= ISO_LENGTH)  # others never read as one
            return as_time(word(value, dates, plain=plain) if dates else value.cast("string"), column.format, plain=plain)
        if column.kind == "boolean":
            return as_boolean(value, tokens, plain=plain)
        return prose(value, tokens) if column.kind == "text" else word(value, tokens, plain=plain)
    if column.raw == "number":  # a request's numbers come as float64 and its dates as timestamps: so must these
        value = _without_numbers(finite(value.cast("float64")), tokens) if column.kind == "boolean" else _without_nan(value.cast("float64"))
        if column.kind == "boolean":
            return value.cast("boolean")
        whole = ibis.ifelse(
            is_whole(value), value.try_cast("int64").cast("string"), ibis.null("string")
        )  # 3.0 and 3 name the same category
        return without(ibis.coalesce(whole, value.cast("string")), tokens)
    if column.raw == "datetime":
        value = value.cast("timestamp")
    if column.kind in READ:
        return value
    return without(value.cast("string"), tokens)


def number(value: ir.Column, column: Column, *, plain: bool = False) -> ir.FloatingValue:
    """A raw column as float64, tokens and impossible values too; missing where it is infinite or no number."""
    return as_number(value.cast("string"), column, plain=plain) if column.raw == "text" else finite(value.cast("float64"))


def infinite(value: ir.Column, column: Column) -> ir.BooleanValue:
    """Whether a raw value reads as an infinite number."""
    return (as_number(value.cast("string"), column, infinite=True) if column.raw == "text" else value.cast("float64")).isinf()


def within(value: ir.Value, column: Column, out_of_range: str) -> ir.Value:
    """A number within its range: values outside become missing or the range's end, or stay (`keep`).

    Where rows are to be dropped, `clean` has dropped them; in a request, which keeps its rows, the value becomes missing.
    """
    if column.kind != "number" or (column.low is None and column.high is None) or out_of_range == "keep":
        return value
    if out_of_range == "clip":
        raised = value if column.low is None else ibis.ifelse(value < column.low, ibis.literal(float(column.low)), value)
        return raised if column.high is None else ibis.ifelse(raised > column.high, ibis.literal(float(column.high)), raised)
    return ibis.ifelse(outside(value, column), ibis.null("float64"), value)


def outside(value: ir.FloatingValue, column: Column) -> ir.BooleanValue:
    """Whether a number lies outside its column's range; false for missing ones."""
    ends = [value < column.low] if column.low is not None else []
    ends += [value > column.high] if column.high is not None else []
    return (ends[0] | ends[1] if len(ends) == 2 else ends[0]).fill_null(False)


def present(value: ir.Column, column: Column, missing: tuple[str, ...]) -> ir.StringValue:
    """A text column's tidy text, missing where it stands for no value."""
    return word(value, (*missing, *column.missing))


def unreadable(table: ir.Table, schema: Schema) -> dict[str, ir.IntegerScalar]:
    """For each column, the number of values that are there but do not read as its kind (they become missing)."""
    return {
        column.name: unread(table[column.name], column, schema.missing).sum().fill_null(0)
        for column in schema.columns
        if column.raw == "text" and column.kind in READ
    }


def unread(value: ir.Column, column: Column, missing: tuple[str, ...]) -> ir.BooleanValue:
    """Whether a text is there but does not read as its column's kind."""
    read = number(value, column) if column.kind == "number" else typed(value, column, missing)
    return ibis.ifelse(read.isnull(), present(value, column, missing).notnull(), False)


def _without_nan(value: ir.FloatingValue) -> ir.FloatingValue:
    return ibis.ifelse(value.isnan(), ibis.null("float64"), value)


def _without_numbers(value: ir.FloatingValue, tokens: tuple[str, ...]) -> ir.FloatingValue:
    """A number, missing where it is one of those tokens that are numbers, however it is written."""
    numbers = sorted({found for token in tokens if (found := _number(token)) is not None})
    return ibis.ifelse(value.isin(numbers), ibis.null("float64"), value) if numbers else value


def _number(token: str) -> float | None:
    try:
        found = float(token)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None
