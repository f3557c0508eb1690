"""A run's journal: all that it holds, in files, in the order in which it came, before any store hears of it.

A journal lies in `.state/runs/<key>/`: `run.json` (what the run is), `events.jsonl` (an event a line), `files/` (copies of files that
the store has not got yet) and `sent.json` (how far the store has come).  A line that a killed process left half written counts as
never written.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import files, lineage, paths
from pipeline.secrets import holds_secret, without_secrets

TEXTS = {".yaml", ".json", ".lock", ".txt", ".diff"}
LONGEST = 2_000_000  # bytes of a text that is searched for secrets


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Journal:
    """The files of one run; whoever holds the lock `run-<key>` writes them, and the process beside it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.folder = paths.state() / "runs" / key
        self._events = self.folder / "events.jsonl"
        self._writing = threading.Lock()

    @classmethod
    def begin(cls, key: str, *, store: str, experiment: str, tags: Mapping[str, str], started: int | None = None) -> Journal:
        """The journal of that key, begun where there is none.

        Args:
            store: what store the run is meant for, without passwords.
            started: ms since 1970, by default now.
        """
        made = cls(key)
        if not made.exists():
            made.head = {"store": store, "experiment": experiment, "tags": dict(tags), "started": started or now()}
        return made

    def exists(self) -> bool:
        """Whether the journal was begun."""
        return (self.folder / "run.json").exists()

    @property
    def head(self) -> dict[str, Any]:
        """What the run is: store, experiment, tags, started (ms since 1970)."""
        found: dict[str, Any] = files.read_json(self.folder / "run.json")
        return found

    @head.setter
    def head(self, found: Mapping[str, Any]) -> None:
        files.write_json(self.folder / "run.json", found)

    def add(self, **event: Any) -> None:
        """Write an event; it is on its way to the disk when this returns."""
        line = json.dumps(event, ensure_ascii=False).encode() + b"\n"
        with self._writing, self._events.open("a+b", buffering=0) as out:
            fcntl.flock(out, fcntl.LOCK_EX)  # the process beside a training writes, too
            if out.seek(0, os.SEEK_END) and _cut_off(out):
                out.truncate(_end_of_lines(self._events))
            out.write(line)

    def add_file(self, file: Path, to: str | None) -> None:
        """Keep a copy of a file until the store has it, under `to` (a folder)."""
        copy = self._kept(file.name)
        _copy(file, copy)
        self.add(file=copy.relative_to(self.folder).as_posix(), to=to, origin=file.as_posix(), digest=lineage.digest([copy]))

    def add_folder(self, folder: Path, **event: Any) -> None:
        """Write an event whose `folder` is a copy, kept until the store has it."""
        copy = self._kept(folder.name)
        shutil.copytree(folder, copy)
        self.add(**event, folder=copy.relative_to(self.folder).as_posix(), origin=folder.as_posix(), content=_content(copy))

    def _kept(self, name: str) -> Path:
        copy = self.folder / "files" / uuid.uuid4().hex[:12] / name
        copy.parent.mkdir(parents=True)
        return copy

    def kept(self, event: Mapping[str, Any]) -> Path | None:
        """The file of an event of `add_file`: its copy, or where it came from if that still holds the same."""
        copy, origin = self.folder / event["file"], Path(event["origin"])
        if copy.exists():
            return copy
        return origin if origin.is_file() and lineage.digest([origin]) == event["digest"] else None

    def kept_folder(self, event: Mapping[str, Any]) -> Path | None:
        """The folder of an event of `add_folder`: its copy, or where it came from if that still holds the same."""
        if (copy := self.folder / event["folder"]).is_dir():
            return copy
        origin = Path(event.get("origin", copy))  # journals of an earlier version name none
        return origin if origin.is_dir() and _content(origin) == event["content"] else None

    def forget(self, event: Mapping[str, Any]) -> None:
        """Remove the copy that an event holds: the store has it."""
        copy = self.folder / (event.get("file") or event["folder"])
        shutil.rmtree(copy.parent, ignore_errors=True)

    def events(self, start: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
        """Events from the byte `start` on, each with the byte after it."""
        if not self._events.exists():
            return
        with self._events.open("rb") as stream:
            stream.seek(start)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                start += len(line)
                yield json.loads(line), start

    @property
    def size(self) -> int:
        """Bytes of events."""
        return self._events.stat().st_size if self._events.exists() else 0

    @property
    def sent(self) -> dict[str, Any]:
        """How far the store has come: run_id, `at` (the byte up to which it has the events), and what else sending must know."""
        file = self.folder / "sent.json"
        found: dict[str, Any] = files.read_json(file) if file.exists() else {}
        return {"run_id": None, "at": 0, **found}

    @sent.setter
    def sent(self, found: Mapping[str, Any]) -> None:
        files.write_json(self.folder / "sent.json", found)

    def last(self, kind: str) -> Any:
        """The value of the last event of a kind, None where there is none."""
        return next((event[kind] for event in reversed([e for e, _ in self.events()]) if kind in event), None)


def all_of(store: str) -> list[Journal]:
    """The journals meant for a store, the oldest first."""
    found = [Journal(folder.name) for folder in (paths.state() / "runs").glob("*") if (folder / "run.json").exists()]
    heads = {journal.key: journal.head for journal in found}
    return sorted((j for j in found if heads[j.key]["store"] == store), key=lambda j: (heads[j.key]["started"], j.key))


def _copy(file: Path, copy: Path) -> None:
    """Copy a file, without the secrets that a text may hold."""
    if file.suffix in TEXTS and file.stat().st_size < LONGEST and holds_secret(text := file.read_text(encoding="utf-8", errors="replace")):
        copy.write_text(without_secrets(text), encoding="utf-8")
    else:
        shutil.copyfile(file, copy)


def _content(folder: Path) -> str:
    """The digest of the files in a folder, and of their names."""
    there = sorted(file for file in folder.rglob("*") if file.is_file())
    return lineage.text_digest(lineage.digest(there) + "".join(file.relative_to(folder).as_posix() for file in there))


def _cut_off(out: Any) -> bool:
    out.seek(-1, os.SEEK_END)
    return bool(out.read(1) != b"\n")


def _end_of_lines(file: Path) -> int:
    return file.read_bytes().rfind(b"\n") + 1
