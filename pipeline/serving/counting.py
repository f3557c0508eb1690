"""What a server tells Prometheus of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

SECONDS = (0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
TOGETHER = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counts:
    """Counters of requests, rows and answers.

    Args:
        state: what is looked up when the page is asked for, as (name, help, labels, value).
    """

    def __init__(self, state: Callable[[], Iterator[tuple[str, str, dict[str, str], float]]]) -> None:
        disable_created_metrics()  # a series more for each, which nobody reads
        self.registry, self.state = CollectorRegistry(), state
        at: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("pipeline_requests", "Requests for answers, by HTTP status.", ["status"], **at)
        self.seconds = Histogram("pipeline_request_seconds", "Seconds from a request to its answer.", buckets=SECONDS, **at)
        self.together = Histogram("pipeline_requests_together", "Requests that the model answered at once.", buckets=TOGETHER, **at)
        self.rows = Counter("pipeline_rows", "Rows, by what became of them.", ["outcome"], **at)
        self.answers = Counter("pipeline_answers", "Rows by the class that was answered.", ["answer"], **at)
        self.reloads = Counter("pipeline_reloads", "Changes to another version, by whether it could be loaded.", ["outcome"], **at)
        self.registry.register(self)

    def answered(self, answer: pa.Table, requests: int, *, classes: bool) -> None:
        """Count the rows of requests that were answered together."""
        self.together.observe(requests)
        refused = answer["refused"] if "refused" in answer.column_names else None
        lost = len(answer) - refused.null_count if refused is not None else 0
        self.rows.labels("refused").inc(lost)
        self.rows.labels("answered").inc(len(answer) - lost)
        if "flags" in answer.column_names:
            self.rows.labels("flagged").inc(len(answer) - answer["flags"].null_count)
        if classes:
            for one in pc.value_counts(answer["prediction"]).to_pylist():
                if one["values"] is not None:
                    self.answers.labels(one["values"]).inc(one["counts"])

    def page(self) -> bytes:
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Any]:
        """What the registry asks of a collector: the state at this moment."""
        families: dict[str, Any] = {}
        for name, told, labels, value in self.state():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = families.setdefault(name, kind(name, told, labels=list(labels)))
            family.add_metric(list(labels.values()), value)
        yield from families.values()

    def describe(self) -> Iterator[Any]:
        """Nothing is known before it is asked for."""
        return iter(())
