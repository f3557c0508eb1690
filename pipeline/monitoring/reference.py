"""What a window is compared with: held-out rows that ship with the model, chosen once and never read from the data again.

`watched.parquet` has at most 10,000 rows of validation and test as `windows.Window` has them, `watched.json` what is known of
the model: its figures on test, and what permuting each column costs it.  Both lie in the package.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import files, paths
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.monitoring import embedding, windows
from pipeline.monitoring.embedding import Components
from pipeline.monitoring.periods import PERIODS
from pipeline.monitoring.windows import Window

ROWS, FACTS = "watched.parquet", "watched.json"
MOST = 10_000  # rows: the memory of a calibration grows with them
HEAVY_MOST = 2_000  # where rows hold pictures, sounds, texts or sequences
FRAME, OUTPUT = "frame.", "output."


@dataclass(frozen=True)
class Reference:
    """Held-out rows, and what is known of the model.

    rows: with the losses of validation too, which training stopped at its lowest: `compared` has those of test alone; where
        `ordered`, they stand in the order of time, every `every`-th of all.
    test: (rows,) which ones are test rows.
    figures: name, value and interval of the metric on test (`metric`, `value`, `low`, `high`), whether more of it is better,
        the mean loss of a row and its name.
    importance: rows as `influence.importance_rows` has them; none where it was not measured.
    group: the column whose equal values belong together; time: the one by which train came before test.
    moments: (rows,) datetime64, of the only column of dates, whose name is `clock`, where train did not come before test.
    components: what makes the watched columns of the encoders' output; None where that is not watched.
    """

    rows: Window
    test: np.ndarray
    figures: Mapping[str, Any]
    importance: Sequence[Mapping[str, Any]]
    group: str | None = None
    time: str | None = None
    ordered: bool = False
    every: int = 1
    components: Components | None = None
    clock: str | None = None
    moments: np.ndarray | None = None

    def suited(self, window: int | str, time: str | None) -> Reference:
        """The reference for such windows (monitor.window, monitor.time): in the order of time, where they are of that time."""
        return self.in_time() if window in PERIODS and time is not None and time == self.clock else self

    def in_time(self) -> Reference:
        """The same rows in the order of time, for windows of time; itself where that is so already or no time is known.

        A week is one season, and its hours share a weather: next to rows drawn from a whole year it has always drifted.  What
        is normal for a week is what the weeks of the reference are like, so stretches of time serve (`ordered`).
        """
        if self.ordered or self.moments is None or np.isnat(self.moments).any():
            return self
        places = np.argsort(self.moments, kind="stable")
        rows = replace(self.rows.take(places), groups=np.arange(len(places)))
        return replace(self, rows=rows, test=self.test[places], ordered=True, moments=self.moments[places])

    def in_span(self, span: np.timedelta64) -> int | None:
        """How many rows the reference has, on average, in as much time as this; None where it knows no time."""
        if self.moments is None or not len(self.moments) or self.moments.min() == self.moments.max():
            return None
        return round(float(len(self.moments) * (span / (self.moments.max() - self.moments.min()))))

    def parts(self, size: int, *, most: int) -> list[np.ndarray]:
        """The places of test rows in windows of at least `size`: what a window without any change looks like."""
        places = np.flatnonzero(self.test)
        found = windows.cut(self.rows.groups[places], size, most=most)
        return [places[part] for part in found]

    def without(self, places: np.ndarray) -> Window:
        """The other rows, as `compared`."""
        return self._as_compared(np.setdiff1d(np.arange(len(self.rows)), places))

    @cached_property
    def compared(self) -> Window:
        """All rows, with losses of test rows alone: no production could live up to validation's."""
        return self._as_compared(np.arange(len(self.rows)))

    def _as_compared(self, places: np.ndarray) -> Window:
        rows, test = self.rows.take(places), self.test[places]
        known = test & np.isfinite(rows.losses)
        return replace(rows, losses=np.where(test, rows.losses, np.nan)) if known.any() else rows


def write(reference: Reference, folder: Path) -> list[Path]:
    """Write both files into `folder`."""
    rows = reference.rows
    columns: dict[str, pa.Array] = {}
    for name in rows.frame:
        values = rows.frame[name]
        kind = pa.float64() if values.dtype == np.float64 else pa.string()
        columns[FRAME + str(name)] = pa.array(values.to_numpy(), kind, from_pandas=kind == pa.string())
    outputs = rows.outputs if rows.outputs.ndim == 2 else rows.outputs.reshape(len(rows), -1)[:, :1]
    columns |= {f"{OUTPUT}{at}": pa.array(outputs[:, at].astype(np.float64)) for at in range(outputs.shape[1])}
    columns |= {"loss": pa.array(rows.losses), "group": pa.array(rows.groups.astype(np.int64)), "test": pa.array(reference.test)}
    if reference.moments is not None:
        columns["moment"] = pa.array(reference.moments.astype("datetime64[us]"))
    pq.write_table(pa.table(columns), folder / ROWS)
    facts = {name: getattr(reference, name) for name in ("figures", "importance", "group", "time", "ordered", "every", "clock")}
    facts["components"] = asdict(reference.components) if reference.components else None
    files.write_json(folder / FACTS, facts)
    return [folder / ROWS, folder / FACTS]


def read(folder: Path) -> Reference:
    """What `write` wrote.

    Raises:
        UserError: the package has none: it is of an earlier version of this project.
    """
    try:
        table = pq.read_table(folder / ROWS, use_threads=False)
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: the package has no rows to compare with ({ROWS}): register the model anew") from None
    names = [name for name in table.column_names if name.startswith(FRAME)]
    frame = pd.DataFrame({name.removeprefix(FRAME): _values(table[name]) for name in names}, index=range(len(table)))
    block = np.stack([table[name].to_numpy() for name in table.column_names if name.startswith(OUTPUT)], axis=1)
    outputs = block[:, 0] if block.shape[1] == 1 else block
    rows = Window(frame, outputs, table["loss"].to_numpy(), table["group"].to_numpy())
    told = facts.pop("components", None)  # which packages of before have not
    facts["components"] = Components.of(told) if told else None
    moments = table["moment"].to_numpy() if "moment" in table.column_names else None
    return Reference(rows, table["test"].to_numpy(zero_copy_only=False).astype(bool), moments=moments, **facts)


def _values(column: pa.ChunkedArray) -> Any:
    return column.to_numpy() if pa.types.is_floating(column.type) else np.array(column.to_pylist(), dtype=object)


def of_rows(fitted: Preprocessor, *, group: str | None, time: str | None) -> Reference:
    """The reference of validation and test, from what split and evaluate wrote."""
    tables = [paths.SPLIT / side / paths.ROWS for side in ("validation", "test")]
    outputs = np.concatenate([np.load(paths.VALIDATION_OUTPUTS, mmap_mode="r"), np.load(paths.OUTPUTS, mmap_mode="r")])
    light = set(fitted.all_columns) == set(fitted.columns)
    from pipeline.data.engine import ROW_ID, engine, read

    with engine() as backend:
        by = [name for name in (group, time) if name]
        heads = [backend.to_pandas(read(backend, table).select([ROW_ID, *by])) for table in tables]
        head = pd.concat(heads, ignore_index=True)
        if len(head) != len(outputs):
            raise ValueError(f"{len(outputs)} outputs of evaluate for {len(head)} rows of validation and test")
        saved = np.load(paths.EMBEDDINGS, mmap_mode="r") if embedding.worth(fitted) and paths.EMBEDDINGS.exists() else None
        share = np.arange(len(head)) if saved is None else embedding.places(len(head), len(saved))
        some, every = _chosen(head.iloc[share], group, time, MOST if light else HEAVY_MOST)
        places, every = share[some], every * round(len(head) / max(len(share), 1))
        chosen = backend.create_table("watched_ids", pa.table({ROW_ID: pa.array(head[ROW_ID].iloc[places], pa.string())}), temp=True)
        found = [backend.to_pandas(read(backend, table).semi_join(chosen, ROW_ID)) for table in tables]
        clean = pd.concat([part for part in found if len(part)], ignore_index=True).set_index(ROW_ID)
    clean = clean.loc[head[ROW_ID].iloc[places]].reset_index(drop=True)
    rows = windows.window(clean, np.asarray(outputs[places]), fitted, group=group)
    components = None if saved is None else embedding.fit(np.asarray(saved[some]))
    if components and saved is not None and not set(embedding.names()) & set(rows.frame):  # a column of the data has its name to itself
        rows = windows.with_columns(rows, components.columns(np.asarray(saved[some])))
    else:
        components = None
    whole = _with_facts(fitted, rows, places >= len(heads[0]), group=group, time=time, every=every)
    dates = [] if time else [str(name) for name in clean if pd.api.types.is_datetime64_any_dtype(clean[name].dtype)]
    moments = clean[dates[0]].to_numpy().astype("datetime64[us]") if len(dates) == 1 else None
    return replace(whole, components=components, clock=None if moments is None else dates[0], moments=moments)


def _chosen(head: pd.DataFrame, group: str | None, time: str | None, most: int) -> tuple[np.ndarray, int]:
    """The places of rows to keep, and the stride where they are in the order of time: whole groups, evenly in time, or any."""
    if time:
        order: np.ndarray = np.argsort(head[time].to_numpy(), kind="stable")
        every = -(-len(order) // most)
        return order[::every], every
    if group:
        codes = windows.codes(head[group])
        order = np.argsort(codes, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(codes[order])) + 1, len(order))
        return np.sort(order[: ends[max(int(np.searchsorted(ends, most, side="right")) - 1, 0)]]), 1
    share = min(1.0, most / max(len(head), 1))
    return np.flatnonzero(np.random.default_rng(0).permutation(len(head)) < share * len(head)), 1


def _with_facts(
    fitted: Preprocessor, rows: Window, test: np.ndarray, *, group: str | None = None, time: str | None = None, every: int = 1
) -> Reference:
    found = files.read_json(paths.METRICS.with_name("intervals.json"))
    main, interval = next(iter(found["models"]["network"].items()))
    losses = np.where(test, rows.losses, np.nan)
    loss = float(np.nanmean(losses)) if np.isfinite(losses).any() else None
    figures = {"metric": main, **{end: interval[end] for end in ("value", "low", "high")}, "loss": loss}
    figures |= {"higher_is_better": found["higher_is_better"][main], "rows": int(test.sum())}
    figures["loss_name"] = "log loss" if fitted.task in ("binary", "multiclass") else "squared error"
    figures = {name: None if isinstance(value, float) and value != value else value for name, value in figures.items()}
    kept = replace(rows, groups=np.arange(len(rows))) if time else rows
    return Reference(kept, test, figures, _importance(), group, time, bool(time), every)


def _importance() -> list[dict[str, Any]]:
    file = paths.METRICS.with_name("importance.csv")
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return [{name: value if name == "name" else float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def of_windows(fitted: Preprocessor, rows: Sequence[Window]) -> Reference:
    """The reference of a forecast: its windows on validation and on test."""
    validation, test = rows
    apart = int(validation.groups.max(initial=-1)) + 1  # no window of one side belongs with one of the other
    whole = windows.joined([validation, replace(test, groups=test.groups + apart)])
    places = np.arange(len(whole))
    return _with_facts(fitted, whole, places >= len(validation))
