"""One segment of the log: an Arrow stream while it grows, locked by its writer; Parquet of the same name from then on."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

GROWING, CLOSED, NEW = ".arrows", ".parquet", ".new"
GROUP_BYTES = 16_000_000  # of a Parquet row group; so much of a segment is held in memory while it is converted
STALE = 600.0  # seconds after which a temporary file has no living maker

log = logging.getLogger("pipeline")


def stem() -> str:
    """A name that sorts by time and is no other process's."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())[:40]
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{host}-{os.getpid()}-{secrets.token_hex(4)}"


def started(file: Path) -> datetime | None:
    """When a segment was begun, by its name; None where the name is no segment's."""
    try:
        return datetime.strptime(file.name.partition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _removed(file: Path) -> None:
    with suppress(OSError):
        file.unlink()


class Segment:
    """A growing segment of this process, which holds its lock until `release`.

    Raises:
        OSError: the disk takes nothing.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        name = stem()
        self.file, self.schema, self.born = folder / f"{name}{GROWING}", schema, time.monotonic()
        # Locked and with its schema before it has its name: nobody takes it for a dead writer's.
        fresh = folder / f".{name}{GROWING}{NEW}"
        self.descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with ExitStack() as failed:
            for left in (self.file, fresh):
                failed.callback(_removed, left)
            failed.callback(os.close, self.descriptor)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.length = self._append(schema.serialize())
            os.fsync(self.descriptor)
            os.rename(fresh, self.file)
            sync_folder(folder)
            failed.pop_all()

    def write(self, batches: list[pa.RecordBatch]) -> None:
        """Append batches; when this returns they are on disk. After an error nothing may be written, only `rollback`."""
        if not self.there():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.file))
        more = sum(self._append(batch.serialize()) for batch in batches)
        os.fdatasync(self.descriptor)
        self.length += more

    def _append(self, message: pa.Buffer) -> int:
        view = memoryview(message)
        while view:
            view = view[os.write(self.descriptor, view) :]
        return len(message)

    def there(self) -> bool:
        """Whether the file still has its name: an unlinked one takes bytes without an error, and loses them."""
        try:
            named, held = os.stat(self.file), os.fstat(self.descriptor)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    def rollback(self) -> None:
        """Cut off what an error left half written, on disk too, before its rows are written elsewhere: else they might come twice."""
        if self.there():
            os.ftruncate(self.descriptor, self.length)
            os.fsync(self.descriptor)

    def release(self) -> None:
        os.close(self.descriptor)


def complete(file: Path, *, told: bool = False) -> Iterator[pa.RecordBatch]:
    """The complete record batches of a growing or a dead segment; a torn tail is left out, `told` in the log.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the disk gives nothing.
    """
    with pa.OSFile(str(file)) as source:  # not mapped: a writer may cut its file while it is read
        try:
            stream = pa.ipc.open_stream(source)
            while True:
                batch = stream.read_next_batch()
                batch.validate(full=True)
                yield batch
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            if told:
                log.warning(f"{file}: its end, which was being written when the writer died, is left out: {error}")


def schema(file: Path) -> pa.Schema:
    """The schema of a segment of either kind; an empty one for a growing file without any."""
    if file.suffix == CLOSED:
        return pq.read_schema(file)
    with pa.OSFile(str(file)) as source:
        try:
            return pa.ipc.open_stream(source).schema
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            return pa.schema([])


def convert(file: Path) -> None:
    """Rewrite a growing segment, whose lock the caller holds, as Parquet, and remove it; one without rows is only removed."""
    target, fresh = file.with_suffix(CLOSED), file.with_name(f".{file.stem}{CLOSED}{NEW}")
    if not target.exists():  # else a crash came between the two names, and Parquet is whole
        try:
            if _parquet(file, fresh):
                os.rename(fresh, target)
                sync_folder(file.parent)
        finally:
            with suppress(OSError):
                fresh.unlink()
    file.unlink()
    sync_folder(file.parent)


def _parquet(file: Path, fresh: Path) -> int:
    writer, held, size, rows = None, list[pa.RecordBatch](), 0, 0
    with fresh.open("wb") as sink:
        try:
            for batch in complete(file, told=True):
                if writer is None:
                    writer = pq.ParquetWriter(sink, batch.schema, compression="zstd")
                held.append(batch)
                size, rows = size + batch.nbytes, rows + len(batch)
                if size >= GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(held))
                    held, size = [], 0
            if writer is not None and held:
                writer.write_table(pa.Table.from_batches(held))
        finally:
            if writer is not None:
                writer.close()
        sink.flush()
        os.fsync(sink.fileno())
    return rows


@contextmanager
def owned(file: Path) -> Iterator[bool]:
    """Whether the segment is a dead writer's; if so it is this process's alone inside the block."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another one may have converted and removed it between the two steps: then the lock is on a nameless file.
            mine = file.exists() and os.stat(file).st_ino == os.fstat(descriptor).st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        yield mine
    finally:
        os.close(descriptor)


def recover(folder: Path) -> tuple[int, list[str]]:
    """Convert dead writers' segments; how many, and what went wrong with others, in words."""
    done, errors = 0, []
    for file in sorted(folder.glob(f"*{GROWING}")):
        try:
            with owned(file) as mine:
                if mine:
                    convert(file)
                    done += 1
        except (OSError, pa.ArrowException, MemoryError) as error:
            errors.append(f"{file}: not converted to Parquet: {error}")
    for left in folder.glob(f".*{NEW}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE and not left.with_name(left.name[1:].split(CLOSED)[0] + GROWING).exists():
                left.unlink()
    return done, errors
