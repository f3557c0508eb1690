"""Where all reports lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Link:
    """A report: its title, what it holds, and its place beside the page."""

    title: str
    what: str
    href: str


PAGES = (
    Link("Data quality", "each column: kind, missing values, histogram, what looks odd", "clean/index.html"),
    Link("Leakage audit", "what might flatter the result: findings with evidence and remedy", "split/leakage.html"),
    Link("Sweep", "history, learning curves, importances, all trials", "tune/index.html"),
    Link("Monitoring", "the timeline of windows, and what changed in each", "monitor/index.html"),
    Link("Model card", "what the model is, learnt from and may be used for", "../models/package/card.md"),
    Link("Package", "the MLflow model that answers raw rows", "../models/package/"),
)
FILES = (
    Link("intervals.json", "every metric with its interval, and paired differences", "evaluate/intervals.json"),
    Link("slices.csv", "parts of the test rows, with their loss", "evaluate/slices.csv"),
    Link("fairness.csv", "rates of every category of the protected columns", "evaluate/fairness.csv"),
    Link("confident_errors.csv", "the rows where the network is most surely wrong", "evaluate/confident_errors.csv"),
    Link("label_errors.csv", "labels that look wrong", "evaluate/label_errors.csv"),
    Link("importance.csv", "what the loss rises without a column", "evaluate/importance.csv"),
    Link("dependence.csv", "answers along a column", "evaluate/dependence.csv"),
    Link("robustness.csv", "the metric on disturbed rows", "evaluate/robustness.csv"),
    Link("attribution.csv", "what a few answers rest on", "evaluate/attribution.csv"),
    Link("data_curve.csv", "the metric by rows of train", "evaluate/data_curve.csv"),
    Link("history.csv", "losses and metrics of every epoch", "train/history.csv"),
    Link("network.txt", "the network's layers", "train/network.txt"),
    Link("diagnosis.json", "gradients and units while training", "train/diagnosis.json"),
    Link("trials.csv", "one line a trial", "tune/trials.csv"),
    Link("quality.json", "the data in numbers", "clean/quality.json"),
    Link("split.json", "rows, groups and classes of each side", "split/split.json"),
    Link("leakage.json", "the audit's findings", "split/leakage.json"),
    Link("register.json", "digest, replay and the gate's judgement", "register.json"),
    Link("summary.json", "the monitored windows in numbers", "monitor/summary.json"),
)
MADE = ("../models/", "monitor/")  # by stages whose folders this stage does not read: always there


def there(links: tuple[Link, ...], reports: Path) -> list[Link]:
    """The links whose file is there."""
    return [link for link in links if link.href.startswith(MADE) or (reports / link.href).exists()]
