"""Which watched columns can harm: drift of a column that the model does not use leaves its answers as they are.

Evidence is the permutation importance on held-out rows (`influence.permutation_importance`): by how much the loss of a row
rises where a column's values come from other rows, with an interval.  A column is called unused only where it surely is:
the interval's upper end lies below half a percent of the model's loss.  On 2,000 rows or more a column with a weight near
zero is recognised so; on 500 rows the interval is often too wide, and the column stays used.  Two columns that stand for
each other share their importance, so each may look unused alone: every cluster that holds a column must be unused too.
A column that was not measured counts as used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNUSED_BELOW = 0.005  # share of the model's loss


@dataclass(frozen=True)
class Uses:
    """What the model uses of what is watched.

    used: the prediction first, then the most important first, then those that were not measured.  importance: of each
    watched name the rise of the loss (in the loss's units) when its column, or a cluster with it, is permuted, whichever
    is larger; None where it was not measured, as for the prediction.
    """

    used: tuple[str, ...]
    importance: Mapping[str, float | None]


@dataclass(frozen=True)
class _Measured:
    columns: tuple[str, ...]
    increase: float
    high: float


def uses(importance_rows: Sequence[Mapping[str, Any]], watched: Sequence[str], *, prediction: str, loss: float) -> Uses:
    """Tell used from unused among the watched names.

    importance_rows: as `influence.importance_rows` gives them, or as they are read from its CSV.  watched: columns, or
    parts of them as "photo (brightness)" of the column "photo"; the prediction may be among them and is used in any
    case.  loss: the model's mean loss on the same rows, in the same units as the increases (`Importances.loss`).
    """
    measured = _measured(importance_rows)
    columns = {one.columns[0] for one in measured if len(one.columns) == 1}
    importance: dict[str, float | None] = {}
    used: list[str] = []
    for name in dict.fromkeys(watched):
        if name == prediction:
            continue
        base = _base(name, columns)
        found = [one for one in measured if base in one.columns]
        known = [one.increase for one in found if math.isfinite(one.increase)]
        importance[name] = max(known) if known else None
        if not found or not all(one.high <= UNUSED_BELOW * loss for one in found):  # so written that a nan is used
            used.append(name)
    used.sort(key=lambda name: _rank(importance[name]))
    return Uses((prediction, *used), {prediction: None, **importance})


def _rank(importance: float | None) -> float:
    """Ascending: the most important first, the unmeasured last."""
    return math.inf if importance is None else -importance


def _base(name: str, columns: set[str]) -> str | None:
    """The column that a watched name belongs to: itself, or what stands before its last parenthesis."""
    if name in columns:
        return name
    before = name.rpartition(" (")[0] if name.endswith(")") else ""
    return before if before in columns else None


def _measured(rows: Sequence[Mapping[str, Any]]) -> list[_Measured]:
    """The rows with what they are about; a cluster's name is that of its columns, joined."""
    singles = {str(row["name"]) for row in rows if int(row["columns"]) == 1}
    found = []
    for row in rows:
        count, name = int(row["columns"]), str(row["name"])
        told = (name,) if count == 1 else next(_split(name, singles, count), ())
        found.append(_Measured(told, _number(row["loss_increase"]), _number(row["high"])))
    return found


def _split(name: str, columns: set[str], count: int) -> Iterator[tuple[str, ...]]:
    """The ways to read "a + b" as `count` columns; a column's own name may hold a plus."""
    if count == 1:
        if name in columns:
            yield (name,)
        return
    at = name.find(" + ")
    while at >= 0:
        if name[:at] in columns:
            for rest in _split(name[at + 3 :], columns, count - 1):
                yield (name[:at], *rest)
        at = name.find(" + ", at + 1)


def _number(value: Any) -> float:
    """A figure of a table, or nan where its cell is empty."""
    return math.nan if value is None or value == "" else float(value)
