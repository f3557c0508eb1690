"""Runs as they are read back: from the MLflow store, and from the journals of those that it has not got yet."""

from __future__ import annotations

import difflib
import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

from pipeline import files, paths
from pipeline.errors import UserError, masked
from pipeline.tracking import store
from pipeline.tracking.journal import Journal, all_of
from pipeline.tracking.sending import KEY, reason

log = logging.getLogger(__name__)
NEWEST = "attributes.start_time DESC"
PAGE = 1000  # runs that the store is asked for at a time
SHORTEST = 4  # characters of a prefix that may name a run


@dataclass(frozen=True)
class Found:
    """A run, without passwords; times in ms since 1970."""

    key: str
    run_id: str | None
    experiment: str
    name: str
    status: str
    start: int
    end: int | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    inputs: tuple[Mapping[str, Any], ...]
    """Datasets: name, source, digest, context, profile (counts such as rows), schema."""
    sent: bool
    """Whether the store has all of it."""


def all_runs(
    experiment: str | None = None,
    *,
    stages: Sequence[str] = ("train",),
    limit: int | None = None,
    order: str = NEWEST,
    condition: str = "",
    keep: Callable[[Found], bool] = lambda run: True,
) -> list[Found]:
    """Runs of the stages, the newest first; in another order of the store's, those that it lacks come first.

    Args:
        limit: most runs of a stage to take from the store.
        condition: in the store's language, of which runs it need not give; `keep` judges all.

    Raises:
        UserError: there is no such experiment.
    """
    waiting = [run for run in _waiting() if run.tags.get("stage") in stages]
    known = {*_experiments().values(), *(run.experiment for run in waiting)}
    if experiment is not None and experiment not in known:
        raise UserError(f"no experiment {experiment}; {nearest(experiment, sorted(known))}")
    found = {run.key: run for run in waiting if experiment in (None, run.experiment) and keep(run)}
    ours = {run.key for run in waiting}
    for stage in stages:
        asked = f"tags.stage = '{stage}'" + (f" and {condition}" if condition else "")
        stored = _search(asked, experiment=experiment, order=order, first=min(limit or PAGE, PAGE))
        found |= {run.key: run for run in islice((run for run in stored if run.key not in ours and keep(run)), limit)}
    return sorted(found.values(), key=lambda run: (-run.start, run.key)) if order == NEWEST else list(found.values())


def one(text: str) -> Found:
    """The run that a text names: its key or MLflow id, or the start of one, its name, `last` or `workspace` (models/run.json).

    Raises:
        UserError: none, or more than one, has that name.
    """
    if text == "last" and (newest := all_runs(limit=1)):
        return newest[0]
    if text == "workspace" and paths.RUN.exists():
        text = files.read_json(paths.RUN)["run"]
    quoted = "'{}'" if "'" not in text else '"{}"'
    exact = [
        f"tags.`{KEY}` = {quoted}",
        f"attributes.run_id = {quoted}",
        f"tags.`dvc.experiment` = {quoted}",
        f"tags.`mlflow.runName` = {quoted}",
    ]
    prefix = [f"tags.`{KEY}` LIKE '{{}}%'", f"tags.`{KEY}` LIKE 'sweep-{{}}%'", "attributes.run_id LIKE '{}%'"]
    is_id = len(text) >= SHORTEST and re.fullmatch(r"(sweep-)?[0-9a-f]*", text)
    for conditions, fits in ((exact, str.__eq__), (prefix if is_id else [], str.startswith)):
        stored = [run for condition in conditions for run in _search(condition.format(text))] if '"' not in text else []
        waiting = [
            run
            for run in (_waiting() if conditions else [])
            if any(fits(n, text) for n in (run.key, run.key.removeprefix("sweep-"), run.run_id or "", run.name))
        ]
        if len(found := list({run.key: run for run in [*stored, *waiting]}.values())) == 1:
            return found[0]
        if found:
            listed = [f"  {run.key[:12]}  {run.name}" for run in sorted(found, key=lambda run: -run.start)[:20]]
            raise UserError(f"{len(found)} runs are called {text}:", *listed)
    known = [name for run in all_runs(limit=200, stages=("train", "tune")) for name in (run.name, run.key[:8]) if name]
    rule = f" (the start of a key has at least {SHORTEST} characters)" if len(text) < SHORTEST else ""
    raise UserError(f"no run {text}{rule}; {nearest(text, known) if known else 'there are none yet: `pipeline run` makes one'}")


def before(run: Found) -> Found | None:
    """The training in the same experiment that came before a run."""
    found = all_runs(run.experiment, limit=1, condition=f"attributes.start_time < {run.start}")
    return next((other for other in found if other.start < run.start), None)


def sweep(run: Found) -> Found | None:
    """The sweep from which a training has its values."""
    key = f"sweep-{run.tags.get('study', '')}"
    waiting = [other for other in _waiting() if other.key == key]
    return next(iter([*waiting, *_search(f"tags.`{KEY}` = '{key}'")]), None)


def trials(sweep: Found) -> int:
    """How many trials of a sweep are over."""
    if (journal := Journal(sweep.key)).exists():
        return len({event["trial"]["number"] for event, _ in journal.events() if "trial" in event})
    return sum(1 for _ in _search(f"tags.`mlflow.parentRunId` = '{sweep.run_id}'", experiment=sweep.experiment))


def artifacts(run_id: str | None) -> list[str]:
    """Names of a run's artifacts, folders with a slash."""
    found = store.client().list_artifacts(run_id) if run_id and _reachable(store.uri()) else []
    return [f"{one.path}/" if one.is_dir else str(one.path) for one in found]


def versions(run_id: str | None) -> list[str]:
    """Registered versions of a run's model, in words."""
    found = store.client().search_model_versions(f"run_id = '{run_id}'") if run_id and _reachable(store.uri()) else []
    aliases = [", ".join(store.client().get_model_version(one.name, one.version).aliases) for one in found]
    return [f"{one.name} version {one.version}" + (f" ({named})" if named else "") for one, named in zip(found, aliases, strict=True)]


def nearest(text: str, known: Iterable[str]) -> str:
    """What a user may have meant, in words."""
    close = difflib.get_close_matches(text, known := list(dict.fromkeys(known)), n=3, cutoff=0.5)
    return f"nearest: {', '.join(close)}" if close else f"there are: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"


@cache
def _reachable(uri: str) -> bool:
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return False  # nothing was ever written: no reason to make one
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # one warning is enough
    try:
        store.client()
    except Exception as error:  # sqlite, HTTP and MLflow errors have no common base
        log.warning("MLflow store %s is away (%s): only runs in this machine's journals are known", store.shown(), reason(error))
        return False
    return True


def _experiments() -> dict[str, str]:
    """Names by id."""
    return {one.experiment_id: one.name for one in _pages(lambda token: store.client().search_experiments(page_token=token))}


def _search(condition: str, *, experiment: str | None = None, order: str = NEWEST, first: int = PAGE) -> Iterator[Found]:
    """Runs as they are asked for: the first so many at once, then PAGE at a time."""
    if names := {id: name for id, name in _experiments().items() if experiment in (None, name)}:
        sizes = chain([first], repeat(PAGE))
        ask: dict[str, Any] = {"experiment_ids": list(names), "filter_string": condition, "order_by": [order]}
        for run in _pages(lambda token: store.client().search_runs(**ask, max_results=next(sizes), page_token=token)):
            yield _stored(run, names[run.info.experiment_id])


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    token = None
    while _reachable(store.uri()):
        page = ask(token)
        yield from page
        if not (token := page.token):
            return


def _stored(run: Any, experiment: str) -> Found:
    info, data = run.info, run.data
    inputs = [
        {"context": {tag.key: tag.value for tag in one.tags}.get("mlflow.data.context", ""), "name": one.dataset.name}
        | {"source": json.loads(one.dataset.source).get("uri", ""), "digest": one.dataset.digest, "schema": one.dataset.schema}
        | {"profile": json.loads(one.dataset.profile or "{}")}
        for one in (run.inputs.dataset_inputs if run.inputs else ())
    ]
    what = {"key": data.tags.get(KEY, info.run_id), "run_id": info.run_id, "experiment": experiment, "sent": True}
    what |= {"status": info.status, "start": info.start_time, "end": info.end_time, "name": info.run_name}
    return _found(what, data.params, data.metrics, data.tags, inputs)


def _waiting() -> list[Found]:
    """Runs of the journals that the store lacks, or lacks a part of; all, where it cannot be asked."""
    away = not _reachable(store.uri())
    return [_journaled(journal) for journal in all_of(store.meant()) if away or not _is_sent(journal)]


def _is_sent(journal: Journal) -> bool:
    sent = journal.sent
    return bool(sent["run_id"]) and sent["at"] >= journal.size


def _journaled(journal: Journal) -> Found:
    head = journal.head
    tags: dict[str, str] = {**head["tags"], KEY: journal.key}
    params: dict[str, str] = {}
    metrics: dict[str, float] = {}
    inputs: list[Mapping[str, Any]] = []
    status: Mapping[str, Any] = {"status": "RUNNING", "time": None}
    for event, _ in journal.events():
        params |= event.get("params", {})
        metrics |= event.get("metrics", {})
        tags |= event.get("tags", {})
        inputs += event.get("inputs", [])
        status = event if "status" in event else status
    what = {"key": journal.key, "run_id": journal.sent["run_id"], "experiment": head["experiment"], "sent": _is_sent(journal)}
    what |= {"start": head["started"], "end": None if status["status"] == "RUNNING" else status["time"], "status": status["status"]}
    return _found({**what, "name": ""}, params, metrics, tags, inputs)


def _found(what: dict[str, Any], params: Any, metrics: Any, tags: Any, inputs: Sequence[Mapping[str, Any]]) -> Found:
    name = tags.get("dvc.experiment") or tags.get("mlflow.runName") or what["name"]
    params, tags = ({k: masked(str(v)) for k, v in sorted(some.items())} for some in (params, tags))
    finite = {k: float(v) for k, v in sorted(metrics.items()) if math.isfinite(v)}
    clean = tuple({**one, "source": masked(one["source"])} for one in inputs)
    return Found(**{**what, "name": masked(name)}, params=params, metrics=finite, tags=tags, inputs=clean)
