"""The future: values of a time split that were known only later."""

from __future__ import annotations

import ibis.expr.types as ir
import numpy as np
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID, totals
from pipeline.data.leakage.finding import Finding
from pipeline.data.schema import Schema

ROWS = 4096
LATER = 0.05  # share of rows whose date lies after the row's own time
SAME = 0.99


def future(backend: Backend, train: ir.Table, schema: Schema, split: SplitParams) -> list[Finding]:
    """Columns that hold the next row's value of another one, and dates after the row's own time."""
    dates = [column.name for column in schema.columns if column.kind == "datetime"]
    time = split.by or (dates[0] if len(dates) == 1 else None)
    if time is None:
        return []
    found = []
    late = {name: (train[name] > train[time]).mean() for name in dates if name != time and time in dates}
    for name, share in totals(backend, train, late).items():
        if share is not None and share > LATER:
            title = f"{name} lies after {time} in {100 * share:.0f}% of the train rows, so it was not known then."
            found.append(Finding("future", "warning", (name,), title, f"data: {{columns: {{{name}: ignore}}}}", {"share": round(share, 4)}))
    numbers = [column.name for column in schema.columns if column.kind == "number" and column.name != time]
    frame = backend.to_pyarrow(train.order_by([time, ROW_ID]).limit(ROWS).select(*numbers)).to_pandas() if len(numbers) > 1 else None
    if frame is None or len(frame) < 50:
        return found
    values = frame.to_numpy(float)
    for at, name in enumerate(numbers):
        if name in schema.targets:
            continue
        for other, column in enumerate(numbers):
            ahead, now, known = values[:-1, at], values[:-1, other], values[1:, other]
            moves = (now != known).mean() > 0.1
            if other != at and moves and np.isclose(ahead, known, equal_nan=True).mean() >= SAME and np.isclose(ahead, now).mean() < 0.9:
                title = f"{name} holds the next row's {column}, which was not known then."
                found.append(Finding("future", "error", (name,), title, f"data: {{columns: {{{name}: ignore}}}}", {"of": column}))
                break
    return found
