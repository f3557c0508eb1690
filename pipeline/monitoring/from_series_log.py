"""Windows of the inference log of a forecast: each row is a forecast that was asked for; what came true stands in later requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data import asking
from pipeline.data.fitted import Forecast
from pipeline.data.starts import ticks
from pipeline.errors import UserError
from pipeline.inference_log import reading
from pipeline.monitoring import periods
from pipeline.monitoring.forecasts import MOST
from pipeline.monitoring.from_log import INPUT, OUTPUT
from pipeline.monitoring.series_rows import forecast_of, keys, names_of, numbers, window_of
from pipeline.monitoring.watched import Pending, Rows, Watched

AT_ONCE = 1_000_000  # steps that are held before those that were told twice are let go


def of_log(
    model: Watched,
    folder: Path,
    every: int | periods.Period,
    *,
    hidden: Sequence[str] = (),
    version: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    latest: int,
) -> list[Pending]:
    """The latest windows of an inference log, the oldest first: the forecasts that were asked for, by when that was.

    What came true is read from the requests that came later, also from those that another version answered.

    Args:
        every: forecasts of a window, or the hour, day, week or month of UTC; hidden, version, since, until: see `from_log.of_log`.

    Raises:
        UserError: there is no such log, or it does not hold what a forecast goes by.
    """
    forecast = forecast_of(model)
    targets = [target.column for target in forecast.targets]
    names = {name for schema in reading.schemas(folder) for name in schema.names}
    needed = list(dict.fromkeys([*asking.columns(forecast), *targets]))
    held = {name for name in needed if INPUT + name in names and (name == forecast.series or name not in hidden)}
    if names and (lacking := [name for name in needed if name not in held]):
        told_by = "serve.hashed and serve.omitted say what it holds"
        raise UserError(f"{folder}: a forecast is watched by {', '.join(lacking)}, which the log does not hold as it came: {told_by}")
    columns = ["request_id", "row", "time", "version", *([*(INPUT + name for name in needed), OUTPUT + forecast.time] if names else [])]
    told, heads = list[pd.DataFrame](), list[pd.DataFrame]()
    for part in reading.batches(folder, columns=columns, since=since, labels=False):
        came = part.filter(pc.less(part["row"], 0))
        if len(came):
            told.append(_told(model, came))
            if sum(map(len, told)) > AT_ONCE:
                told = [_once(told)]
        heads.append(_heads(model, part, version))
    steps = _once(told) if told else pd.DataFrame(columns=["series", "time", *targets, "arrived"])
    asked = pd.concat(heads).groupby("request_id", as_index=False).agg({"time": "first", "forecasts": "max", "first": "min", "last": "max"})
    if until is not None:
        asked = asked[asked["time"] < pd.Timestamp(until).tz_localize(None)]
    asked = asked.sort_values(["time", "request_id"], kind="stable").reset_index(drop=True)
    moments = np.repeat(asked["time"].to_numpy().astype("datetime64[us]"), asked["forecasts"])
    pending = list[Pending]()
    for name, first, after in periods.bounds(moments, every)[-latest:]:
        some = asked[(asked["time"] >= first) & (asked["time"] < after)]
        count = int(some["forecasts"].sum())
        chosen = some.iloc[:: max(-(-count // MOST), 1)]
        known = steps[(steps["time"] >= chosen["first"].min()) & (steps["time"] <= chosen["last"].max())]
        came = known.drop(columns="arrived").reset_index(drop=True)
        facts = (tuple(some["request_id"]), tuple(hidden), version, pd.util.hash_pandas_object(came, index=False).to_numpy().tobytes())
        made_from = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        ends = [pd.Timestamp(moment).tz_localize("UTC").to_pydatetime() for moment in (first, after)]
        load = _Load(model, folder, ends[0], ends[1], tuple(chosen["request_id"]), count, came, tuple(hidden), version)
        pending.append(Pending(name, periods.told(first), periods.told(after), made_from, load))
    return pending


def _told(model: Watched, rows: pa.Table) -> pd.DataFrame:
    """The steps that requests told of: series, time, the targets as they were, and when that was told."""
    targets = [target.column for target in forecast_of(model).targets]
    clean, _ = model.cleaned(pa.table({name: rows[INPUT + name] for name in targets}))
    frame = keys(rows, model, INPUT).assign(**{name: numbers(clean[name]) for name in targets})
    return _once([frame.assign(arrived=rows["time"].cast(pa.timestamp("us")).to_numpy())])


def _once(told: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Each step as it was told last."""
    steps = pd.concat(told).sort_values("arrived", kind="stable").drop_duplicates(["series", "time"], keep="last")
    return steps.sort_values(["series", "time"], kind="stable").reset_index(drop=True)


def _heads(model: Watched, part: pa.Table, version: str | None) -> pd.DataFrame:
    """Of each request that was answered: when it came, how many forecasts it is, and the first and the last step that they tell."""
    forecast = forecast_of(model)
    answered = pc.greater_equal(part["row"], 0)
    part = part.filter(answered if version is None else pc.and_(answered, pc.equal(part["version"], version)))
    place = OUTPUT + forecast.time
    coming = part[place].to_pandas() if place in part.column_names else pd.Series(dtype="float64")
    frame = pd.DataFrame({"request_id": part["request_id"].to_pandas(), "row": part["row"].to_numpy(), "coming": _naive(coming)})
    frame["time"] = part["time"].cast(pa.timestamp("us")).to_numpy()
    found = frame.groupby("request_id", as_index=False).agg(
        time=("time", "first"), row=("row", "max"), first=("coming", "min"), last=("coming", "max")
    )
    return found.assign(forecasts=(found["row"] + 1) // forecast.horizon).drop(columns="row")


def _naive(time: pd.Series) -> pd.Series:
    return time.dt.tz_convert(None) if getattr(getattr(time, "dt", None), "tz", None) is not None else time


@dataclass(frozen=True)
class _Load:
    """Reads the forecasts of a window of a log: `requests`, of `count` forecasts in all; `steps` are what came true."""

    model: Watched
    folder: Path
    since: datetime
    until: datetime
    requests: tuple[str, ...]
    count: int
    steps: pd.DataFrame
    hidden: tuple[str, ...]
    version: str | None

    def __call__(self) -> Rows:
        fitted, forecast = self.model.fitted, forecast_of(self.model)
        names = {name for schema in reading.schemas(self.folder) for name in schema.names}
        there = [name for name in fitted.raw_columns if INPUT + name in names and name not in self.hidden]
        told = [*asking.columns(forecast), *(target.column for target in forecast.targets)]
        columns = [INPUT + name for name in dict.fromkeys([*asking.columns(forecast), *there])] + [OUTPUT + name for name in told]
        ends: dict[str, Any] = {"since": self.since, "until": self.until, "version": self.version, "labels": False}
        wanted = pa.array(self.requests, pa.string())
        parts = reading.batches(self.folder, columns=["time", "request_id", "row", *columns], **ends)
        table = pa.concat_tables([part.filter(pc.is_in(part["request_id"], wanted)) for part in parts]).sort_by(reading.ORDER)
        came, answers = (table.filter(test(table["row"], 0)) for test in (pc.less, pc.greater_equal))
        found = list(_forecasts(self.model, came, answers))
        some = found[:: max(-(-len(found) // MOST), 1)]
        shape = (0, forecast.horizon, len(forecast.targets))
        seen = np.stack([one.seen for one in some]) if some else np.empty((0, forecast.look_back), np.int64)
        outputs = np.stack([one.outputs for one in some]) if some else np.empty(shape)
        truth = _truth(self.steps, some, forecast)
        clean, lost = self.model.cleaned(came.select([INPUT + name for name in there]).rename_columns(there))
        moments = ticks(keys(came, self.model, INPUT)["time"])
        series = pd.factorize(np.array([one.series for one in some], dtype=object))[0]
        window = window_of(self.model, clean, seen, truth, outputs, series, moments)
        return Rows(window, self.count, hidden=self.model.absent(there), lost=lost)


@dataclass(frozen=True)
class _Asked:
    """A forecast that was asked for: the places of the rows that it saw, and what it answered (horizon, targets) for which times."""

    series: str
    seen: np.ndarray
    times: pd.Index
    outputs: np.ndarray


def _forecasts(model: Watched, came: pa.Table, answers: pa.Table) -> Iterator[_Asked]:
    """The forecasts of requests, of which both tables hold the rows in one order; `seen` are places in `came`."""
    forecast = forecast_of(model)
    rows = pd.DataFrame({forecast.time: came[INPUT + forecast.time].to_pandas()})
    if forecast.series:
        rows[forecast.series] = names_of(came[INPUT + forecast.series])
    told = answers.select([OUTPUT + target.column for target in forecast.targets])
    values = np.stack([column.to_numpy() for column in told.columns], axis=-1) if len(told) else np.empty((0, len(forecast.targets)))
    by = names_of(answers[OUTPUT + forecast.series]) if forecast.series else None
    places = _requests(answers)
    for request, own in _requests(came).items():
        try:
            asked = asking.windows(rows.iloc[own].reset_index(drop=True), forecast, model.written)
        except UserError:
            continue  # a part of the request is not in the log
        mine = places.get(request, np.empty(0, np.int64))
        for at, times in enumerate(asked.times):
            name = "" if asked.series is None else str(asked.series[at])
            steps = mine if by is None else mine[by[mine] == name]
            if len(steps) == forecast.horizon:
                yield _Asked(name, own[asked.rows[at]], times, values[steps])


def _requests(rows: pa.Table) -> dict[str, np.ndarray]:
    """The places of each request's rows."""
    ids = rows["request_id"].to_pandas()
    return {str(name): np.asarray(places) for name, places in ids.groupby(ids, sort=False).indices.items()}


def _truth(steps: pd.DataFrame, asked: Sequence[_Asked], forecast: Forecast) -> np.ndarray:
    """(forecasts, horizon, targets) what came true; nan where it has not come."""
    targets = [target.column for target in forecast.targets]
    if not asked:
        return np.empty((0, forecast.horizon, len(targets)))
    series = np.repeat(np.array([one.series for one in asked], dtype=object), forecast.horizon)
    times = np.concatenate([np.asarray(one.times) for one in asked])
    keys = pd.DataFrame({"series": series, "time": times.astype(steps["time"].dtype)})
    found = keys.merge(steps, on=["series", "time"], how="left")[targets].to_numpy(dtype="float64")
    return found.reshape(len(asked), forecast.horizon, len(targets))
