"""Report: one page of the whole run.  Run: `python -m pipeline report`.

The page tells what each stage took and whether it ran in this repro, which is kept in the state (`paths.costs`) and not among
the stage's dependencies: times never make DVC run a stage again, and the page is an output that no stage reads.  So two runs
of the same params differ in these times, as they do in the latency that register measures.  A page that is up to date is not
written again, and then tells of the repro that wrote it.
"""

from __future__ import annotations

import logging

from pipeline import files, paths, summary
from pipeline.run_page import flow, page
from pipeline.run_page.reading import json_of
from pipeline.terminal.progress import SUMMARY

log = logging.getLogger(__name__)


def run() -> None:
    """Write reports/index.html: the result, the flow, data, training, sweep, gate and monitored windows; links to all reports."""
    files.write_text(paths.INDEX, page.page(summary.facts(), json_of(paths.costs()), flow.repro_began()))
    log.info("%s", paths.INDEX, extra=SUMMARY)
