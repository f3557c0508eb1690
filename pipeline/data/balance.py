"""Whether whole groups happen to carry the classes evenly to the sides, and a seed under which they do.

No rule that keeps old rows on their sides can balance groups (see `splitting`), but a seed can be picked once and kept.
"""

from __future__ import annotations

from hashlib import md5
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
from ibis.backends.duckdb import Backend
from numpy.typing import NDArray

from pipeline.config import SplitParams
from pipeline.data import splitting
from pipeline.data.engine import SEPARATOR, threshold
from pipeline.data.schema import Schema
from pipeline.data.spelling import CLASSES
from pipeline.paths import SIDES

EVEN = 0.05  # of a side's rows would have to change class for it to have the shares of all rows
SEEDS = 30  # tried
MOST = 20_000  # groups; more than this even out by themselves


def compare(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams, seed: int, sides: dict[str, Any]) -> dict[str, Any]:
    """How far each side's class shares are from those of all rows, and the best of other seeds where that is far.

    The distance is the share of a side's rows that would have to change class; {} where the split has no whole groups
    to balance.  `sides` is what `sizes.describe` tells of them.
    """
    if split.strategy != "stratified_group" or schema.task not in CLASSES:
        return {}
    names = sorted({name for side in SIDES[:3] for name in sides[side]["classes"]})
    counts = np.array([[sides[side]["classes"].get(name, 0) for name in names] for side in SIDES[:3]], dtype=float)
    told: dict[str, Any] = {"distance": dict(zip(SIDES[:3], _rounded(distances(counts)), strict=True))}
    if max(told["distance"].values()) <= EVEN:
        return told
    used = sided.filter(sided[splitting.SIDE].isin(SIDES[:3]))
    used = used.select(key=splitting.key(used, schema, split), name=used[schema.target])
    if backend.to_pyarrow(used["key"].nunique()).as_py() > MOST:
        return told
    pairs = backend.to_pyarrow(used.group_by(["key", "name"]).aggregate(rows=ibis._.count()).order_by(["key", "name"]))
    keys, row = np.unique(pairs["key"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    table = np.zeros((len(keys), len(names)))
    np.add.at(table, (row, np.searchsorted(names, pairs["name"].to_numpy(zero_copy_only=False).astype(str))), pairs["rows"].to_numpy())
    tried = {other: _rounded(distances(sums(table, keys, split, other))) for other in range(seed + 1, seed + 1 + SEEDS)}
    best = min(tried, key=lambda other: max(tried[other]))
    if max(tried[best]) < max(told["distance"].values()):
        told |= {"better_seed": best, "distance_with_it": dict(zip(SIDES[:3], tried[best], strict=True))}
    return told


def distances(counts: NDArray[Any]) -> NDArray[Any]:
    """Total variation between each side's class shares and those of all rows; counts are (side, class), an empty side is 1 away."""
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    found: NDArray[Any] = np.where(rows[:, 0] > 0, np.abs(shares - counts.sum(axis=0) / counts.sum()).sum(axis=1) / 2, 1.0)
    return found


def sums(table: NDArray[Any], keys: NDArray[Any], split: SplitParams, seed: int) -> NDArray[Any]:
    """Class counts of each side (side, class) under a seed, from those of each group (group, class)."""
    draws = np.array([md5(f"{seed}{SEPARATOR}{key}".encode()).hexdigest() for key in keys])
    test, validation = draws < threshold(split.test), draws < threshold(split.test + split.validation)
    return np.stack([table[~validation].sum(axis=0), table[validation & ~test].sum(axis=0), table[test].sum(axis=0)])


def _rounded(values: NDArray[Any]) -> list[float]:
    return [round(float(value), 4) for value in values]
