"""The Evidently workspace: one project, one run a window, lines over time; and the real server serves it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

from pipeline.errors import UserError
from pipeline.monitoring import alarms
from pipeline.monitoring.evidently_report import third_party_warnings_ignored, write_report
from pipeline.monitoring.workspace import TAB, Run, add

PREDICTION = "model prediction"
MONTHS = ("2024-01", "2024-02", "2024-03")


def frame(seed: int, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    p = rng.random(rows) ** (1 + seed)
    return pd.DataFrame({PREDICTION: p, "label": (rng.random(rows) < p).astype(float)})


def judged(month: int, folder: Path, *, labels: bool = True) -> Run:
    """A window of 50 rows more each month, with thresholds of its own."""
    current = frame(month, 50 + 50 * month)
    threshold = alarms.Threshold(PREDICTION, "number", "values", (0.1, 0.2, 3.0)[month - 1])
    report = write_report(
        frame(0, 200),
        current if labels else current.drop(columns="label"),
        {PREDICTION: "number"},
        alarms.Thresholds(100, 0.05, 0.1, 400, 0, (threshold,)),
        "binary",
        target="label",
        prediction=PREDICTION,
        directory=folder,
    )
    return Run(MONTHS[month - 1], datetime(2024, month + 1, 1), report.snapshots)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """The last window has no labels; the first comes as files."""
    folder = tmp_path_factory.mktemp("windows")
    found = [judged(month, folder / str(month), labels=month < 3) for month in (1, 2, 3)]
    return [replace(found[0], snapshots=[folder / "1" / name for name in ("report.json", "performance.json")]), *found[1:]]


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def stored(folder: Path) -> dict[str, Any]:
    found = [json.loads(file.read_text()) for file in folder.glob("*/snapshots/*.json")]
    assert len({one["name"] for one in found}) == len(found)
    return {one["name"]: one for one in found}


def series(folder: Path, project: str) -> dict[str, list[tuple[list[Any], list[Any]]]]:
    """Of each panel its lines, as the server computes them: values and times."""
    with third_party_warnings_ignored():
        from evidently.ui.service.base import SeriesFilter
        from evidently.ui.service.storage.local.base import InMemoryDataStorage

        storage, found = InMemoryDataStorage(str(folder)), {}
        for panel in json.loads((folder / project / "dashboard.json").read_text())["panels"]:
            wanted = [SeriesFilter(**{key: one[key] for key in ("tags", "metadata", "metric", "metric_labels")}) for one in panel["values"]]
            answer = asyncio.run(storage.get_data_series(uuid.UUID(project), wanted, None, None))
            times = [source.timestamp for source in answer.sources]
            found[panel["title"]] = [(line.values, times[: len(line.values)]) for line in answer.series]
    return found


def test_each_panel_has_lines_over_the_windows_ends(runs: list[Run], tmp_path: Path) -> None:
    project = add(tmp_path, "churn", runs[::-1], prediction=PREDICTION)
    found = series(tmp_path, project)
    ends = [run.end for run in runs]
    assert found["Rows"] == [([100, 150, 200], ends)]
    assert found["Drifted columns"] == [([1, 1, 0], ends)]
    ((distances, times),) = found["Drift of the prediction"]  # one line, though each window has its own threshold
    assert times == ends
    assert 0.3 < distances[0] < distances[1] < distances[2]
    performance = found["Performance"]
    assert len(performance) == 2  # AUC and accuracy; of the window without labels there is no point
    assert all(len(values) == 2 and times == ends[:2] and min(values) > 0.5 for values, times in performance)


def test_adding_again_changes_nothing_and_a_window_judged_anew_replaces_its_run(runs: list[Run], tmp_path: Path) -> None:
    project = add(tmp_path, "churn", runs[:2], prediction=PREDICTION)
    first = files(tmp_path)
    assert add(tmp_path, "churn", runs[:2], prediction=PREDICTION) == project
    assert files(tmp_path) == first
    add(tmp_path, "churn", [runs[2]], prediction=PREDICTION)  # others stay
    assert {name: content for name, content in files(tmp_path).items() if name in first} == first
    assert set(stored(tmp_path)) == set(MONTHS)
    add(tmp_path, "churn", [replace(runs[2], window=MONTHS[0])], prediction=PREDICTION)
    assert set(stored(tmp_path)) == set(MONTHS)
    assert stored(tmp_path)[MONTHS[0]]["timestamp"] == "2024-04-01T00:00:00"
    other = add(tmp_path, "another", runs[:1], prediction=PREDICTION)
    assert {path.name for path in tmp_path.iterdir()} == {project, other}
    given = [one for run in runs[1:] for one in run.snapshots if not isinstance(one, Path)]
    results = [result for one in given for result in one.metric_results.values()]  # no argument is changed
    assert sum("threshold" in result.metric_value_location.metric.params for result in results) >= 2
    assert any(result.widget for result in results)


def test_a_project_made_by_hand_is_found_by_its_name(runs: list[Run], tmp_path: Path) -> None:
    from evidently.ui.workspace import Workspace

    project = str(Workspace.create(str(tmp_path)).create_project("churn").id)
    assert add(tmp_path, "churn", runs[:1], prediction=PREDICTION) == project
    assert [path.name for path in tmp_path.iterdir()] == [project]


def test_a_dashboard_that_the_user_changed_is_kept(runs: list[Run], tmp_path: Path) -> None:
    project = add(tmp_path, "churn", runs[:1], prediction=PREDICTION)
    file = tmp_path / project / "dashboard.json"
    dashboard = json.loads(file.read_text())
    assert [tab["title"] for tab in dashboard["tabs"]] == [TAB]
    dashboard["panels"] = dashboard["panels"][1:]
    file.write_text(json.dumps(dashboard))
    add(tmp_path, "churn", runs, prediction=PREDICTION)
    assert json.loads(file.read_text()) == dashboard


def test_times_with_a_zone_are_kept_in_utc_and_none_is_that_of_the_report(runs: list[Run], tmp_path: Path) -> None:
    zoned = datetime(2024, 5, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    ends = [zoned, datetime(2024, 5, 2, tzinfo=UTC), None]
    add(tmp_path, "churn", [replace(run, end=end) for run, end in zip(runs, ends, strict=True)], prediction=PREDICTION)
    times = [stored(tmp_path)[name]["timestamp"] for name in MONTHS]
    assert times[:2] == ["2024-04-30T23:00:00", "2024-05-02T00:00:00"]
    assert times[2].startswith(str(datetime.now().year))


def test_users_mistakes(runs: list[Run], tmp_path: Path) -> None:
    for told, message in (
        ([runs[0], runs[0]], "window '2024-01' comes more than once"),
        ([replace(runs[0], snapshots=())], "window '2024-01' has no snapshot"),
        ([replace(runs[0], window=" ")], "has no name"),
        (
            [replace(runs[0], snapshots=[tmp_path / "absent.json"])],
            r"window '2024-01': .*absent.json is no snapshot of Evidently .FileNotFoundError",
        ),
    ):
        with pytest.raises(UserError, match=message):
            add(tmp_path / "workspace", "churn", told, prediction=PREDICTION)
    (tmp_path / "torn.json").write_text('{"widgets": [')
    with pytest.raises(UserError, match=r"torn.json is no snapshot"):
        add(tmp_path / "workspace", "churn", [replace(runs[0], snapshots=[tmp_path / "torn.json"])], prediction=PREDICTION)
    assert not list((tmp_path / "workspace").glob("*"))  # nothing is left of what failed
    with pytest.raises(UserError, match="is a file, not a folder"):
        add(tmp_path / "torn.json", "churn", runs, prediction=PREDICTION)


@pytest.mark.slow
def test_evidently_ui_serves_the_project_and_a_window_added_meanwhile(runs: list[Run], tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    project = add(folder, "churn", runs[:2], prediction=PREDICTION)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "evidently.cli", "ui", "--workspace", str(folder), "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | {"DO_NOT_TRACK": "1"}, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/api"

        def answer(path: str, **body: Any) -> Any:
            with requests.Session() as session:
                session.trust_env = False
                found = session.post(f"{url}/{path}", json=body, timeout=5) if body else session.get(f"{url}/{path}", timeout=5)
            found.raise_for_status()
            return found.json()

        def until(path: str, count: int = 1, **body: Any) -> Any:
            """The first answer of this length, for at most 60 s."""
            for _ in range(120):
                assert server.poll() is None, (tmp_path / "log").read_text()
                try:
                    found = answer(path, **body)
                except requests.ConnectionError:
                    found = []
                if len(found.get("sources", found) if isinstance(found, dict) else found) == count:
                    return found
                time.sleep(0.5)
            raise AssertionError(f"{path} never had {count} entries")

        assert [(one["name"], one["id"]) for one in until("projects")] == [("churn", project)]
        panels = answer(f"v2/dashboards/{project}")["panels"]
        rows = next({"series_filter": panel["values"]} for panel in panels if panel["title"] == "Rows")
        found = answer(f"v2/snapshots/{project}/data_series_batch", **rows)
        assert [one["values"] for one in found["series"]] == [[100, 150]]
        add(folder, "churn", runs[2:], prediction=PREDICTION)
        found = until(f"v2/snapshots/{project}/data_series_batch", 3, **rows)
        assert [one["values"] for one in found["series"]] == [[100, 150, 200]]
        assert [one["timestamp"] for one in found["sources"]] == [f"2024-0{month}-01T00:00:00" for month in (2, 3, 4)]
        add(folder, "churn", [replace(runs[0], window=MONTHS[2], end=runs[2].end)], prediction=PREDICTION)  # judged anew
        for _ in range(60):
            found = answer(f"v2/snapshots/{project}/data_series_batch", **rows)
            if found["series"][0]["values"] == [100, 150, 100]:
                break
            time.sleep(0.5)
        assert [one["values"] for one in found["series"]] == [[100, 150, 100]]
        for run in answer(f"projects/{project}/reports"):
            page = answer(f"projects/{project}/{run['id']}/data")
            assert "watched columns drifted" in json.dumps(page)
    finally:
        server.terminate()
        server.wait(20)
    shutil.rmtree(folder)
