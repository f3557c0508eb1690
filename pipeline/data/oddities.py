"""What in a column deserves a look: suggestions for people, of which none is acted upon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data.histogram import FENCE, RARE, fences, numeric, shown
from pipeline.data.schema import Column, as_key

SENTINELS = (-1.0, -9.0, -99.0, -200.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 9999999.0)
REPEATED = 3  # rows that a sentinel must have
NA = ("none", "n.a.", "n/d", "nd", "n.d.", "--", "---", ".", "..", "nil", "nan", "#n/a", "#na", "na", "n/a", "null", "?", "-", "k.a.")
TOKENS = frozenset((*NA, "missing", "unknown", "undefined", "empty", "(blank)", "(null)", "tbd"))
NEARLY = 0.995  # share of one value from which a column is nearly constant
ID_SHARE = 0.95  # share of distinct values from which a column looks like an id
FEW = 20  # values from which it may


def of_values(there: pa.Array, column: Column, found: Mapping[str, Any]) -> Iterator[str]:
    if found["distinct"] == 1:
        yield f"constant: every value is {found['examples'][0]!r}" if len(there) > 1 else "a single value"
    elif "top" in found and found["top"][0][1] >= NEARLY * len(there):
        yield f"nearly constant: {100 * found['top'][0][1] / len(there):.2f}% of the values are {found['top'][0][0]!r}"


def of_numbers(there: pa.Array, column: Column, ends: Mapping[str, Any]) -> Iterator[str]:
    numbers = numeric(there)
    for value, rows in sentinels(numbers):
        yield (
            f"{value:g} stands apart from all other values in {rows:,} rows: if it means missing, set "
            f"data.missing_in: {{{as_key(column.name)}: ['{value:g}']}}"
        )
    low, high = fences(numbers)
    beyond = int(((numbers < low) | (numbers > high)).sum())
    if 0 < beyond <= RARE * len(numbers):
        spread = f"{shown(ends.get('min'))} to {shown(ends.get('max'))}"
        yield f"{beyond:,} extreme values, more than {FENCE:g} interquartile ranges from the middle half ({spread})"


def sentinels(numbers: np.ndarray) -> list[tuple[float, int]]:
    """Numbers that may stand for a missing value, with their rows: an end of the column, repeated, and far from the rest.

    Far is more than the whole range of the other values, or, for the usual ones such as -999, more than half the range of their
    middle 98%.  A column of fewer than four distinct values has none: they may all be codes.
    """
    values, counts = np.unique(numbers, return_counts=True)
    found = []
    for at in (0, -1):
        others = values[1:] if at == 0 else values[:-1]
        if len(others) < 3 or counts[at] < REPEATED:
            continue
        value = float(values[at])
        gap = abs(value - float(others[0 if at == 0 else -1]))
        rest = numbers[numbers != value]
        low, high = (float(edge) for edge in np.quantile(rest, [0.01, 0.99]))
        only_negative = value in SENTINELS and value < 0 <= float(others[0]) and counts[at] > 1.5 * counts[1 if at == 0 else -2]
        if gap > float(others[-1] - others[0]) or (value in SENTINELS and gap > 0.5 * (high - low)) or only_negative:
            found.append((value, int(counts[at])))
    return found


def of_categories(there: pa.Array, column: Column) -> Iterator[str]:
    spellings = pc.unique(there).to_pylist()
    tokens = sorted(text for text in spellings if text.lower() in TOKENS)
    if tokens:
        named = ", ".join(map(repr, tokens[:5]))
        yield f"{named} may mean missing, and counts as a category: if it does, set data.missing_in: {{{as_key(column.name)}: [{named}]}}"
    folded: dict[str, list[str]] = {}
    for text in spellings:
        folded.setdefault(text.casefold(), []).append(text)
    several = sorted(sorted(texts) for texts in folded.values() if len(texts) > 1)
    if several:
        pairs = "; ".join(" / ".join(shown(text) for text in texts[:3]) for texts in several[:3])
        yield f"{len(several):,} categories are spelt in several ways that differ in case alone: {pairs}"


def like_an_id(there: pa.Array, column: Column, found: Mapping[str, Any]) -> bool:
    """Whether nearly every value differs (for numbers: whole ones that fill a good part of their range)."""
    if len(there) <= FEW or found["distinct"] < ID_SHARE * len(there):
        return False
    if column.kind == "number":
        numbers = numeric(there)
        dense = found["distinct"] == len(there) and numbers.max() - numbers.min() < 3 * len(there)
        return bool(dense and (numbers % 1 == 0).all())
    return column.kind in ("category", "id")
