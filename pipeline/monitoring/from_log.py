"""Windows of the inference log: what a server was asked and answered.

A window keeps a limited number of rows (`Watched.most`), drawn evenly; how many there were is counted over all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.inference_log import reading
from pipeline.monitoring import periods
from pipeline.monitoring.thinning import Thinned
from pipeline.monitoring.watched import Pending, Rows, Watched

INPUT, OUTPUT, KEY = "input.", "output.", "key."


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
    """The latest windows of an inference log, the oldest first.

    Args:
        every: rows of a window, or the hour, day, week or month of UTC.
        hidden: columns that the log holds hashed.
        version: whose answers are watched; None for all.

    Raises:
        UserError: there is no such log.
    """
    choice: dict[str, Any] = {"version": version}
    moments, given = list[np.ndarray](), list[np.ndarray]()
    for part in reading.batches(folder, columns=["time"], since=since, until=until, **choice):
        moments.append(part["time"].cast(pa.timestamp("us")).to_numpy())
        given.append(part["label_time"].cast(pa.timestamp("us")).cast(pa.int64()).fill_null(0).to_numpy())
    time, labelled = np.concatenate(moments), np.concatenate(given)
    order = np.argsort(time, kind="stable")
    time, labelled = time[order], labelled[order]
    pending = list[Pending]()
    for name, first, last in periods.bounds(time, every)[-latest:]:
        places = slice(np.searchsorted(time, first), np.searchsorted(time, last))
        some = labelled[places]
        facts = len(some), int((some > 0).sum()), int(some.sum()), str(time[places][-1]), version, tuple(hidden)
        made_from = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        ends = [pd.Timestamp(moment).tz_localize("UTC").to_pydatetime() for moment in (first, last)]
        load = _Load(model, folder, ends[0], ends[1], len(some), tuple(hidden), version)
        pending.append(Pending(name, periods.told(first), periods.told(last), made_from, load))
    return pending


@dataclass(frozen=True)
class _Load:
    """Reads a window of a log."""

    model: Watched
    folder: Path
    since: datetime
    until: datetime
    rows: int
    hidden: tuple[str, ...]
    version: str | None

    def __call__(self) -> Rows:
        fitted, group = self.model.fitted, self.model.reference.group
        names = {name for schema in reading.schemas(self.folder) for name in schema.names}
        there = [name for name in fitted.raw_columns if INPUT + name in names and name not in self.hidden]
        outputs = [name for name in names if name.startswith(OUTPUT)]
        by = next((prefix + group for prefix in (KEY, INPUT) if group and prefix + group in names and group not in self.hidden), None)
        columns = [*(INPUT + name for name in there), *outputs, *(["refused"] if "refused" in names else []), *([by] if by else [])]
        kept = Thinned(self.model.most)
        ends: dict[str, Any] = {"since": self.since, "until": self.until, "version": self.version}
        for part in reading.batches(self.folder, columns=[*dict.fromkeys(columns), "time", "request_id", "row"], **ends):
            kept.add(part, pd.util.hash_array(part["request_id"].to_numpy(zero_copy_only=False)) + part["row"].to_numpy().astype(np.uint64))
        table = kept.table()
        if len(table):
            table = table.sort_by(reading.ORDER)
        raw = table.select([INPUT + name for name in there]).rename_columns(there)
        answers = table.select([name for name in table.column_names if name.startswith(OUTPUT) or name == "refused"])
        answers = answers.rename_columns([name.removeprefix(OUTPUT) for name in answers.column_names])
        found = self.model.rows(raw, answers, table["label"], table[by] if by else None)
        hidden = tuple(name for name in found.absent if {name, *fitted.raw_of((name,))} & set(self.hidden) or INPUT + name not in names)
        notes = () if not group or by else (f"rows are taken as independent: the log has no column {group} (serve.keep would keep it)",)
        return replace(found, rows=self.rows, absent=tuple(name for name in found.absent if name not in hidden), hidden=hidden, notes=notes)
