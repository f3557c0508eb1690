"""The figures of the monitoring's page: where their marks lie."""

import pytest

from pipeline.monitoring import page_figures


def test_one_noisy_window_does_not_flatten_the_others():
    steady = [{"value": 0.7 + at / 1000, "low": 0.68, "high": 0.72} for at in range(9)]
    noisy = {"value": 0.7, "low": -40.0, "high": 40.0}
    scale = page_figures.Scale([*steady, noisy], 0, 100)
    assert scale.at(0.72) - scale.at(0.68) > 20
    assert scale.line(noisy) == (scale.at(0.7), 0, 100)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.61, 0.75), ["0.62", "0.64", "0.66", "0.68", "0.70", "0.72", "0.74"]), ((0, 3), ["0", "1", "2", "3"]),
        ((5, 5), ["4.6", "4.8", "5.0", "5.2", "5.4"]),
        ((-12000, 31000), ["-10,000", "0", "10,000", "20,000", "30,000"]), ((0, 0), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
    ],
)  # fmt: skip
def test_ticks_are_round_numbers_within_the_scale(values, texts):
    scale = page_figures.Scale([{"value": value, "low": None, "high": None} for value in values], 0, 100)
    assert [text for _, text in scale.ticks()] == texts


def test_a_histogram_is_as_high_as_its_shares():
    found = {"column": "x", "kind": "number", "edges": [0.0, 1, 2], "before": [0.5, 0.25], "now": [0.0, 1.0], "missing": [0.0, 0.4]}
    drawn = page_figures.picture(found)
    assert drawn["bars"] == "M0.5 56V29h11V56zM12.5 56V42.5h11V56z"
    assert drawn["steps"] == "M0 56V56h12V2h12V56"
    assert (drawn["ends"], drawn["beside"]) == ([0.0, 1, 2], [("missing", 0.0, 0.4)])


def test_categories_are_pairs_of_bars_with_all_others_and_missing_ones():
    found = {
        "column": "x",
        "kind": "category",
        "labels": ["a", "b"],
        "before": [0.5, 0.25],
        "now": [0.1, 0.2],
        "outside": [0.25, 0],
        "missing": [0, 0.7],
    }
    rows = page_figures.picture(found)["rows"]
    assert [row[0] for row in rows] == ["a", "b", "others", "missing"]
    assert [row[3:] for row in rows] == [(71.4, 14.3), (35.7, 28.6), (35.7, 0.0), (0.0, 100.0)]


def test_the_ends_of_dates_are_dates():
    found = {"column": "x", "kind": "number", "edges": [20000.0, 20050.5, 20101.0], "before": [0.5, 0.5], "now": [0.0, 1.0], "date": True}
    assert page_figures.picture(found)["ends"] == ["2024-10-04", "2024-11-23", "2025-01-13"]
