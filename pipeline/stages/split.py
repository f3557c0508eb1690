"""Split: rows are put on sides by key and seed, and the sides are searched for leaks.  Run: `python -m pipeline split`."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Any

from pipeline import files, paths
from pipeline.config import SplitParams
from pipeline.data import balance, sizes, spelling, splitting
from pipeline.data.engine import engine, read
from pipeline.data.leakage.auditing import audit
from pipeline.data.leakage.finding import Audit
from pipeline.data.leakage.page import page
from pipeline.data.schema import Schema
from pipeline.errors import UserError
from pipeline.terminal.progress import SUMMARY

log = logging.getLogger(__name__)

REJECTS = "rejects"


def run(seed: int, split: SplitParams) -> None:
    """Write data/split/<side> for train, validation, test and production, the rejects, and reports/split.

    Raises:
        UserError: the split does not fit the data, or the audit found an error and split.on_leak is fail.
    """
    schema = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8"))
    reports = paths.REPORTS / "split"
    with engine() as backend, ExitStack() as stack:
        clean = read(backend, paths.CLEAN / paths.ROWS)
        split = splitting.settled(clean, schema, split)
        sided, merged = spelling.merged(backend, splitting.marked(clean, schema, split, seed), schema)
        folders = {side: stack.enter_context(files.replaced(paths.SPLIT / side)) for side in (*paths.SIDES, REJECTS)}
        sided = splitting.stored(backend, sided, {side: folder / paths.ROWS for side, folder in folders.items()})
        found = sizes.describe(backend, sided, schema, split)
        if even := balance.compare(backend, sided, schema, split, seed, found["sides"]):
            found["balance"] = even
        leaks = audit(backend, sided.drop(splitting.REASON, *splitting.folds_of(sided)), schema, split, seed)
        files.write_json(reports / "split.json", found | {"merged": merged, "gives_target_away": leaks.given_away})
        files.write_json(reports / "leakage.json", leaks.to_dict())
        files.write_text(paths.LEAKAGE, page(leaks))
        _tell(found, merged)
        _judge(leaks, split)  # what it raises leaves the sides of an earlier run as they are


def _tell(found: dict[str, Any], merged: dict[str, list[str]]) -> None:
    log.info("%s: %s", found["strategy"], ", ".join(f"{row['rows']} {side}" for side, row in found["sides"].items()), extra=SUMMARY)
    if found["unlabelled"]:
        log.warning("%d rows left out: %s", found["unlabelled"], splitting.UNLABELLED)
    for reason, rows in found["dropped"].items():
        log.warning("%d rows left out: %s", rows, reason)
    for kept, others in merged.items():
        log.warning("%s of the target is written %s everywhere", ", ".join(map(repr, others)), repr(kept))
    if "starts" in found:
        starts = ", ".join(f"{side}: {start}" for side, start in found["starts"].items())
        log.info("by %s; to keep every row on its side when rows are appended: split.starts: {%s}", found["by"], starts)

    even = found.get("balance", {})
    if "better_seed" in even:
        off = 100 * max(even["distance"].values())
        better = 100 * max(even["distance_with_it"].values())
        log.warning(
            "whole groups left the classes unbalanced (up to %.1f%% of a side's rows); seed: %d would make that %.1f%%",
            off,
            even["better_seed"],
            better,
        )


def _judge(leaks: Audit, split: SplitParams) -> None:
    for finding in leaks.findings:
        level = logging.INFO if finding.severity == "note" else logging.WARNING
        log.log(level, "%s: %s %s", finding.severity, finding.title, finding.remedy)
    errors = [finding for finding in leaks.findings if finding.severity == "error"]
    if errors and split.on_leak == "fail":
        raise UserError(*(f"split: {finding.title} {finding.remedy} (see {paths.LEAKAGE})" for finding in errors))
