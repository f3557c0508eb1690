"""The rows of an inference log as a table like the training source: what one trains on again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.batch import writing
from pipeline.errors import UserError
from pipeline.inference_log import reading, tables

INPUT, KEY = "input.", "key."
log = logging.getLogger("pipeline")


@dataclass(frozen=True)
class Exported:
    """What was written: its rows, and the rows of that time without a label, which are among them or left out."""

    rows: int
    unlabelled: int
    whole: bool
    """Whether rows without a label were asked for too."""

    def __str__(self) -> str:
        told = f"{self.rows:,} rows written"
        if not self.unlabelled:
            return told
        return f"{told}, {self.unlabelled:,} of them without a label" if self.whole else f"{told}; {self.unlabelled:,} have no label yet"


def export(
    folder: Path,
    out: Path,
    *,
    target: str,
    since: datetime | None = None,
    until: datetime | None = None,
    whole: bool = False,
    hidden: Sequence[str] = (),
    force: bool = False,
) -> Exported:
    """Write the rows of a log, a part of a segment at a time: the model's columns, those kept beside them, and the label.

    Values are as they came in the requests (texts for a model that learnt from texts).  Rows stand in the order of the log's segments.

    Args:
        folder: of the log.
        out: a .parquet, .csv or .jsonl, which appears whole or not at all.
        target: the name that the label gets; a column of that name in the requests is left out.
        since: arrival from which rows are wanted; a time without a zone is UTC.
        until: arrival before which they are.
        whole: rows without a label too; they have null there.
        hidden: columns of which the log holds hashes: they are left out, and told of.
        force: replace `out`.

    Raises:
        UserError: there is no such log, no such row, or `out` is there already or cannot be written.
    """
    names = columns(tables.common(reading.schemas(folder)), target, hidden)
    writing.check(folder, out, force)
    if left := [name for name in hidden if any(prefix + name in _names(folder) for prefix in (INPUT, KEY))]:
        log.warning("%s: left out, since the log holds no values but hashes of them: %s", out, ", ".join(left))
    rows = unlabelled = 0
    with writing.output(out) as write:
        for part in reading.batches(folder, since=since, until=until, columns=list(names)):
            unlabelled += part["label"].null_count
            some = part if whole else part.filter(pc.is_valid(part["label"]))
            if len(some):
                write(_table(some, names, target))
                rows += len(some)
        if not rows:
            what = f"no row{'' if whole else ' with a label'}" + (" of that time" if since or until else "")
            without = f"; {unlabelled:,} have none yet: `pipeline label` gives it, --all takes them as they are" if unlabelled else ""
            raise UserError(f"{folder}: {what}{without}")
    return Exported(rows, unlabelled, whole)


def columns(schema: pa.Schema, target: str, hidden: Sequence[str] = ()) -> dict[str, str]:
    """Column of the log to the name it gets: those of the model first, then those kept beside them that it lacks."""
    found: dict[str, str] = {}
    for prefix in (INPUT, KEY):
        for name in schema.names:
            plain = name.removeprefix(prefix)
            if name.startswith(prefix) and plain != target and plain not in hidden and plain not in found.values():
                found[name] = plain
    return found


def _names(folder: Path) -> set[str]:
    return {name for schema in reading.schemas(folder) for name in schema.names}


def _table(part: pa.Table, names: dict[str, str], target: str) -> pa.Table:
    kept = part.select(list(names)).rename_columns(list(names.values()))
    for at, field in enumerate(kept.schema):
        if pa.types.is_null(field.type):  # a column that never had a value; no format keeps a column without a type
            kept = kept.set_column(at, field.name, kept.column(at).cast(pa.string()))
    return kept.append_column(target, part["label"])
