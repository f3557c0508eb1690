"""What train's columns hold is what pandas finds in its rows."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import purchases

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.data import reference
from pipeline.params_file import load


@pytest.fixture
def taken(small):
    rows = purchases()
    rows["income"] = rows["income"].astype(object)
    rows.loc[[3, 7, 11], "income"] = "unknown to me"
    rows.to_csv("rows.csv", index=False)
    for stage in ("collect", "clean", "split", "normalize"):
        run_stage(stage, load(paths.PARAMS))
    return json.loads(paths.REFERENCE.read_text()), pd.read_parquet(paths.SPLIT / "train" / paths.ROWS)


def test_counts_ranges_and_quantiles_are_those_of_train(taken):
    found, train = taken
    assert found["rows"] == len(train)
    assert {"age", "income", "city", "member", "since"} == set(found["columns"])
    for name in ("age", "income"):
        about = found["columns"][name]
        assert about["missing"] == train[name].isna().sum()
        assert (about["low"], about["high"]) == (train[name].min(), train[name].max())
        np.testing.assert_allclose(about["quantiles"], train[name].dropna().quantile(np.linspace(0, 1, 21)), rtol=1e-8)
    assert found["columns"]["age"]["missing"] == 0 < found["columns"]["income"]["missing"]
    assert found["columns"]["income"]["unreadable"] == 3
    assert found["columns"]["since"].keys() == {"kind", "missing", "unreadable"}


def test_values_of_categories_are_counted_the_most_frequent_first(taken, monkeypatch):
    found, train = taken
    counts = train["city"].value_counts()
    assert found["columns"]["city"]["values"] == counts.to_dict()
    assert list(found["columns"]["city"]["values"].values()) == sorted(counts, reverse=True)
    assert found["columns"]["city"]["distinct"] == 4
    assert set(found["columns"]["member"]["values"]) == {"true", "false"}
    monkeypatch.setattr(reference, "MOST_VALUES", 2)
    run_stage("normalize", load(paths.PARAMS))
    few = json.loads(paths.REFERENCE.read_text())["columns"]["city"]
    assert (list(few["values"]), few["distinct"]) == (list(counts.index[:2]), 4)


def test_of_free_texts_no_values_are_kept_since_each_row_has_its_own(small):
    rows = purchases()
    words = np.array(["red", "green", "blue", "apple", "stone", "river", "cloud", "house", "tree", "light"])
    rows["note"] = [" ".join(np.random.default_rng(at).choice(words, 6)) for at in range(len(rows))]
    rows.to_csv("rows.csv", index=False)
    for stage in ("collect", "clean", "split", "normalize"):
        run_stage(stage, load(paths.PARAMS))
    assert [text["column"] for text in json.loads(paths.PREPROCESSOR.read_text())["texts"]] == ["note"]
    assert json.loads(paths.REFERENCE.read_text())["columns"]["note"] == {"kind": "text", "missing": 0, "unreadable": 0}
