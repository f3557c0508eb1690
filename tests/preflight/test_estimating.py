"""What a run takes, before it: against what real runs took on 2 cores, and by the rules of the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from development_sets import SETS, needed

from pipeline import files, paths, resources
from pipeline.config import Params
from pipeline.preflight import estimating, telling
from pipeline.preflight.checking import check
from pipeline.preflight.estimating import REFERENCE, Estimate, Work, estimates, matrix_speed, too_large, total
from pipeline.preflight.network import Shape, load_of

ROOT = Path(__file__).parents[2]
SECTIONS = ("data", "clean", "split", "normalize", "model", "train", "tune", "evaluate", "register", "monitor")
# CPU seconds of whole runs on a machine of the reference's speed; the work as `check` found it
RAND = Work(20190, 11, 8611, Shape(8, (5,)), {"train": 11936, "validation": 3212, "test": 2389, "production": 2653}, "binary")
TELCO = Work(7043, 21, 970457, Shape(4, (2,) * 4 + (3,) * 9 + (2, 4)), {"train": 4905, "validation": 1106, "test": 1032}, "binary")
CALIFORNIA = Work(20640, 10, 1423529, Shape(8, (5,)), {"train": 14558, "validation": 3042, "test": 3040}, "regression")
DIGITS = Work(1797, 2, 3169, Shape(0, (), 0, (8, 8, 1), outputs=10), {"train": 1061, "validation": 264, "test": 472}, "multiclass")
RUNS = {
    "rand": (RAND, {"model": {"layers": 3, "width": 192}, "tune": {"trials": 10}}, {"tune": 38, "train": 17, "evaluate": 13, "all": 115}),
    "telco": (TELCO, {"tune": {"trials": 10}}, {"tune": 34, "train": 11, "evaluate": 13, "all": 91}),
    "california": (CALIFORNIA, {"tune": {"trials": 4}}, {"tune": 51, "train": 25, "evaluate": 12, "all": 126}),
    "digits": (
        DIGITS,
        {"model": {"layers": 4, "width": 32}, "train": {"epochs": 10, "batch_size": 64}, "tune": {"trials": 0}},
        {"tune": 0.8, "train": 35, "evaluate": 17, "all": 85},
    ),
}
SLACK = 1.3  # outside of its range that a single stage may lie


def params(**sections: dict) -> Params:
    values = {name: sections.get(name, {}) for name in SECTIONS}
    values["data"] = {"source": "rows.csv", "target": "y", **values["data"]}
    return Params.model_validate_json(json.dumps({"seed": 1, **values}))


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(resources, "cores", lambda: 2)


@pytest.mark.parametrize("name", RUNS)
def test_real_runs_lie_within_the_ranges(name, two_cores):
    work, sections, took = RUNS[name]
    found = {one.stage: one for one in estimates(work, params(**sections), fresh=False, speed=REFERENCE)}
    assert list(found) == list(estimating.STAGES)
    low, high = total(list(found.values()))
    assert low < took["all"] < high < 6 * low  # a range that says something
    for stage in ("tune", "train", "evaluate"):
        assert found[stage].low / SLACK < took[stage] < found[stage].high * SLACK, stage


def seconds(stage: str, **sections: dict) -> float:
    return next(one.high for one in estimates(RAND, params(**sections), fresh=False, speed=REFERENCE) if one.stage == stage)


def test_more_work_takes_longer_and_a_faster_machine_less(two_cores):
    base = seconds("train")
    assert seconds("train", train={"epochs": 120}) > 1.5 * base
    assert seconds("train", model={"width": 1024}) > 2 * base
    assert seconds("train", train={"ensemble": 5}) > 3 * base
    assert seconds("tune", tune={"trials": 40}) > 3 * seconds("tune", tune={"trials": 10})
    assert seconds("tune", tune={"trials": 40, "minutes": 1}) < 0.5 * seconds("tune", tune={"trials": 40})
    assert seconds("tune", tune={"trials": 40, "pruner": "NopPruner"}) > 1.5 * seconds("tune", tune={"trials": 40})
    fast = total(estimates(RAND, params(), fresh=False, speed=2 * REFERENCE))
    assert fast[1] == pytest.approx(total(estimates(RAND, params(), fresh=False, speed=REFERENCE))[1] / 2)


def test_each_family_is_counted():
    picture = Shape(picture=(28, 28, 1), outputs=10)
    assert load_of(picture, params().model, forecast=False).products > 1e6
    text = Shape(text=64)
    assert load_of(text, params(model={"family": "rnn"}).model, forecast=False).serial > 0
    assert load_of(text, params().model, forecast=False).products > 64 * 8 * 64 * 64
    linear = load_of(Shape(7, steps=(336, 8), outputs=96), params().model, forecast=True)
    assert linear.products == 336 * 96


def test_memory_beyond_the_machines_is_told(monkeypatch, two_cores):
    assert too_large(estimates(RAND, params(), fresh=False, speed=REFERENCE)) == []
    monkeypatch.setattr(resources, "machine_memory", lambda: 900_000_000)
    assert [one.stage for one in too_large(estimates(RAND, params(), fresh=False, speed=REFERENCE))] == [
        "tune", "train", "evaluate", "register", "monitor",
    ]  # fmt: skip
    many = estimates(RAND, params(tune={"workers": 8}), fresh=False, speed=REFERENCE)
    assert next(one.memory for one in many if one.stage == "tune") > 7e9


def test_what_a_stage_took_with_the_same_params_counts(workspace, two_cores):
    lock = "stages:\n  tune:\n    params:\n      params.yaml:\n        seed: 1\n        tune:\n          trials: {}\n    outs: []\n"
    Path("dvc.lock").write_text(lock.format(10))
    files.write_json(paths.costs(), {"tune": {"wall_seconds": 1000.0, "cpu_seconds": 900.0, "peak_memory_mb": 1234.0}})

    def tune(trials: int, *, fresh: bool = True) -> Estimate:
        found = estimates(RAND, params(tune={"trials": trials}), fresh=fresh, speed=REFERENCE)
        return next(one for one in found if one.stage == "tune")

    assert (tune(10).measured, tune(10).low, tune(10).memory) == (True, 900.0, 1234e6)
    assert not tune(20).measured
    assert not tune(10, fresh=False).measured


def test_times_are_told_in_one_unit():
    told = [telling.span(*ends) for ends in ((0.3, 1.2), (8, 17), (60, 200), (130, 360), (3000, 9000), (119, 121))]
    assert told == ["1 s", "8 to 17 s", "1 to 3 min", "2 to 6 min", "0.8 to 2.5 h", "2 min"]
    lines = telling.table([Estimate("collect", 1, 2, 3e8), Estimate("tune", 60, 240, 1.2e9, measured=True)])
    assert lines[1:] == ["collect    1 to 2 s  0.3 GB", "tune     1 to 4 min  1.2 GB  as last time", "all      1 to 4 min  1.2 GB"]


def test_the_speed_is_measured_in_a_moment():
    assert 1e9 < matrix_speed(0.05) < 1e13


@needed
@pytest.mark.parametrize(
    ("file", "target", "work"), [("telco_churn.csv", "Churn", TELCO), ("california_housing.csv", "median_house_value", CALIFORNIA)]
)
def test_a_look_at_the_data_finds_the_work(workspace, write_params, file, target, work):
    write_params(data={"source": str(SETS / "tabular" / file), "target": target}, split={"strategy": "random", "by": None})
    found = check(Path("params.yaml"))
    assert found.findings == ()
    assert found.work is not None
    assert (found.work.rows, found.work.columns, found.work.task, found.work.shape) == (work.rows, work.columns, work.task, work.shape)
