"""A sweep in the store: one run for the study, and below it one for each trial that is over."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.tracking import store
from pipeline.tracking.journal import Journal
from pipeline.tracking.runs import Run, shown
from pipeline.tracking.sending import Sender, reason

log = logging.getLogger(__name__)


class Sweep:
    """The study's run, and those of its trials; this process alone writes them until `close`."""

    def __init__(self, name: str, key: str, tags: Mapping[str, str]) -> None:
        """The run of study `key` in experiment `name`, begun where there is none yet."""
        own = {"study": key, "stage": "tune", "mlflow.runName": f"sweep {key[:6]}", "mlflow.source.name": "pipeline tune"}
        self._lock = store.lock(f"run-sweep-{key}")
        self._lock.acquire()
        journal = Journal.begin(f"sweep-{key}", store=store.meant(), experiment=name, tags={**shown(tags), **own})
        self._known = {event["trial"]["number"] for event, _ in journal.events() if "trial" in event}
        self.run = Run(journal, Sender(journal))
        self.run.status("RUNNING")

    def log(self, trial: Mapping[str, Any]) -> None:
        """Write a trial, once however often this is called.

        Args:
            trial: number, state (complete, pruned, failed), reason, params, curve (the objective by step), its name `objective`,
                measured (metrics on validation) and seconds since 1970 `started`, `ended`.
        """
        if trial["number"] not in self._known:
            self._known.add(trial["number"])
            self.run.add(trial=trial)

    def close(self, status: str, best: Mapping[str, Any], metrics: Mapping[str, float], files: Iterable[Path]) -> None:
        """End the study's run: FINISHED, FAILED or KILLED."""
        self.run.metrics(metrics)
        self.run.tags({f"best.{key}": str(value) for key, value in best.items()})
        self.run.files(files, "tune")
        self.run.status(status)
        self.run.close()
        self._lock.release()


def key_of(run_id: str) -> str | None:
    """The key of the sweep that this run is, or belongs to; None where the store knows no such run, or cannot be asked."""
    try:
        return store.client().get_run(run_id).data.tags.get("study") or None
    except Exception as error:  # sqlite, HTTP and MLflow errors have no common base
        log.warning("MLflow store %s: run %s is not found (%s)", store.shown(), run_id, reason(error))
        return None
