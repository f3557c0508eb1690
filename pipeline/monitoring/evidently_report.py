"""Evidently's report on one window, with our distances and our thresholds in place of its defaults.

Evidently is imported inside the functions: its import takes 8 s.  What its drift metric cannot take is met before it
sees the data: a missing category becomes a label, a number's missing values a column of their own ("present" or
"missing"), and a number of which one side has no value at all is left out of the metric (it would end the whole
report, evidently#1480) but stays in the summary, in its column of missing values and in what is returned.

A page of 300 columns opens in no browser, so at most 40 columns are drawn: the prediction, then those that drifted, then
the order given.  All are judged, and counted in the page's first lines.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.data.fitted import Task
from pipeline.monitoring.alarms import Threshold, Thresholds
from pipeline.monitoring.drift import METHODS, MISSING_METHOD, Kind, column_or_missing, encode, missing_statistic, statistic

if TYPE_CHECKING:
    from evidently.core.report import Snapshot

ROW_CAP = 20_000


@dataclass(frozen=True)
class Report:
    """What was found, ready for JSON (see `write_report`), and Evidently's snapshots: of drift, and of performance if judged."""

    found: dict[str, Any]
    snapshots: tuple[Snapshot, ...]


def write_report(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    kinds: Mapping[str, Kind],
    thresholds: Thresholds,
    task: Task,
    *,
    target: str,
    prediction: str,
    directory: Path,
    seed: int = 0,
    most_columns: int = 40,
    window: str | None = None,
    end: datetime | None = None,
) -> Report:
    """Write report.html and report.json into the directory, which is made if need be; also performance.json.

    kinds: the columns to compare, each calibrated, the prediction among them.  target: the labels' column, for a
    binary task 0, 1 or missing.  window and end: the snapshots' name and time (else none, and now).  The page holds drift,
    data summary and, where both sides have labels (for a classification: of two classes or more), performance over the
    labelled rows alone.  report.json is Evidently's snapshot of the first two, performance.json that of the last;
    `Snapshot.load` reads them.  A side of more than 20,000 rows is sampled by the seed, and no more than `most_columns`
    columns are drawn; both are said on the page.

    Returns `found`, JSON-able, and the snapshots.  Of `found`: `columns`, an entry for each aspect of a column with the
    `score` as Evidently prints it (our own equal one where the column is not drawn; None where a side has no value),
    `threshold`, `drifted`, `method` and `drawn`, without the missing shares that are zero on both sides; the numbers
    `drifted_columns`, `harmful_columns` (drifted and used by the model), `watched_columns` and `drawn_columns`;
    `performance`, whether it was judged; and `rows`, for each side how many came, were used and are labelled.  The
    snapshots' metadata repeat the rows.
    """
    old, now = (_sample(side, seed) for side in (reference, current))
    measures = [measure for measure in thresholds.measures if measure.column in kinds]
    scores = {measure: _score(measure, old, now) for measure in measures}
    columns = _drawn_columns(scores, [*kinds], prediction, most_columns)
    names = _names([measure for column in columns for measure in measures if measure.column == column], {*reference, *current})
    of_old, of_now = _prepared(old, now, names), _prepared(now, old, names)
    names = {measure: name for measure, name in names.items() if _is_shown(measure, of_old[name], of_now[name])}
    # A label beside the compared columns keeps its own name; one that is itself compared stands twice.
    label = _free_name(target, names.values())
    labelled_old, labelled_now = (
        _labelled(frame, side.get(target), side.get(prediction), label, task) for frame, side in ((of_old, old), (of_now, now))
    )
    performance = _can_be_judged(labelled_old, labelled_now, label, task)
    rows = {
        f"{side}_{what}": count
        for side, of_side in {
            "reference": (len(reference), len(old), len(labelled_old)),
            "current": (len(current), len(now), len(labelled_now)),
        }.items()
        for what, count in zip(("rows", "rows_used", "rows_labelled"), of_side, strict=True)
    }
    drifted = {measure.column: measure.harmful for measure, score in scores.items() if _drifted(measure, score)}
    counts = {"drifted_columns": len(drifted), "harmful_columns": sum(drifted.values())}
    counts |= {"watched_columns": len(kinds), "drawn_columns": len(columns)}
    told: dict[str, Any] = {"timestamp": end, "name": window, "metadata": _as_metadata(rows, window)}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "performance.json").unlink(missing_ok=True)  # of an earlier window, which had labels
    with third_party_warnings_ignored():
        snapshots = {"report.json": _drift_snapshot(of_old, of_now, names, columns, counts, _remarks(rows, counts), told)}
        if performance:
            snapshots["performance.json"] = _performance_snapshot(labelled_old, labelled_now, task, label, prediction, told)
        for name, snapshot in snapshots.items():
            (directory / name).write_text(snapshot.dumps(), encoding="utf-8")
        (directory / "report.html").write_text(_page([*snapshots.values()]), encoding="utf-8")
        printed = {
            one["config"]["column"]: float(one["value"])
            for one in snapshots["report.json"].dict()["metrics"]
            if one["metric_name"].startswith("ValueDrift(")
        }
    entries = [_entry(measure, printed.get(name), drawn=True) for measure, name in names.items()]
    kept = {measure for measure in measures if measure.aspect == "values" or measure in names or _any_missing(measure, old, now)}
    entries += [_entry(measure, scores[measure], drawn=False) for measure in measures if measure in kept and measure.column not in columns]
    return Report({"columns": entries, **counts, "performance": performance, "rows": rows}, tuple(snapshots.values()))


def _score(measure: Threshold, reference: pd.DataFrame, current: pd.DataFrame) -> float | None:
    """The distance that Evidently prints, or None where a side has no value."""
    old, now = (column_or_missing(side.get(measure.column), len(side)) for side in (reference, current))
    score = (statistic if measure.aspect == "values" else missing_statistic)(old, now, measure.kind)
    return None if np.isnan(score) else score


def _drifted(measure: Threshold, score: float | None) -> bool:
    return score is not None and score > measure.threshold


def _drawn_columns(scores: Mapping[Threshold, float | None], columns: list[str], prediction: str, most: int) -> list[str]:
    """The columns on the page: the prediction, then those that drifted, the harmful before the others, then the order given."""
    drifted = {measure.column: measure.harmful for measure, score in scores.items() if _drifted(measure, score)}
    return sorted(columns, key=lambda column: (column != prediction, column not in drifted, not drifted.get(column)))[: max(most, 1)]


def _remarks(rows: Mapping[str, int], counts: Mapping[str, int]) -> str:
    """What the reader of the page must know: how many columns drifted, and what of all is not on it."""
    drifted, watched = counts["drifted_columns"], counts["watched_columns"]
    told = [f"{drifted} of {watched} watched columns drifted."]
    if harmless := drifted - counts["harmful_columns"]:
        told.append(f"Of these the model does not use {harmless}.")
    if counts["drawn_columns"] < watched:
        told.append(f"Only {counts['drawn_columns']} columns are drawn: the prediction, the drifted, then in the order of the table.")
    for side in ("reference", "current"):
        came, used = rows[f"{side}_rows"], rows[f"{side}_rows_used"]
        if used < came:
            told.append(f"Of {came:,} {side} rows a random sample of {used:,} is shown.")
    return " ".join(told)


def _drift_snapshot(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    names: Mapping[Threshold, str],
    columns: list[str],
    counts: Mapping[str, int],
    remarks: str,
    told: dict[str, Any],
) -> Snapshot:
    from evidently import DataDefinition, Dataset, Report
    from evidently.legacy.renderers.html_widgets import header_text
    from evidently.metrics import DriftedColumnsCount, ValueDrift
    from evidently.presets import DataSummaryPreset

    numbers = [name for measure, name in names.items() if _is_number(measure)]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=[name for name in names.values() if name not in numbers])
    drifts = [
        ValueDrift(column=name, method=_method(measure), threshold=measure.threshold)
        for measure, name in names.items()
        if reference[name].notna().any() and current[name].notna().any()
    ]
    shown = list(names.values())
    report = Report([*drifts, DataSummaryPreset(columns=columns)], include_tests=True)
    snapshot = report.run(
        Dataset.from_pandas(current[shown], data_definition=definition),
        Dataset.from_pandas(reference[shown], data_definition=definition),
        **told,
    )
    # Evidently's own count would compare the drawn columns alone, and again; ours is of all, under its name for dashboards.
    count = DriftedColumnsCount().to_calculation()
    result = count.result(counts["drifted_columns"], counts["drifted_columns"] / max(counts["watched_columns"], 1))
    result.set_metric_location(count.to_metric_config())
    snapshot._metrics[count.id] = result
    snapshot._top_level_metrics.append(count.id)
    snapshot._widgets.insert(0, header_text(label=remarks))
    return snapshot


def _performance_snapshot(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    task: Task,
    label: str,
    prediction: str,
    told: dict[str, Any],
) -> Snapshot:
    from evidently import BinaryClassification, DataDefinition, Dataset, MulticlassClassification, Regression, Report
    from evidently.presets import ClassificationPreset, RegressionPreset

    if task == "regression":
        definition = DataDefinition(numerical_columns=[label, prediction], regression=[Regression(target=label, prediction=prediction)])
    elif task == "binary":
        binary = BinaryClassification(target=label, prediction_probas=prediction, pos_label=1)
        definition = DataDefinition(numerical_columns=[prediction], categorical_columns=[label], classification=[binary])
    else:
        multiclass = MulticlassClassification(target=label, prediction_labels=prediction)
        definition = DataDefinition(categorical_columns=[label, prediction], classification=[multiclass])
    kept = [label, prediction]
    old, now = (Dataset.from_pandas(side[kept], data_definition=definition) for side in (reference, current))
    # Evidently looks each class of one side up in the other (KeyError), so classes that differ are shown alone.
    comparable = task != "multiclass" or set(np.unique(reference[kept])) == set(np.unique(current[kept]))
    preset = RegressionPreset() if task == "regression" else ClassificationPreset()
    return Report([preset]).run(now, old if comparable else None, **told)


def _page(snapshots: list[Snapshot]) -> str:
    """One self-contained page of several snapshots; Evidently itself renders one a page."""
    from evidently.core.report import render_widgets
    from evidently.legacy.renderers.html_widgets import group_widget

    widgets = [group_widget(title="", widgets=snapshot._widgets) for snapshot in snapshots]
    tests = [widget for snapshot in snapshots for widget in snapshot._tests_widgets]
    return str(render_widgets(widgets + tests, as_iframe=False))


@contextmanager
def third_party_warnings_ignored() -> Iterator[None]:
    """Silence what Evidently and its dependencies warn of at import and over degenerate columns; nothing of ours."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        for module in ("evidently", "litestar", "sklearn", "scipy", "numpy", "pandas", "plotly"):
            warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
        warnings.filterwarnings("ignore", message="invalid escape sequence")  # Evidently's source, when first compiled
        yield


def _as_metadata(rows: Mapping[str, int], window: str | None) -> dict[str, str]:
    told = {name: str(count) for name, count in rows.items()}  # Evidently would store them as text anyway
    return told if window is None else {"window": window, **told}


def _sample(side: pd.DataFrame, seed: int) -> pd.DataFrame:
    sampled = side.sample(ROW_CAP, random_state=seed) if len(side) > ROW_CAP else side
    return sampled.reset_index(drop=True)


def _names(measures: Iterable[Threshold], taken: set[str]) -> dict[Threshold, str]:
    """The report's column for every measure: the column itself, or one that says which of its values are missing."""
    return {
        measure: measure.column if measure.aspect == "values" else _free_name(f"{measure.column} (missing)", taken) for measure in measures
    }


def _free_name(wanted: str, taken: Collection[str]) -> str:
    while wanted in taken:
        wanted += "*"
    return wanted


def _prepared(side: pd.DataFrame, other: pd.DataFrame, names: Mapping[Threshold, str]) -> pd.DataFrame:
    """One side as Evidently shall see it; the other side is read only for a label of missing that is free on both."""
    columns = {}
    for measure, name in names.items():
        coded, beside = (encode(column_or_missing(frame.get(measure.column), len(frame)), measure.kind) for frame in (side, other))
        missing = coded.codes == len(coded.support)
        if measure.aspect == "missing":
            columns[name] = np.where(missing, "missing", "present").astype(object)
        elif measure.kind == "number":
            columns[name] = np.append(coded.support.astype(np.float64), np.nan)[coded.codes]
        else:
            label = _free_name("(missing)", {*coded.support, *beside.support})
            columns[name] = np.append(coded.support, label).astype(object)[coded.codes]
    return pd.DataFrame(columns)


def _is_shown(measure: Threshold, reference: pd.Series, current: pd.Series) -> bool:
    return measure.aspect == "values" or bool((reference == "missing").any() or (current == "missing").any())


def _labelled(frame: pd.DataFrame, target: pd.Series | None, prediction: pd.Series | None, label: str, task: Task) -> pd.DataFrame:
    """The rows that were answered and have a label, with it as a column; none where the side has no labels."""
    coded = encode(column_or_missing(target, len(frame)), "category" if task == "multiclass" else "number")
    known = (coded.codes < len(coded.support)) & column_or_missing(prediction, len(frame)).notna().to_numpy()
    values = coded.support[coded.codes[known]]
    dtype = {"binary": np.int64, "multiclass": object, "regression": np.float64}[task]
    return frame[known].assign(**{label: values.astype(dtype)})


def _can_be_judged(reference: pd.DataFrame, current: pd.DataFrame, label: str, task: Task) -> bool:
    fewest = 2 if task == "regression" else 1
    enough = min(len(reference), len(current)) >= fewest
    return enough and (task == "regression" or min(reference[label].nunique(), current[label].nunique()) >= 2)


def _is_number(measure: Threshold) -> bool:
    return measure.aspect == "values" and measure.kind == "number"


def _method(measure: Threshold) -> str:
    return METHODS[measure.kind] if measure.aspect == "values" else MISSING_METHOD


def _any_missing(measure: Threshold, *sides: pd.DataFrame) -> bool:
    coded = [encode(column_or_missing(side.get(measure.column), len(side)), measure.kind) for side in sides]
    return any((one.codes == len(one.support)).any() for one in coded)


def _entry(measure: Threshold, score: float | None, *, drawn: bool) -> dict[str, Any]:
    return {
        "column": measure.column,
        "aspect": measure.aspect,
        "method": _method(measure),
        "score": score,
        "threshold": measure.threshold,
        "drifted": _drifted(measure, score),
        "drawn": drawn,
    }
