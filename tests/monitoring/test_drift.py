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
    assert drift.statistic(pd.Series(numbers[0]), pd.Series(numbers[1]), "number") == pytest.approx(expected, rel=1e-9, abs=1e-9)
    keys = sorted({*first, *second})
    shares = [[side.count(key) for key in keys] for side in (first, second)]
    if shares[0] != shares[1]:  # SciPy may take the root of -1e-17 for equal samples
        texts = [pd.Series([str(value) for value in side]) for side in (first, second)]
        expected = scipy_distance.jensenshannon(*shares)
        assert drift.statistic(texts[0], texts[1], "category") == pytest.approx(np.nan_to_num(expected), abs=1e-7)


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


def test_paired_equals_the_diagonal() -> None:
    rng = np.random.default_rng(1)
    columns: list[tuple[pd.Series, drift.Kind]] = [
        (pd.Series([1.0, 2.5, np.nan, 7.0]), "number"),
        (pd.Series(["a", None, "b", "c"], dtype=object), "category"),
    ]
    for column, kind in columns:
        coded = drift.encode(column, kind)
        references, windows = (rng.integers(0, 4, (5, len(coded.support) + 1)).astype(np.float64) for _ in range(2))
        for aspect in drift.ASPECTS[kind]:
            crossed = drift.distance(coded, references, windows, aspect)
            assert drift.paired_distance(coded, references, windows, aspect) == pytest.approx(np.diag(crossed), nan_ok=True)


def test_resampled_counts_are_those_of_the_repeated_rows() -> None:
    rng = np.random.default_rng(2)
    values, of_row = np.array([3.0, 1.0, np.nan, 3.0, 2.0, 1.0]), np.array([0, 0, 1, 2, 2, 3])
    weights = rng.integers(0, 3, (4, 5)).astype(np.float32)
    coded = drift.encode(pd.Series(values), "number")
    for index, found in enumerate(coded.resampled(of_row, weights)):
        repeated = np.repeat(values, weights[of_row, index].astype(int))
        assert found.tolist() == [*((repeated == value).sum() for value in (1.0, 2.0, 3.0)), np.isnan(repeated).sum()]


def test_grid_keeps_extremes_mean_and_distances() -> None:
    """Within 2% of the distance from all values, a long tail included; few values and categories stay as they are."""
    rng = np.random.default_rng(3)
    for values in (rng.normal(size=3000), rng.lognormal(size=3000), rng.standard_t(2, size=3000)):
        whole = drift.encode(pd.Series(np.append(values, np.nan)), "number")
        grid = drift.gridded(whole)
        assert len(grid.support) <= drift.GRID
        assert (grid.support[0], grid.support[-1]) == (values.min(), values.max())
        assert np.all(np.diff(grid.support.astype(np.float64)) > 0)
        assert grid.counts()[:-1] @ grid.support.astype(np.float64) == pytest.approx(values.sum())
        assert grid.counts()[-1] == 1
        weights = rng.multinomial(500, np.full(3001, 1 / 3001), size=20).T.astype(np.float32)
        exact, near = (
            drift.distance(coded, coded.counts()[None], coded.resampled(np.arange(3001), weights), "values") for coded in (whole, grid)
        )
        assert near == pytest.approx(exact, rel=0.02)
    few = drift.encode(pd.Series(np.arange(200.0)), "number")
    assert drift.gridded(few) is few
    names = drift.encode(pd.Series([f"{value}" for value in range(300)]), "category")
    assert drift.gridded(names) is names
