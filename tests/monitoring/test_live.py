"""`pipeline monitor FILES`: windows of files that the package answers, judged once, and what follows from an alarm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import purchases
from served import environment

from pipeline.config import MonitorParams
from pipeline.errors import UserError
from pipeline.monitoring import live

pytestmark = pytest.mark.slow
SETTINGS = MonitorParams(window="file")


def usual(rows, seed):
    """Rows as those of training, from which production's cities were held back (tests/repository.py)."""
    found = purchases(2 * rows, seed=seed)
    return found[~found["city"].isin(["Bern", "Lima"])].head(rows)


@pytest.fixture
def deliveries(tmp_path) -> Path:
    """Four files: rows as in training, a column a thousand times too large, one column not there and one empty, and no row at all."""
    folder = tmp_path / "deliveries"
    folder.mkdir()
    rows = usual(400, 1)
    rows.to_csv(folder / "1-same.csv", index=False)
    rows.assign(age=rows["age"] * 1000).to_csv(folder / "2-unit.csv", index=False)
    rows.drop(columns=["age", "bought"]).assign(income=np.nan, new="x").to_csv(folder / "3-lacking.csv", index=False)
    rows.head(0).to_csv(folder / "4-empty.csv", index=False)
    return folder


def watch(package, folder, out, monitor=SETTINGS):
    return live.watch(str(package), live.Source(folder, False), monitor, seed=0, out=out)[0]


def test_each_file_is_a_window_whatever_it_holds_and_is_judged_once(package, deliveries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = watch(package, deliveries, tmp_path / "out")
    same, unit, lacking, empty = found["windows"]
    assert [one["window"] for one in found["windows"]] == sorted(file.name for file in deliveries.iterdir())
    assert not same["drift"]
    assert not same["decayed"]
    assert same["labelled"] == 400
    assert same["performance"]["metric"] == same["estimate"]["metric"] == "auc"
    assert (unit["state"], unit["drift"]) in (("drift", True), ("decay", True))
    assert "age is about 1,000 times" in unit["headline"]
    assert [one["kind"] for one in unit["breaks"]] == ["unit change"]
    assert (lacking["refused"], lacking["labelled"]) == (400, 0)
    assert {"age", "income"} <= {name for one in lacking["breaks"] for name in one["columns"] if one["kind"] == "missing column"}
    assert (empty["state"], empty["rows"], empty["report"]) == ("insufficient data", 0, None)
    pages = [tmp_path / "out" / one["report"] for one in found["windows"] if one["report"]]
    assert len(pages) == 3
    assert all("<html" in page.read_text()[:500].lower() for page in [*pages, tmp_path / "out" / "index.html"])
    assert 'pipeline_monitor_state{model="package"' in (tmp_path / "out" / "metrics.prom").read_text()

    assert watch(package, deliveries, tmp_path / "out")["fresh"] == []
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["windows"] == json.loads(json.dumps(found["windows"]))
    usual(400, 2).to_csv(deliveries / "5-more.csv", index=False)
    again = watch(package, deliveries, tmp_path / "out")
    assert again["fresh"] == ["5-more.csv"]
    assert len(again["windows"]) == 5


def test_windows_of_rows_and_of_weeks_and_two_of_three(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = usual(600, 3)
    rows["age"] = np.where(np.arange(600) >= 200, rows["age"] * 1000, rows["age"])
    rows.to_csv("rows.csv", index=False)
    found = watch(package, Path("rows.csv"), tmp_path / "rows", MonitorParams(window=200, alarm=(2, 2)))
    assert [(one["window"], one["rows"]) for one in found["windows"]] == [(f"rows-{first:010d}", 200) for first in (1, 201, 401)]
    assert [one["drift"] for one in found["windows"]] == [False, True, True]
    assert [one["alarm"] for one in found["windows"]] == [False, found["windows"][0]["decayed"], True]
    assert found["since"] == "rows-0000000201"
    assert (found["retrain"]["suggested"], found["retrain"]["why"].endswith("; mend that first")) == (False, True)
    months = watch(package, Path("rows.csv"), tmp_path / "rows", MonitorParams(window="month", time="since", latest=3))
    assert [one["window"] for one in months["windows"]] == sorted(rows["since"].dt.strftime("%Y-%m").unique())[-3:]
    assert [one["rows"] for one in months["windows"]] == rows["since"].dt.strftime("%Y-%m").value_counts().sort_index().tolist()[-3:]
    assert months["windows"][0]["start"].endswith("-01T00:00:00Z")


def call(*words, folder):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "monitor", *words], cwd=folder, capture_output=True, text=True, env=environment()
    )
    return done.returncode, done.stdout, done.stderr


def test_exit_codes_and_the_hook(package, deliveries, tmp_path):
    for file in ("3-lacking.csv", "4-empty.csv"):
        (deliveries / file).unlink()
    ask = ("deliveries", "--model", str(package), "--window", "file", "-o", "out")
    code, told, _ = call(*ask, folder=tmp_path)
    assert code == 0
    assert "age is about 1,000 times" in told
    assert "look at   out/index.html" in told
    assert call(*ask, "--fail-on", "drift", folder=tmp_path)[0] == live.FAILED

    hook = MonitorParams(window="file", hook=f"cat >> {tmp_path / 'told.jsonl'}; echo >> {tmp_path / 'told.jsonl'}")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [live.act(summary, hook, tmp_path / "out") for _ in range(2)] == [0, 0]
    (line,) = (tmp_path / "told.jsonl").read_text().splitlines()  # once, however often it is called
    assert json.loads(line) == summary
    failing = MonitorParams(hook="exit 7", fail_on="drift")
    assert live.act(summary | {"state": "decay"}, failing, tmp_path / "out") == live.FAILED


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere", "--window", "file"), "nowhere: no such file or folder"),
        (("deliveries", "--log", "x"), "expected SOURCE or --log, got both"),
        (("deliveries", "--window", "fortnight"), "expected 30 rows or more, hour, day, week, month or file, got fortnight"),
        (("deliveries", "--window", "7"), "expected 30 rows or more"),
        (("deliveries", "--window", "week"), "windows of a week need monitor.time"),
        (("--log", "nowhere"), "nowhere: expected the folder of an inference log, found nothing"),
    ],
)
def test_mistakes_are_one_line_each(package, deliveries, tmp_path, words, message):
    code, _, told = call(*words, "--model", str(package), folder=tmp_path)
    assert (code, len(told.strip().splitlines())) == (2, 1)
    assert message in told


def test_options_of_a_deployed_model_do_not_go_to_the_stage(tmp_path):
    code, _, told = call("--window", "day", folder=tmp_path)
    assert code == 2
    assert "--window belongs to a deployed model: say SOURCE or --log too" in told


def test_a_package_without_a_reference_says_what_to_do(package, deliveries, tmp_path):
    import shutil

    shutil.copytree(package, tmp_path / "old")
    (tmp_path / "old" / "artifacts" / "files" / "watched.parquet").unlink()
    code, _, told = call("deliveries", "--model", "old", folder=tmp_path)
    assert code == 2
    assert "register the model anew" in told


def test_no_rows_is_no_window(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(columns=purchases(30).columns).to_csv("none.csv", index=False)
    found = watch(package, Path("none.csv"), tmp_path / "out")
    assert found["state"] == "insufficient data"
    assert not found["alarmed"]


def test_values_that_cannot_be_read_and_too_few_rows_are_told_so(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "deliveries"
    folder.mkdir()
    usual(5, 3).to_csv(folder / "1-few.csv", index=False)
    rows = usual(400, 4)
    rows.assign(age=rows["age"].astype(str) + " years").to_csv(folder / "2-text.csv", index=False)
    few, text = watch(package, folder, tmp_path / "out")["windows"]
    assert (few["state"], few["headline"]) == ("insufficient data", "too little came to be judged")
    assert [(one["kind"], one["columns"]) for one in text["breaks"]] == [("unreadable values", ["age"])]
    assert "age is no number in 100% of rows, such as" in text["headline"]
    assert text["unread"] == 400


def test_a_call_that_was_cut_off_before_its_summary_is_made_good(package, deliveries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = watch(package, deliveries, tmp_path / "out")
    (tmp_path / "out" / live.SUMMARY).unlink()
    again = watch(package, deliveries, tmp_path / "out")
    assert (again["fresh"], again["windows"]) == ([], json.loads(json.dumps(whole["windows"])))


def test_a_file_that_cannot_be_read_is_a_window_that_says_so_and_the_others_are_judged(package, deliveries, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    (deliveries / "8-nothing.csv").write_text("")
    (deliveries / "9-other.csv").write_text("x,y\n1,2\n")
    found = watch(package, deliveries, tmp_path / "out")["windows"]
    assert [one["state"] for one in found[-2:]] == ["insufficient data"] * 2
    assert found[-2]["breaks"] == found[-1]["breaks"] == []
    assert any("the file cannot be read" in one for one in found[-2]["sentences"])
    assert any("9-other.csv: none of the model's columns; expected" in one for one in found[-1]["sentences"])
    assert found[0]["rows"] == 400
    assert "the other files are judged" in caplog.text
    with pytest.raises(UserError, match=r"9-other\.csv: none of the model's columns; expected .*, found x, y"):
        watch(package, deliveries / "9-other.csv", tmp_path / "out")
