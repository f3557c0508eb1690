"""Windows over time in an Evidently workspace, a folder that `evidently ui --workspace FOLDER` serves with dashboards.

A project is a folder, a window one run in it.  The ids of projects, runs and panels follow from their names (UUID version
5), so a project is found again, a window that is judged anew replaces its run, and equal input gives equal files.  Set
DO_NOT_TRACK=1 where `evidently ui` is started: otherwise it reports its use to its makers.

Evidently is imported inside the functions: its import takes 8 s.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from pipeline.monitoring.evidently_report import third_party_warnings_ignored

if TYPE_CHECKING:
    from evidently.core.report import Snapshot
    from evidently.core.serialization import SnapshotModel
    from evidently.sdk.models import DashboardPanelPlot
    from evidently.ui.workspace import Workspace

TAB = "Monitoring"
UNSTEADY = ("threshold", "tests")  # parameters that differ from window to window


@dataclass(frozen=True)
class Run:
    """A window: its name, when it ended (None: when its report was made), and its snapshots, in memory or as files."""

    window: str
    end: datetime | None
    snapshots: Sequence[Snapshot | Path]


def add(folder: Path, project: str, runs: Sequence[Run], *, prediction: str) -> str:
    """Put windows into the project of a workspace; both are made if need be.  Returns the project's id.

    A window that is there already is replaced, others stay.  prediction: the column whose drift has a panel.  Times
    with a zone are kept in UTC, others as they are, since Evidently cannot sort the two together.  A dashboard that has
    the tab "Monitoring" is left as it is: the user may have changed it.  A running `evidently ui` shows new windows.

    UserError for a name that comes twice, no name, a window without snapshots, a snapshot that cannot be read, a file
    in the folder's place.
    """
    _check(folder, project, runs)
    with third_party_warnings_ignored():
        from evidently.sdk.models import ProjectModel
        from evidently.ui.workspace import Workspace

        workspace = Workspace.create(str(folder))
        found = workspace.search_project(project)
        at = found[0].id if found else uuid.uuid5(uuid.NAMESPACE_OID, project)
        merged = {run.window: _merged(run) for run in runs}  # all are read before any is written
        if not found:
            workspace.add_project(ProjectModel(id=at, name=project))
        (folder / str(at) / "snapshots").mkdir(exist_ok=True)  # Evidently fails to list what is not there
        for window, model in merged.items():
            _write(folder / str(at) / "snapshots" / f"{uuid.uuid5(at, window)}.json", model)
        _add_dashboard(workspace, at, prediction)
    return str(at)


def _check(folder: Path, project: str, runs: Sequence[Run]) -> None:
    names = [run.window for run in runs]
    problems = [f"window {name!r} comes more than once" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [f"window {run.window!r} has no snapshot" for run in runs if not run.snapshots]
    if not project.strip() or not all(name.strip() for name in names):
        problems.append("a project or window of the Evidently workspace has no name")
    if folder.exists() and not folder.is_dir():
        problems.append(f"the Evidently workspace {folder} is a file, not a folder")
    if problems:
        raise UserError(*problems)


def _merged(run: Run) -> SnapshotModel:
    """One run of several snapshots, without what differs from window to window where a line is to join them.

    Evidently draws a line for each set of a metric's parameters, and a drift's threshold is one of them.  A result's own
    copy of its widgets is left out: the page is made of the run's, and the server holds all runs in memory.
    """
    models = [_read(one, run.window).to_snapshot_model() for one in run.snapshots]
    first = models[0]
    results: dict[Any, Any] = {}
    for model in models:
        for key, result in model.metric_results.items():
            results[key] = _steady(result)
    end = run.end or first.timestamp
    return first.copy(
        update={
            "name": run.window,
            "timestamp": end if end.tzinfo is None else end.astimezone(UTC).replace(tzinfo=None),
            "metadata": {**first.metadata, "window": run.window},
            "metric_results": results,
            "top_level_metrics": list(dict.fromkeys(key for model in models for key in model.top_level_metrics)),
            "widgets": [widget for model in models for widget in model.widgets],
            "tests_widgets": [widget for model in models for widget in model.tests_widgets],
        }
    )


def _steady(result: Any) -> Any:
    """A copy of a metric's result without its widgets and unsteady parameters, in itself and in the values it holds."""
    plain = result.copy(deep=True)
    plain.widget = None
    for one in _within(plain):
        location = one.metric_value_location
        if location is not None:
            params = {key: value for key, value in location.metric.params.items() if key not in UNSTEADY}
            one.metric_value_location = location.copy(update={"metric": location.metric.copy(update={"params": params})})
    return plain


def _within(result: Any) -> Iterable[Any]:
    """A result and the single values in it: count and share, mean and deviation, or one a label."""
    yield result
    for name in ("count", "share", "mean", "std"):
        if (value := getattr(result, name, None)) is not None:
            yield value
    for name in ("values", "counts", "shares"):
        yield from (getattr(result, name, None) or {}).values()


def _read(snapshot: Snapshot | Path, window: str) -> Snapshot:
    from evidently.core.report import Snapshot as Loaded

    if not isinstance(snapshot, Path):
        return snapshot
    try:
        return Loaded.load(snapshot)
    except (OSError, ValueError) as error:
        raise UserError(f"window {window!r}: {snapshot} is no snapshot of Evidently ({type(error).__name__})") from error


def _write(file: Path, model: SnapshotModel) -> None:
    """Put the run in its place whole, if it is not there already.

    A server that watches the folder sees a file that is written to, but not one that is renamed; hence the first byte.
    """
    from evidently.legacy.utils import NumpyEncoder

    content = json.dumps(model.dict(), cls=NumpyEncoder).encode()
    if file.exists() and file.read_bytes() == content:
        return
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)
    with file.open("r+b") as whole:
        whole.write(content[:1])


def _add_dashboard(workspace: Workspace, project: uuid.UUID, prediction: str) -> None:
    from evidently.sdk.models import DashboardTabModel

    dashboard = workspace.get_dashboard(project)
    if any(tab.title == TAB for tab in dashboard.tabs):
        return
    panels = _panels(project, prediction)
    tab = DashboardTabModel(id=uuid.uuid5(project, f"tab {TAB}"), title=TAB, panels=[panel.id for panel in panels])
    dashboard.tabs.insert(0, tab)
    dashboard.panels.extend(panels)
    workspace.save_dashboard(project, dashboard)


def _panels(project: uuid.UUID, prediction: str) -> list[DashboardPanelPlot]:
    """What a project shows over time; of the performance there are points where a window has labels, and of its own task."""
    from evidently.sdk.models import DashboardPanelPlot, PanelMetric

    def panel(title: str, subtitle: str, *values: PanelMetric, plot: str = "line") -> DashboardPanelPlot:
        told = {"plot_type": plot}
        at = uuid.uuid5(project, f"panel {title}")
        return DashboardPanelPlot(id=at, title=title, subtitle=subtitle, size="half", values=[*values], plot_params=told)

    count = PanelMetric(metric="DriftedColumnsCount", metric_labels={"value_type": "count"}, legend="columns")
    drift = PanelMetric(metric="ValueDrift", metric_labels={"column": prediction}, legend="distance")
    classes = [PanelMetric(metric=metric, legend=legend) for metric, legend in (("RocAuc", "AUC"), ("Accuracy", "accuracy"))]
    numbers = [
        PanelMetric(metric="RMSE", legend="RMSE"),
        PanelMetric(metric="MAE", metric_labels={"value_type": "mean"}, legend="mean absolute error"),
    ]
    return [
        panel("Drifted columns", "how many of those watched", count, plot="bar"),
        panel("Drift of the prediction", "distance from the reference", drift),
        panel("Performance", "of labelled rows", *classes, *numbers),
        panel(
            "Rows", "of the window, those that were sampled where it is large", PanelMetric(metric="RowCount", legend="rows"), plot="bar"
        ),
    ]
