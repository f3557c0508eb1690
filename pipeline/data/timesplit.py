"""Splits by time: train before validation before test, equal times together.

Where the sides begin follows from the shares; given as `split.starts` it stays where it is when rows are appended.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID, sample
from pipeline.data.scalars import fitting, span, written
from pipeline.data.schema import Schema
from pipeline.errors import UserError

LOOKED_AT = 262_144  # rows behind the sides' starts: all, or so many that a share is off by less than 0.1% of the rows


def column(table: ir.Table, schema: Schema, split: SplitParams) -> str:
    """The column that holds the time: `split.by`, that of the forecast, or the only datetime column.

    Raises:
        UserError: there is no such column or several, or it holds no time.
    """
    times = [name for name in table.columns if table[name].type().is_timestamp()]
    name = split.by or (schema.forecast or {}).get("time")
    if name is None:
        if len(times) != 1:
            found = ", ".join(times) or "none"
            raise UserError(f"split.by: strategy time takes the only datetime column, but found {found}; name the column in split.by")
        return times[0]
    if not (table[name].type().is_timestamp() or table[name].type().is_numeric()):
        hint = f"datetime columns are {', '.join(times) or 'none'}; set data.columns.{name}: datetime if it holds dates"
        raise UserError(f"split.by: strategy time needs a datetime or number column, but {name} holds {table[name].type()}; {hint}")
    if name == schema.target and schema.task != "forecast":
        raise UserError(f"split.by: {name} is the target; name the column that holds the time")
    return str(name)


def starts(values: NDArray[Any], split: SplitParams) -> dict[str, Any]:
    """Where validation and test begin: at those values that bring the sides' sizes nearest to the shares.

    Raises:
        UserError: there are fewer than three distinct times.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 3:
        raise UserError(
            f"split.by: {split.by} has {len(distinct)} distinct values, but train, validation and test need at least 3; name a finer column"
        )
    before = np.concatenate([[0], np.cumsum(counts)])[:-1] / len(values)  # share of the rows before each value
    test = 2 + int(np.abs(before[2:] - (1 - split.test)).argmin())
    validation = 1 + int(np.abs(before[1:test] - (before[test] - split.validation)).argmin())
    return {"validation": distinct[validation].item(), "test": distinct[test].item()}


def pinned(split: SplitParams, table: ir.Table, used: ir.BooleanValue) -> SplitParams:
    """`split` with `starts` given, found from the shares of the `used` rows where they are not."""
    assert split.by is not None
    if split.starts:
        _ends(table, split)  # tells mistakes
        return split
    found = {side: written(start) for side, start in starts(_values(table, split.by, used), split).items()}
    return split.model_copy(update={"starts": found})


def cases(table: ir.Table, split: SplitParams) -> list[tuple[ir.BooleanValue, str | None, str | None]]:
    """Conditions of which the first that holds gives the row's side, or the reason why it has none; train is what is left."""
    assert split.by is not None
    time, (validation, test) = table[split.by], _ends(table, split)
    gap = span(time, split.gap, key="split.gap")
    branches: list[tuple[ir.BooleanValue, str | None, str | None]] = [(time.isnull(), None, f"{split.by} is missing")]
    for side, start in (("test", test), ("validation", validation)):
        branches.append((time >= ibis.literal(start), side, None))
        if gap:
            branches.append((time >= ibis.literal(_earlier(start, gap, side)), None, f"within the gap before {side}"))
    return branches


def folds(table: ir.Table, split: SplitParams, used: ir.BooleanValue) -> ir.IntegerValue:
    """Contiguous blocks of the `used` rows in time, of about equal size, numbered from 0; equal times stand in one block.

    Raises:
        UserError: there are fewer distinct times than folds.
    """
    assert split.by is not None
    values = np.sort(_values(table, split.by, used))
    if not len(values):
        return ibis.literal(0)
    edges = sorted({values[len(values) * at // split.folds].item() for at in range(1, split.folds)} - {values[0].item()})
    if len(edges) < split.folds - 1:
        raise UserError(f"split.folds: {split.folds} folds need as many distinct times with enough rows in {split.by}; use fewer folds")
    return ibis.cases(*((table[split.by] >= ibis.literal(edge), at + 1) for at, edge in reversed(list(enumerate(edges)))), else_=0)


def _values(table: ir.Table, name: str, used: ir.BooleanValue) -> NDArray[Any]:
    """The times of the used rows, or of the first of them."""
    some = sample(table.filter(used & table[name].notnull()).select(ROW_ID, name), LOOKED_AT)
    found: NDArray[Any] = table.get_backend().to_pyarrow(some)[name].to_numpy()
    return found.astype("datetime64[us]") if found.dtype.kind == "M" else found.astype("float64")


def _ends(table: ir.Table, split: SplitParams) -> tuple[Any, Any]:
    """Where validation and test begin, in the column's type."""
    assert split.by is not None
    validation, test = fitting(table[split.by], [split.starts["validation"], split.starts["test"]], key="split.starts")
    if not validation < test:
        raise UserError(f"split.starts: expected validation before test, got {split.starts['validation']} and {split.starts['test']}")
    return validation, test


def _earlier(start: Any, gap: Any, side: str) -> Any:
    try:
        return start - gap
    except OverflowError:
        raise UserError(f"split.gap: {gap} before the start of {side} ({start}) is no date; use a smaller gap") from None
