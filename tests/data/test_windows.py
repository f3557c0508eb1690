"""Windows of a forecast over side tables that the tests write."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from pipeline import paths
from pipeline.config import NormalizeParams
from pipeline.data import arrays, preprocessing, windows
from pipeline.data.engine import ROW_ID, engine, read
from pipeline.data.schema import Column, Schema
from pipeline.errors import UserError

SIZES = {"train": 30, "validation": 12, "test": 10}
LOOK, AHEAD = 5, 3


def steps(rows, series=("",)):
    """Hourly rows of each series; `load` counts steps, 1000 a series."""
    frames = [
        pd.DataFrame({"time": pd.date_range("2020-01-01", periods=rows, freq="h").astype("datetime64[us]"), "place": name}).assign(
            load=np.arange(rows) + 1000.0 * at, heat=np.sin(np.arange(rows))
        )
        for at, name in enumerate(series)
    ]
    return pd.concat(frames, ignore_index=True)


def prepared(folder, frame, *, series=None, sizes=SIZES, numeric="standard"):
    """Write the sides, fit and make windows; what a reader of the arrays finds."""
    columns = [Column("time", "datetime", "datetime", ""), Column("place", "text", "category", "")]
    columns += [Column(name, "number", "number", "") for name in ("load", "heat")]
    asked = {"time": "time", "series": series, "look_back": LOOK, "horizon": AHEAD}
    schema = Schema(tuple(columns), "load", "forecast", None, (), ("load", "heat"), forecast=asked)
    rng = np.random.default_rng(0)
    at = frame.groupby("place", dropna=False).cumcount().to_numpy()
    start = 0
    for side, size in sizes.items():
        part = frame[(at >= start) & (at < start + size)]
        part = part.assign(**{ROW_ID: [f"{k:08x}-0" for k in rng.permutation(len(part))]}).sort_values(ROW_ID)
        (folder / side).mkdir(parents=True, exist_ok=True)
        part.to_parquet(folder / side / paths.ROWS, index=False)
        start += size
    files = [folder / side / paths.ROWS for side in sizes]
    with engine() as backend:
        fitted = preprocessing.fit(backend, read(backend, files[0]), schema, NormalizeParams(numeric=numeric))
        for k, side in enumerate(sizes):
            windows.write(backend, files[k], files[:k], fitted, paths.NORMALIZED / side, side=side)
    return fitted, {side: arrays.load(side) for side in sizes}


def test_windows_of_train_lie_in_it_and_later_ones_look_back(workspace):
    fitted, sides = prepared(workspace, steps(52))
    assert {side: len(found) for side, found in sides.items()} == {
        "train": 30 - LOOK - AHEAD + 1, "validation": 12 - AHEAD + 1, "test": 10 - AHEAD + 1,
    }  # fmt: skip
    assert [number.name for number in fitted.numbers] == ["load", "heat"]
    assert fitted.set_aside == {"time": "orders the steps of the forecast", "place": "category column: a forecast reads numbers"}
    for side, start in (("train", 0), ("validation", 30 - LOOK), ("test", 42 - LOOK)):
        more = sides[side].more
        assert sides[side].target[:, 0].tolist() == list(range(start, start + len(more["series"])))  # in order, whatever the row ids
        scaled = (sides[side].target[:, 0] - np.arange(30).mean()) / np.arange(30).std()
        assert more["series"][:, 0] == pytest.approx(scaled, abs=1e-5)  # by train's statistics
        assert more["start"].tolist() == list(range(len(sides[side])))
    first = sides["validation"].more["start"][0] + LOOK
    assert sides["validation"].target[first : first + AHEAD, 0].tolist() == [30, 31, 32]


def test_no_window_reaches_over_two_series(workspace):
    _, sides = prepared(workspace, steps(52, ("b", "a", None)), series="place")
    assert len(sides["train"]) == 3 * (30 - LOOK - AHEAD + 1)
    for side, found in sides.items():
        for start in found.more["start"]:
            window = found.target[start : start + LOOK + AHEAD, 0]
            assert np.diff(window).tolist() == [1.0] * (LOOK + AHEAD - 1), side
        assert len(set(found.group.tolist())) == 3


def test_windows_over_missing_steps_and_missing_targets_are_left_out_and_told(workspace, caplog):
    frame = steps(52)
    frame.loc[20:, "time"] += pd.Timedelta(hours=7)
    frame.loc[8, "load"] = None
    with caplog.at_level(logging.WARNING):
        _, sides = prepared(workspace, frame)
    starts = sides["train"].more["start"].tolist()
    assert not [start for start in starts if start < 20 <= start + LOOK + AHEAD - 1]
    assert not [start for start in starts if start + LOOK <= 8 < start + LOOK + AHEAD]
    assert [start for start in starts if start <= 8 < start + LOOK]  # as an input it is train's mean
    assert caplog.messages == ["train: steps are missing at 1 places in time; 7 windows over them are left out"]


def test_months_are_steps_though_they_differ_in_length(workspace, caplog):
    frame = steps(52).assign(time=pd.date_range("2020-01-01", periods=52, freq="MS").astype("datetime64[us]"))
    _, sides = prepared(workspace, frame)
    assert len(sides["train"]) == 23
    assert not caplog.messages


def test_equal_times_and_too_few_steps_are_told(workspace):
    with pytest.raises(UserError, match=r"two rows of train have the same time .* name their column in data.forecast.series"):
        prepared(workspace, steps(52, ("a", "b")))
    with pytest.raises(UserError, match=r"no window of 5 \+ 3 steps fits into test \(7 steps\): shorten look_back"):
        prepared(workspace, steps(44), sizes={"train": 30, "validation": 12, "test": 2})


def test_scaling_for_a_forecast_bends_nothing(workspace):
    fitted, _ = prepared(workspace, steps(52), numeric="robust")
    assert not any(number.smooth_clip for number in fitted.numbers)
