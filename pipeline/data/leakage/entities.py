"""Entities: keys whose rows lie on both sides and are alike, such as one person's visits."""

from __future__ import annotations

from typing import Any

import ibis
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


def candidates(backend: Backend, rows: ir.Table, schema: Schema, split: SplitParams, *, count: int) -> list[str]:
    """Columns that might name an entity: they have many values of few rows each, and are no measurement.

    Args:
        rows: those of train, validation and test; count: how many they are.
    """
    apart = (*schema.targets, split.by)
    kinds = {c.name: c.kind for c in schema.columns if c.kind in ("id", "category", "number", "text") and c.name not in apart}
    numbers = [name for name, kind in kinds.items() if kind == "number"]
    some = sample(rows, ROWS)
    whole = totals(backend, some, {name: (some[name] % 1.0 == 0.0).all() for name in numbers})
    asked = [name for name in kinds if kinds[name] != "number" or whole[name]]
    distinct = totals(backend, rows, {name: rows[name].approx_nunique() for name in asked})
    return [name for name in asked if FEWEST <= distinct[name] <= 0.8 * count and count / distinct[name] <= MOST_ROWS]


def draw(rows: ir.Table, name: str, count: int) -> ir.BooleanValue:
    """Whether a row is looked at for the entity in a column: of many rows a part, drawn by value, so that a value's rows come together."""
    parts = count // ROWS
    return rows[name].notnull() & (rows[name].hash().abs() % parts == 0) if parts > 1 else ibis.literal(True)


def entities(backend: Backend, drawn: ir.Table, schema: Schema, split: SplitParams, *, names: list[str], count: int) -> list[Finding]:
    """Those of `candidates` that name an entity whose rows stand on both sides of the split.

    Rows of one value agree in at least a third of the other columns far more often than other rows do (for a number, more
    often than those of its next values).

    Args:
        drawn: at least the rows that `draw` takes for each of the names.
    """
    rest = [column.name for column in schema.columns if column.kind in ("category", "number", "boolean", "datetime")]
    found = []
    for name in names:
        others = [other for other in rest if other != name]
        rows = drawn.filter(draw(drawn, name, count)).select(SIDE, name, *others)
        frame = backend.to_pyarrow(sample(rows, 2 * ROWS)).to_pandas()
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
