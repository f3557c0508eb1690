import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from pipeline.monitoring.pictures import picture

KINDS = {"age": "number", "insured": "number", "plan": "category"}


def people(seed: int, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    plan = rng.choice(np.array(["free", "half", "full"], dtype=object), rows, p=(0.6, 0.3, 0.1))
    return pd.DataFrame({"age": rng.normal(40, 10, rows), "insured": (rng.random(rows) < 0.7).astype(float), "plan": plan})


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return people(0, 4000)


def test_pictures_hold_every_row(reference):
    current = people(1, 500)
    current.loc[:99, "age"] = np.nan
    current.loc[:49, "plan"] = None
    for name, kind in KINDS.items():
        one = picture(name, reference[name], current[name], kind)
        assert one == picture(name, reference[name], current[name], kind)
        assert len(one.before) == len(one.now) == (len(one.edges) - 1 if kind == "number" else len(one.labels))
        assert sum(one.before) + one.outside[0] + one.missing[0] == pytest.approx(1)
        assert sum(one.now) + one.outside[1] + one.missing[1] == pytest.approx(1)
        json.dumps(asdict(one), allow_nan=False)
    streets = [pd.Series(np.random.default_rng(seed).integers(0, 20, 300).astype(str), dtype=object) for seed in (0, 1)]
    one = picture("street", *streets, "category")
    assert len(one.labels) == 8
    assert sum(one.now) + one.outside[1] == pytest.approx(1)
    one = picture("age", reference["age"], current["age"], "number")
    assert (len(one.now), one.missing) == (16, (0.0, 0.2))
    assert picture("insured", reference["insured"], current["insured"], "number").edges == (-0.5, 0.5, 1.5)


def test_where_no_row_lies_outside_the_share_is_zero_itself():
    for rows in range(3, 200):
        one = picture("flag", *(pd.Series(np.arange(size) % 3, dtype=float) for size in (rows, rows + 1)), "number")
        assert one.outside == (0.0, 0.0), rows


def test_a_number_outside_and_a_column_that_is_gone():
    old = pd.Series(np.arange(1000.0))
    one = picture("age", old, None, "number")
    assert (one.missing, sum(one.now)) == ((0.0, 1.0), 0.0)
    assert one.outside == (0.02, 0.0)  # below the 1% and above the 99% quantile
    empty = picture("age", old.iloc[:0], old.iloc[:0], "number")
    assert (empty.edges, empty.before, empty.outside, empty.missing) == ((0.0, 1.0), (0.0,), (0.0, 0.0), (0.0, 0.0))
