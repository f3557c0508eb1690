"""Bounded samples of the sides, and their columns as the inputs of a small model."""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID, md5_of_bytes, sample
from pipeline.data.schema import Schema
from pipeline.data.splitting import FOLD, SIDE

ROWS = 20_000  # of train, and of validation and test together
CODES = 100  # categories that a small model tells apart
GROUPED = ("group", "stratified_group")


@dataclass(frozen=True)
class Frames:
    """Samples of train and of the held-out rows, and the columns that the network may come to see."""

    train: pd.DataFrame
    held_out: pd.DataFrame
    schema: Schema
    split: SplitParams
    seed: int

    @property
    def features(self) -> list[str]:
        """Columns that are inputs: not the target, the split's own column, ids and what is ignored."""
        apart = (*self.schema.targets, self.split.by)
        kinds = ("number", "boolean", "category", "datetime")
        return [c.name for c in self.schema.columns if c.kind in kinds and c.name not in apart]

    def kind(self, name: str) -> str:
        return self.schema.column(name).kind

    @property
    def numbers(self) -> list[str]:
        return [name for name in self.features if self.kind(name) == "number"]


def frames(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams, seed: int) -> Frames:
    """The first rows of train and of validation with test, in the order of row ids: as good as drawn at random."""
    kept = [name for name in sided.columns if name not in (SIDE, FOLD)]
    shown = [md5_of_bytes(sided[n]).name(n) if sided[n].type().is_binary() else sided[n] for n in kept]

    def first(*sides: str) -> pd.DataFrame:
        parts = [backend.to_pandas(sample(sided.filter(sided[SIDE] == side), ROWS).select(shown)) for side in sides]
        rows = pd.concat([part for part in parts if len(part)] or parts[:1])  # empty ones would blur the columns' types
        return rows.sort_values(ROW_ID, ignore_index=True).head(ROWS)

    return Frames(first("train"), first("validation", "test"), schema, split, seed)


def inputs(frame: pd.DataFrame, names: list[str], kinds: dict[str, str], reference: pd.DataFrame) -> np.ndarray:
    """Columns as numbers (rows, columns): categories as the rank of their frequency in `reference`, missing as NaN."""
    columns = []
    for name in names:
        values = frame[name]
        if kinds[name] == "category":
            counts = reference[name].value_counts().sort_index()  # of equal counts the order of rows, and with it the side, says nothing
            ranks = {token: at for at, token in enumerate(counts.sort_values(ascending=False, kind="stable").index[:CODES])}
            columns.append(values.map(ranks).to_numpy("float64", na_value=np.nan))
        elif kinds[name] == "datetime":
            days = (pd.to_datetime(values) - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
            columns.append(days.to_numpy("float64", na_value=np.nan))
        else:
            columns.append(values.astype("Float64").to_numpy("float64", na_value=np.nan))
    made = np.column_stack(columns) if columns else np.zeros((len(frame), 0))
    return np.where(np.isfinite(made), made, np.nan)


def ids(frame: pd.DataFrame) -> list[str]:
    """Row ids."""
    return frame[ROW_ID].tolist()
