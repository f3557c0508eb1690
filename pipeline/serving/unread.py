"""What the package reads of a request's rows, for those who keep it."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.data.frozen import TYPES, _typed
from pipeline.errors import UserError
from pipeline.serving.about import About
from pipeline.serving.columns import one_by_one
from pipeline.serving.tables import without_tokens


def unread(table: pa.Table, about: About) -> tuple[pa.Table, pa.Array]:
    """The model's columns of `table` as the package reads them, null where a value is none of its column's type, and those values.

    Returns:
        A table of `about.columns`, typed as `frozen.TYPES` says (base64 is decoded); and (rows,) texts of JSON, {"age": "old"},
        null where all values of a row are read.
    """
    if all(table.schema.field(name).type == TYPES[about.raw[name]] for name in about.columns):
        return table.select(about.columns), pa.nulls(len(table), pa.string())
    found: dict[str, Any] = {}
    left: dict[int, dict[str, Any]] = {}
    for name in about.columns:
        values, raw = table[name], about.raw[name]
        if values.type == TYPES[raw]:
            found[name] = values
            continue
        odd: dict[str, np.ndarray] = {}
        if pa.types.is_null(values.type):
            found[name] = pa.nulls(len(values), TYPES[raw])
        elif raw == "binary" and pa.types.is_string(values.type):
            found[name] = pa.array(decoded := [_decoded(value) for value in values.to_pylist()], pa.binary())
            odd[name] = np.array([value is None for value in decoded], bool) & np.asarray(values.is_valid(), bool)
        else:
            try:
                found[name] = _typed(values, name, raw, about.missing[name], None)
            except UserError:
                some, strange = one_by_one(without_tokens(values, about.missing[name]).to_pylist(), raw)
                found[name], odd[name] = pa.array(some, TYPES[raw]), np.array(strange, bool)
        for at in np.flatnonzero(odd.get(name, ())).tolist():
            left.setdefault(at, {})[name] = values[at].as_py()
    told = [json.dumps(left[at], ensure_ascii=False, default=str) if at in left else None for at in range(len(table))] if left else None
    return pa.table(found), pa.array(told, pa.string()) if told else pa.nulls(len(table), pa.string())


def _decoded(value: str | None) -> bytes | None:
    try:
        return None if value is None else base64.b64decode("".join(value.split()), validate=True)
    except ValueError:
        return None
