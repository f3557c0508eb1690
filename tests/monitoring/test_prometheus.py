"""The newest window for Prometheus, read by its own parser."""

from __future__ import annotations

import math
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.monitoring import prometheus

MEASURES = [
    {"column": "age", "aspect": "values", "observed": 0.3, "threshold": 0.12, "drifted": True, "harmful": True, "importance": 0.01},
    {"column": "age", "aspect": "missing", "observed": 0.0, "threshold": 0.0, "drifted": False, "harmful": True, "importance": 0.01},
    {"column": "plan", "aspect": "missing", "observed": 0.2, "threshold": 0.0, "drifted": True, "harmful": True, "importance": None},
    {"column": "empty", "aspect": "values", "observed": None, "threshold": 0.1, "drifted": False, "harmful": True, "importance": None},
    {"column": "region", "aspect": "values", "observed": 0.9, "threshold": 0.1, "drifted": True, "harmful": False, "importance": 0.0},
]
LOSS = {"decayed": True, "difference": 0.08, "lower": 0.05, "upper": 0.11, "reference_loss": 0.57, "minimum_difference": 0.03}


def window(**other):
    return {
        "window": "production-02", "kind": "production", "start": None, "end": "2012-01-09T00:00:00Z", "rows": 1000, "labelled": 980,
        "state": "decay", "measures": MEASURES, "decay": LOSS, "performance": {"metric": "auc", "value": 0.61, "low": 0.57, "high": 0.65},
        "estimate": {"metric": "auc", "value": 0.66, "low": 0.62, "high": 0.7, "sentence": ""},
    } | other  # fmt: skip


def summary(*windows, **other):
    found = {
        "model": {"name": "rand_health", "version": "4", "run": "3f"},
        "state": "decay",
        "alarmed": True,
        "retrain": {"suggested": True},
    }
    return found | {"windows": list(windows)} | other


def samples(found):
    """Each sample's value by its name and its labels, those of the model aside."""
    read = {}
    for family in text_string_to_metric_families(prometheus.text(found)):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name not in ("model", "version")}
            assert set(sample.labels) - set(labels) == {"model", "version"}
            key = (sample.name.removeprefix("pipeline_monitor_"), *(labels[name] for name in sorted(labels)))
            assert key not in read
            read[key] = sample.value
    return read


def test_the_newest_window_in_gauges():
    found = samples(summary(window(rows=1, decay=None), window(), window(kind="control", rows=7)))
    assert found == {
        ("state",): 3,
        ("alarm",): 1,
        ("retrain_suggested",): 1,
        ("window_rows",): 1000,
        ("window_labelled_rows",): 980,
        ("window_end_timestamp_seconds",): 1326067200,
        ("loss_increase",): 0.08,
        ("metric", "auc"): 0.61,
        ("metric_estimate", "auc"): 0.66,
        ("drift_ratio", "values", "age"): pytest.approx(2.5),
        ("drift_ratio", "missing", "age"): 0,
        ("drift_ratio", "missing", "plan"): math.inf,
    }


def test_a_newer_window_too_small_to_judge_does_not_give_the_numbers_of_the_one_that_alarmed():
    small = window(state="insufficient data", rows=5, measures=[], performance=None, estimate=None, decay=None)
    assert samples(summary(window(), small)) == samples(summary(window()))


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("insufficient data", 1), ("drift", 2), ("decay", 3)])
def test_every_state_has_its_number(state, code):
    found = samples(summary(window(), state=state, alarmed=False, retrain={"suggested": False}))
    assert (found["state",], found["alarm",], found["retrain_suggested",]) == (code, 0, 0)


def test_what_is_not_known_has_no_sample():
    assert samples(summary(state=None, alarmed=None, retrain=None, model=None)) == {}
    bare = dict.fromkeys(("end", "rows", "labelled", "measures", "decay", "performance", "estimate"))
    assert samples(summary(window(**bare), alarmed=False, retrain=None)) == {("state",): 3, ("alarm",): 0}
    assert ("metric", "auc") not in samples(summary(window(performance={"metric": "auc", "value": None, "low": None, "high": None})))
    assert samples(summary(window(kind="control"), state=None, retrain=None)) == {("alarm",): 1}


def test_names_are_escaped():
    name = 'a "quoted"\\ name\nof {two} lines, é'
    measure = {**MEASURES[0], "column": name}
    found = summary(window(measures=[measure]), model={"name": name, "version": None, "run": None})
    assert samples(found)["drift_ratio", "values", name] == pytest.approx(2.5)
    family = next(iter(text_string_to_metric_families(prometheus.text(found))))
    assert family.samples[0].labels == {"model": name, "version": ""}


def test_a_moment_without_a_zone_is_in_utc_wherever_the_machine_stands(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert prometheus.seconds("1970-01-02T00:00:00") == prometheus.seconds("1970-01-02T01:00:00+01:00") == 86400
    assert prometheus.seconds(None) is None
    monkeypatch.undo()
    time.tzset()


def test_equal_summaries_give_equal_text():
    assert prometheus.text(summary(window())) == prometheus.text(summary(window()))
    assert prometheus.text(summary(window())).endswith("\n")
