"""Registered versions in a real store: one for each content, aliases that move with a record, packages fetched back."""

import importlib

import pytest

from pipeline.tracking import registry, store


@pytest.fixture
def add(workspace, package):
    """Register the package as if its content were another: `add("d1", over=None)`."""
    client = store.client()
    run = client.create_run(store.experiment("data")).info.run_id

    def call(digest, alias="champion", **judged):
        return registry.register(package, name="twice", digest=digest, run_id=run, experiment_name="data", alias=alias, **judged)

    return call


@pytest.mark.filterwarnings("ignore::UserWarning")  # of MLflow's own, when its pyfunc is imported
def test_an_answer_may_hold_values_of_any_type_as_the_names_of_series_are(workspace, monkeypatch, tmp_path):
    saved = {}
    monkeypatch.setattr(importlib.import_module("mlflow.pyfunc"), "save_model", lambda package, **given: saved.update(given))
    registry.save_package(tmp_path, tmp_path, ["shop", "day"], {"shop": "any", "day": "datetime", "sold": "double"}, None, tmp_path, [])
    assert saved["signature"].outputs.to_dict() == [
        {"type": kind, "name": name, "required": True} for name, kind in (("shop", "any"), ("day", "datetime"), ("sold", "double"))
    ]


def test_the_champion_moves_only_from_the_version_that_was_judged(add):
    assert registry.versions("twice") == []
    assert registry.holding("twice", "champion") is None
    assert add("a", over=None, otherwise="challenger", tags={"verdict": "first"}) == 1
    assert add("a", over=None, otherwise="challenger") == 1  # told again
    assert registry.holding("twice", "champion").number == 1
    assert add("b", over=1, otherwise="challenger", tags={"verdict": "better"}) == 2
    assert registry.holding("twice", "champion").number == 2
    assert add("c", over=1, otherwise="challenger", tags={"verdict": "better"}) == 3  # judged against what is champion no longer
    assert registry.holding("twice", "champion").number == 2
    assert registry.holding("twice", "challenger").number == 3
    assert add("d", alias=None) == 4
    assert [(one.number, one.aliases) for one in registry.versions("twice")] == [(4, ()), (3, ("challenger",)), (2, ("champion",)), (1, ())]
    assert [(move.number, move.who, move.why) for move in registry.history("twice", "champion")] == [
        (2, "register", "better"),
        (1, "register", "first"),
    ]


def test_a_version_that_is_told_again_later_takes_no_alias_back(add):
    """As when a store was away: an event is sent a second time after a person has decided otherwise."""
    add("a", over=None, otherwise="challenger")
    add("b", over=1, otherwise="challenger")
    registry.point("twice", "champion", 1, who="me", why="b was wrong")
    add("b", alias="challenger")
    assert registry.holding("twice", "champion").number == 1
    (last, *_) = registry.history("twice", "champion")
    assert (last.number, last.who, last.why) == (1, "me", "b was wrong")


def test_a_package_is_fetched_as_it_was(add, package, tmp_path):
    add("a")
    found = registry.fetch(registry.holding("twice", "champion"), tmp_path / "fetched")
    there = {file.relative_to(package): file.read_bytes() for file in package.rglob("*") if file.is_file()}
    kept = {file.relative_to(found): file.read_bytes() for file in found.rglob("*") if file.is_file()}
    assert {name: kept[name] for name in there if name.name != "MLmodel"} == {n: v for n, v in there.items() if n.name != "MLmodel"}
