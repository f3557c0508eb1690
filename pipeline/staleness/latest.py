"""What came of the latest runs: the last training, the champion, the last windows that were watched, and what waits to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import files, paths
from pipeline.health import locks, places
from pipeline.history.comparing import main_metric
from pipeline.history.tables import measured
from pipeline.tracking import glance, store
from pipeline.tracking.journal import Journal, all_of
from pipeline.tracking.reading import Found


@dataclass(frozen=True)
class Run:
    """The last training of this machine; without a journal, that of models/run.json."""

    key: str
    name: str
    status: str
    started: int
    result: str
    """The main test metric with its interval; empty before evaluate."""


@dataclass(frozen=True)
class Champion:
    """Which version holds the alias; `unknown` says why that cannot be told."""

    model: str
    alias: str
    version: int | None = None
    since: str = ""
    who: str = ""
    why: str = ""
    result: str = ""
    unknown: str = ""


@dataclass(frozen=True)
class Watched:
    """The last verdict on windows of production."""

    source: str
    state: str | None
    since: str | None
    alarmed: bool
    windows: int
    last: str | None
    page: str
    at: int
    """When it was written, ms since 1970."""


def last_run() -> Run | None:
    """The newest training that this project's state tells of."""
    journals = [one for one in all_of(store.meant()) if one.head["tags"].get("stage") == "train"] if places.has_state() else []
    if journals:
        journal = journals[-1]
        head, status = journal.head, "RUNNING"
        metrics: dict[str, float] = {}
        for event, _ in journal.events():
            metrics |= event.get("metrics", {})
            status = event.get("status", status)
        if status == "RUNNING" and not _at_work(journal):
            status = "KILLED"
        return Run(journal.key, head["tags"].get("mlflow.runName", ""), status.lower(), head["started"], result(metrics))
    if not paths.RUN.exists():
        return None
    told = files.read_json(paths.RUN)
    return Run(told["run"], told["tags"].get("mlflow.runName", ""), "finished", told["started"], "")


def commit_of_last_run() -> list[str]:
    """The commit at which models/ was trained."""
    try:
        return [files.read_json(paths.RUN)["tags"]["git.commit"]]
    except (OSError, ValueError, KeyError):
        return []


def unsent() -> int:
    """Runs of which the store lacks something, and whose process is not at work on it."""
    journals = all_of(store.meant()) if places.has_state() else []
    return sum(1 for one in journals if not _is_sent(one) and not _at_work(one))


def _at_work(journal: Journal) -> bool:
    """Whether a process writes the journal; where the system does not tell of locks, one that is not over counts as written."""
    if not locks.LOCKS.exists():
        return bool(journal.last("status") == "RUNNING")
    return bool(locks.holders(paths.state_folder() / "locks" / f"run-{journal.key}.lock"))


def _is_sent(journal: Journal) -> bool:
    sent = journal.sent
    return bool(sent["run_id"]) and sent["at"] >= journal.size


def champion(model: str, alias: str) -> Champion:
    """Who holds the alias now, as the store has it."""
    try:
        found = glance.holder(places.store(), model, alias)
    except glance.Away as error:
        return Champion(model, alias, unknown=str(error))
    if found is None:
        return Champion(model, alias)
    return Champion(model, alias, found.version, found.since, found.who, found.why, result(found.metrics))


def watched() -> Watched | None:
    """The newest verdict: on a deployed model (reports/production), else on the rehearsal (reports/monitor)."""
    live = sorted((paths.REPORTS / "production").glob("*/summary.json"), key=lambda file: file.stat().st_mtime)
    file = live[-1] if live else paths.MONITORED
    if not file.exists():
        return None
    told: dict[str, Any] = files.read_json(file)
    windows = [one for one in told["windows"] if one["kind"] == "production"]
    source = f"{told['model']['name']} version {told['model']['version']}, {told['source']}" if live else str(told["source"])
    last = str(windows[-1]["window"]) if windows else None
    page = file.with_name("index.html").as_posix()
    return Watched(source, told["state"], told["since"], told["alarmed"], len(windows), last, page, _modified(file))


def checkpoint() -> int | None:
    """When a training that did not come to its end left its last checkpoint, ms since 1970."""
    times = [_modified(file) for file in (paths.state_folder() / "checkpoints").rglob("*") if file.is_file() and file.suffix != ".lock"]
    return max(times, default=None)


def result(metrics: Mapping[str, float]) -> str:
    """The main test metric with its interval, in words."""
    tested = dict(sorted(metrics.items()))
    one = Found("", None, "", "", "", 0, None, {}, tested, {}, (), True)
    return measured(one, lead, named=True) if (lead := main_metric(one)) else ""


def since(moment: str) -> datetime | None:
    """A moment of the registry as a time."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC)
    except ValueError:
        return None


def _modified(file: Path) -> int:
    return int(file.stat().st_mtime * 1000)
