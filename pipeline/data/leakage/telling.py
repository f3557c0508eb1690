"""Leakage: columns that give the target away.  A finding to look at; nothing is changed by it."""

from __future__ import annotations

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.leakage.telltale import bins, classes_by_number, classes_by_value, correlation, means_by_value
from pipeline.data.schema import Column, Schema

GIVEN_AWAY = 0.95  # share of a number's variance that one column takes away, from which it is named
CLASSES_TOLD = 0.9  # the same of the uncertainty of classes, where errors of each class are as few as slips
FEW_VALUES = 100  # a number with at most this many distinct values is looked at value by value
ROWS_A_VALUE = 20  # a category with fewer rows a value, such as a person, is pure where rows of one thing are alike
PRESENT = 0.3  # share of rows with a value, from which these are also judged alone
FEWEST = 50
AT_ONCE = 16  # columns fetched together


def giveaways(backend: Backend, train: ir.Table, schema: Schema, *, group: str | None) -> dict[str, float]:
    """Columns from which alone the target can be told, with the share of its uncertainty that they take away.

    Each row is told from the others.  For classes: by how much the mean recall of the classes lies above guessing, by the
    commonest class of the same value or, for numbers with many values, of the nearest ones; every class must be told but
    for slips, which an honest column of an AUC of 0.97 does not do.  For a regression: the squared correlation of numbers
    with the target, plain or of ranks, what the means of values take away, or whether the values are ranges of the target.
    A missing value counts as a value; where many are there, those present are judged alone too.  `group` keeps rows
    together and is no input.
    """
    kinds = ("number", "boolean", "category", "datetime")
    columns = [c for c in schema.columns if c.name not in (*schema.targets, group) and c.kind in kinds]
    found = {}
    for start in range(0, len(columns), AT_ONCE):
        some = columns[start : start + AT_ONCE]
        rows = backend.to_pyarrow(train.filter(train[schema.target].notnull()).select(schema.target, *(c.name for c in some)))
        for column in some:
            share = _share(rows[schema.target], rows[column.name], column, regression=schema.task == "regression")
            if share >= (GIVEN_AWAY if schema.task == "regression" else CLASSES_TOLD):
                found[column.name] = round(share, 4)
    return found


def _share(target: pa.ChunkedArray, values: pa.ChunkedArray, column: Column, *, regression: bool) -> float:
    present = np.asarray(values.is_valid())
    if len(present) < FEWEST or not present.any():
        return 0.0
    y = np.asarray(target.cast("float64")) if regression else encoded(target)
    codes, ordered = encoded(values), _ordered(values, column)
    share = _judged(y, codes, ordered, present, regression=regression)
    if not present.all() and present.mean() >= PRESENT and present.sum() >= FEWEST:
        some = ordered[present] if ordered is not None else None
        share = max(share, _judged(y[present], codes[present], some, present[present], regression=regression))
    return share


def _judged(y: np.ndarray, codes: np.ndarray, ordered: np.ndarray | None, present: np.ndarray, *, regression: bool) -> float:
    values = int(codes.max(initial=-1)) + 1
    few_rows = values * ROWS_A_VALUE > present.sum()
    if not regression:
        if ordered is not None and values > FEW_VALUES:
            return classes_by_number(y, ordered, present)
        return 0.0 if few_rows else classes_by_value(y, codes)
    share = correlation(y[present], ordered[present]) if ordered is not None and present.sum() >= FEWEST else 0.0
    return share if few_rows else max(share, means_by_value(y, codes), bins(y[present], codes[present]))


def _ordered(values: pa.ChunkedArray, column: Column) -> np.ndarray | None:
    """Numbers and dates as numbers, missing as NaN; nothing for what has no order."""
    if column.kind not in ("number", "datetime"):
        return None
    plain = values.cast("timestamp[us]").cast("int64") if column.kind == "datetime" else values
    return np.asarray(plain.cast("float64").fill_null(np.nan), dtype=float)


def encoded(values: pa.ChunkedArray) -> np.ndarray:
    """Values as whole numbers from 0 in the order in which they come, missing as -1."""
    codes = values.combine_chunks().dictionary_encode()
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    return np.asarray(codes.indices.fill_null(-1)).astype("int64")
