"""Rows of the inference log, made of what was asked and answered: beside the answering, many requests at once."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa

from pipeline.config import ServeParams
from pipeline.inference_log.writing import Log, LogFull
from pipeline.packaging import ARROW, NOTES
from pipeline.serving import forms
from pipeline.serving.about import About

PAUSE = 0.1  # seconds in which rows gather
log = logging.getLogger("pipeline")
DIGEST = 16  # bytes of a hashed value


@dataclass(frozen=True)
class Request:
    """A request whose rows were answered: its id and the moment it came, in ns since 1970."""

    id: str
    arrived: int


@dataclass(frozen=True)
class Entry:
    """Rows of requests that were answered together, at the moment `done`; `spans` has the places of each one's rows in its request."""

    about: About
    requests: Sequence[Request]
    spans: Sequence[range]
    rows: pa.Table
    answer: pa.Table
    done: int


class Recorder:
    """Takes entries at once and gives them to a log a little later, from a thread of its own.

    Args:
        secret: the key of the hash of columns that are not to be stored.
    """

    def __init__(self, log: Log, params: ServeParams, secret: bytes) -> None:
        self.log, self.params, self.secret = log, params, secret
        self.full = False
        """Whether as much waits for the disk as may; what else comes is lost, or not to be answered."""
        self.lost = 0
        """Rows that were answered and could not be kept."""
        self._entries = deque[Entry]()
        self._held = list[pa.Table]()  # that a full log has not taken
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference log rows", daemon=True)
        self._thread.start()

    def add(self, entry: Entry) -> None:
        """Take an entry; at most PAUSE seconds later the log has it."""
        self._entries.append(entry)

    def close(self) -> None:
        """Write what is left and close the log."""
        self._stopped.set()
        self._thread.join()
        if left := sum(map(len, self._held)):
            self.lost += left
            log.error("the inference log took nothing until the end: %d rows that were answered are lost", left)
        self.log.close()

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stopped.wait(PAUSE)
            entries = [self._entries.popleft() for _ in range(len(self._entries))]
            try:
                self._held += tables(entries, self.params, self.secret)
                self._give()
            except Exception:  # the thread must live: later rows may be fine
                self.lost += sum(len(span) for entry in entries for span in entry.spans)
                log.exception("rows of the inference log are lost")

    def _give(self) -> None:
        while self._held:
            try:
                self.log.add(self._held[0])
            except LogFull as full:
                if not self.full:
                    log.error("%s", full)
                self.full = True
                if self.params.unlogged == "answer":
                    self.lost += sum(map(len, self._held))
                    self._held.clear()
                return
            self._held.pop(0)
        self.full = False


def tables(entries: Sequence[Entry], params: ServeParams, secret: bytes) -> Iterator[pa.Table]:
    """Rows of the log for entries, one table for those of the same package and columns that follow one another."""
    for _, alike in groupby(entries, lambda entry: (id(entry.about), entry.rows.schema)):
        yield _table(list(alike), params, secret)


def _table(entries: Sequence[Entry], params: ServeParams, secret: bytes) -> pa.Table:
    about, private = entries[0].about, [*params.hashed, *params.omitted]
    rows = pa.concat_tables([entry.rows for entry in entries])
    answer = pa.concat_tables([entry.answer for entry in entries], promote_options="permissive")
    read, unread = forms.unread(rows.select(about.columns), about)
    asked = {f"input.{name}": column for name, column in zip(read.column_names, read.columns, strict=True) if name not in params.omitted}
    for name in params.hashed:
        if (place := f"input.{name}") in asked:
            asked[place] = hashed(asked[place], secret)
    asked |= {"unread": _without(unread, private)} | {f"key.{name}": rows[name] for name in params.keep if name in rows.column_names}
    told = {name if name in NOTES else f"output.{name}": _told(answer[name], about.outputs.get(name)) for name in answer.column_names}
    for name in about.keys:
        if name in params.omitted:
            told.pop(f"output.{name}", None)
        elif name in params.hashed:
            told[f"output.{name}"] = hashed(answer[name], secret)
    for name in NOTES:
        if name in told:
            told[name] = _discreet(told[name], private)
    if not about.whole:
        places = [np.asarray(span) for entry in entries for span in entry.spans]
        return pa.table(_heads(entries, places) | asked | told)
    before = pa.table(_heads(entries, [np.arange(-len(entry.rows), 0) for entry in entries]) | asked)
    after = pa.table(_heads(entries, [np.arange(len(entry.answer)) for entry in entries]) | told)
    return pa.concat_tables([before, after], promote_options="default")


def _heads(entries: Sequence[Entry], places: Sequence[np.ndarray]) -> dict[str, pa.Array]:
    """What each row has of its request; `places` has its rows' places for each request."""
    counts = [len(one) for one in places]
    each = [(request, entry.done) for entry in entries for request in entry.requests]
    arrived = np.array([request.arrived for request, _ in each], np.int64)
    seconds = (np.array([done for _, done in each], np.int64) - arrived) / 1e9
    total, about = sum(counts), entries[0].about
    return {
        "request_id": pa.array(np.repeat(np.array([request.id for request, _ in each], object), counts), pa.string()),
        "row": pa.array(np.concatenate(places), pa.int32()),
        "time": pa.array(np.repeat(arrived // 1000, counts), pa.timestamp("us", "UTC")),
        "model": pa.repeat(about.name, total),
        "version": pa.repeat(about.version, total),
        "seconds": pa.array(np.repeat(seconds, counts)),
    }


def hashed(column: pa.ChunkedArray, secret: bytes) -> pa.Array:
    """A keyed hash of each value's text: equal values stay equal, and nobody without the key can try values out."""
    values = [None if value is None else value if isinstance(value, bytes) else str(value).encode() for value in column.to_pylist()]
    digests = {value: hashlib.blake2b(value, digest_size=DIGEST, key=secret).hexdigest() for value in set(values) if value is not None}
    return pa.array([None if value is None else digests[value] for value in values], pa.string())


def _told(column: pa.ChunkedArray, kind: str | None) -> pa.ChunkedArray:
    """The column, typed where none of its values is there: the log's columns keep their types."""
    return column.cast(ARROW.get(kind or "", pa.null())) if pa.types.is_null(column.type) else column


def _without(unread: pa.Array, private: Sequence[str]) -> pa.Array:
    """JSON texts without the values of some columns."""
    if not private or unread.null_count == len(unread):
        return unread
    left = [{key: value for key, value in json.loads(text or "{}").items() if key not in private} for text in unread.to_pylist()]
    return pa.array([json.dumps(one, ensure_ascii=False) if one else None for one in left], pa.string())


def _discreet(notes: pa.ChunkedArray, private: Sequence[str]) -> pa.ChunkedArray | pa.Array:
    """Notes without those that may show a value of a column which is not to be stored."""
    if not private or notes.null_count == len(notes):
        return notes
    texts = [text if text is None or not any(name in text for name in private) else "not stored" for text in notes.to_pylist()]
    return pa.array(texts, pa.string())
