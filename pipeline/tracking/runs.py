"""Runs as a stage sees them: what it tells a run is written to the run's journal at once, and to the store beside the stage's work."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline import files, paths, resources
from pipeline.secrets import without_secrets
from pipeline.tracking import store
from pipeline.tracking.companion import Companion
from pipeline.tracking.journal import Journal, now
from pipeline.tracking.sending import Sender

log = logging.getLogger(__name__)
TRACKED = "tracked.json"
CLOCKED = ("seconds", "system/")  # metrics that differ from one run of the same to the next
STAGES = ("train", "evaluate", "monitor")  # those that tell a run something
OWN = {"mlflow.source.name": "pipeline train"}
LONGEST = 6000  # characters of a param, the most that MLflow takes


@dataclass(frozen=True)
class DataInput:
    """A dataset as a run's input: where it came from, its digest, what it is made of, and what it was used for."""

    name: str
    source: str
    digest: str
    context: str
    profile: Mapping[str, Any] = field(default_factory=dict)
    """Counts, such as rows."""
    schema: str | None = None
    """Columns and their kinds, as JSON."""


class Run:
    """A run whose journal this process may write."""

    def __init__(self, journal: Journal, sender: Sender | Companion, about: str = "") -> None:
        self.journal, self.about, self._sender = journal, about, sender
        self._seen = {(name, e["step"]): value for e, _ in journal.events() if "metrics" in e for name, value in e["metrics"].items()}
        self._told: dict[str, Any] = {"params": {}, "metrics": [], "tags": {}, "inputs": [], "files": []}

    @property
    def key(self) -> str:
        """The run's own name, known before any store has heard of it."""
        return self.journal.key

    @property
    def id(self) -> str | None:
        """The run's id in MLflow; None where the store has not heard of it yet."""
        found: str | None = self.journal.sent["run_id"]
        return found

    def settle(self) -> str | None:
        """The run's id in MLflow, for which the store is given a moment."""
        self._sender.settle()
        return self.id

    def params(self, sections: Mapping[str, Any]) -> None:
        """Log the keys of each section as `section.key`, and plain values as they are."""
        flat: dict[str, Any] = {}
        for name, section in sections.items():
            values = section.model_dump(mode="json", by_alias=True) if hasattr(section, "model_dump") else None
            flat |= {name: section} if values is None else {f"{name}.{key}": value for key, value in values.items()}
        self.add(params={key: without_secrets(str(value))[:LONGEST] for key, value in flat.items()})

    def inputs(self, inputs: Iterable[DataInput]) -> None:
        """Log datasets."""
        self.add(inputs=[{**asdict(one), "source": without_secrets(one.source)} for one in inputs])

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Log those values that are numbers, at `step` (the epoch); what a resumed or repeated stage tells again is there already."""
        numbers = {key: float(value) for key, value in values.items() if value is not None and value == value}
        again = {k for k, v in numbers.items() if (k, step) in self._seen and (self._seen[k, step] == v or k.startswith(CLOCKED))}
        if fresh := {key: value for key, value in numbers.items() if key not in again}:
            self._seen |= {(key, step): value for key, value in fresh.items()}
            self.add(metrics=fresh, step=step, time=now())

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self.add(tags={key: without_secrets(value) for key, value in tags.items()})

    def files(self, files: Iterable[Path], folder: str | None = None) -> None:
        """Copy files, or folders with what is in them, into the run's artifacts."""
        for file in files:
            for one in sorted(f for f in file.rglob("*") if f.is_file()) if file.is_dir() else [file]:
                within = one.parent.relative_to(file.parent).as_posix() if file.is_dir() else ""
                to = "/".join(part for part in (folder, within) if part)
                self.journal.add_file(one, to or None)
                self._told["files"].append([one.as_posix(), to or None])
        self._sender.poke()

    def version(self, package: Path, *, name: str, digest: str, alias: str | None, **judged: Any) -> None:
        """Register a package under a name unless a version with this digest is there; see `registry.register`."""
        self.journal.add_folder(package, version={"name": name, "digest": digest, "alias": alias, **judged})
        self._sender.poke()

    def status(self, status: str) -> None:
        """RUNNING, FINISHED, FAILED or KILLED."""
        self.journal.add(status=status, time=now())
        self._sender.poke()

    def version_of(self, digest: str) -> int | None:
        """The number of the registered version with that digest; None where the store has not got it yet."""
        found: int | None = self.journal.sent.get("versions", {}).get(digest)
        return found

    def save(self, folder: Path) -> None:
        """Write what this process told the run to `folder`: from it the run can be made anew where store and journal are gone."""
        files.write_json(folder / TRACKED, self._told)

    def close(self) -> None:
        """Let the store have the rest; where it is away, one warning says what will become of it."""
        if not self._sender.close():
            what = store.shown(), self._sender.failure, self.key
            log.warning("MLflow store %s is away (%s); run %s is complete in files, and the next stage or `pipeline sync` sends it", *what)

    def add(self, **event: Any) -> None:
        """Write an event of any kind."""
        self.journal.add(**event)
        self._sender.poke()
        for kind in ("params", "tags"):
            self._told[kind] |= event.get(kind, {})
        self._told["inputs"] += event.get("inputs", [])
        for name, value in event.get("metrics", {}).items():
            if not name.startswith(CLOCKED):
                self._told["metrics"].append([name, event["step"], value])


@contextmanager
def training(name: str, marker: Path, tags: Mapping[str, str]) -> Iterator[Run]:
    """A run in experiment `name` while the block lasts, with the system's metrics; closed as FINISHED, FAILED or KILLED.

    Args:
        marker: file that remembers the run, so that a training resumed after a kill goes on in the same run.
    """
    key = marker.read_text() if marker.exists() else ""
    if not key or not Journal(key).exists():
        key = uuid.uuid4().hex
    with store.lock(f"run-{key}"):
        journal = Journal.begin(key, store=store.meant(), experiment=name, tags=shown({**OWN, **tags}))
        run = Run(journal, Companion(journal))
        files.write_text(marker, key)
        run.status("RUNNING")
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            run.metrics(costs("train", resources.cost()))
            run.status(status)
            run.close()
            if status != "KILLED":
                marker.unlink(missing_ok=True)


def costs(stage: str, cost: resources.Cost) -> dict[str, float]:
    """What a stage took, as metrics."""
    return {f"system/cost/{stage}/{name}": value for name, value in asdict(cost).items()}


def shown(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags, with those that MLflow's page shows."""
    names = {"git.commit": "mlflow.source.git.commit", "git.branch": "mlflow.source.git.branch", "dvc.experiment": "mlflow.runName"}
    own = {"mlflow.source.type": "LOCAL", "mlflow.user": os.environ.get("USER", "unknown")}
    return (
        own | {new: tags[old] for old, new in names.items() if old in tags} | {key: without_secrets(value) for key, value in tags.items()}
    )


@contextmanager
def reopened(file: Path, stage: str) -> Iterator[Run]:
    """The run that models/run.json names, for a later stage to tell it more, with what the stage cost.

    Where this machine has no journal of the run, one is made from files.
    """
    found = files.read_json(file)
    with store.lock(f"run-{found['run']}"):
        journal = recreated(found, stages=("train",))
        run = Run(journal, Sender(journal), found.get("about", ""))
        try:
            yield run
            run.metrics(costs(stage, resources.cost()))
        finally:
            run.close()


def recreated(found: Mapping[str, Any], *, stages: Iterable[str] = STAGES) -> Journal:
    """The journal of a run by its models/run.json; where there is none, one from what the stages saved in reports/."""
    journal = Journal(found["run"])
    if journal.exists():
        return journal
    tags = {**found["tags"], "recreated": "from files: times and system metrics are gone"}
    journal = Journal.begin(found["run"], store=store.meant(), experiment=found["experiment"], tags=tags, started=found["started"])
    for stage in stages:
        if not (file := paths.REPORTS / stage / TRACKED).exists():
            continue
        told = files.read_json(file)
        for name, step, value in told["metrics"]:
            journal.add(metrics={name: value}, step=step, time=found["ended"])
        for kind in ("params", "tags", "inputs"):
            if told[kind]:
                journal.add(**{kind: told[kind]})
        for origin, to in told["files"]:
            if Path(origin).is_file():
                journal.add_file(Path(origin), to)
    journal.add(status="FINISHED", time=found["ended"])
    journal.head = {**journal.head, "recreated": journal.size}
    return journal
