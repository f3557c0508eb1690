"""Windows of files: rows that the package answers now.

A window keeps a limited number of rows (`Watched.most`), drawn evenly; how many there were is counted over all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.batch.reading import Long, blocks
from pipeline.child import Refused, Standby
from pipeline.config import CsvParams, SeriesParams
from pipeline.data import asking
from pipeline.errors import UserError
from pipeline.monitoring import periods
from pipeline.monitoring.thinning import Thinned
from pipeline.monitoring.watched import BLOCK, Pending, Rows, Watched
from pipeline.terminal.progress import Step

log = logging.getLogger("pipeline")
VALUES = 120_000_000  # held at once, over all windows


def of_files(
    model: Watched,
    child: Standby,
    source: Path,
    every: int | periods.Period | None,
    *,
    time: str | None,
    csv: CsvParams,
    series: SeriesParams | None = None,
    latest: int,
) -> list[Pending]:
    """The latest windows of a file or folder, the oldest first; the package answers their rows.

    Args:
        every: rows of a window, a period of the column `time`, or None for a window a file.
        series: what tells the series of long rows, which become one row each.

    Raises:
        UserError: the source cannot be read, or the package fails.
    """
    if isinstance(every, str) and time is None:
        raise UserError(f"{source}: windows of a {every} need monitor.time, the column that holds a row's time")
    group, target = model.reference.group, model.fitted.target.column
    wanted = list(dict.fromkeys([*model.fitted.raw_columns, target, *(name for name in (group, time) if name)]))
    kept, spans, unread = dict[str, Thinned](), dict[str, list[Any]](), dict[str, str]()

    def failed(where: str, error: UserError) -> None:
        log.warning("%s; the other files are judged", error)
        if every is None:
            unread[named(where, source)] = f"the file cannot be read: {error}"
            kept[named(where, source)], spans[named(where, source)] = Thinned(model.most), []

    long = Long(series, model.package.sequences) if series else None
    with closing(blocks(source, wanted, csv, BLOCK, Step("reading"), needed=False, long=long, unread=failed)) as read:
        for number, block in enumerate(read):
            for name, some, bounds in _windows_of(block.table, named(block.where, source), every, time, model, kept):
                thinned = kept.setdefault(name, Thinned(model.most))
                thinned.add(some, np.arange(thinned.seen, thinned.seen + len(some), dtype=np.uint64) + np.uint64(number << 40))
                spans.setdefault(name, []).extend(bounds)
            while sum(one.rows for one in kept.values()) * max(len(wanted), 1) > VALUES:
                max(kept.values(), key=lambda one: one.rows).thin()
    names = sorted(kept) if isinstance(every, str) else list(kept)
    pending = list[Pending]()
    for name in names[-latest:]:
        start, end = (periods.told(min(spans[name])), periods.told(max(spans[name]))) if spans[name] else (None, None)
        pending.append(Pending(name, start, end, kept[name].digest(), _Answer(model, child, kept[name], target, group, unread.get(name))))
    return pending


def named(where: str, source: Path) -> str:
    """A file's name as a window's, which is that of a folder too; those of subfolders begin with theirs."""
    file = Path(where)
    return "-".join(file.relative_to(source).parts) or source.name


def _windows_of(
    table: pa.Table, file: str, every: int | periods.Period | None, time: str | None, model: Watched, kept: Mapping[str, Thinned]
) -> Iterator[tuple[str, pa.Table, list[np.datetime64]]]:
    """Parts of a block by the window that they belong to, with the bounds of their time where that is known."""
    moments = None
    if time in table.column_names and model.written.get(str(time), {}).get("kind") == "datetime":
        moments = asking.times(table[time].to_pandas(), model.written[str(time)]).to_numpy().astype("datetime64[us]")
    if every is None:
        yield file, table, _ends(moments)
    elif isinstance(every, int):
        before = sum(one.seen for one in kept.values())
        at = 0
        while at < len(table):
            step = min(every - (before + at) % every, len(table) - at)
            yield (
                f"rows-{(before + at) // every * every + 1:010d}",
                table.slice(at, step),
                _ends(None if moments is None else moments[at : at + step]),
            )
            at += step
    else:
        if moments is None:
            raise UserError(f"{file}: no column {time} of dates, which monitor.time names; found {', '.join(table.column_names)}")
        starts = periods.starts(moments, every)
        for start in np.unique(starts[~np.isnat(starts)]):
            yield periods.name(start, every), table.filter(pa.array(starts == start)), [start, periods.end(start, every)]


def _ends(moments: np.ndarray | None) -> list[np.datetime64]:
    known = np.empty(0) if moments is None else moments[~np.isnat(moments)]
    return [known.min(), known.max()] if len(known) else []


@dataclass(frozen=True)
class _Answer:
    """Has the package answer the rows of a window."""

    model: Watched
    child: Standby
    kept: Thinned
    target: str
    group: str | None
    unread: str | None
    """Why there are no rows, where a file could not be read."""

    def __call__(self) -> Rows:
        table = self.kept.table()
        columns = self.model.package.columns
        asked = pa.table({name: table[name] if name in table.column_names else pa.nulls(len(table), pa.string()) for name in columns})
        answers = list[pa.Table]()
        try:
            answers.extend(self.child.ask(asked.slice(at, BLOCK)) for at in range(0, max(len(asked), 1), BLOCK))
        except Refused as refused:
            raise UserError(f"the package takes none of these rows: {refused}") from None
        raw = table.select([name for name in self.model.fitted.raw_columns if name in table.column_names])
        labels = table[self.target] if self.target in table.column_names else None
        by = self.group if self.group in table.column_names else None
        found = self.model.rows(raw, pa.concat_tables(answers), labels, table[by] if by else None)
        notes = () if not self.group or by else (f"rows are taken as independent: there is no column {self.group}",)
        if self.unread:
            return replace(found, notes=(self.unread,), absent=())
        return replace(found, rows=self.kept.seen, notes=notes)
