import numpy as np
import pandas as pd
import pytest

from pipeline.monitoring import wording


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((41.234567, 52.3), ("41", "52")),
        ((0.0, 8.314), ("0", "8.3")),
        ((210_345.0, 260_123.0), ("210,000", "260,000")),
        ((17.25,), ("17.25",)),
        ((1 / 3,), ("0.3333",)),
        ((-999.0,), ("-999",)),
        ((1.5e-7, 3e15), ("1.5e-07", "3e+15")),
    ],
)
def test_figures_have_few_digits(values, shown):
    assert wording.figures(*values) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0%"), (0.0001, "under 0.1%"), (0.004, "0.4%"), (0.555, "56%"), (0.9999, "over 99%"), (1, "100%")]
)
def test_shares_in_percent(share, shown):
    assert wording.percent(share) == shown


def test_labels_in_a_sentence():
    assert [wording.quoted(label) for label in ("a", "", "two words", "a,b")] == ["a", "''", "'two words'", "'a,b'"]
    assert wording.quoted("x" * 41) == "x" * 39 + "…"
    assert [wording.listed(list("abc")[:size], "or") for size in (1, 2, 3)] == ["a", "a or b", "a, b or c"]
    assert wording.named("abcd") == "a, b, c and d"
    assert wording.named("abcde") == "a, b, c and 2 more"
    assert [wording.verb(1.0, 2.0), wording.verb(2.0, 1.0)] == ["rises", "falls"]


def test_a_column_as_numbers_and_as_text():
    mixed = pd.Series([1, "2.5", None, "x", np.inf, 1e200], dtype=object)
    np.testing.assert_array_equal(wording.numbers(mixed), [1, 2.5, np.nan, np.nan, np.nan, np.nan])
    assert wording.categories(mixed).tolist() == ["1", "2.5", None, "x", "inf", "1e+200"]
    assert wording.categories(mixed.iloc[:0]).tolist() == wording.numbers(mixed.iloc[:0]).tolist() == []


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((20070.0, 20480.4), ("2024-12-13", "2026-01-27")),
        ((20070.0, 20071.0), ("2024-12-13", "2024-12-14")),
        ((20070.25, 20071.0), ("2024-12-13 06:00", "2024-12-14 00:00")),
        ((-0.5,), ("1969-12-31 12:00",)),
    ],
)
def test_days_since_1970_are_told_as_dates(values, shown):
    assert wording.days(*values) == shown
