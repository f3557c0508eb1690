"""Asking for a forecast: raw rows of one or several series, of which the last steps become a window each.

The model package carries this file, so it stays free of Ibis, pydantic and the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.fitted import Forecast
from pipeline.data.starts import HOLE
from pipeline.errors import UserError

SHOWN = 5  # series named in a message


@dataclass(frozen=True)
class Asked:
    """The windows of a request: `rows` (windows, look_back) are their rows' places, in the order of time.

    series: (windows,) names, None where there is one series only.  times: (windows, horizon), the steps to come.
    """

    rows: np.ndarray
    series: list[Any] | None
    times: list[pd.Index]


def columns(forecast: Forecast) -> tuple[str, ...]:
    """Raw columns that say which row is which step, beside those that the model reads."""
    return (forecast.time, *([forecast.series] if forecast.series else []))


def formats(files: Path) -> Mapping[str, Mapping[str, Any]]:
    """How the source writes each column, by the schema in a package's folder."""
    schema = json.loads((files / "schema.json").read_text(encoding="utf-8"))
    return {column["name"]: column for column in schema["columns"]}


def windows(rows: pd.DataFrame, forecast: Forecast, written: Mapping[str, Mapping[str, Any]]) -> Asked:
    """The last `look_back` rows of each series, in the order of their names.

    Raises:
        UserError: the time or series column is not there or not readable, a time stands twice, a step is missing, or a
            series has too few rows.
    """
    if missing := [name for name in columns(forecast) if name not in rows.columns]:
        raise UserError(f"missing column {', '.join(missing)}; a forecast goes by {' and '.join(columns(forecast))}")
    time = times(rows[forecast.time], written[forecast.time])
    if time.isna().any():
        at = int(np.flatnonzero(time.isna())[0])
        raise UserError(f"column {forecast.time}: row {at + 1} has no time, so it is no step of a forecast")
    names = rows[forecast.series].astype(object) if forecast.series else pd.Series([""] * len(rows), dtype=object)
    frame = pd.DataFrame({"series": names.map(_name).to_numpy(), "time": time.to_numpy(), "at": np.arange(len(rows))})
    frame = frame.sort_values(["series", "time"], kind="stable")
    parts = dict(list(frame.groupby("series", sort=True)))
    short = {name: len(part) for name, part in parts.items() if len(part) < forecast.look_back}
    if short or not parts:
        told = ", ".join(f"{name}: {count}" if forecast.series else str(count) for name, count in list(short.items())[:SHOWN]) or "0"
        each = " of each series" if forecast.series else ""
        raise UserError(f"a forecast of {forecast.horizon} steps needs the last {forecast.look_back} rows{each} or more, got {told}")
    last = {name: part.tail(forecast.look_back) for name, part in parts.items()}
    usual = _usual(parts)
    for name, part in last.items():
        _check(part["time"], usual, forecast, name)
    found = np.stack([part["at"].to_numpy() for part in last.values()])
    coming = [following(part["time"], forecast.horizon, usual) for part in parts.values()]
    originals = [rows[forecast.series].iloc[part["at"].iloc[0]] for part in last.values()] if forecast.series else None
    return Asked(found, originals, coming)


def times(column: pd.Series, written: Mapping[str, Any]) -> pd.Series:
    """A raw column of times as datetimes or, where the source counts steps by numbers, as float64.

    Raises:
        UserError: a value is no time as the source writes it.
    """
    try:
        if written["kind"] != "datetime":
            return pd.to_numeric(column).astype("float64")
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            found = column
        else:
            form = written["format"] if written["format"] not in (None, "%z") else "ISO8601"
            found = pd.to_datetime(column.map(lambda value: value.strip() if isinstance(value, str) else value), format=form)
        return found.dt.tz_convert(None) if getattr(found.dt, "tz", None) is not None else found
    except (ValueError, TypeError) as error:
        raise UserError(f"column {column.name}: expected times as {written['format'] or 'ISO 8601'}, got {str(error)[:120]}") from None


def following(time: pd.Series, horizon: int, usual: Any) -> pd.Index:
    """The times after the last one: by the calendar where the steps follow it (months, weeks), else `usual` apart."""
    last = time.iloc[-1]
    if pd.api.types.is_datetime64_any_dtype(time.dtype):
        rule = pd.infer_freq(pd.DatetimeIndex(time.iloc[-100:])) if len(time) > 2 else None
        if rule is not None:
            return pd.date_range(last, periods=horizon + 1, freq=rule)[1:]
        return pd.DatetimeIndex([last + usual * step for step in range(1, horizon + 1)])
    return pd.Index([last + usual * step for step in range(1, horizon + 1)])


def _usual(parts: Mapping[str, pd.DataFrame]) -> Any:
    """The median time between steps, over all series."""
    gaps = pd.concat([part["time"].diff().iloc[1:] for part in parts.values()])
    if len(gaps):
        return gaps.median()
    first = next(iter(parts.values()))["time"]
    return pd.Timedelta(days=1) if pd.api.types.is_datetime64_any_dtype(first.dtype) else 1.0


def _check(time: pd.Series, usual: Any, forecast: Forecast, name: str) -> None:
    gaps = time.diff().iloc[1:]
    where = f" of series {name}" if forecast.series else ""
    zero = gaps * 0
    if (twice := gaps <= zero).any():
        hint = "" if forecast.series else "; this model forecasts one series at a time"
        raise UserError(f"column {forecast.time}: {time[twice.index[twice]].iloc[0]} stands in two rows{where}{hint}")
    if (holes := gaps > HOLE * usual).any():
        raise UserError(
            f"column {forecast.time}: a step is missing before {time[holes.index[holes]].iloc[0]}{where}: "
            f"a forecast needs its last {forecast.look_back} steps without a gap"
        )


def _name(value: Any) -> str:
    return "" if value is None or value != value else str(value)
