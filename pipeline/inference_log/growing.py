"""The segments that a writer has open: one for all tables whose columns have the same types."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.inference_log import tables
from pipeline.inference_log.segments import Segment

FAMILIES = 8  # segments of unlike columns that grow at once


@dataclass
class _Family:
    """Tables whose columns have the same types, and where they are written at present."""

    schema: pa.Schema
    segment: Segment | None = None


class Growing:
    """Where tables are written, by one thread.

    Args:
        folder: of the log.
        segment_bytes: size from which a segment ends.
        segment_seconds: age from which it does.
        full: takes segments that have ended.
    """

    def __init__(self, folder: Path, segment_bytes: int, segment_seconds: float, full: Callable[[Segment], None]) -> None:
        self.folder, self.segment_bytes, self.segment_seconds, self.full = folder, segment_bytes, segment_seconds, full
        self._families = list[_Family]()
        self._doubtful: Segment | None = None

    def put(self, table: pa.Table) -> int:
        """Write the rows; they are on disk when this returns. Of how many bytes.

        Raises:
            OSError: the disk takes nothing; none of the rows is in the log, and the next call may try them again.
        """
        if self._doubtful:
            self._doubtful.rollback()
            self.full(self._doubtful)
            self._doubtful = None
        family = self._family(tables.plain(table.schema))
        if family.segment is None:
            family.segment = Segment(self.folder, family.schema)
        segment = family.segment
        before = segment.length
        # Nothing is ever appended behind an error: the segment ends at its last good byte, and another one begins.
        family.segment, self._doubtful = None, segment
        segment.write([batch for batch in tables.conformed(table, segment.schema).to_batches() if batch.num_rows])
        family.segment, self._doubtful = segment, None
        if segment.length >= self.segment_bytes:
            self._end(family)
        return segment.length - before

    def age(self) -> None:
        """End the segments that are too old."""
        for family in self._families:
            if family.segment and time.monotonic() - family.segment.born >= self.segment_seconds:
                self._end(family)

    def end(self) -> None:
        """End all segments."""
        for family in self._families:
            self._end(family)
        if self._doubtful:
            self.full(self._doubtful)
            self._doubtful = None

    def _family(self, schema: pa.Schema) -> _Family:
        """Where rows of such columns go; a segment that lacks a column or its type is ended."""
        for family in self._families:
            wide = tables.widened(family.schema, schema)
            if wide is None:
                continue
            if not wide.equals(family.schema):
                self._end(family)
                family.schema = wide
            return family
        if len(self._families) == FAMILIES:
            self._end(self._families.pop(0))
        self._families.append(_Family(schema))
        return self._families[-1]

    def _end(self, family: _Family) -> None:
        segment, family.segment = family.segment, None
        if segment:
            self.full(segment)
