"""Tables of unlike columns as one: nulls where a column lacks, and one type for a column."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

UNLIKE = (pa.ArrowInvalid, pa.ArrowTypeError)  # what Arrow raises where two types have no common one
GROUPS = 16  # schemas looked through for a table's own; more are left to Arrow's slower search


def joined(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """The rows of all tables as few tables of contiguous columns: one, if no column has two types besides null.

    Hundreds of tables of one row come every second: those of equal schemas are put together first, which
    takes a fifth of the time that a common schema takes, and half of that again where they share one schema object.
    """
    try:
        # Arrow compares the schemas without Python's lock, which the server's other threads want
        alike = [_distinct(pa.concat_tables(tables))]
    except UNLIKE:
        alike = [_distinct(pa.concat_tables(members)) for members in _groups(tables)]
    if len(alike) > 1:
        try:
            alike = [pa.concat_tables(alike, promote_options="default")]
        except UNLIKE:
            alike = _families(alike)
    return [table.combine_chunks() for table in alike]


def _groups(tables: Iterable[pa.Table]) -> list[list[pa.Table]]:
    groups = list[tuple[pa.Schema, list[pa.Table]]]()
    for table in tables:
        schema = table.schema
        for known, members in groups[:GROUPS]:
            if known.equals(schema):
                members.append(table)
                break
        else:
            groups.append((schema, [table]))
    return [members for _, members in groups]


def _distinct(table: pa.Table) -> pa.Table:
    """The table with a number behind a name that an earlier column has: it could not be read, nor stand with others."""
    names = list[str]()
    for name in table.column_names:
        number = 2
        fresh = name
        while fresh in names:
            fresh, number = f"{name} ({number})", number + 1
        names.append(fresh)
    return table if names == table.column_names else table.rename_columns(names)


def _families(tables: Iterable[pa.Table]) -> list[pa.Table]:
    families = list[pa.Table]()
    for table in tables:
        for at, family in enumerate(families):
            try:
                families[at] = pa.concat_tables([family, table], promote_options="default")
                break
            except UNLIKE:
                continue
        else:
            families.append(table)
    return families


def plain(schema: pa.Schema) -> pa.Schema:
    """The schema without metadata, dictionaries and promises that no value is null."""
    types = [(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type) for field in schema]
    return pa.schema(types)


def widened(one: pa.Schema, other: pa.Schema) -> pa.Schema | None:
    """The schema that holds the columns of both; None where a column has two types besides null."""
    try:
        return pa.unify_schemas([one, other])
    except UNLIKE:
        return None


def common(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """All columns of all schemas: numbers of several types as the wider one, other unlike types as text."""
    types = dict[str, pa.DataType]()
    for schema in schemas:
        for field in plain(schema):
            known = types.get(field.name, field.type)
            types[field.name] = known if known == field.type else _common(field.name, known, field.type)
    return pa.schema(list(types.items()))


def _common(name: str, one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if pa.types.is_boolean(one) or pa.types.is_boolean(other):  # Arrow would make true a 1
        return one if pa.types.is_null(other) else other if pa.types.is_null(one) else pa.string()
    try:
        return pa.unify_schemas([pa.schema([(name, one)]), pa.schema([(name, other)])], promote_options="permissive").field(0).type
    except UNLIKE:
        return pa.string()


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of `schema`, in its order and types."""
    columns = []
    for field in schema:
        if table.schema.get_field_index(field.name) < 0:
            columns.append(pa.nulls(len(table), field.type))
            continue
        column = table.column(field.name)
        columns.append(column if column.type == field.type else _cast(column, field.type))
    return pa.table(columns, schema=schema)


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), wanted)
    try:
        return pc.cast(column, wanted)
    except (*UNLIKE, pa.ArrowNotImplementedError):
        if wanted != pa.string():
            raise
        texts = [None if value is None else json.dumps(value, default=_text) for value in column.to_pylist()]
        return pa.array(texts, pa.string())


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
