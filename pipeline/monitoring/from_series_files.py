"""Windows of files that hold series: each row is a forecast that could have been asked for, and what came true stands in later rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline import packaging
from pipeline.batch.reading import MOST_WHOLE, blocks
from pipeline.child import Refused, Standby
from pipeline.config import CsvParams
from pipeline.data import asking
from pipeline.data.fitted import Forecast
from pipeline.data.starts import find, ticks
from pipeline.errors import UserError
from pipeline.monitoring import periods
from pipeline.monitoring.breaks import Lost
from pipeline.monitoring.forecasts import MOST
from pipeline.monitoring.from_files import named
from pipeline.monitoring.series_rows import forecast_of, keys, numbers, window_of
from pipeline.monitoring.watched import BLOCK, Pending, Rows, Watched
from pipeline.terminal.progress import Step


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
    forecast = forecast_of(model)
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
        forecast = forecast_of(model)
        frame = keys(raw, model, "")
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
        return np.stack([numbers(self.clean[target.column]) for target in self.forecast.targets], axis=-1)

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
        window = window_of(self.model, steps.clean, seen, steps.truth(some), outputs, steps.series[steps.origins[some]], steps.ticks)
        notes = (f"{steps.timeless:,} rows have no {steps.forecast.time}, so they are no steps",) if steps.timeless else ()
        return Rows(window, len(self.some), absent=self.model.absent(there), notes=notes, lost=steps.lost)
