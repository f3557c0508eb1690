"""Splits as a column says: which of its values stand for which side."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir

from pipeline.config import SplitParams
from pipeline.data.scalars import fitting, written
from pipeline.errors import UserError

NAMES = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "t10k", "tst"),
}
MOST = 10_000  # distinct values looked at
TOLD = 10


def pinned(split: SplitParams, table: ir.Table, used: ir.BooleanValue) -> SplitParams:
    """`split` with every value of the column among the `used` rows in `given`; texts are compared without regard to case.

    Raises:
        UserError: a value stands for no side, or for two.
    """
    assert split.by is not None
    column, sides = table[split.by], dict[Any, str]()
    for side in NAMES:
        names = split.given.get(side) or (NAMES[side] if column.type().is_string() else ())
        for value in fitting(column, names, key=f"split.given.{side}"):
            if sides.setdefault(_folded(value), side) != side:
                raise UserError(f"split.given: {value!r} stands for both {sides[_folded(value)]} and {side}; name it once")
    counted = table.filter(used & column.notnull()).group_by(column.name("value")).aggregate(rows=lambda t: t.count())
    found = table.get_backend().to_pyarrow(counted.order_by("value").limit(MOST)).to_pylist()
    given: dict[str, list[Any]] = {}
    unknown: list[str] = []
    for row in found:
        meant = sides.get(_folded(row["value"]))
        if meant is None:
            unknown.append(f"{written(row['value'])!r} ({row['rows']:,} rows)")
        else:
            given.setdefault(meant, []).append(written(row["value"]))
    if unknown:
        more = "" if len(unknown) <= TOLD else f" and {len(unknown) - TOLD:,} more"
        known = "; ".join(f"{side}: {', '.join(str(v) for v, s in sides.items() if s == side)}" for side in NAMES if side in sides.values())
        raise UserError(
            f"split.given: {', '.join(unknown[:TOLD])}{more} of {split.by} stand for no side; known are {known or 'none'}. "
            "Say what each stands for, such as split.given: {test: [...]}"
        )
    return split.model_copy(update={"given": {side: tuple(values) for side, values in given.items()}})


def cases(table: ir.Table, split: SplitParams, drawn: ir.BooleanValue) -> list[tuple[ir.BooleanValue, str | None, str | None]]:
    """Conditions of which the first that holds gives the row's side, or the reason why it has none; train is what is left.

    Where no value stands for validation, it is the `drawn` rows of train.
    """
    assert split.by is not None
    column = table[split.by]
    branches: list[tuple[ir.BooleanValue, str | None, str | None]] = [(column.isnull(), None, f"{split.by} is missing")]
    for side in ("test", "validation"):
        if values := split.given.get(side):
            branches.append((column.isin(fitting(column, values, key=f"split.given.{side}")), side, None))
    if not split.given.get("validation"):
        branches.append((drawn, "validation", None))
    return branches


def _folded(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value
