"""Report: one page of the whole run.  Run: `python -m pipeline report`."""

from __future__ import annotations

import base64
import logging

import jinja2

from pipeline import files, paths, summary

log = logging.getLogger(__name__)
PICTURES = (
    "forecast", "error_by_step", "roc", "residuals", "calibration", "precision_recall", "confusion", "importance", "dependence",
    "robustness", "attribution", "data_curve",
)  # fmt: skip


def run() -> None:
    """Write reports/index.html: result against baselines, curves, data, monitored windows, links; pictures included."""
    found = summary.facts()
    environment = jinja2.Environment(loader=jinja2.PackageLoader("pipeline"), autoescape=True, undefined=jinja2.StrictUndefined)
    names = [f"evaluate/{name}.png" for name in PICTURES]
    pictures = [file for name in ("train/learning_curves.png", *names) if (file := paths.REPORTS / name).exists()]
    page = environment.get_template("index.html").render(
        found,
        result=summary.result(found),
        verdicts=[summary.against(found, other) for other in found["test"]["differences"]],
        watched=summary.watched(found),
        answered=summary.answered(found),
        swept=paths.BEST.with_name("index.html").exists(),
        names=summary.NAMES,
        number=summary.number,
        shown=summary.SHOWN,
        lower=summary.LOWER_IS_BETTER,
        pictures={file.stem: base64.b64encode(file.read_bytes()).decode() for file in pictures},
    )
    files.write_text(paths.INDEX, page)
    log.info("%s", paths.INDEX)
