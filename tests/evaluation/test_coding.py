from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.coding import coded


def test_names_of_bins() -> None:
    def values(column: Any) -> list[str]:
        return list(coded("x", pd.Series(column), 1).values)

    assert values(np.arange(8)) == ["0 to 1", "2 to 3", "4 to 5", "6 to 7"]
    assert values([1.5, 1.5, 2, 3, None, 4.25, 5]) == ["1.5", "2", "3 to 4.25", "5", "missing"]
    assert values([0.0] * 90 + [1.0] * 10) == ["0", "1"]
    assert values([0] * 97 + [1, 2, 3, 4, 5]) == ["0", "1 to 5"]
    assert values([10001.25, 10001.5, 10001.75, 10002.25, 10002.5]) == ["10001.2 to 10001.5", "10001.8", "10002.2", "10002.5"]
    assert values(pd.date_range("2020-01-01", periods=8)) == [f"2020-01-0{k} to 2020-01-0{k + 1}" for k in (1, 3, 5, 7)]
    assert values(pd.date_range("2020-01-01", periods=8, freq="h"))[0] == "2020-01-01 00:00:00 to 2020-01-01 01:00:00"
    assert values([dt.date(9999, 12, 31), dt.date(2020, 1, 1), None]) == ["2020-01-01", "9999-12-31", "missing"]
    assert values(pd.Series([True, None, False, True], dtype="boolean")) == ["true", "false", "missing"]
    assert values(pd.Series([3, None, 1], dtype="Int64")) == ["1", "3", "missing"]
    assert values([None, None]) == ["missing"]
    assert values(["b", "a", "a", np.nan]) == ["a", "b", "missing"]
    assert values(["c" * 99]) == ["c" * 59 + "…"]


def test_codes_are_those_of_the_names() -> None:
    found = coded("x", pd.Series(["b", "a", None, "a", "rare", "b"]), 2)
    assert found.values == ("a", "b", "missing")
    assert found.codes.tolist() == [1, 0, 2, 0, -1, 1]
    assert found.left_out == 1
    number = coded("x", pd.Series([np.inf, 1, np.nan, 2, 3, 4]), 1)
    assert number.codes.tolist()[2] == len(number.values) - 1
    assert number.codes[[1, 3, 4, 5, 0]].tolist() == sorted(number.codes[[1, 3, 4, 5, 0]])
