"""What a report is told of the rows: planted harm and wrong answers are found, with the values that people know."""

import numpy as np
import pandas as pd
import pytest
import toys

from pipeline.data.fitted import Number, Preprocessor, Target
from pipeline.evaluation import explaining
from pipeline.models.answers import Answers

SETTINGS = {"replicates": 200, "confidence": 0.95, "seed": 0}


def fitted(task):
    classes = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c")}.get(task, ())
    return Preprocessor(task, Target("y", classes), (Number("x", "value"),), (), {})


def rows(count=2000):
    rng = np.random.default_rng(0)
    x = rng.normal(size=count)
    table = pd.DataFrame({"x": x, "city": rng.choice(["Rome", "Oslo"], count), "sex": rng.choice(["f", "m"], count)})
    return rng, x, table


def test_a_planted_harm_is_a_part_and_its_rows_are_the_errors():
    rng, x, table = rows()
    p = 1 / (1 + np.exp(-3 * x))
    y = (rng.random(len(x)) < p).astype(int)
    answers = np.where(table["city"] == "Oslo", 1 - p, p)
    found = explaining.rows(
        fitted("binary"), y, answers, np.arange(len(x)), table, answers=Answers("binary"), protected=("sex",), **SETTINGS
    )
    assert found.parts["worse"][0].startswith("city Oslo (")
    assert {gap["column"] for gap in found.parts["gaps"]} == {"sex"}
    assert {rate["category"] for rate in found.tables["fairness"]} == {"f", "m"}
    worst = found.tables["confident_errors"][0]
    assert worst["value of city"] == "Oslo"
    assert worst["value of x"] == table["x"][worst["row"]]
    assert {worst["truth"], worst["prediction"]} == {"yes", "no"}
    assert found.tables["label_errors"]
    assert found.tables["slices"][0]["slice"] == "city Oslo"


def test_numbers_have_errors_in_their_units_and_no_labels():
    _, x, table = rows()
    y = np.where(np.arange(len(x)) == 7, x + 50, x)
    table.loc[7, "city"] = None
    found = explaining.rows(fitted("regression"), y, x, np.arange(len(x)), table, answers=Answers("regression"), protected=(), **SETTINGS)
    worst = found.tables["confident_errors"][0]
    assert (worst["row"], worst["error"], worst["value of city"]) == (7, pytest.approx(-50), None)
    assert found.tables["label_errors"] == []
    assert "gaps" not in found.parts


def test_why_names_the_column_and_draws_it():
    _, x, _ = rows()
    found = explaining.why(
        fitted("regression"), lambda given: 2.0 * given["number"][:, 0], {"number": x[:, None]}, 2 * x, np.arange(len(x)), None, **SETTINGS
    )
    assert [one["name"] for one in found.tables["importance"]] == ["x"]
    assert found.tables["importance"][0]["low"] > 0
    assert list(found.figures) == ["importance"]


def test_without_a_table_there_is_no_dependence_and_without_columns_nothing():
    none = Preprocessor("regression", Target("y", ()), (), (), {})
    picture = toys.fitted("image", "binary")
    for some in (none, picture):
        found = explaining.why(some, pytest.fail, {}, np.zeros(3), np.arange(3), None, **SETTINGS)
        assert (found.tables, found.figures) == ({}, {})
