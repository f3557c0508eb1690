"""Which columns of train can help, judged on train alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.engine import totals
from pipeline.data.fitted import Part
from pipeline.data.numeric import CYCLES, Values
from pipeline.data.schema import is_whole

TEXT_WORDS = 3.0  # mean words per value from which a column of mostly distinct values is free text, else an id
LETTERED = 2.0  # of them with a letter, or these are numbers in groups: of a telephone, an account
NO_WORD = r"(^| )[^ \p{L}]+"
MANY = 20  # distinct values up to which a column is no id
MEDIA = ("text", "image", "audio", "sequence")


@dataclass(frozen=True)
class Seen:
    """What train holds of a column: rows and values (not missing) over all rows, the rest over the sample.

    `low` and `high` are a number's or a date's (in days) over all rows; `distinct` is None for kinds whose values are
    not compared; `words` is 0 where the words are digits; `varying` are the parts of a date (month, weekday, hour) that change.
    """

    kind: str
    rows: int
    values: int
    sampled: int
    distinct: int | None
    words: float
    whole: bool
    low: float
    high: float
    varying: tuple[str, ...]

    @property
    def missing(self) -> bool:
        return self.values < self.rows


def look(backend: Backend, train: ir.Table, sampled: ir.Table, kinds: Mapping[str, str]) -> dict[str, Seen]:
    """Look at the columns of `kinds`: what is cheap over all rows, distinct values in the sample.

    A column of which the sample holds one value or none is looked at in full.
    """
    everywhere: dict[str, ir.Value] = {"rows": train.count()}
    few: dict[str, ir.Value] = {}
    for name, kind in kinds.items():
        everywhere[f"{name}:values"] = train[name].count()
        if kind in ("number", "datetime"):
            everywhere |= {f"{name}:low": train[name].min(), f"{name}:high": train[name].max()}
        if kind not in MEDIA:
            few |= {f"{name}:sampled": sampled[name].count(), f"{name}:distinct": sampled[name].nunique()}
        if kind == "number":
            few[f"{name}:whole"] = is_whole(sampled[name]).all()
        elif kind == "category":
            few[f"{name}:words"] = sampled[name].split(" ").length().mean()
            few[f"{name}:lettered"] = sampled[name].re_replace(NO_WORD, "").split(" ").length().mean()
    found = totals(backend, train, everywhere) | totals(backend, sampled, few)
    for name in (name for name, kind in kinds.items() if kind == "datetime"):
        ends = Values(pa.array([found[f"{name}:{end}"] for end in ("low", "high")], pa.timestamp("us"))).part("days")
        found |= dict(zip((f"{name}:low", f"{name}:high"), np.nan_to_num(ends).tolist(), strict=True))
    unsure = [name for name in kinds if (found.get(f"{name}:distinct") or 0) < 2 and f"{name}:distinct" in found]
    if found["rows"] > max((found[f"{name}:sampled"] for name in unsure), default=0):
        found |= totals(backend, train, {f"{name}:distinct": train[name].nunique() for name in unsure})
    return {
        name: Seen(
            kind,
            found["rows"],
            found[f"{name}:values"],
            found.get(f"{name}:sampled", 0),
            found.get(f"{name}:distinct"),
            (found.get(f"{name}:words") or 0.0) if (found.get(f"{name}:lettered") or 0.0) >= LETTERED else 0.0,
            bool(found.get(f"{name}:whole")),
            found.get(f"{name}:low") or 0.0,
            found.get(f"{name}:high") or 0.0,
            _varying(backend, sampled[name]) if kind == "datetime" else (),
        )
        for name, kind in kinds.items()
    }


def _varying(backend: Backend, column: ir.Column) -> tuple[str, ...]:
    """The parts of a sampled date column that change."""
    dates = Values(backend.to_pyarrow(column).combine_chunks().drop_null())
    return tuple(field for field in CYCLES if len(dates.plain) and np.ptp(dates.part(cast(Part, field))) > 0)


def useless(seen: Mapping[str, Seen], *, series: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Columns that cannot help, each with the reason; `series` are to be forecast, so they may run or stand still."""
    for name, column in seen.items():
        if not column.values:
            yield name, "every value is missing in train"
        elif name in series:
            continue
        elif column.distinct == 1 and not column.missing:
            yield name, "constant in train"
        elif column.kind == "category" and _mostly_distinct(column) and column.words < TEXT_WORDS:
            yield name, f"id: {column.distinct} distinct values in {column.sampled} train rows"
        elif column.kind == "number" and column.whole and column.distinct == column.sampled > MANY and _is_dense(column):
            yield name, f"running number: {column.distinct} distinct whole numbers in {column.sampled} train rows"


def is_free_text(column: Seen) -> bool:
    """Whether a category is mostly distinct values of several words."""
    return column.kind == "category" and _mostly_distinct(column) and column.words >= TEXT_WORDS


def _mostly_distinct(column: Seen) -> bool:
    return column.distinct is not None and column.distinct > MANY and column.distinct > 0.5 * column.sampled


def _is_dense(column: Seen) -> bool:
    """Whether distinct whole numbers fill a third of their range or more, as a running number thinned by the split does."""
    return column.high - column.low + 1 <= 3 * column.values
