"""`pipeline monitor` outside of DVC: the windows of a deployed model, judged as they come, each once unless its rows or labels change."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline import files, packaging, paths
from pipeline.child import Standby
from pipeline.config import CsvParams, MonitorParams, SeriesParams
from pipeline.errors import UserError
from pipeline.monitoring import (
    from_files,
    from_log,
    from_series_files,
    from_series_log,
    overall,
    page,
    prometheus,
    reference,
    verdicts,
    workspace,
)
from pipeline.monitoring.judgement import Asked, Judge, words
from pipeline.monitoring.watched import Pending, Rows, Watched
from pipeline.monitoring.windows import PREDICTION, Window
from pipeline.tracking import production

log = logging.getLogger("pipeline")
JUDGED, SUMMARY, PROMETHEUS, ALARMED, TOLD = "judged.json", "summary.json", "metrics.prom", "alarmed.json", "told.json"
FAILED = 3  # exit code


@dataclass(frozen=True)
class Source:
    """Where rows come from: an inference log, or a file or folder that the package answers.

    hidden: columns that the log holds hashed; since and until: of a log.  csv and series: how files are written.
    """

    place: Path
    is_log: bool
    hidden: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    csv: CsvParams = field(default_factory=CsvParams)
    series: SeriesParams | None = None


def watch(model: str, source: Source, monitor: MonitorParams, *, seed: int, out: Path | None = None) -> tuple[dict[str, Any], Path]:
    """Judge the windows of `source` that are new or changed; returns the summary of all, and the folder with the pages.

    Args:
        model: the folder of a package, or models:/NAME@ALIAS or models:/NAME/VERSION.
        out: by default reports/production/NAME-VERSION.

    Raises:
        UserError: there is no such model or source, or the package has no reference.
    """
    from pipeline.serving import champion

    identity = champion.required(model)
    with champion.home() as home:
        found = champion.fetched(identity, home)
        with found.held:
            home_files = found.package.folder / "artifacts" / "files"
            watched = Watched.of(found.package, reference.read(home_files).suited(monitor.window, monitor.time))
            about = {"name": found.about.name, "version": found.about.version, "run": ""}
            registered = bool(packaging.reference(identity)[2])
            folder = out or paths.REPORTS / "production" / f"{about['name']}-{about['version']}"
            lock = paths.state() / "locks" / f"monitor-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}.lock"
            with FileLock(lock), Standby(found.package) as child:
                return judged(watched, child, about, source, monitor, seed=seed, folder=folder, registered=registered), folder


def judged(
    model: Watched,
    child: Standby,
    about: dict[str, str],
    source: Source,
    monitor: MonitorParams,
    *,
    seed: int,
    folder: Path,
    registered: bool,
) -> dict[str, Any]:
    """The summary of all windows, of which the new and the changed ones are judged now; writes the pages, and tells the store."""
    pending = _pending(model, child, about["version"], source, monitor)
    answers = packaging.answers(model.package.folder, model.fitted.task)
    judge = Judge(model.reference, model.fitted, monitor, seed, answers, hidden=source.hidden)
    release = importlib.metadata.version("experiment-pipeline")
    settings = monitor.model_dump(exclude={"fail_on", "hook", "alarm", "latest"}), seed, about, release
    kind = {"window": monitor.window, "source": str(source.place)}  # windows of another kind have a timeline of their own
    earlier = _earlier(folder, kind)
    found, reports, fresh, last = dict(earlier), list[workspace.Run](), list[str](), dict[str, Window]()
    for at, one in enumerate(pending):
        facts = one.made_from, one.start, one.end, settings, pending[at - 1].name if at else ""
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        if one.name in earlier and earlier[one.name]["key"] == key:
            continue
        before = pending[at - 1] if at else None
        rows = one.load()
        earlier_rows = (last.get(before.name) or before.load().window) if before else None
        with files.replaced(folder / one.name) as into:
            asked = _asked(one, rows)
            told, report = judge.judge(asked, into, before=(before.name, earlier_rows) if before and earlier_rows is not None else None)
            told["hidden"] = list(rows.hidden)
            files.write_json(into / JUDGED, {"key": key, "kind": kind, "found": told})
        last = {one.name: rows.window}
        found[one.name] = {"key": key, "found": told}
        fresh.append(one.name)
        log.info("%-18s %7d rows  %-6s %s", one.name, told["rows"], told["state"], words(told))
        if report:
            end = datetime.fromisoformat(one.end) if one.end else None
            reports.append(workspace.Run(f"{about['version']} {one.name}", end, report.snapshots))
    windows = sorted((one["found"] for one in found.values()), key=lambda one: (one["start"] or "", one["window"]))
    measured = overall.measured(judge, list(last.values())) if last else _measured(folder / SUMMARY)
    every_told = monitor.window if isinstance(monitor.window, str) else f"{monitor.window:,} rows"
    summary = overall.summary(
        windows, model=about, source=str(source.place), every=every_told, reference=model.reference, monitor=monitor, measured=measured
    )
    rows_told = {"there": sum(one["rows"] for one in windows), "judged": sum(one["sampled"] for one in windows)}
    summary |= {"rows": {"production": rows_told | {"refused": sum(one["refused"] for one in windows)}}, "fresh": fresh}
    files.write_json(folder / SUMMARY, summary)
    page.write(folder, summary)
    files.write_text(folder / PROMETHEUS, prometheus.text(summary))
    if reports:
        workspace.add(paths.state() / "evidently", about["name"], reports, prediction=PREDICTION)
    if registered:
        _tell(about, summary, {name: one["key"] for name, one in found.items()}, folder / TOLD)
    return summary


def _pending(model: Watched, child: Standby, version: str, source: Source, monitor: MonitorParams) -> list[Pending]:
    """The windows of the source, the oldest first."""
    every, latest, whole = monitor.window, monitor.latest, model.fitted.forecast is not None
    if source.is_log:
        if every == "file":
            raise UserError("monitor.window: file: an inference log has no files; expected a number of rows, hour, day, week or month")
        of_log = from_series_log.of_log if whole else from_log.of_log
        span: dict[str, Any] = {"since": source.since, "until": source.until}
        return of_log(model, source.place, every, hidden=source.hidden, version=version, latest=latest, **span)
    if not source.place.exists():
        raise UserError(f"{source.place}: no such file or folder")
    each = None if every == "file" else every
    if whole:
        return from_series_files.of_files(model, child, source.place, each, csv=source.csv, latest=latest)
    told: dict[str, Any] = {"time": monitor.time, "csv": source.csv, "series": source.series}
    return from_files.of_files(model, child, source.place, each, latest=latest, **told)


def _asked(one: Pending, rows: Rows) -> Asked:
    told: dict[str, Any] = {"refused": rows.refused, "unknown": rows.unknown, "lost": rows.lost}
    notes = [*rows.notes, *([f"the log does not hold {', '.join(rows.hidden)}"] if rows.hidden else [])]
    return Asked(one.name, "production", rows.window, rows.rows, one.start, one.end, absent=rows.absent, notes=notes, **told)


def _earlier(folder: Path, kind: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Windows of this kind that earlier calls have judged, by name; those that the log no longer holds among them."""
    told = {file.parent.name: files.read_json(file) for file in sorted(folder.glob(f"*/{JUDGED}")) if not file.parent.name.startswith(".")}
    return {name: one for name, one in told.items() if one["kind"] == kind}


def _measured(file: Path) -> Any:
    """What an earlier call has measured; nothing where one was cut off before it wrote its summary."""
    return files.read_json(file)["measured"] if file.exists() else None


def _tell(about: Mapping[str, str], summary: Mapping[str, Any], keys: Mapping[str, str], file: Path) -> None:
    """Give the store what it has not been told yet; `file` remembers what it has."""
    known = files.read_json(file) if file.exists() else {}
    told = list[dict[str, Any]]()
    for at, one in enumerate(summary["windows"]):
        if known.get(one["window"]) == keys[one["window"]]:
            continue
        metrics = {"production/drift": one["drift"], "production/decayed": one["decayed"], "production/rows": one["rows"]}
        if one["decay"]:
            metrics["production/loss_increase"] = one["decay"]["difference"]
        for name in ("performance", "estimate"):
            if one[name] and one[name]["value"] is not None:
                metrics[f"production/{name}/{one[name]['metric']}"] = one[name]["value"]
        told.append({"at": at, "end": one["end"], "metrics": metrics})
    if told:
        tags = {"production.state": str(summary["state"]), "production.window": str(summary["windows"][-1]["window"])}
        if production.tell(about["name"], about["version"], told, tags):
            files.write_json(file, dict(keys))


def lines(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """State, why, what to do, where to look."""
    name, windows = f"{summary['model']['name']}, version {summary['model']['version']}", summary["windows"]
    if not windows:
        return [f"{name}: no rows yet in {summary['source']}"]
    newest = verdicts.newest(windows) or windows[-1]
    judged = newest["state"] != "insufficient data"
    state = summary["state"] if summary["alarmed"] or summary["state"] not in overall.BAD else f"{summary['state']}, no alarm yet"
    since = f" since {summary['since']}" if summary["state"] in overall.BAD else ""
    told = [f"{name}: {state}{since}", f"{newest['window']}: {newest['headline'] if judged else newest['reason']}"]
    if summary["retrain"]["suggested"]:
        told.append(f"retrain: {summary['retrain']['why']}")
    return [*told, f"look at   {folder / 'index.html'}", f"over time   evidently ui --workspace {_shown(paths.state() / 'evidently')}"]


def _shown(place: Path) -> str:
    return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else str(place)


def act(summary: Mapping[str, Any], monitor: MonitorParams, folder: Path) -> int:
    """Run the hook where an alarm is raised that it was not told of yet; returns the exit code by `fail_on`."""
    alarmed = {"window": _newest(summary), "state": summary["state"]}
    if summary["alarmed"] and monitor.hook:
        file = folder / ALARMED
        if not file.exists() or files.read_json(file) != alarmed:
            done = subprocess.run(monitor.hook, shell=True, input=json.dumps(summary).encode(), check=False)
            if done.returncode:
                log.warning("monitor.hook ended with exit code %d; it is run again next time", done.returncode)
            else:
                files.write_json(file, alarmed)
    bad = {"never": (), "drift": overall.BAD, "decay": ("decay",)}[monitor.fail_on]
    return FAILED if summary["alarmed"] and summary["state"] in bad else 0


def _newest(summary: Mapping[str, Any]) -> str | None:
    judged = [one["window"] for one in summary["windows"] if one["state"] in overall.BAD]
    return judged[-1] if judged else None
