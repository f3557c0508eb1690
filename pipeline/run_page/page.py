"""reports/index.html from the reports of all stages: one file, no script, nothing asked of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import paths, summary
from pipeline.data.quality_page import HEIGHT, WIDTH, number, percent
from pipeline.evaluation.wording import capital
from pipeline.run_page import confusion, flow, glance, importance, links, measured, pictures, production, standing, sweep, training
from pipeline.run_page.plot import Plot
from pipeline.run_page.reading import cut, json_of, rows

PICTURES: tuple[str, ...] = ("roc", "precision_recall", "calibration", "confusion", "residuals", "forecast", "error_by_step")
PICTURES += ("dependence", "robustness", "attribution", "data_curve")
JUDGED = {
    "first": "the first model of this name",
    "same": "it is the champion itself",
    "better": "better than the champion",
    "equal": "no better than the champion",
    "worse": "worse than the champion",
    "unlike": "the champion cannot answer for these rows",
    "unknown": "the store could not be asked",
}
REPORTS = {"clean": "clean/index.html", "split": "split/leakage.html", "tune": "tune/index.html", "train": "train/network.txt"}
REPORTS |= {"evaluate": "evaluate/intervals.json", "register": "register.json", "monitor": "monitor/index.html"}


def page(found: dict[str, Any], costs: Mapping[str, Any], began: float | None) -> str:
    """The page as HTML.

    Args:
        found: `summary.facts`; costs: what the stages took; began: when the repro that makes this started, None by hand.
    """
    evaluated = paths.METRICS.parent
    trials, metric = rows(paths.BEST.with_name("trials.csv")), summary.main(found)
    tuned = sweep.sweep(trials, _yaml(paths.BEST), rows(paths.BEST.with_name("importances.csv")))
    there = {stage: href for stage, href in REPORTS.items() if href.startswith(links.MADE) or (paths.REPORTS / href).exists()}
    steps = flow.steps({**found, "sweep": len(trials)}, costs, began, there)
    weights = rows(evaluated / "importance.csv")
    media = any(column["kind"] == "image" for column in found["quality"]["columns"].values())
    plots = _plots(evaluated, metric)
    confused = confusion.confused(rows(evaluated / "confusion.csv"), found["preprocessor"]["target"]["classes"] or ())
    left = [name for name in PICTURES if name not in plots and not (confused and name == "confusion")]
    return template().render(
        found,
        result=summary.result(found),
        value=found["test"]["models"]["network"][metric],
        metric=metric,
        standing=standing.standing(found),
        panels=standing.panels(found),
        differences=standing.differences(found),
        judged=JUDGED,
        audit=_audit(found["leakage"]["findings"]),
        errors=[one for one in found["leakage"]["findings"] if one["severity"] == "error"],
        steps=steps,
        spent=flow.told(steps),
        glance=glance.glance(found, weights),
        training=training.training(rows(paths.REPORTS / "train" / "history.csv"), found["trained"]["best_epoch"], metric),
        network=json_of(paths.REPORTS / "train" / "network.json"),
        sweep=tuned,
        plots=list(plots.values()),
        confused=confused,
        importance=importance.importance(weights, metric),
        watched=production.watched(found["monitored"]),
        states=summary.watched(found),
        answered=summary.answered(found),
        pictures=pictures.pictures(evaluated, left, "evaluate", photos=("attribution",) if media else ()),
        pages=links.there(links.PAGES, paths.REPORTS),
        files=links.there(links.FILES, paths.REPORTS),
        names=summary.NAMES,
        shown=summary.SHOWN,
        lower=summary.LOWER_IS_BETTER,
        width=WIDTH,
        height=HEIGHT,
    )


def _plots(evaluated: Path, metric: str) -> dict[str, Plot]:
    """The charts of what evaluate measured, those of this task, by the name of the picture whose place they take."""

    def table(name: str) -> list[dict[str, str]]:
        return rows(evaluated / f"{name}.csv")

    labels = ("false positive rate", "true positive rate"), ("recall", "precision")
    made = {
        "roc": measured.rates("ROC", table("roc"), "fpr", "tpr", labels=labels[0], chance=True),
        "precision_recall": measured.rates("Precision and recall", table("precision_recall"), *labels[1], labels=labels[1], chance=False),
        "calibration": measured.calibration(table("calibration")),
        "residuals": measured.residuals(table("residuals")),
        "error_by_step": measured.steps_ahead(table("error_by_step")),
        "data_curve": measured.more_rows(table("data_curve"), metric),
    }
    return {name: plot for name, plot in made.items() if plot is not None}


def _audit(findings: Sequence[Mapping[str, Any]]) -> str:
    """How many findings there are of each severity."""
    counts = [(kind, sum(one["severity"] == kind for one in findings)) for kind in ("error", "warning", "note")]
    return ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts if count) or "nothing was found"


def _yaml(file: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    return dict(YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {})


@cache
def template() -> Any:
    """The page's frame."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"number": number, "percent": percent, "cut": cut, "capital": capital}
    environment.filters |= {"duration": summary.duration, "short": summary.number}
    return environment.get_template("index.html")
