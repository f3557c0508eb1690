"""What becomes of segments: full ones and dead writers' become Parquet, the oldest are removed when the limits ask for it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.inference_log import segments
from pipeline.inference_log.segments import Segment

SWEEP = 30.0  # seconds between two looks for dead writers' segments and those past the limits

log = logging.getLogger("pipeline")


class Keeper:
    """A thread beside a log's writer, which must not wait for Parquet; it starts with a sweep."""

    def __init__(self, folder: Path, keep_bytes: int | None, keep_seconds: float | None) -> None:
        self.folder, self.keep_bytes, self.keep_seconds = folder, keep_bytes, keep_seconds
        self.removed = self.recovered = 0
        self.error: str | None = None
        """Why a segment is not converted; its rows are readable all the same."""
        self._full = queue.SimpleQueue[Segment | None]()
        self._thread = threading.Thread(target=self._run, name="inference log segments", daemon=True)
        self._thread.start()

    def convert(self, segment: Segment) -> None:
        """Make it Parquet as soon as may be; nothing is written to it any more."""
        self._full.put(segment)

    def stop(self) -> None:
        """Convert what was given before, and end."""
        self._full.put(None)
        self._thread.join()

    def _run(self) -> None:
        next_sweep = time.monotonic()
        while True:
            if time.monotonic() >= next_sweep:
                self._sweep()
                next_sweep = time.monotonic() + SWEEP
            try:
                segment = self._full.get(timeout=max(0.0, next_sweep - time.monotonic()))
            except queue.Empty:
                continue
            if segment is None:
                return
            try:
                if segment.there():
                    segments.convert(segment.file)
                self._limit()
            except Exception as error:
                self._tell(f"{segment.file}: not converted to Parquet: {error}")
            finally:
                segment.release()  # the next sweep tries again what failed

    def _sweep(self) -> None:
        try:
            done, errors = segments.recover(self.folder)
            self.recovered += done
            self._limit()
            self._tell(errors[0] if errors else None)
        except Exception as error:
            self._tell(f"{self.folder}: {error}")

    def _tell(self, error: str | None) -> None:
        if error and error != self.error:
            log.error(f"inference log: {error}")
        self.error = error

    def _limit(self) -> None:
        if self.keep_bytes is None and self.keep_seconds is None:
            return
        now = datetime.now(UTC)
        closed = [(begun, file) for file in self.folder.glob(f"*{segments.CLOSED}") if (begun := segments.started(file))]
        sizes = {file: _size(file) for file in [*(file for _, file in closed), *self.folder.glob(f"*{segments.GROWING}")]}
        total = sum(sizes.values())
        for begun, file in sorted(closed):
            old = self.keep_seconds is not None and now - begun > timedelta(seconds=self.keep_seconds)
            large = self.keep_bytes is not None and total > self.keep_bytes
            if not (old or large):
                break
            try:
                file.unlink()
                self.removed += 1
            except FileNotFoundError:
                pass  # another process keeps the same limits
            total -= sizes[file]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
