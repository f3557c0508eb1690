"""From a file to a result: what `pipeline init` writes runs to its end as it is, here with fewer trials than docs/how-to/own-csv.md has."""

import json
import re

import pytest
from conftest import purchases
from repository import Repository

pytestmark = pytest.mark.slow


def test_init_and_run_are_enough(tmp_path):
    repository = Repository(tmp_path)
    purchases(300, seed=3).to_csv(tmp_path / "shop.csv", index=False, sep=";", decimal=",")
    told = repository.pipeline("init", "shop.csv", "--force").stdout
    assert "params.yaml was there: it is now params.yaml.bak" in told
    assert "target    bought" in told
    assert "split     group by customer" in told
    assert repository.params["data"]["source"] == "shop.csv"
    written = tmp_path / "params.yaml"
    written.write_text(re.sub(r"^  trials: \d+", "  trials: 2", written.read_text(), flags=re.MULTILINE))
    assert repository.params["tune"]["trials"] == 2
    assert "result    AUC" in repository.pipeline("run").stdout
    metrics = json.loads((tmp_path / "reports" / "evaluate" / "metrics.json").read_text())
    assert metrics
    assert repository.table("data/split/train/rows.parquet")["customer"].nunique() > 20
    assert set(repository.table("data/split/train/rows.parquet")["customer"]).isdisjoint(
        repository.table("data/split/test/rows.parquet")["customer"]
    )
