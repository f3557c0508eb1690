"""What watching production finds, in a real store: metrics of the version's run and logged model over time, tags of the version."""

import logging

from pipeline.tracking import production, registry, store


def test_metrics_stand_at_the_end_of_their_window_and_the_version_tells_its_state(workspace, package, caplog):
    client = store.client()
    run = client.create_run(store.experiment("data")).info.run_id
    number = registry.register(package, name="twice", digest="a", run_id=run, experiment_name="data", alias="champion")
    ends = ["2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z", None]
    told = [{"at": at, "end": end, "metrics": {"production/drift": at > 0, "production/rows": 100 + at}} for at, end in enumerate(ends)]
    assert production.tell("twice", str(number), told, {"production.state": "drift"})
    drift = client.get_metric_history(run, "production/drift")
    assert [(one.step, one.value) for one in drift] == [(0, 0.0), (1, 1.0), (2, 1.0)]
    assert [one.timestamp for one in drift[:2]] == [1767571200000, 1768176000000]
    version = client.get_model_version("twice", str(number))
    assert version.tags["production.state"] == "drift"
    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    assert {one.key: one.value for one in logged.metrics}["production/rows"] == 102.0

    caplog.set_level(logging.WARNING)
    assert not production.tell("nobody", "1", told, {})
    assert "did not take what was found" in caplog.text
