"""Windows of a forecast outside of DVC: each row is a forecast, one that was asked for (a log) or that could have been (files).

No labels are sent: what came true stands in the rows that came later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import packaging
from pipeline.batch.reading import MOST_WHOLE, blocks
from pipeline.child import Refused, Standby
from pipeline.config import CsvParams
from pipeline.data import asking
from pipeline.data.fitted import Forecast
from pipeline.data.starts import find, ticks
from pipeline.errors import UserError
from pipeline.inference_log import reading
from pipeline.monitoring import periods, windows
from pipeline.monitoring.breaks import Lost
from pipeline.monitoring.forecasts import MOST
from pipeline.monitoring.from_files import named
from pipeline.monitoring.from_log import INPUT, OUTPUT
from pipeline.monitoring.watched import BLOCK, Pending, Rows, Watched
from pipeline.terminal.progress import Step

AT_ONCE = 1_000_000  # steps of a log that are held before those that stand there twice are let go


def of_files(
    model: Watched, child: Standby, source: Path, every: int | periods.Period | None, *, csv: CsvParams, latest: int
) -> list[Pending]:
    """The latest windows of series in files, the oldest first: a forecast each quarter of a horizon, which the package answers.

    A forecast belongs to the window of the last step that it sees.

    Args:
        every: forecasts of a window, a period, or None for a window a file; what a forecast sees may lie in the files before.

    Raises:
        UserError: the source cannot be read, or has no times.
    """
    forecast = _forecast(model)
    wanted = list(dict.fromkeys([*asking.columns(forecast), *model.fitted.raw_columns]))
    tables, names, rows = list[pa.Table](), list[str](), 0
    with closing(blocks(source, wanted, csv, BLOCK, Step("reading"), needed=False)) as read:
        for block in read:
            tables.append(block.table)
            names += [named(block.where, source)] * len(block.table)
            if (rows := rows + len(block.table)) > MOST_WHOLE:
                raise UserError(f"{source}: a forecast's rows are held in memory, at most {MOST_WHOLE:,}: give the latest files only")
    raw = pa.concat_tables(tables, promote_options="permissive")
    if lacking := [name for name in asking.columns(forecast) if name not in raw.column_names]:
        raise UserError(f"{source}: missing column {', '.join(lacking)}, by which a forecast goes; found {', '.join(raw.column_names)}")
    steps = _Steps.of(model, raw, np.asarray(names, dtype=object))
    if isinstance(every, str) and not steps.dated:
        raise UserError(f"{source}: windows of a {every} need dates in {forecast.time}; the model counts its steps by numbers")
    found = list(_windows_of(steps, every))[-latest:]
    return [Pending(name, *steps.ends(some), steps.digest(some), _Answer(model, child, steps, some)) for name, some in found]


def _forecast(model: Watched) -> Forecast:
    assert model.fitted.forecast is not None
    return model.fitted.forecast


@dataclass(frozen=True)
class _Steps:
    """Rows of whole series, each step once (the last one that came), in the order of series and time.

    raw: as they came; place: (steps,) each step's row in it; files: (steps,) where it came from; time: (steps,); series: (steps,)
    codes; clean: the model's columns (steps,); lost: by column what came and could not be read; timeless: rows without a time.
    """

    forecast: Forecast
    raw: pa.Table
    place: np.ndarray
    files: np.ndarray
    time: pd.Series
    series: np.ndarray
    clean: pd.DataFrame
    lost: Mapping[str, Lost]
    timeless: int

    @classmethod
    def of(cls, model: Watched, raw: pa.Table, files: np.ndarray) -> _Steps:
        forecast = _forecast(model)
        frame = _keys(raw, model, "")
        frame["place"] = np.arange(len(raw))
        known = frame.dropna(subset="time").drop_duplicates(["series", "time"], keep="last").sort_values(["series", "time"], kind="stable")
        place = known["place"].to_numpy()
        clean, lost = model.cleaned(raw.select([name for name in model.fitted.raw_columns if name in raw.column_names]).take(place))
        series = pd.factorize(known["series"], sort=True)[0]
        timeless = int(frame["time"].isna().sum())
        return cls(forecast, raw, place, files[place], known["time"].reset_index(drop=True), series, clean, lost, timeless)

    @property
    def dated(self) -> bool:
        return pd.api.types.is_datetime64_any_dtype(self.time.dtype)

    @cached_property
    def ticks(self) -> np.ndarray:
        return ticks(self.time)

    @cached_property
    def targets(self) -> np.ndarray:
        """(steps, targets)"""
        return np.stack([_numbers(self.clean[target.column]) for target in self.forecast.targets], axis=-1)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the look-back of a forecast starts, a quarter of a horizon apart in each series."""
        found = find(self.ticks, self.series, np.ones(len(self.series), bool), replace(self.forecast, horizon=0)).starts
        first = np.searchsorted(self.series, self.series[found])
        return found[(found - first) % -(-self.forecast.horizon // 4) == 0]

    @cached_property
    def judged(self) -> np.ndarray:
        """The starts of forecasts whose steps have all come since."""
        return find(self.ticks, self.series, ~np.isnan(self.targets).any(axis=1), self.forecast).starts

    @property
    def origins(self) -> np.ndarray:
        """(starts,) the last step that each forecast sees."""
        return self.starts + self.forecast.look_back - 1

    def ends(self, some: np.ndarray) -> tuple[str | None, str | None]:
        """When the first and the last of these forecasts were made."""
        if not self.dated or not len(some):
            return None, None
        moments = self.time.to_numpy()[self.origins[some]]
        return periods.told(moments.min()), periods.told(moments.max())

    def seen(self, some: np.ndarray) -> np.ndarray:
        """(forecasts, look_back) steps that they see."""
        return self.starts[some][:, None] + np.arange(self.forecast.look_back)

    def truth(self, some: np.ndarray) -> np.ndarray:
        """(forecasts, horizon, targets) what came true, nan where not all of it is known yet."""
        coming = self.starts[some][:, None] + self.forecast.look_back + np.arange(self.forecast.horizon)
        found = self.targets[np.minimum(coming, len(self.targets) - 1)]
        return np.where(np.isin(self.starts[some], self.judged)[:, None, None], found, np.nan)

    def digest(self, some: np.ndarray) -> str:
        """Of all that a window of these forecasts is made from."""
        used = np.unique(self.seen(some))
        values = pd.util.hash_pandas_object(self.clean.iloc[used], index=False).to_numpy()
        facts = self.ticks[used], self.series[used], values, self.truth(some)
        return hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in facts)).hexdigest()[:16]


def _windows_of(steps: _Steps, every: int | periods.Period | None) -> Iterator[tuple[str, np.ndarray]]:
    """Windows by name, with the places of their forecasts among `steps.starts`."""
    if every is None:
        files = steps.files[steps.origins]
        for name in dict.fromkeys(steps.files[np.argsort(steps.place)]):
            yield name, np.flatnonzero(files == name)
    elif isinstance(every, int):
        order = np.argsort(steps.ticks[steps.origins], kind="stable")
        for first in range(0, len(order), every):
            yield f"rows-{first + 1:010d}", np.sort(order[first : first + every])
    else:
        begun = periods.starts(steps.time.to_numpy()[steps.origins], every)
        for start in np.unique(begun):
            yield periods.name(start, every), np.flatnonzero(begun == start)


@dataclass(frozen=True)
class _Answer:
    """Has the package answer the forecasts of a window."""

    model: Watched
    child: Standby
    steps: _Steps
    some: np.ndarray

    def __call__(self) -> Rows:
        fitted, steps = self.model.fitted, self.steps
        some = self.some[:: max(-(-len(self.some) // MOST), 1)]
        seen, there = steps.seen(some), steps.raw.column_names
        rows = steps.raw.take(steps.place[seen].ravel())
        asked = pa.table({name: rows[name] if name in there else pa.nulls(len(rows)) for name in self.model.package.columns})
        outputs = np.empty((0, steps.forecast.horizon, len(steps.forecast.targets)))
        try:
            answers = [self.child.ask(asked.slice(at, seen.shape[1])) for at in range(0, len(asked), seen.shape[1])]
        except Refused as refused:
            raise UserError(f"the package does not answer these steps: {refused}") from None
        if answers:
            outputs = packaging.outputs(fitted, pa.concat_tables(answers, promote_options="permissive").to_pandas())
        window = _window(self.model, steps.clean, seen, steps.truth(some), outputs, steps.series[steps.origins[some]], steps.ticks)
        notes = (f"{steps.timeless:,} rows have no {steps.forecast.time}, so they are no steps",) if steps.timeless else ()
        return Rows(window, len(self.some), absent=self.model.absent(there), notes=notes, lost=steps.lost)


def _window(
    model: Watched,
    clean: pd.DataFrame,
    seen: np.ndarray,
    truth: np.ndarray,
    outputs: np.ndarray,
    series: np.ndarray,
    moments: np.ndarray,
) -> windows.Window:
    """Forecasts as rows; those of a series that share a horizon belong together.

    Args:
        seen: (forecasts, look_back) places in `clean` and in `moments`; series: (forecasts,) codes.
    """
    forecast = _forecast(model)
    values = {name: _numbers(clean[name]) for name in model.fitted.columns}
    past = np.stack([values[target.column][seen] for target in forecast.targets], axis=-1)
    gaps = np.diff(moments[seen], axis=1)
    usual = float(np.median(gaps)) if gaps.size else 1.0
    last = moments[seen[:, -1]] if len(seen) else np.empty(0)
    shared = np.floor(last / max(usual * forecast.horizon, 1e-9))
    groups = np.unique(np.column_stack([series, shared]), axis=0, return_inverse=True)[1].reshape(-1)
    return windows.forecast_window({name: values[name][seen] for name in values}, past, truth, outputs, model.fitted, groups)


def _numbers(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype="float64", na_value=np.nan)


def _keys(raw: pa.Table, model: Watched, prefix: str) -> pd.DataFrame:
    """The series (a text) and time of each row."""
    forecast = _forecast(model)
    column = raw[prefix + forecast.time].to_pandas().rename(forecast.time)
    time = asking.times(column, model.written[forecast.time]).to_numpy()
    series = _names(raw[prefix + forecast.series]) if forecast.series else ""
    return pd.DataFrame({"series": series, "time": time})


def _names(series: pa.ChunkedArray) -> np.ndarray:
    """The names of series as texts: a request may have them as numbers."""
    return series.cast(pa.string()).fill_null("").to_numpy()


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
    forecast = _forecast(model)
    targets = [target.column for target in forecast.targets]
    names = {name for schema in reading.schemas(folder) for name in schema.names}
    needed = list(dict.fromkeys([*asking.columns(forecast), *targets]))
    known = {name for name in needed if INPUT + name in names and (name == forecast.series or name not in hidden)}
    if names and (lacking := [name for name in needed if name not in known]):
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
    targets = [target.column for target in _forecast(model).targets]
    clean, _ = model.cleaned(pa.table({name: rows[INPUT + name] for name in targets}))
    frame = _keys(rows, model, INPUT).assign(**{name: _numbers(clean[name]) for name in targets})
    return _once([frame.assign(arrived=rows["time"].cast(pa.timestamp("us")).to_numpy())])


def _once(told: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Each step as it was told last."""
    steps = pd.concat(told).sort_values("arrived", kind="stable").drop_duplicates(["series", "time"], keep="last")
    return steps.sort_values(["series", "time"], kind="stable").reset_index(drop=True)


def _heads(model: Watched, part: pa.Table, version: str | None) -> pd.DataFrame:
    """Of each request that was answered: when it came, how many forecasts it is, and the first and the last step that they tell."""
    forecast = _forecast(model)
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
        fitted, forecast = self.model.fitted, _forecast(self.model)
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
        moments = ticks(_keys(came, self.model, INPUT)["time"])
        series = pd.factorize(np.array([one.series for one in some], dtype=object))[0]
        window = _window(self.model, clean, seen, truth, outputs, series, moments)
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
    forecast = _forecast(model)
    rows = pd.DataFrame({forecast.time: came[INPUT + forecast.time].to_pandas()})
    if forecast.series:
        rows[forecast.series] = _names(came[INPUT + forecast.series])
    told = answers.select([OUTPUT + target.column for target in forecast.targets])
    values = np.stack([column.to_numpy() for column in told.columns], axis=-1) if len(told) else np.empty((0, len(forecast.targets)))
    by = _names(answers[OUTPUT + forecast.series]) if forecast.series else None
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
