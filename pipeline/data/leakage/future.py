"""The future: values of a time split that were known only later."""

from __future__ import annotations

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID, totals
from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.telltale import classes_by_value
from pipeline.data.schema import Schema

ROWS = 4096
LATER = 0.05  # share of rows whose date lies after the row's own time
SAME = 0.99
COLUMNS = 50  # looked at for means and sums of the target
CLASSES = 6
REACH = 48  # rows back and ahead
TOLD = 0.02  # share of what the past leaves open that the target of now and later may leave
FEWEST = 200
FITTED = 2000
RIDGE = 1e-9
NOTHING = 1e-6  # share of a column's steps that its past leaves open where it tells all
START = 20  # rows in which a decaying mean settles
FEW_VALUES = 100


def future(backend: Backend, train: ir.Table, schema: Schema, split: SplitParams) -> list[Finding]:
    """Columns that came to be later than their row: made of the target of the row itself or of later ones, or dates after its time."""
    dates = [column.name for column in schema.columns if column.kind == "datetime"]
    time = split.by or (dates[0] if len(dates) == 1 else None)
    if time is None:
        return []
    found = []
    late = {name: (train[name] > train[time]).mean() for name in dates if name != time and time in dates}
    for name, share in totals(backend, train, late).items():
        if share is not None and share > LATER:
            title = f"{name} lies after {time} in {100 * share:.0f}% of the train rows, so it was not known then."
            found.append(_finding(name, "warning", title, share=round(share, 4)))
    kinds = ("number", "boolean", "category")
    names = [c.name for c in schema.columns if (c.kind in kinds and c.name != time) or c.name in schema.targets]
    frame = backend.to_pandas(train.order_by([time, ROW_ID]).limit(ROWS).select(*names)) if len(names) > 1 else None
    if frame is None or len(frame) < 50:
        return found
    numbers = [name for name in names if schema.column(name).kind in ("number", "boolean")]
    values = {name: frame[name].astype("Float64").to_numpy("float64", na_value=np.nan) for name in numbers}
    for name in (name for name in names if name not in schema.targets):
        told = _of_target(frame, values, name, schema) or (_next(values, name) if name in values else None)
        if told:
            found.append(_finding(name, "error", told))
    return found


def _finding(name: str, severity: str, title: str, **details: float) -> Finding:
    return Finding("future", severity, (name,), title, f"data: {{columns: {{{name}: ignore}}}}", details)  # type: ignore[arg-type]


def _next(values: dict[str, np.ndarray], name: str) -> str | None:
    """Whether a column holds the next row's value of another one."""
    ahead = values[name][:-1]
    for other, column in values.items():
        now, known = column[:-1], column[1:]
        moves = (now != known).mean() > 0.1
        if other != name and moves and np.isclose(ahead, known, equal_nan=True).mean() >= SAME and np.isclose(ahead, now).mean() < 0.9:
            return f"{name} holds the next row's {other}, which was not known then."
    return None


def _of_target(frame: pd.DataFrame, values: dict[str, np.ndarray], name: str, schema: Schema) -> str | None:
    """Whether a column holds the next row's class, or is a mean or sum that takes in the target of the row or of later ones."""
    target = frame[schema.target]
    if schema.task not in ("binary", "multiclass"):
        return _made_of(values[name], [values[schema.target]], name, schema.target) if name in values and schema.target in values else None
    labels = pd.factorize(target)[0]
    codes = pd.factorize(frame[name])[0]
    if codes.max() < FEW_VALUES and len(frame) >= FEWEST:
        later, now = classes_by_value(labels[1:], codes[:-1]), classes_by_value(labels, codes)
        if later >= 0.9 and 1 - later < (1 - now) / 2:
            return f"{name} tells the next row's {schema.target}, which was not known then."
    common = np.argsort(-np.bincount(labels), kind="stable")[: CLASSES if labels.max() > 1 else 1]
    return _made_of(values[name], [(labels == at).astype(float) for at in common], name, schema.target) if name in values else None


def _made_of(column: np.ndarray, targets: list[np.ndarray], name: str, target: str) -> str | None:
    """Whether what the past leaves open of a column is told by the target of the row itself and of later ones.

    A column's step from the row before is fitted to its last value and to the target of the rows around.  Sums and means
    over windows, centred ones and decaying ones are such a fit without an error, whatever their weights; what merely
    depends on the target is not.
    """
    reach = min(REACH, len(column) // 12)
    if len(column) < FEWEST:
        return None
    middle = np.arange(max(reach, START), len(column) - reach)
    for y in targets:
        around = np.lib.stride_tricks.sliding_window_view(y, 2 * reach + 1)[middle - reach]  # (rows, from past to later)
        design = np.column_stack([column[middle - 1], around, column[middle] - column[middle - 1]])
        rows = design[np.isfinite(design).all(axis=1)][:FITTED]
        if len(rows) < max(FEWEST, 2 * design.shape[1]):
            continue
        spread = rows.std(axis=0)
        if spread[-1] <= 1e-9 * max(spread[0], 1e-300):
            continue
        rows = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        moments = rows.T @ rows / len(rows)
        past, now, later = (_left(moments, 1 + end, len(rows)) for end in (reach, reach + 1, 2 * reach + 1))
        if past <= NOTHING or later > TOLD * past:
            continue
        if now <= TOLD * past:
            return f"{name} takes in the row's own {target}, as a running sum or mean does: with the row before it tells the target."
        return f"{name} takes in {target} of later rows, as a mean over rows on both sides does, which was not known then."
    return None


def _left(moments: np.ndarray, used: int, rows: int) -> float:
    """The share of the variance of the last column that the first ones leave; a trace of a ridge bears equal columns."""
    own = moments[:used, -1]
    weights = np.linalg.solve(moments[:used, :used] + RIDGE * np.eye(used), own)
    left = moments[-1, -1] - 2 * weights @ own + weights @ moments[:used, :used] @ weights
    return float(max(left, 0.0) * rows / (rows - used))
