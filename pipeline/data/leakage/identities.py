"""Identities: numbers that make the target up, as sums, differences or products."""

from __future__ import annotations

import ibis.expr.types as ir
import numpy as np
from ibis.backends.duckdb import Backend

from pipeline.data.engine import sample
from pipeline.data.leakage.finding import Finding
from pipeline.data.schema import Schema

ROWS = 4096
COLUMNS = 100
LEFT = 1e-8  # share of the target's variance that an identity may leave to rounding
COUNTS = 1e-3  # a column whose part in it is smaller takes no part


def identities(backend: Backend, train: ir.Table, schema: Schema, given: dict[str, float]) -> list[Finding]:
    """Columns whose weighted sum, or product of powers, is the target."""
    names = [c.name for c in schema.columns if c.kind == "number" and c.name != schema.target and c.name not in given][:COLUMNS]
    if len(names) < 2:
        return []
    frame = backend.to_pyarrow(sample(train, ROWS).select(schema.target, *names).drop_null()).to_pandas().to_numpy(float)
    y, x = frame[:, 0], frame[:, 1:]
    if len(y) < 4 * len(names) + 20 or np.ptp(y) == 0:
        return []
    if part := _part(y, x):
        return [_finding("weighted sum", [names[at] for at in part], schema)]
    positive = [at for at in range(len(names)) if (x[:, at] > 0).all()]
    if (y > 0).all() and (part := _part(np.log(y), np.log(x[:, positive]))):
        return [_finding("product or quotient", [names[positive[at]] for at in part], schema)]
    return []


def _part(y: np.ndarray, x: np.ndarray) -> list[int]:
    spread = x.std(axis=0)
    kept = np.flatnonzero(spread > 0)
    if not len(kept):
        return []
    scaled, centred = (x[:, kept] - x[:, kept].mean(axis=0)) / spread[kept], y - y.mean()
    weights = np.linalg.lstsq(scaled, centred, rcond=None)[0]
    if ((centred - scaled @ weights) ** 2).sum() > LEFT * (centred**2).sum():
        return []
    return [int(kept[at]) for at in np.flatnonzero(np.abs(weights) > COUNTS * centred.std())]


def _finding(form: str, names: list[str], schema: Schema) -> Finding:
    title = f"{schema.target} is a {form} of {', '.join(names)} in every row looked at."
    ignored = ", ".join(f"{name}: ignore" for name in names)
    return Finding("identity", "error", tuple(names), title, f"data: {{columns: {{{ignored}}}}}")
