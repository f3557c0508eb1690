"""Entities: keys whose rows lie on both sides and are alike, such as one person's visits."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir
import numpy as np
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data.engine import sample, totals
from pipeline.data.leakage.finding import Finding
from pipeline.data.schema import Schema
from pipeline.data.splitting import SIDE

ROWS = 20_000
FEWEST = 50  # distinct values of a key
MOST_ROWS = 50  # rows a value, on average: a value with more is a class of things rather than one thing
SHARED = 0.05  # share of the held-out rows whose value stands in train
ALIKE = 0.5  # how much of the way from chance to equality rows of one value go in a column that tells of the entity
TELLING = 1 / 3  # share of the other columns that do
PAIRS = 4000


def entities(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams) -> list[Finding]:
    """Columns that name an entity whose rows stand on both sides of the split.

    Such a column has many values of few rows each, and rows of one value agree in at least a third of the other columns far
    more often than other rows do (for a number, more often than those of its next values).
    """
    names = {
        column.name
        for column in schema.columns
        if column.kind in ("id", "category", "number", "text") and column.name not in (*schema.targets, split.by)
    }
    rest = [column.name for column in schema.columns if column.kind in ("category", "number", "boolean", "datetime")]
    labelled = sided.filter(sided[SIDE].isin(["train", "validation", "test"]))
    numbers = [column.name for column in schema.columns if column.name in names and column.kind == "number"]
    some = sample(labelled, ROWS)  # measurements, which have fractions, name nothing
    whole = totals(backend, some, {name: (some[name] % 1.0 == 0.0).all() for name in numbers})
    names -= {name for name in numbers if not whole[name]}
    distinct = totals(backend, labelled, {name: labelled[name].approx_nunique() for name in sorted(names)})
    rows = backend.to_pyarrow(labelled.count()).as_py()
    names = {name for name in names if FEWEST <= distinct[name] <= 0.8 * rows and rows / distinct[name] <= MOST_ROWS}
    found = []
    for name in (column.name for column in schema.columns if column.name in names):
        parts = max(1, rows // ROWS)  # whole values are drawn, so that a value's rows come together
        drawn = labelled.filter(labelled[name].notnull() & (labelled[name].hash().abs() % parts == 0)) if parts > 1 else labelled
        others = [other for other in rest if other != name]
        frame = backend.to_pyarrow(sample(drawn, 2 * ROWS).select(SIDE, name, *others)).to_pandas()
        if told := _told(frame.dropna(subset=[name]), name, others):
            found.append((told["columns_alike"], _finding(name, told, split)))
    found.sort(key=lambda pair: -pair[0])
    return [finding for _, finding in found]


def _told(frame: Any, name: str, others: list[str]) -> dict[str, Any] | None:
    values = frame[name].to_numpy()
    if frame[name].dtype.kind == "f" and (values % 1 != 0).any():
        return None  # a measurement
    held = frame[SIDE].to_numpy() != "train"
    shared = frame[name].isin(frame.loc[~held, name]).to_numpy()[held]
    if not held.any() or shared.mean() < SHARED or not others:
        return None
    _, codes = np.unique(values.astype(str) if values.dtype.kind == "O" else values, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    codes, columns = codes[order], {other: frame[other].astype("category").cat.codes.to_numpy()[order] for other in others}
    same = np.flatnonzero(codes[1:] == codes[:-1])
    near = np.flatnonzero(codes[1:] != codes[:-1])  # neighbours of different values: what being close in value alone brings
    if len(same) < FEWEST or len(near) < FEWEST:
        return None
    far = np.random.default_rng(0).permutation(len(codes))
    alike = []
    for other, column in columns.items():
        chance = max(float((column == column[far]).mean()), float((column[near] == column[near + 1]).mean()))
        agree = float((column[same] == column[same + 1]).mean())
        if chance < 0.98 and (agree - chance) / (1 - chance) > ALIKE:
            alike.append(other)
    if len(alike) < max(2, TELLING * len(others)):
        return None
    return {"shared": round(float(shared.mean()), 4), "columns_alike": len(alike), "of": len(others), "alike": alike[:10]}


def _finding(name: str, told: dict[str, Any], split: SplitParams) -> Finding:
    title = (
        f"{100 * told['shared']:.0f}% of the validation and test rows have a value of {name} that train has too, "
        f"and its rows are alike in {told['columns_alike']} of {told['of']} columns."
    )
    severity = "note" if split.strategy == "time" else "warning" if split.strategy in ("group", "stratified_group", "given") else "error"
    return Finding("entity", severity, (name,), title, f"split: {{strategy: group, by: {name}}}", told)  # type: ignore[arg-type]
