"""What turned out to be true of rows, as labels tell it, in the form that the model was trained on."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline.data.fitted import Preprocessor


def of_labels(labels: pa.ChunkedArray | None, fitted: Preprocessor, rows: int) -> tuple[pd.Series, int]:
    """What turned out, as the clean table has it: class names or numbers, missing where not known; and how many are none of the classes."""
    given = [None] * rows if labels is None else labels.to_pylist()
    if fitted.task in ("regression", "forecast"):
        numbers = pd.to_numeric(pd.Series(given, dtype=object), errors="coerce").astype("float64")
        return numbers, int(numbers.isna().sum() - sum(one is None or one == "" or one != one for one in given))
    names: dict[Any, str | None] = {None: None, "": None}
    by_name = {_plain(name): name for name in fitted.target.classes}
    for value in set(given) - set(names):
        names[value] = by_name.get(_plain(value))
    told = [names[value] for value in given]
    strange = [one is None and value not in (None, "") and value == value for one, value in zip(told, given, strict=True)]
    return pd.Series(told, dtype=object), sum(strange)


def _plain(value: Any) -> str:
    """A class as one text, however it is written: 1, 1.0, "1" and True, "true" are each the same."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text.lower() if text.lower() in ("true", "false") else text
    return str(int(number)) if math.isfinite(number) and number.is_integer() else text
