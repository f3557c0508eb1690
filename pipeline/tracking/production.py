"""What watching production finds, told to the MLflow store: metrics of the model version over time, and its newest state as tags."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.tracking import sending, store

log = logging.getLogger(__name__)


def tell(name: str, version: str, windows: Sequence[Mapping[str, Any]], tags: Mapping[str, str]) -> bool:
    """Log each window's metrics to the version's run and its logged model, by the window's end; a store that is away costs a warning.

    Args:
        windows: `at` (a window's place among all), `end` (ISO 8601 or None) and `metrics`.

    Returns:
        whether the store has them.
    """
    from mlflow.entities import Metric

    try:
        client = store.client()
        found = client.get_model_version(name, version)
        now = datetime.now(UTC)
        metrics = []
        of = {"model_id": str(found.source).removeprefix("models:/")}  # the version's own field is empty in a SQL store
        for window in windows:
            moment = int((datetime.fromisoformat(window["end"]) if window["end"] else now).timestamp() * 1000)
            metrics += [Metric(key, float(value), moment, window["at"], **of) for key, value in window["metrics"].items()]
        for at in range(0, len(metrics), 500):
            client.log_batch(str(found.run_id), metrics=metrics[at : at + 500])
        for key, value in tags.items():
            client.set_model_version_tag(name, version, key, value)
    except Exception as error:  # sqlite, HTTP and MLflow errors have no common base
        log.warning("MLflow store %s did not take what was found (%s); the next call tells it", store.shown(), sending.reason(error))
        return False
    return True
