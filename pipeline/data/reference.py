"""What train's columns hold, kept in the model package: what a request is checked by, and what production is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ibis.backends.duckdb import Backend

from pipeline.data.engine import parquet_rows, read, sample, totals
from pipeline.data.fitted import Preprocessor
from pipeline.data.schema import Schema

MOST_VALUES = 1000  # of a category, the most frequent ones
QUANTILES = 20  # parts between the ends
SAMPLED = 100_000  # rows whose quantiles are taken


def take(backend: Backend, train: Path, schema: Schema, fitted: Preprocessor) -> dict[str, Any]:
    """Returns rows, and for each column that the network reads its kind and what train has of it, as JSON has them.

    missing: rows without a value; unreadable: values of the source that did not read as the kind, over all sides.  Of numbers low, high
    and QUANTILES + 1 quantiles of at most SAMPLED rows; of categories and booleans the rows by value, the most frequent
    first, and distinct, how many values there are.
    """
    table = read(backend, train)
    names = [name for name in fitted.all_columns if name in table.columns]
    free = {text.column for text in fitted.texts}  # which every row has its own of
    kinds = {name: "text" if name in free else schema.column(name).kind for name in names}
    numbers = [name for name in names if kinds[name] == "number"]
    asked = {f"missing {name}": table[name].isnull().sum() for name in names}
    asked |= {f"low {name}": table[name].min() for name in numbers} | {f"high {name}": table[name].max() for name in numbers}
    found = totals(backend, table, asked)
    columns: dict[str, dict[str, Any]] = {}
    for name in names:
        about = {"kind": kinds[name], "missing": int(found[f"missing {name}"] or 0), "unreadable": schema.column(name).unreadable}
        if name in numbers:
            about |= {end: found[f"{end} {name}"] for end in ("low", "high")}
        elif kinds[name] in ("category", "boolean"):
            about |= _values(backend, table, name)
        columns[name] = about
    if numbers:
        some = backend.to_pandas(sample(table, SAMPLED).select(numbers))
        for name in numbers:
            known = some[name].dropna().to_numpy()
            shares = np.linspace(0, 1, QUANTILES + 1)
            columns[name]["quantiles"] = [float(f"{value:.9g}") for value in np.quantile(known, shares)] if len(known) else []
    return {"rows": parquet_rows(train), "columns": columns}


def _values(backend: Backend, table: Any, name: str) -> dict[str, Any]:
    there = table.filter(table[name].notnull()).select(value=table[name].cast("string"))
    counted = there.group_by("value").aggregate(rows=there.count())
    most = backend.to_pandas(counted.order_by([counted.rows.desc(), counted.value]).limit(MOST_VALUES))
    distinct = int(backend.to_pyarrow(counted.count()).as_py())
    return {"values": dict(zip(most["value"], map(int, most["rows"]), strict=True)), "distinct": distinct}
