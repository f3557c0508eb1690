"""Forecasts of several series that are deployed: watched from files and from the inference log, without a label being sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from served import Server, records

from pipeline import packaging, paths
from pipeline.child import Standby
from pipeline.config import CsvParams, MonitorParams
from pipeline.errors import UserError
from pipeline.monitoring import from_series_files, from_series_log, live, reference
from pipeline.monitoring.watched import Watched
from pipeline.predict import Model

pytestmark = pytest.mark.slow
LOOK_BACK, HORIZON = 14, 4
SHOPS = (3, 7)
START = "2025-01-01"  # of what comes after the training


def sales(first: str, days: int) -> pd.DataFrame:
    """A weekly season and noise, for each shop and day; the noise of a day is the same in each call."""
    times = pd.date_range(first, periods=days, freq="D")
    day = ((times - pd.Timestamp("2020-01-01")).days).to_numpy()
    noise = np.random.default_rng(0).normal(0, 2, (4000, len(SHOPS)))
    parts = [
        pd.DataFrame({"shop": shop, "day": times, "sales": np.round(40 + 20 * at + 10 * np.sin(2 * np.pi * day / 7) + noise[day, at], 2)})
        for at, shop in enumerate(SHOPS)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    """A folder with the package of a forecast of two series, whose names are numbers; the last year was held back as production."""
    folder = tmp_path_factory.mktemp("shops")
    rows = sales("2022-01-01", 1096)
    rows.assign(year=rows["day"].dt.year).to_csv(folder / "rows.csv", index=False)
    params = {
        "seed": 1,
        "data": {
            "source": "rows.csv",
            "target": "sales",
            "task": "forecast",
            "columns": {"year": "id"},
            "forecast": {"time": "day", "series": "shop", "look_back": LOOK_BACK, "horizon": HORIZON},
        },
        "clean": {},
        "split": {"strategy": "time", "validation": 0.2, "test": 0.3, "production": {"column": "year", "in": [2024]}},
        "normalize": {},
        "model": {"family": "mlp", "layers": 0},
        "train": {"epochs": 15, "batch_size": 32, "learning_rate": 0.01},
        "tune": {"trials": 0},
        "evaluate": {"replicates": 100},
        "register": {"name": "shops"},
        "monitor": {"window": "month", "latest": 4},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    code = """import sys
from pipeline.commands.stages import load, paths, run_stage
[run_stage(one, load(paths.PARAMS)) for one in sys.argv[1:]]"""
    stages = ("collect", "clean", "split", "normalize", "tune", "train", "evaluate", "register", "monitor")
    env = {name: value for name, value in os.environ.items() if name != "DVC_ROOT"}
    env |= {"PYTHONPATH": str(ROOT), "PIPELINE_STATE": str(folder / ".state")}
    done = subprocess.run([sys.executable, "-c", code, *stages], env=env, capture_output=True, text=True, cwd=folder)
    assert not done.returncode, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def package(shops) -> Path:
    return shops / paths.PACKAGE


@pytest.fixture(scope="module")
def model(package) -> Model:
    return Model(package / "artifacts" / "files")


@pytest.fixture
def watched(package):
    with packaging.opened(str(package)) as found:
        yield Watched.of(found, reference.read(package / "artifacts" / "files"))


def errors(model: Model, rows: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """(shops,) mean squared error of the forecast that follows `rows`, in the target's variance, nan where not all is known."""
    answer = model.predict(rows).merge(truth, on=["shop", "day"], how="left", suffixes=("", " true"))
    squared = ((answer["sales"] - answer["sales true"]) / model.fitted.forecast.targets[0].std) ** 2
    return squared.to_numpy().reshape(len(SHOPS), HORIZON).mean(axis=1)


def files_of(watched, source, every, **more):
    with Standby(watched.package) as child:
        return [(one, one.load()) for one in from_series_files.of_files(watched, child, source, every, csv=CsvParams(), latest=60, **more)]


def test_the_stage_cuts_the_production_rows_into_months(shops):
    found = json.loads((shops / paths.MONITORED).read_text())["windows"]
    production = [one for one in found if one["kind"] == "production"]
    assert [one["window"] for one in production] == ["2024-09", "2024-10", "2024-11", "2024-12"]
    days = 30 + 31 + 30 + 31 - HORIZON  # of the last ones nothing has come true
    assert sum(one["rows"] for one in production) == days * len(SHOPS)
    assert {one["start"] for one in production} == {f"2024-{month:02d}-01T00:00:00Z" for month in (9, 10, 11, 12)}
    assert all(one["performance"]["metric"] == "rmse" for one in production)


def test_a_file_of_series_gives_a_forecast_each_day_with_what_came_true(watched, model, tmp_path):
    new = sales(START, 60)
    new.sample(frac=1, random_state=0).to_csv(tmp_path / "new.csv", index=False)  # in any order
    ((pending, rows),) = files_of(watched, tmp_path / "new.csv", None)
    origins = pd.date_range(START, periods=60, freq="D")[LOOK_BACK - 1 :]
    assert (pending.name, pending.start, pending.end) == ("new.csv", f"{origins[0].isoformat()}Z", f"{origins[-1].isoformat()}Z")
    assert rows.rows == len(rows.window) == len(SHOPS) * len(origins)
    expected = [errors(model, new[new["day"].between(at - pd.Timedelta(days=LOOK_BACK - 1), at)], new) for at in origins]
    np.testing.assert_allclose(rows.window.losses, np.array(expected).T.ravel(), rtol=1e-5)
    assert np.isnan(rows.window.losses.reshape(len(SHOPS), -1)).sum(axis=1).tolist() == [HORIZON] * len(SHOPS)  # not come yet
    assert len(np.unique(rows.window.groups)) < len(rows.window) / (HORIZON - 1)  # those that share steps go together


def test_a_window_belongs_to_a_file_or_month_and_sees_what_lies_before_it(watched, tmp_path):
    folder = tmp_path / "months"
    folder.mkdir()
    new = sales(START, 90)
    for month, rows in new.groupby(new["day"].dt.strftime("%Y-%m")):
        rows.to_csv(folder / f"{month}.csv", index=False)
    by_file, by_month = files_of(watched, folder, None), files_of(watched, folder, "month")
    assert [one.name for one, _ in by_file] == [f"{one.name}.csv" for one, _ in by_month] == ["2025-01.csv", "2025-02.csv", "2025-03.csv"]
    for (_, first), (_, second) in zip(by_file, by_month, strict=True):
        pd.testing.assert_frame_equal(first.window.frame, second.window.frame)
    assert [rows.rows for _, rows in by_file] == [2 * (31 - LOOK_BACK + 1), 56, 62]
    assert [int(np.isnan(rows.window.losses).sum()) for _, rows in by_file] == [0, 0, 2 * HORIZON]
    (folder / "2025-03.csv").unlink()
    (january, _), (february, _) = files_of(watched, folder, None)
    assert january.made_from == by_file[0][0].made_from  # judged once ...
    assert february.made_from != by_file[1][0].made_from  # ... and again when more of it has come true


def test_what_is_no_step_is_told_and_a_step_that_comes_twice_counts_once(watched, tmp_path):
    new = sales(START, 40)
    twice = pd.concat([new.assign(sales=0.0).iloc[:20], new, new.iloc[:3].assign(day=pd.NaT)])
    twice.to_csv(tmp_path / "twice.csv", index=False)
    new.to_csv(tmp_path / "once.csv", index=False)
    ((_, rows),), ((_, plain),) = files_of(watched, tmp_path / "twice.csv", None), files_of(watched, tmp_path / "once.csv", None)
    pd.testing.assert_frame_equal(rows.window.frame, plain.window.frame)
    assert rows.notes == ("3 rows have no day, so they are no steps",)
    new.rename(columns={"day": "date"}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(UserError, match=r"other.csv: missing column day, by which a forecast goes; found shop, sales"):
        files_of(watched, tmp_path / "other.csv", None)
    new.head(5).to_csv(tmp_path / "short.csv", index=False)
    ((_, short),) = files_of(watched, tmp_path / "short.csv", None)
    assert (short.rows, len(short.window)) == (0, 0)


def test_a_unit_that_changed_is_an_alarm_and_nothing_changed_is_none(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new = sales(START, 130)
    late = new["day"] >= pd.Timestamp("2025-03-25")
    new.assign(sales=np.where(late, new["sales"] * 1000, new["sales"])).to_csv("new.csv", index=False)
    found, _ = live.watch(str(package), live.Source(Path("new.csv"), False), MonitorParams(window=60), seed=0, out=tmp_path / "out")
    quiet, loud = found["windows"][:2], found["windows"][-1]
    assert not any(one["drift"] or one["decayed"] for one in quiet)
    assert loud["drift"]
    assert found["alarmed"]
    again, _ = live.watch(str(package), live.Source(Path("new.csv"), False), MonitorParams(window=60), seed=0, out=tmp_path / "out")
    assert again["fresh"] == []


def test_the_log_of_a_server_tells_what_came_true_by_itself(package, watched, model, tmp_path):
    new = sales(START, 40)
    origins = pd.date_range(START, periods=40, freq="D")[LOOK_BACK - 1 :: 2]
    with Server(package, tmp_path, "--log", "log", PIPELINE_STATE=str(tmp_path / ".state")) as server:
        for at in origins:
            seen = new[new["day"].between(at - pd.Timedelta(days=LOOK_BACK - 1), at)]
            assert server.ask(records(seen.assign(day=seen["day"].dt.strftime("%Y-%m-%d")))).status_code == 200
        assert server.stop() == 0
    (pending,) = from_series_log.of_log(watched, tmp_path / "log", "month", latest=60)
    rows = pending.load()
    assert rows.rows == len(rows.window) == len(SHOPS) * len(origins)
    told = new[new["day"] <= origins[-1]]  # by the last request
    expected = np.concatenate([errors(model, new[new["day"].between(at - pd.Timedelta(days=LOOK_BACK - 1), at)], told) for at in origins])
    np.testing.assert_allclose(np.sort(rows.window.losses), np.sort(expected), rtol=1e-5)
    assert np.isnan(expected).sum() == len(SHOPS) * HORIZON // 2
    with pytest.raises(UserError, match="a forecast is watched by sales, which the log does not hold as it came"):
        from_series_log.of_log(watched, tmp_path / "log", 60, hidden=("sales",), latest=60)
    smaller = from_series_log.of_log(watched, tmp_path / "log", 10, latest=60)
    assert [one.load().rows for one in smaller] == [10, 10, 8]
    assert from_series_log.of_log(watched, tmp_path / "log", "month", version="another", latest=60) == []
