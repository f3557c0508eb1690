"""What a split came to: sizes, groups, classes and equal rows, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from split_tables import REGRESSION, assign, describe, held, rows

from pipeline.config import SplitParams
from pipeline.data.engine import engine
from pipeline.data.schema import Column, Schema
from pipeline.data.splitting import SIDE
from pipeline.errors import UserError

GROUPS = SplitParams(strategy="group", by="customer")


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def test_report_tells_sizes_classes_and_groups(backend):
    frame = rows()
    told = describe(backend, frame, SplitParams(strategy="group", by="customer", production=held("plan", "c")))
    found = assign(backend, frame, SplitParams(strategy="group", by="customer", production=held("plan", "c")))
    assert list(told["sides"]) == ["train", "validation", "test", "production"]
    labelled = found[found[SIDE] != "production"]
    for side, group in found.groupby(SIDE):
        expected = {"rows": len(group), "groups": group.customer.nunique(), "classes": group.y.value_counts().to_dict()}
        if side != "production":
            expected["share"] = round(len(group) / len(labelled), 4)
        assert told["sides"][side] == expected
    assert (told["strategy"], told["by"]) == ("group", "customer")


def test_report_of_a_regression_tells_means(backend):
    frame = rows().assign(y=np.arange(2000.0))
    told = describe(backend, frame, SplitParams(), REGRESSION)
    found = assign(backend, frame, SplitParams(), REGRESSION)
    for side, group in found.groupby(SIDE):
        assert told["sides"][side]["target_mean"] == pytest.approx(group.y.mean(), rel=1e-8)


def test_rows_equal_to_a_train_row_are_counted(backend):
    frame = rows(300).drop(columns=["x", "day", "side"])
    doubled = pd.concat([frame, frame])
    found = assign(backend, doubled, SplitParams())
    keys = ["customer", "plan", "y"]
    train = set(found[found[SIDE] == "train"][keys].itertuples(index=False, name=None))
    expected = {
        s: sum(row in train for row in found[found[SIDE] == s][keys].itertuples(index=False, name=None)) for s in ("validation", "test")
    }
    assert describe(backend, doubled, SplitParams())["equal_to_train"] == expected
    assert expected["test"] > 20
    assert describe(backend, rows(600), SplitParams())["equal_to_train"] == {"validation": 0, "test": 0}


def test_side_without_rows_is_told(backend):
    frame = rows(200, customers=2)
    with pytest.raises(UserError, match=r"split: no row is left for (validation|test): the data are too few"):
        describe(backend, frame, SplitParams(strategy="group", by="customer"))


def test_side_with_one_class_is_told(backend):
    frame = rows(400).assign(y=["rare"] + ["common"] * 399)
    with pytest.raises(UserError, match="has one class only \\(common\\): use strategy stratified, larger shares or another seed"):
        describe(backend, frame, SplitParams())


def test_class_with_too_few_rows_on_a_side_is_told(backend):
    frame = rows(2000).assign(y=["rare"] * 3 + ["no", "yes"] * 998 + ["no"])
    seeds = [seed for seed in range(20) if set(assign(backend, frame, SplitParams(), seed=seed).query("y == 'rare'")[SIDE]) == {"train"}]
    message = r"^split.min_class_rows: expected at least 1 rows of each class on validation, got 0 of rare \(of 3 in all\): use strategy "
    with pytest.raises(UserError, match=message):
        describe(backend, frame, SplitParams(), seed=seeds[0])
    told = describe(backend, frame, SplitParams(min_class_rows=0), seed=seeds[0])
    assert told["sides"]["train"]["classes"]["rare"] == 3
    with pytest.raises(
        UserError, match=r"at least 200 rows of each class on test, got \d+ of no \(of 1,000 in all\), \d+ of yes .* \(0 allows any\)"
    ):
        describe(backend, rows(2000).assign(y=["no", "yes"] * 1000, x=1.0), SplitParams(min_class_rows=200))


def test_class_that_train_lacks_is_told(backend):
    """A group that is on test alone carries a class of its own."""
    frame = rows()
    sides = assign(backend, frame, GROUPS)
    customer = sides[sides[SIDE] == "test"].customer.iloc[0]
    frame.loc[frame.customer == customer, "y"] = "only here"
    with pytest.raises(
        UserError, match=r"^split: train lacks class only here: too few rows of it; merge it, add rows or use another seed(\n|$)"
    ):
        describe(backend, frame, GROUPS)


@pytest.mark.parametrize("name", ["rows", "class", "share", "digest", "select"])
def test_target_may_be_named_as_the_report_names_things(backend, name):
    frame = rows().rename(columns={"y": name})
    schema = Schema((Column(name, "text", "category", ""),), name, "multiclass", None, ())
    told = describe(backend, frame, SplitParams(), schema)
    assert sum(side["classes"]["yes"] for side in told["sides"].values()) == (frame[name] == "yes").sum()
