"""From journals into the store: each event once, however often the store was away or a process killed.

A stage's events are sent by a thread beside it, so that a slow store holds nothing up; at the stage's end the store has `PATIENCE`
seconds to show progress.  What it did not take is sent by the next stage, or by `pipeline sync`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import Timeout

from pipeline import files, paths
from pipeline.errors import masked
from pipeline.secrets import without_secrets
from pipeline.tracking import registry, store
from pipeline.tracking.journal import Journal, all_of

log = logging.getLogger(__name__)
PATIENCE = 8.0  # seconds without progress after which a store counts as away
BRIEFLY = 0.5  # instead, where a stage waited in vain in the last AWAY seconds
LOCAL_PATIENCE = 120.0  # for SQLite, which is never away, but slow to be made on a busy machine
AWAY = 300.0
BYTES_A_SECOND = 1e6  # of an upload that makes progress
INTERVAL = 1.0  # seconds between two sendings: what comes meanwhile goes together
RETRY = 15.0  # seconds between attempts while a stage runs
BATCH = 100  # params or tags at a time, the most that MLflow takes; metrics ten times as many
KEY = "pipeline.run"  # the tag that holds a journal's key


class Sender:
    """The thread that sends a journal, and before it those that were left over."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.failure = ""
        self._progress, self._bytes = time.monotonic(), 0
        self._news, self._closing, self._done, self._given_up = (threading.Event() for _ in range(4))
        self._ready = threading.Event()  # MLflow is imported
        self._thread = threading.Thread(target=self._work, name=f"send {journal.key}", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """There are new events."""
        self._news.set()

    def settle(self) -> bool:
        """Wait until the store knows the run; False where it is away."""
        self._news.set()
        return self._wait(lambda: bool(self.journal.sent["run_id"]))

    def close(self) -> bool:
        """Send what is left; False, with `failure` set, where the store did not take it."""
        self.failure = ""  # of an earlier attempt: this one counts
        self._closing.set()
        self._news.set()
        if self._wait(self._done.is_set) and not self.failure:
            return True
        self._given_up.set()  # from now on another process may send
        self.failure = self.failure or "no answer"
        return False

    def _wait(self, until: Callable[[], bool]) -> bool:
        """Wait as long as the store makes progress, but hardly at all where another wait was in vain lately."""
        patience = LOCAL_PATIENCE if store.is_local() else BRIEFLY if known_away() else PATIENCE
        started = self._progress = time.monotonic()
        while not until():
            if not self._ready.is_set() and time.monotonic() - started < LOCAL_PATIENCE:
                self._progress = time.monotonic()  # that the import takes long is not the store's fault
            if self.failure or time.monotonic() - self._progress > patience + self._bytes / BYTES_A_SECOND:
                note_away()
                return False
            time.sleep(0.02)
        return True

    def _work(self) -> None:
        first = True
        while True:
            self._news.wait()
            self._news.clear()
            closing = self._closing.is_set()
            try:
                if first:
                    store.mlflow()  # whose import takes seconds
                    self._ready.set()
                    self._step()
                    send_others(self.journal.key, self._step)
                    first = False
                send(self.journal, self._step)
                self.failure = ""
                _note_back()
                self._closing.wait(INTERVAL)
            except Exception as error:  # sqlite, HTTP and MLflow errors have no common base
                self.failure = reason(error)
                if not closing and not self._given_up.is_set():
                    self._closing.wait(RETRY)
                    self._news.set()
                    continue
            if closing or self._given_up.is_set():
                self._done.set()
                return

    def _step(self, size: int = 0) -> None:
        """Something was sent; what comes next has so many bytes."""
        if self._given_up.is_set():
            raise TimeoutError("given up")
        self._progress, self._bytes = time.monotonic(), size


def reason(error: Exception) -> str:
    """An error of the store in one line, without passwords."""
    first = (str(error).splitlines() or [""])[0]
    return without_secrets(masked(f"{type(error).__name__}: {first}"))[:300]


def send_others(key: str = "", step: Callable[[int], None] = lambda size: None) -> int:
    """Send what earlier processes left over; a run whose process is gone is closed as KILLED.

    Returns:
        how many journals had something left.
    """
    count = 0
    for journal in all_of(store.meant()):
        sent = journal.sent
        if journal.key == key or (sent["at"] >= journal.size and sent.get("status") != "RUNNING"):
            continue
        try:
            with store.lock(f"run-{journal.key}").acquire(timeout=0):  # else its process lives, and sends it
                if journal.last("status") == "RUNNING":
                    journal.add(status="KILLED", time=journal.last("time") or journal.head["started"])
                send(journal, step)
                count += 1
        except Timeout:
            continue
    return count


def send(journal: Journal, step: Callable[[int], None] = lambda size: None) -> str:
    """Bring the store up to date with the journal, of which the caller holds the lock.

    Args:
        step: called after each answer of the store, with the bytes that it gets next.

    Returns:
        the run's id.
    """
    with store.lock(f"send-{journal.key}"):  # the process beside a killed training may not have ended yet
        step(0)
        if not journal.sent["run_id"]:
            journal.sent = _begun(journal)
            step(0)
        for events, end in _batches(journal, journal.sent["at"]):
            known = _apply(journal, events, step)
            journal.sent = {**journal.sent, **known, "at": end}
            step(0)
        return str(journal.sent["run_id"])


def sync() -> tuple[int, int]:
    """Bring the store up to date with all journals meant for it; raises what the store raises.

    Returns:
        how many runs it was given something of, and how many of them it had lost.
    """
    anew = 0
    for journal in all_of(store.meant()):
        with suppress(Timeout), store.lock(f"run-{journal.key}").acquire(timeout=0):
            if lost(journal):
                journal.sent = {}
                anew += 1
    return send_others(), anew


def lost(journal: Journal) -> bool:
    """Whether the store has lost the journal's run; one that a person deleted is not lost."""
    sent = journal.sent
    if not sent["run_id"] or store.state_of(sent["run_id"]) is not None:
        return False
    there = store.client().get_experiment_by_name(journal.head["experiment"])
    return there is None or there.creation_time != sent["experiment_made"]


def _begun(journal: Journal) -> dict[str, Any]:
    """What is known of the run with the journal's key, which is made where there is none."""
    head, client = journal.head, store.client()
    where = store.experiment(head["experiment"])
    known = {"experiment_made": client.get_experiment(where).creation_time}
    if found := client.search_runs([where], f"tags.`{KEY}` = '{journal.key}'", max_results=1):
        at = head.get("recreated", 0)  # events that only a store without this run needs
        return {"run_id": found[0].info.run_id, "at": max(at, journal.sent["at"]), **known}
    made = client.create_run(where, start_time=head["started"], tags={**head["tags"], KEY: journal.key})
    journal.head = {**head, "tags": {**head["tags"], "mlflow.runName": made.info.run_name}}  # the same where it is made anew
    return {"run_id": made.info.run_id, "at": 0, **known}


def _batches(journal: Journal, start: int) -> Iterator[tuple[list[Mapping[str, Any]], int]]:
    """Events that can be sent together: metrics, up to ten times BATCH values; others one by one."""
    held: list[Mapping[str, Any]] = []
    values, end = 0, start
    for event, after in journal.events(start):
        size = len(event.get("metrics", ()))
        if held and (not size or values + size > 10 * BATCH):
            yield held, end
            held, values = [], 0
        end = after
        if size:
            held.append(event)
            values += size
        else:
            yield [event], after
    if held:
        yield held, end


def _apply(journal: Journal, events: list[Mapping[str, Any]], step: Callable[[int], None]) -> dict[str, Any]:
    """Send an event, or several with metrics; returns what sending must know from now on."""
    from mlflow.entities import Metric, Param, RunTag

    client, event, run_id = store.client(), events[0], journal.sent["run_id"]
    if "metrics" in event:
        found = [Metric(name, value, e["time"], e["step"]) for e in events for name, value in e["metrics"].items()]
        client.log_batch(run_id, metrics=found)
    elif "params" in event:
        for some in _parts(event["params"]):
            client.log_batch(run_id, params=[Param(name, value) for name, value in some.items()])
    elif "tags" in event:
        for some in _parts(event["tags"]):
            client.log_batch(run_id, tags=[RunTag(name, value) for name, value in some.items()])
    elif "inputs" in event:
        _send_inputs(run_id, event["inputs"])
    elif "file" in event:
        if (file := journal.kept(event)) is not None:
            step(file.stat().st_size)
            client.log_artifact(run_id, str(file), event["to"])
            journal.forget(event)
    elif "status" in event:
        if event["status"] == "RUNNING":
            client.update_run(run_id, status="RUNNING")
        else:
            client.set_terminated(run_id, event["status"], event["time"])
        return {"status": event["status"]}
    elif "trial" in event:
        return {"trials": _send_trial(journal, run_id, event["trial"])}
    elif "version" in event and (package := journal.kept_folder(event)) is not None:
        step(sum(file.stat().st_size for file in package.rglob("*")))
        number = registry.register(package, run_id=run_id, experiment_name=journal.head["experiment"], **event["version"])
        journal.forget(event)
        return {"versions": {**journal.sent.get("versions", {}), event["version"]["digest"]: number}}
    return {}


def _parts(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    items = list(values.items())
    yield from (dict(items[at : at + BATCH]) for at in range(0, len(items), BATCH))


def _send_inputs(run_id: str, inputs: list[Mapping[str, Any]]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    sets = [
        DatasetInput(
            Dataset(one["name"], one["digest"], "local", json.dumps({"uri": one["source"]}), one["schema"], json.dumps(one["profile"])),
            [InputTag("mlflow.data.context", one["context"])],
        )
        for one in inputs
    ]
    store.client().log_inputs(run_id, datasets=sets)


def _send_trial(journal: Journal, parent: str, trial: Mapping[str, Any]) -> dict[str, list[Any]]:
    """A trial of a sweep as a run below it, written whole, so that a killed process leaves none that looks as if it ran."""
    from mlflow.entities import Metric, Param

    client, number, sent = store.client(), str(trial["number"]), journal.sent
    known: dict[str, list[Any]] = sent["trials"] if "trials" in sent else _trials(journal, parent)
    if sent.get("making") == number:  # who made this run, if it came to that, did not come to note it
        known = {**_trials(journal, parent), **known}
    run, over = known.get(number, ("", False))
    if over:
        return known
    where = store.experiment(journal.head["experiment"])
    start, end = round(1000 * trial["started"]), round(1000 * trial["ended"])
    if not run:
        name = f"{journal.head['tags']['mlflow.runName']} trial {number}"
        tags = {"mlflow.parentRunId": parent, "mlflow.runName": name, "study": journal.head["tags"]["study"], "stage": "trial"}
        tags |= {"trial": number, "state": trial["state"], "mlflow.source.name": "pipeline tune"}
        tags |= {"reason": trial["reason"][:5000]} if trial["reason"] else {}
        journal.sent = {**journal.sent, "trials": known, "making": number}
        run = client.create_run(where, start_time=start, tags=tags).info.run_id
        known = {**known, number: [run, False]}
        journal.sent = {**journal.sent, "trials": known, "making": None}
    curve = [Metric(f"validation/{trial['objective']}", v, start, int(at)) for at, v in trial["curve"].items() if v is not None and v == v]
    measured = [Metric(f"best/{name}", v, end, 0) for name, v in trial["measured"].items() if v is not None and v == v]
    params = [Param(name, str(v)[:6000]) for name, v in trial["params"].items()]
    client.log_batch(run, metrics=curve + measured, params=params)
    client.set_terminated(run, "FAILED" if trial["state"] == "failed" else "FINISHED", end)
    return {**known, number: [run, True]}


def _trials(journal: Journal, parent: str) -> dict[str, list[Any]]:
    """The runs below a sweep that the store has: id, and whether it is over."""
    where = store.experiment(journal.head["experiment"])
    found: dict[str, list[Any]] = {}
    token = None
    while True:  # the store gives at most so many at a time
        page = store.client().search_runs([where], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=1000, page_token=token)
        found |= {run.data.tags["trial"]: [run.info.run_id, run.info.status in ("FINISHED", "FAILED")] for run in page}
        if not (token := page.token):
            return found


def _away() -> Path:
    return paths.state() / "store-away.json"


def known_away() -> bool:
    """Whether a stage has waited in vain for this store lately: the others do not wait again."""
    if not _away().exists():
        return False
    found = files.read_json(_away())
    return bool(found["store"] == store.shown() and time.time() - found["since"] < AWAY)


def note_away() -> None:
    if not known_away():
        files.write_json(_away(), {"store": store.shown(), "since": time.time()})


def _note_back() -> None:
    _away().unlink(missing_ok=True)
