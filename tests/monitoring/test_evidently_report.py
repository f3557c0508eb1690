"""The report on disk: Evidently's numbers are ours, degenerate columns do not end it, nothing is loaded from afar."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.data.fitted import Task
from pipeline.monitoring import alarms, drift, evidently_report
from pipeline.monitoring.drift import Kind
from pipeline.monitoring.evidently_report import Report, write_report

KINDS: dict[str, Kind] = {
    "plain": "number",
    "holes": "number",
    "empties": "number",
    "constant": "number",
    "dropped": "number",
    "colour": "category",
    "grows": "category",
    "prediction": "number",
}


FEW: dict[str, Kind] = {column: KINDS[column] for column in ("plain", "colour", "prediction")}


def frame(seed: int, rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "plain": rng.lognormal(size=rows),
            "holes": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
            "empties": rng.normal(size=rows),
            "constant": 1.0,
            "dropped": rng.normal(size=rows),
            "colour": pd.Series(rng.choice(["red", "blue", "(missing)", None], rows), dtype=object),
            "grows": pd.Series(["old"] * rows, dtype=object),
            "prediction": rng.random(rows),
            "label": (rng.random(rows) < 0.4).astype(float),
        }
    )


def thresholds_for(kinds: dict[str, Kind]) -> alarms.Thresholds:
    """Fixed thresholds: calibration is not the subject here."""
    measures = [alarms.Threshold(column, kind, "values", 0.2) for column, kind in kinds.items()]
    measures += [alarms.Threshold(column, kind, "missing", 0.1) for column, kind in kinds.items() if kind == "number"]
    return alarms.Thresholds(300, 0.05, 0.1, 400, 0, tuple(measures))


def report(reference: pd.DataFrame, current: pd.DataFrame, folder: Path, task: Task = "binary", *, few: bool = False) -> dict[str, Any]:
    kinds = KINDS if task == "binary" else {"prediction": "category" if task == "multiclass" else "number"}
    return written(reference, current, folder, task, FEW if few else kinds).found


def written(reference: pd.DataFrame, current: pd.DataFrame, folder: Path, task: Task, kinds: dict[str, Kind], **more: Any) -> Report:
    return write_report(
        reference,
        current,
        kinds,
        thresholds_for(kinds),
        task,
        target="label",
        prediction="prediction",
        directory=folder,
        **more,
    )


def performance_values(folder: Path) -> dict[str, Any]:
    from evidently.core.report import Snapshot

    metrics = Snapshot.load(str(folder / "performance.json")).dict()["metrics"]
    return {one["metric_name"].split("(")[0]: one["value"] for one in metrics}


def test_scores_equal_ours_and_nothing_crashes(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the report opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    reference, current = frame(0), frame(1).assign(empties=np.nan, constant=2.0).drop(columns="dropped")
    current.loc[:99, "grows"] = "new"
    current.loc[100:, "label"] = np.nan
    current.loc[0, "plain"] = np.inf
    found = report(reference, current, tmp_path)
    assert capfd.readouterr() == ("", "")

    scores = {(one["column"], one["aspect"]): one["score"] for one in found["columns"]}
    for (column, aspect), score in scores.items():
        compare = drift.statistic if aspect == "values" else drift.missing_statistic
        now = drift.column_or_missing(current.get(column), len(current))
        expected = compare(reference[column], now, KINDS[column])
        assert (np.nan if score is None else score) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)
    assert {key for key, score in scores.items() if score is None} == {("empties", "values"), ("dropped", "values")}
    shown_missing = {column for column, aspect in scores if aspect == "missing"}
    assert shown_missing == {"plain", "holes", "empties", "dropped"}
    drifted = {(one["column"], one["aspect"]) for one in found["columns"] if one["drifted"]}
    assert drifted == {("empties", "missing"), ("dropped", "missing"), ("constant", "values"), ("grows", "values")}

    # The files: Evidently's own verdict with our thresholds, its metadata, and performance over the labelled rows.
    snapshot = json.loads((tmp_path / "report.json").read_text())
    rows = {"rows": 300, "rows_used": 300}
    expected_rows = {f"{side}_{name}": count for side in ("reference", "current") for name, count in rows.items()}
    assert found["rows"] == expected_rows | {"reference_rows_labelled": 300, "current_rows_labelled": 100}
    assert snapshot["metadata"] == {name: str(count) for name, count in found["rows"].items()}
    labelled = current[:100]
    accuracy = ((labelled["prediction"] >= 0.5) == labelled["label"]).mean()
    assert performance_values(tmp_path)["Accuracy"] == pytest.approx(accuracy)
    json.dumps(found, allow_nan=False)

    page = (tmp_path / "report.html").read_text()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//", page)
    assert "Drift in column &#x27;plain&#x27;" in page or "Drift in column 'plain'" in page
    assert "holes (missing)" in page
    assert len(page) < 6_000_000


def test_evidently_flags_what_exceeds_our_threshold(tmp_path: Path) -> None:
    from evidently.core.report import Snapshot

    found = report(frame(0), frame(1).assign(plain=99.0), tmp_path, few=True)
    tests = Snapshot.load(str(tmp_path / "report.json")).dict()["tests"]
    failed = {one["name"] for one in tests if one["status"] == "FAIL" and "Drift" in one["name"]}
    assert failed == {"Value Drift for column plain"}
    assert [one["column"] for one in found["columns"] if one["drifted"]] == ["plain"]


def test_cap_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidently_report, "ROW_CAP", 100)
    found = report(frame(0), frame(1, rows=50), tmp_path, few=True)
    assert found["rows"]["reference_rows"] == 300
    assert found["rows"]["reference_rows_used"] == 100
    assert found["rows"]["current_rows_used"] == 50
    metadata = json.loads((tmp_path / "report.json").read_text())["metadata"]
    assert (metadata["reference_rows"], metadata["reference_rows_used"]) == ("300", "100")
    assert "Of 300 reference rows a random sample of 100 is shown." in (tmp_path / "report.html").read_text()
    assert "current rows a random sample" not in (tmp_path / "report.html").read_text()
    assert report(frame(0), frame(1, rows=50), tmp_path, few=True) == found


def test_the_prediction_and_the_drifted_are_drawn_first_and_the_rest_is_said(tmp_path: Path) -> None:
    kinds: dict[str, Kind] = {"plain": "number", "holes": "number", "dropped": "number", "colour": "category", "prediction": "number"}
    reference = frame(0, rows=60).drop(columns="label")
    current = reference.assign(dropped=99.0, colour="red")
    thresholds = thresholds_for(kinds)
    unused = replace(thresholds, measures=tuple(replace(one, harmful=one.column != "dropped") for one in thresholds.measures))
    told: dict[str, Any] = {"task": "binary", "target": "label", "prediction": "prediction"}
    few = write_report(reference, current, kinds, unused, directory=tmp_path, most_columns=3, **told)
    whole = write_report(reference, current, kinds, unused, directory=tmp_path / "whole", **told).found
    found = few.found
    assert len(few.snapshots) == 1
    assert [one["column"] for one in found["columns"] if one["drawn"]] == ["prediction", "colour", "dropped"]
    assert {one["column"] for one in whole["columns"] if one["drifted"]} == {"dropped", "colour"}
    by_name = {(one["column"], one["aspect"]): one for one in whole["columns"]}
    assert {(one["column"], one["aspect"]) for one in found["columns"]} == set(by_name)
    for one in found["columns"]:
        other = by_name[one["column"], one["aspect"]]
        assert one["score"] == pytest.approx(other["score"], rel=1e-9, abs=1e-12)
        assert one["drifted"] == other["drifted"]
    assert (found["drifted_columns"], found["harmful_columns"]) == (2, 1)
    assert (found["drawn_columns"], whole["drawn_columns"], whole["watched_columns"]) == (3, 5, 5)
    page = (tmp_path / "report.html").read_text()
    assert "2 of 5 watched columns drifted. Of these the model does not use 1. Only 3 columns are drawn" in page
    assert "Drift in column 'plain'" not in page.replace("&#x27;", "'")
    assert "columns are drawn" not in (tmp_path / "whole" / "report.html").read_text()


def test_snapshots_carry_window_time_and_the_count_of_all_columns(tmp_path: Path) -> None:
    from evidently.core.report import Snapshot

    end = datetime(2024, 3, 1)
    found = written(frame(0), frame(1).assign(plain=99.0), tmp_path, "binary", FEW, most_columns=1, window="2024-02", end=end)
    for name, snapshot in zip(("report.json", "performance.json"), found.snapshots, strict=True):
        stored = Snapshot.load(str(tmp_path / name)).to_snapshot_model()
        assert (stored.name, stored.timestamp, stored.metadata["window"]) == ("2024-02", end, "2024-02")
        assert stored.metric_results.keys() == snapshot.metric_results.keys()
    metrics = found.snapshots[0].dict()["metrics"]
    count = next(one["value"] for one in metrics if one["metric_name"].startswith("DriftedColumnsCount"))
    assert count == {"count": 1, "share": pytest.approx(1 / 3)}
    drawn = [one["config"]["column"] for one in metrics if one["metric_name"].startswith("ValueDrift(")]
    assert drawn == ["prediction"]


@pytest.mark.parametrize("label", [np.nan, 1.0])
def test_no_performance_without_two_classes(tmp_path: Path, label: float) -> None:
    (tmp_path / "performance.json").write_text("of an earlier window")
    assert not report(frame(0), frame(1).assign(label=label), tmp_path, few=True)["performance"]
    assert not (tmp_path / "performance.json").exists()


def test_multiclass_with_a_class_of_one_side_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sides = [pd.DataFrame({"prediction": rng.choice(list("abc"), 100), "label": rng.choice(list("abc"), 100)}) for _ in range(2)]
    for first in ("a", "d"):
        sides[1].loc[0, "label"] = first
        assert report(*sides, tmp_path, "multiclass")["performance"]
        expected = (sides[1]["label"] == sides[1]["prediction"]).mean()
        assert performance_values(tmp_path)["Accuracy"] == pytest.approx(expected)


def test_regression(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sides = [pd.DataFrame({"prediction": rng.normal(size=100), "label": rng.normal(size=100)}) for _ in range(2)]
    sides[1].loc[50:, "label"] = np.nan
    assert report(*sides, tmp_path, "regression")["performance"]
    errors = (sides[1]["label"] - sides[1]["prediction"])[:50]
    assert performance_values(tmp_path)["RMSE"] == pytest.approx(np.sqrt((errors**2).mean()))
