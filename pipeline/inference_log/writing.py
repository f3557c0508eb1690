"""The log that a server adds its answers to: kept in memory for a moment, written by a thread, on disk from then on.

with closing(Log(Path("log"))) as log:
    log.add(table)
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from pathlib import Path

import pyarrow as pa

from pipeline.inference_log import tables
from pipeline.inference_log.growing import Growing
from pipeline.inference_log.keeping import Keeper
from pipeline.inference_log.segments import sync_folder

EAGER = 16_000_000  # waiting bytes that are written without waiting for the next flush
SAMPLE = 32  # small tables of which one is measured: that takes 50 microseconds, all else in `add` one or two
LAST = 10.0  # seconds that close() tries to write what waits

log = logging.getLogger("pipeline")


class LogFull(Exception):
    """More waits to be written than may; the rows were not taken."""


class Log:
    """Rows into a folder of segments, which any number of processes may share.

    `add` takes any table whose columns each have one type besides null; columns may come and go. Threads do not
    live through a fork: a server that forks makes its log afterwards.

    Args:
        folder: made if it is not there. One that vanishes later is not made again: it may be a disk that is gone.
        flush: seconds until rows are on disk.
        segment_bytes: size from which a segment becomes Parquet.
        segment_seconds: age from which it does.
        keep_bytes: of all segments; beyond, the oldest closed ones are removed.
        keep_seconds: age, by its name, from which a closed segment is removed.
        waiting_bytes: that may wait in memory while the disk takes nothing.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        flush: float = 0.5,
        segment_bytes: int = 64_000_000,
        segment_seconds: float = 3600.0,
        keep_bytes: int | None = None,
        keep_seconds: float | None = None,
        waiting_bytes: int = 256_000_000,
    ) -> None:
        self.folder = folder
        self.rows = 0
        """Rows written."""
        self.bytes = 0
        """Bytes written, as the growing segments have them."""
        self._every, self._waiting_bytes = flush, waiting_bytes
        self._state = threading.Condition()
        self._new = list[pa.Table]()
        self._new_bytes = self._added = self._written = self._small = 0
        self._row_bytes = 1000.0  # of a small table's row, until one is measured
        self._held = list[pa.Table]()  # taken by the writer, not yet on disk
        self._held_bytes = self._waiting = 0
        self._error: str | None = None
        self._closing = self._closed = self._wanted = False
        made = [part for part in (folder, *folder.parents) if not part.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for part in made:
            sync_folder(part.parent)
        self._writer = threading.Thread(target=self._write_always, name="inference log", daemon=True)
        self._keeper = Keeper(folder, keep_bytes, keep_seconds)
        self._growing = Growing(folder, segment_bytes, segment_seconds, self._keeper.convert)
        self._writer.start()
        atexit.register(self.close)

    @property
    def failing(self) -> str | None:
        """Why the disk takes nothing, or a segment is not converted, at present; None when all is well."""
        return self._error or self._keeper.error

    @property
    def waiting(self) -> int:
        """Rows that are not on disk yet."""
        return self._waiting

    @property
    def removed(self) -> int:
        """Segments removed for the limits."""
        return self._keeper.removed

    @property
    def recovered(self) -> int:
        """Segments of dead writers made Parquet."""
        return self._keeper.recovered

    def add(self, table: pa.Table) -> None:
        """Take rows; microseconds, whatever the disk does.

        Raises:
            LogFull: more than `waiting_bytes` wait; these rows were not taken.
            ValueError: the log is closed.
        """
        rows = table.num_rows
        if not rows:
            return
        with self._state:
            if self._closing:
                raise ValueError(f"{self.folder}: the log is closed")
            self._small += rows < SAMPLE
            if rows >= SAMPLE:
                size = float(table.get_total_buffer_size())
            elif self._small % SAMPLE == 1:
                size = float(table.get_total_buffer_size())
                self._row_bytes = size / rows
            else:
                size = self._row_bytes * rows
            if self._new_bytes + self._held_bytes + size > self._waiting_bytes:
                raise LogFull(f"{self.folder}: {self._waiting:,} rows wait: {self.failing or 'they come faster than the disk writes'}")
            self._new.append(table)
            self._new_bytes += int(size)
            self._added += 1
            self._waiting += rows
            if self._new_bytes > EAGER and not self._wanted:
                self._wake()

    def _wake(self) -> None:
        self._wanted = True
        self._state.notify_all()

    def flush(self, timeout: float | None = None) -> None:
        """Block until all that was added before is on disk.

        Raises:
            TimeoutError: it is not after `timeout` seconds.
        """
        with self._state:
            added = self._added
            self._wake()
            if not self._state.wait_for(lambda: self._written >= added or self._closed, timeout) or self._written < added:
                raise TimeoutError(f"{self.folder}: {self._waiting:,} rows are not on disk: {self.failing}")

    def close(self) -> None:
        """Write what waits, make the segments Parquet and stop. Rows that the disk does not take are lost, and the log says so."""
        with self._state:
            self._closing = True
            self._wake()
        self._writer.join()
        self._keeper.stop()
        atexit.unregister(self.close)

    def _write_always(self) -> None:
        deadline = None
        while True:
            with self._state:
                self._state.wait_for(lambda: self._wanted, self._every)
                self._wanted, closing = False, self._closing
            failed = self._try()
            if closing:
                deadline = deadline or time.monotonic() + LAST
                if not failed or time.monotonic() > deadline:
                    break
                time.sleep(min(self._every, 0.2))
                with self._state:
                    self._wanted = True
        if self._waiting:
            log.error(f"{self.folder}: {self._waiting:,} rows of the inference log are lost: {self._error}")
        self._growing.end()
        with self._state:
            self._closed = True
            self._state.notify_all()

    def _try(self) -> str | None:
        """Write what waits; what stood in the way, if something did."""
        try:
            self._write()
            self._growing.age()
            return None
        except Exception as problem:  # whatever it is: rows stay in memory, and the thread lives
            # without the file's name, which is another one at each attempt: told once
            error = f"{self.folder}: {(isinstance(problem, OSError) and problem.strerror) or problem}"
            if error != self._error:
                log.error(f"inference log: {error}", exc_info=not isinstance(problem, OSError))
            self._error = error
            return error

    def _write(self) -> None:
        with self._state:
            taken, self._new = self._new, []
            added, estimated, self._new_bytes = self._added, self._new_bytes, 0
            self._held_bytes += estimated
        # What an error kept is put together as well: else an hour's failure would be thousands of batches.
        small = [table for table in self._held if table.nbytes < EAGER]
        large = [table for table in self._held if table.nbytes >= EAGER]
        self._held = [*large, *small, *taken]
        if small or taken:
            self._held = [*large, *tables.joined([*small, *taken])]
        self._weigh()
        while self._held:
            self.bytes += self._growing.put(self._held[0])
            rows = self._held.pop(0).num_rows
            self.rows += rows
            self._weigh(rows)
        if self._error:
            log.warning(f"inference log: {self.folder}: written again")
        with self._state:
            self._error = None  # before those wake who wait
            self._written = added
            self._state.notify_all()

    def _weigh(self, written: int = 0) -> None:
        size = sum(table.get_total_buffer_size() for table in self._held)
        with self._state:
            self._held_bytes = size
            self._waiting -= written
