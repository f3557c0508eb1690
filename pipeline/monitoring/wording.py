"""A column's values as numbers or as text, and how sentences about a window write numbers, shares, categories and names."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

import numpy as np
import pandas as pd

from pipeline.monitoring.drift import Floats


def numbers(column: pd.Series) -> Floats:
    """A column's values (rows,) as floats, NaN for what is missing, no number, or so large that its square is infinite."""
    plain = column if pd.api.types.is_float_dtype(column.dtype) else pd.to_numeric(column, errors="coerce")
    values = np.asarray(plain.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
    return np.where(np.abs(values) < 1e150, values, np.nan)


def categories(column: pd.Series) -> pd.Series:
    """A column's values as text, None for what is missing."""
    codes, uniques = pd.factorize(column)  # -1 for a missing value
    labels = np.array([*map(str, uniques), None], dtype=object)
    return pd.Series(labels[codes], index=column.index, dtype=object)


def percent(share: float) -> str:
    """A share in percent, without decimals from 1% on; never 0% of something nor 100% of less than all."""
    if 0 < share < 0.01:
        return "under 0.1%" if share < 0.0005 else f"{share:.1%}".replace(".0%", "%")
    return "over 99%" if 0.995 <= share < 1 else f"{share:.0%}"


def figures(*values: float, spread: float = 0.0) -> tuple[str, ...]:
    """Numbers to be compared, rounded to a tenth of the size of their spread; numbers all alike keep four digits, or are whole."""
    spread, size = spread or max(values) - min(values), max(map(abs, values))
    if size >= 1e12 or 0 < size < 1e-4:
        return tuple(f"{value:.3g}" for value in values)
    if spread <= size * 1e-9:
        return tuple(f"{value:,.0f}" if value == int(value) else f"{value:,.4g}" if size < 1000 else f"{value:,.1f}" for value in values)
    decimals = min(1 - math.floor(math.log10(spread)), 8)
    rounded = [round(value, decimals) for value in values]
    places = 0 if all(value == int(value) for value in rounded) else decimals
    return tuple(f"{value:,.{places}f}" if value else "0" for value in rounded)


def days(*values: float) -> tuple[str, ...]:
    """Days since 1970 as dates, with the time of day where they lie within two days."""
    minutes = np.floor(np.array(values) * 1440 + 0.001).astype(np.int64)
    fine = np.ptp(minutes) < 2 * 1440 and (minutes % 1440).any()
    dates = minutes.astype("M8[m]") if fine else (minutes // 1440).astype("M8[D]")
    return tuple(str(one).replace("T", " ") for one in dates)


def quoted(label: str) -> str:
    """A category as it stands in a sentence: in quotes where it is empty or holds more than one word, cut where it is long."""
    short = label if len(label) <= 40 else f"{label[:39]}…"
    return short if short and not re.search(r"\s|,", short) else f"'{short}'"


def listed(labels: Collection[str], last: str = "and") -> str:
    """Texts in one line: "a", "a and b", "a, b and c"."""
    *first, final = labels
    return f"{', '.join(first)} {last} {final}" if first else final


def named(names: Collection[str]) -> str:
    """Names in one line, of more than four the first three and how many more."""
    every = list(names)
    return listed(every) if len(every) <= 4 else f"{', '.join(every[:3])} and {len(every) - 3:,} more"


def verb(before: float, after: float) -> str:
    """Which way a value went."""
    return "rises" if after > before else "falls"
