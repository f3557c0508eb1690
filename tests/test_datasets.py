"""Real data sets through the data stages with nothing given but data, split and, for one, clean.duplicates.

See `development_sets`.
"""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from development_sets import SETS, needed

from pipeline import files, paths
from pipeline.commands.stages import run_stage
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.data.schema import Schema
from pipeline.params_file import load

CHANNELS = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]

pytestmark = [pytest.mark.slow, needed]


class Prepared:
    """What the four data stages made of a data set."""

    def __init__(self) -> None:
        self.source = files.read_json(paths.SOURCE)
        self.schema = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8"))
        self.quality = files.read_json(paths.REPORTS / "clean" / "quality.json")
        self.split = files.read_json(paths.REPORTS / "split" / "split.json")
        self.leakage = files.read_json(paths.REPORTS / "split" / "leakage.json")
        self.fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
        self.sides = {side: arrays.load(side) for side in paths.SIDES[:3]}

    @property
    def rows(self) -> dict[str, int]:
        return {side: row["rows"] for side, row in self.split["sides"].items()}

    def kinds(self, kind: str) -> list[str]:
        return [column.name for column in self.schema.columns if column.kind == kind]

    def severe(self) -> set[str]:
        """Columns named by the audit as an error."""
        return {column for finding in self.leakage["findings"] if finding["severity"] == "error" for column in finding["columns"]}


@pytest.fixture
def prepare(workspace):
    """Run collect to normalize on a set; what stands at its root is given alone."""

    def prepare(source: str, *, split: dict | None = None, clean: dict | None = None, **data) -> Prepared:
        params = {name: {} for name in ("normalize", "model", "train", "tune", "evaluate", "register", "monitor")}
        params |= {"seed": 7, "data": {"source": str(SETS / source), **data}, "clean": clean or {}, "split": split or {}}
        paths.PARAMS.write_text(yaml.safe_dump(params))
        for stage in ("collect", "clean", "split", "normalize"):
            run_stage(stage, load(paths.PARAMS))
        found = Prepared()
        for name in ("clean/index.html", "split/leakage.html"):
            page = (paths.REPORTS / name).read_text(encoding="utf-8")
            assert len(page.encode()) < 2_000_000, name
            assert "http://" not in page.replace("http://www.w3.org/2000/svg", ""), name
            assert "https://" not in page, name
        return found

    return prepare


def test_telco_churn(prepare):
    found = prepare("tabular/telco_churn.csv", target="Churn", split={"strategy": "stratified"})
    assert (found.schema.task, sum(found.rows.values())) == ("binary", 7043)
    assert found.schema.column("TotalCharges").kind == "number"
    assert found.quality["columns"]["TotalCharges"]["missing"] == 11
    assert "customerID" in found.fitted.set_aside
    assert not found.severe()
    assert not found.split["gives_target_away"]


def test_titanic(prepare):
    found = prepare("tabular/titanic.csv", target="survived", split={"strategy": "stratified"})
    assert (found.schema.task, sum(found.rows.values())) == ("binary", 891)
    assert {name: found.quality["columns"][name]["missing"] for name in ("age", "deck", "embarked")} == {
        "age": 177,
        "deck": 688,
        "embarked": 2,
    }
    assert found.severe() == {"alive"}
    assert list(found.split["gives_target_away"]) == ["alive"]


def test_california_housing(prepare):
    found = prepare("tabular/california_housing.csv", target="median_house_value")
    assert (found.schema.task, sum(found.rows.values())) == ("regression", 20640)
    assert found.quality["columns"]["total_bedrooms"]["missing"] == 207
    assert found.kinds("category") == ["ocean_proximity"]
    assert not found.severe()


def test_bike_sharing(prepare):
    found = prepare("drift/bike_sharing_hour.csv", target="cnt", split={"strategy": "time", "by": "dteday"})
    assert (found.schema.task, sum(found.rows.values())) == ("regression", 17379)
    named = [set(finding["columns"]) for finding in found.leakage["findings"] if finding["severity"] == "error"]
    assert any({"casual", "registered"} <= columns for columns in named)


def test_sms_spam_as_csv_without_duplicates(prepare):
    found = prepare("text/sms_spam.csv", target="label", clean={"duplicates": "drop"}, split={"strategy": "stratified"})
    assert found.quality["rows"]["duplicates"] == 403
    assert sum(found.rows.values()) == 5574 - 403
    assert found.fitted.target.classes == ("ham", "spam")
    tokens = found.sides["train"].more["text_0"]
    assert tokens.shape[0] == found.rows["train"]
    assert (np.asarray(tokens).max(axis=1) > 1).mean() > 0.99


def test_sms_spam_as_its_authors_wrote_it(prepare):
    found = prepare("text/SMSSpamCollection.tsv", target="column0", split={"strategy": "stratified"})
    assert (found.source["rows"], found.source["header"]) == (5574, 0)
    assert found.split["sides"]["train"]["classes"].keys() == {"ham", "spam"}


def test_fashion_mnist_as_idx_files(prepare):
    found = prepare("image", files="*-ubyte.gz", target="label", split={"strategy": "given", "by": "split"})
    assert found.source["rows"] == 70_000
    assert found.rows["test"] == 10_000
    assert found.rows["train"] + found.rows["validation"] == 60_000
    assert len(found.fitted.target.classes) == 10
    pictures = found.sides["train"].more["image_0"]
    assert pictures.shape == (found.rows["train"], 28, 28, 1)
    assert np.asarray(pictures[:20_000], np.float64).mean() / 255 == pytest.approx(0.286, abs=0.003)


def test_fashion_mnist_as_an_archive_of_folders(prepare):
    found = prepare("image/fashion_mnist_png_12k_2k.tar.gz", target="label", split={"strategy": "given", "by": "split"})
    assert (found.source["rows"], found.rows["test"]) == (14_000, 2_000)
    assert len(found.fitted.target.classes) == 10
    assert found.sides["test"].more["image_0"].shape == (2_000, 28, 28, 1)


FORECAST = {"strategy": "time", "validation": 0.2, "test": 0.2}


@pytest.mark.parametrize("target", [CHANNELS, "OT"])
def test_etth1(prepare, target):
    found = prepare("forecast/ETTh1.csv", target=target, forecast={"look_back": 336, "horizon": 96}, split=FORECAST)
    assert found.schema.task == "forecast"
    assert sum(found.rows.values()) == 17_420
    steps, windows = found.rows, {side: len(arrays_) for side, arrays_ in found.sides.items()}
    assert windows == {"train": steps["train"] - 336 - 96 + 1, "validation": steps["validation"] - 95, "test": steps["test"] - 95}
    series = np.asarray(found.sides["train"].more["series"], np.float64)
    assert series.mean(axis=0) == pytest.approx(np.zeros(series.shape[1]), abs=0.3)
    assert series.shape[1] == 7


def test_japanese_vowels_as_ts_files(prepare):
    found = prepare("sequence", files="*.ts", target="label", split={"strategy": "given", "by": "split"})
    assert (found.source["rows"], found.rows["test"]) == (640, 370)
    assert len(found.fitted.target.classes) == 9
    assert found.sides["test"].more["sequence"].shape[2] == 12
    lengths = np.concatenate([side.more["sequence_length"] for side in found.sides.values()])
    assert (lengths.min(), lengths.max()) == (7, 26)  # the longest of train; test has series of 29 steps
    assert found.kinds("id") == ["source_file"]


def test_japanese_vowels_as_long_rows(prepare):
    series = {"id": "series_id", "time": "t"}
    found = prepare("sequence/JapaneseVowels_long.csv.gz", target="label", series=series, split={"strategy": "given", "by": "split"})
    assert (found.source["rows"], found.rows["test"]) == (640, 370)
    assert found.sides["train"].more["sequence"].shape[2] == 12
    assert pq.read_metadata(paths.CLEAN / paths.ROWS).num_rows == 640
