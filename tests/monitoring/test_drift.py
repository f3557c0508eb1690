"""Distances: by hand, against SciPy, and the findings beside them.  Equality with Evidently: test_evidently_report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance as scipy_distance
from scipy.stats import wasserstein_distance

from pipeline.monitoring import drift

LARGEST = np.sqrt(np.log(2))


def test_number_by_hand() -> None:
    """Every value moves by 2, the reference's deviation is 1: a distance of 2."""
    assert drift.statistic(pd.Series([0.0, 2.0]), pd.Series([2.0, 4.0]), "number") == pytest.approx(2.0)


def test_category_by_hand() -> None:
    """{1, 0} against {1/2, 1/2}: the middle is {3/4, 1/4}."""
    expected = np.sqrt((np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2)) / 2)
    assert drift.statistic(pd.Series(["a", "a"]), pd.Series(["a", "b"]), "category") == pytest.approx(expected)


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=20),
    st.lists(st.integers(-50, 50), min_size=1, max_size=20),
)
def test_equals_scipy(first: list[int], second: list[int]) -> None:
    numbers = [np.array(side, dtype=np.float64) for side in (first, second)]
    expected = wasserstein_distance(*numbers) / max(numbers[0].std(), 0.001)
    assert drift.statistic(*map(pd.Series, numbers), "number") == pytest.approx(expected, rel=1e-9, abs=1e-9)
    keys = sorted({*first, *second})
    shares = [[side.count(key) for key in keys] for side in (first, second)]
    if shares[0] != shares[1]:  # SciPy may take the root of -1e-17 for equal samples
        texts = [pd.Series([str(value) for value in side]) for side in (first, second)]
        expected = scipy_distance.jensenshannon(*shares)
        assert drift.statistic(*texts, "category") == pytest.approx(np.nan_to_num(expected), abs=1e-7)


def test_missing_category_is_a_category() -> None:
    full, empty = pd.Series(["a", "b"] * 5), pd.Series([None] * 10, dtype=object)
    assert drift.statistic(full, empty, "category") == pytest.approx(LARGEST)
    assert drift.statistic(empty, empty, "category") == 0.0


@pytest.mark.parametrize("reference", [[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
def test_number_that_turns_missing(reference: list[float]) -> None:
    """There is no value to compare, constant reference or not; the missing share says it all."""
    column, empty = pd.Series(reference), pd.Series([np.nan] * 3)
    assert np.isnan(drift.statistic(column, empty, "number"))
    assert np.isnan(drift.statistic(empty, column, "number"))
    assert drift.missing_statistic(column, empty, "number") == pytest.approx(LARGEST)


def test_infinity_is_missing() -> None:
    column, infinite = pd.Series([1.0, 2.0, 3.0]), pd.Series([1.0, 2.0, 3.0, np.inf, -np.inf])
    assert drift.statistic(column, infinite, "number") == 0.0
    assert drift.missing_statistic(column, infinite, "number") == pytest.approx(scipy_distance.jensenshannon([1, 0], [0.6, 0.4]))


def test_constant_reference() -> None:
    """Without a deviation the unit is 0.001, Evidently's floor."""
    one = pd.Series([1.0] * 3)
    assert drift.statistic(one, one, "number") == 0.0
    assert drift.statistic(one, one + 1, "number") == pytest.approx(1000.0)


def test_no_rows_is_nan() -> None:
    some, none = pd.Series(["a"]), pd.Series([], dtype=object)
    assert np.isnan(drift.statistic(some, none, "category"))
    assert np.isnan(drift.missing_statistic(none, some, "category"))


def test_many_at_once_equal_one_by_one() -> None:
    rng = np.random.default_rng(0)
    column = drift.encode(pd.Series([1.0, 2.5, 2.5, np.nan, 7.0]), "number")
    references, windows = (rng.integers(1, 4, (n, len(column.support) + 1)).astype(np.float64) for n in (2, 6))
    windows[2] = [0, 0, 0, 3]  # no value
    for aspect in ("values", "missing"):
        together = drift.distance(column, references, windows, aspect)
        for row, reference in enumerate(references):
            old = pd.Series(np.repeat([*column.support, np.nan], reference.astype(int)))
            for index, counts in enumerate(windows):
                now = pd.Series(np.repeat([*column.support, np.nan], counts.astype(int)))
                alone = (drift.statistic if aspect == "values" else drift.missing_statistic)(old, now, "number")
                assert together[row, index] == pytest.approx(alone, nan_ok=True)
        assert np.isnan(together).all(axis=0).tolist() == [False, False, aspect == "values", False, False, False]


def test_change_names_what_came_and_went() -> None:
    found = drift.change(pd.Series(["a", "b", None, "b"]), pd.Series(["a", "c", "c", "a"]), "category")
    assert found == drift.Change(0.25, 0.0, ("c",), 0.5, ("b",), False, False)
    absent = drift.change(pd.Series([1.0, 2.0]), None, "number")
    assert absent == drift.Change(0.0, 1.0, (), 0.0, (), False, True)
    assert drift.change(pd.Series([1.0, 2.0]), pd.Series([1.0, 1.0]), "number").constant
    assert not drift.change(pd.Series([1.0, 1.0]), pd.Series([1.0, 1.0]), "number").constant
