"""The state of a project in the terminal: a line a stage with what changed, then what came of the latest runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import masked
from pipeline.history.tables import Grid, ago
from pipeline.secrets import without_secrets
from pipeline.staleness.changes import Change, Standing
from pipeline.staleness.latest import Champion, Run, Watched, since
from pipeline.summary import duration

MOST = 4  # names of a kind in a line
LONGEST = 32  # characters of a value
WORDS = {"data": "data", "code": "code", "input": "input", "output": "output"}
STATES = {"restored": "in cache", "follows": "follows"}


def stages(standings: Sequence[Standing], running: Mapping[str, Sequence[int]]) -> Grid:
    """A line a stage; one with several reasons takes several lines."""
    rows = []
    for one in standings:
        state = STATES.get(one.state, one.state)
        why = reasons(one)
        if pids := running.get(one.stage):  # whose outputs are on their way
            state = "running"
            why = [
                f"process {', '.join(map(str, pids))} works on it",
                *(line for line in why if not line.startswith(f"{WORDS['output']} ")),
            ]
        rows += [(one.stage if not at else "", state if not at else "", line) for at, line in enumerate(why or [""])]
    return Grid("", rows, ("stage", "state", "because"))


def reasons(one: Standing) -> list[str]:
    """Why a stage stands as it does, a reason a line."""
    params = [_param(change) for change in one.changes if change.kind == "param"]
    lines = [*params[:MOST], *([f"and {len(params) - MOST} more params"] if len(params) > MOST else [])]
    lines += [f"command: {change.old} → {change.new}" for change in one.changes if change.kind == "command"]
    for kind, word in WORDS.items():
        chosen = [change for change in one.changes if change.kind == kind]
        by: dict[str, list[str]] = {}
        for change in chosen:
            by.setdefault(change.told if not change.files else "changed", []).append(_path(change))
        lines += [f"{word} {told}: {_some(names)}" for told, names in by.items()]
    if one.state == "restored":
        lines.append("DVC has this run in its cache: nothing is computed")
    if one.state == "follows":
        lines.append(f"runs if {' or '.join(one.after[-2:])} writes something new")
    return lines


def verdict(standings: Sequence[Standing], costs: Mapping[str, Any]) -> str:
    """What `pipeline run` would do, and how long that took last time."""
    if all(one.state == "never run" for one in standings):
        return "Never run here: `pipeline check` reads params.yaml, `pipeline run` runs it all."
    certain = [one.stage for one in standings if one.state in ("stale", "never run")]
    perhaps = [one.stage for one in standings if one.state == "follows"]
    back = [one.stage for one in standings if one.state == "restored"]
    if not certain and not back:
        return "Nothing to run: results are those of these params, data and code."
    took = [costs[name]["wall_seconds"] for name in (*certain, *perhaps) if name in costs]
    known = len(took) == len(certain) + len(perhaps)
    told = [f"runs {_listed(certain) if len(certain) < len(standings) else 'all stages'}"] if certain else []
    told += [f"{_listed(perhaps)} where what {'they read' if len(perhaps) > 1 else 'it reads'} changes"] if perhaps else []
    told += [f"takes {_listed(back)} from the cache"] if back else []
    length = f"; about {duration(sum(took))}, as last time" if took and known else ""
    return f"`pipeline run` {', then '.join(told)}{length}."


def pulled(standings: Sequence[Standing], remotes: bool) -> str:
    """That others' results can be fetched, where outputs are missing that DVC's cache has not; empty where there are none."""
    gone = [
        one
        for one in standings
        if one.state == "stale" and {change.told for change in one.changes if change.kind == "output"} == {"missing"}
    ]
    if not remotes or not gone:
        return ""
    return "Outputs that are missing may lie in the remote: `dvc pull --run-cache` fetches them."


def latest(
    run: Run | None,
    champion: Champion | None,
    watched: Watched | None,
    unsent: int,
    checkpoint: int | None,
    remote: Sequence[str],
    *,
    now: int,
) -> list[tuple[str, str]]:
    """Facts of the latest runs, a label and a text each."""
    rows = []
    if run is not None:
        what = f"{run.key[:8]} {run.name}".strip()
        rows.append(("last run", f"{what}, {ago(run.started, now)}, {run.status}{f': {run.result}' if run.result else ''}"))
    if champion is not None:
        rows.append((champion.alias, _held(champion, now)))
    if watched is not None:
        rows.append(("alarm" if watched.alarmed else "watched", _watched(watched, now)))
    if checkpoint is not None:
        rows.append(("unfinished", f"a training left its checkpoint {ago(checkpoint, now)}: the same params and data go on from there"))
    if remote:
        rows.append(("not asked", f"whether {_some(remote)} changed: `dvc repro -f collect` reads it anew"))
    if unsent:
        rows.append(("not sent", f"{unsent} run{'s' if unsent > 1 else ''} of which the MLflow store lacks something: `pipeline sync`"))
    return rows


def _held(champion: Champion, now: int) -> str:
    if champion.unknown:
        return f"not known: {champion.unknown}"
    if champion.version is None:
        return f"no version of {champion.model} has this place yet"
    moment = since(champion.since)
    when = f" since {moment.astimezone():%Y-%m-%d %H:%M} ({ago(round(1000 * moment.timestamp()), now)})" if moment else ""
    by = f", by {champion.who}: {champion.why}" if champion.who else ""
    return f"{champion.model} version {champion.version}{when}{by}{f'; {champion.result}' if champion.result else ''}"


def _watched(watched: Watched, now: int) -> str:
    if watched.state is None or not watched.windows:
        return f"no rows of production yet ({watched.source})"
    since_ = f" since {watched.since}" if watched.since and watched.state in ("drift", "decay") else ""
    count = f"{watched.windows} window{'s' if watched.windows > 1 else ''}"
    return f"{watched.state}{since_}; {count}, the last is {watched.last} ({watched.source}); {watched.page}"


def _param(change: Change) -> str:
    if change.told == "added":
        return f"{change.name} added: {_value(change.new)}"
    return f"{change.name} {_value(change.old)} → {_value(change.new) if change.told == 'changed' else 'not set'}"


def _value(value: Any) -> str:
    """A value as params.yaml has it, shortened."""
    text = {True: "true", False: "false", None: "null"}.get(value, str(value)) if value is None or isinstance(value, bool) else str(value)
    text = masked(without_secrets(text))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _path(change: Change) -> str:
    """A path; of a folder with the files that differ."""
    if not change.files:
        return change.name
    signs = {"changed": "", "added": "+", "removed": "-"}
    inside = [f"{signs[kind]}{name}" for kind, names in change.files.items() for name in names]
    return f"{change.name} ({_some(inside)})"


def _some(names: Sequence[str]) -> str:
    return masked(", ".join(names[:MOST])) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
