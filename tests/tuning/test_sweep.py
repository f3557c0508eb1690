"""Sweeps with real workers on a small table: what is written, what a kill costs, what many machines do."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import SMALL, purchases

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.config import TuneParams
from pipeline.errors import UserError
from pipeline.params_file import load
from pipeline.tracking import store
from pipeline.tuning import sweep

TUNE = {"trials": 4, "space": {"train.learning_rate": {"log": [1e-3, 1e-2]}, "model.width": {"choice": [4, 8]}}}


@pytest.fixture(scope="module")
def normalized(tmp_path_factory):
    """A workspace whose data stages have run, with three folds."""
    folder = tmp_path_factory.mktemp("normalized")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PIPELINE_STATE"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        purchases(240).to_csv("rows.csv", index=False)
        (folder / "params.yaml").write_text(yaml.safe_dump({**SMALL, "split": {**SMALL["split"], "folds": 3}}))
        for stage in ("collect", "clean", "split", "normalize"):
            run_stage(stage, load(paths.PARAMS))
    shutil.rmtree(folder / "data" / "split" / "test")  # promise 1: tune never needs them
    shutil.rmtree(folder / "data" / "normalized" / "test")
    return folder


@pytest.fixture
def here(normalized, workspace):
    """A copy of it as the current folder."""
    shutil.copytree(normalized, workspace, dirs_exist_ok=True)
    return workspace


def write(folder=Path(), train=(), **tune):
    """params.yaml with another tune section."""
    params = {**SMALL, "split": {**SMALL["split"], "folds": 3}, "train": {**SMALL["train"], **dict(train)}, "tune": {**TUNE, **tune}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def tune(**options):
    run_stage("tune", load(paths.PARAMS), **options)


def trials():
    with (paths.REPORTS / "tune" / "trials.csv").open() as stream:
        return list(csv.DictReader(stream))


def best():
    return yaml.safe_load(paths.BEST.read_text())


def digest(folder=paths.REPORTS / "tune"):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def runs():
    """The parent runs, and those below them."""
    client = store.client()
    found = client.search_runs([client.get_experiment_by_name("rows").experiment_id], max_results=5000)
    return [r for r in found if r.data.tags["stage"] == "tune"], [r for r in found if r.data.tags["stage"] == "trial"]


def listening():
    """A process that a shell put in the background ignores Ctrl-C, and so do its children: not here."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(process, seconds=300):
    """Wait for a sweep that should end well."""
    said = process.communicate(timeout=seconds)[1]
    assert process.returncode == 0, said


def command(*options, folder=None, **environment):
    """`pipeline tune` as a process of its own, the first of its group."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    words = [sys.executable, "-m", "pipeline", "tune", *options]
    return subprocess.Popen(
        words, cwd=folder, env={**outside, **environment}, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=listening
    )


def is_worker(process):
    """Whether a process is one that trains; one that was killed a moment ago is not."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_a_sweep_is_reported_tracked_continued_and_never_repeated(here, caplog):
    write()
    tune()
    assert [row["number"] for row in trials()] == ["0", "1", "2", "3"]
    assert {row["state"] for row in trials()} <= {"complete", "pruned"}
    chosen = best()
    assert chosen["from"]["value"] == min(float(row["loss"]) for row in trials() if row["loss"])
    assert chosen["from"]["validation_loss"] == chosen["from"]["value"]
    assert sorted(file.name for file in paths.BEST.parent.iterdir()) == ["best.yaml", "importances.csv", "index.html", "trials.csv"]
    (parent,), children = runs()
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert sorted(int(run.data.tags["trial"]) for run in children) == [0, 1, 2, 3]
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    first = next(run for run in children if run.data.tags["trial"] == "0")
    assert [m.step for m in store.client().get_metric_history(first.info.run_id, "validation/loss")] == [0, 1, 2]
    assert first.data.params == {"train.learning_rate": "0.001", "model.width": "8"}
    assert parent.data.metrics["best/validation/loss"] == chosen["from"]["value"]
    before, four = digest(), trials()

    started = time.monotonic()
    tune()  # nothing is left to do
    assert digest() == before
    assert time.monotonic() - started < 10

    caplog.set_level("INFO", "pipeline")
    write(trials=6)  # more trials go on
    tune()
    assert trials()[:4] == four
    assert len(trials()) == 6
    assert len(runs()[0]) == 1
    assert len(runs()[1]) == 6
    assert "goes on" in caplog.text

    write(train={"epochs": 2})  # another study, which says why
    tune()
    assert "since train.epochs is 2, there 3" in caplog.text
    write()  # and back: the old one is found, and grows no further
    tune()
    assert len(trials()) == 6
    assert len(list((here / ".state" / "studies").glob("*.log"))) == 2


def test_zero_trials_train_params_yaml_as_it_is(here):
    write(trials=0)
    tune()
    assert best() == {"params": {}, "from": {"trials": 0}}
    assert not (here / ".state" / "mlflow.db").exists()


def test_mistakes_are_told_before_anything_starts(here):
    for keys, message in (
        ({"objectives": ["f2"]}, "tune.objectives: f2 is not measured; expected one of auc, log_loss, .*, loss, parameters, latency"),
        ({"constraints": {"size": 1.0}}, "tune.constraints: size is not measured"),
        ({"warm_start": "0123"}, "tune.warm_start: expected the key of a sweep .*, got 0123"),
        ({"storage": "NOWHERE"}, "NOWHERE is not set"),
    ):
        write(**keys)
        with pytest.raises(UserError, match=message):
            tune()


def test_a_gpu_that_is_not_there_is_one_line(here):
    write(train={"device": "gpu"})
    with pytest.raises(UserError, match=r"train\.device: gpu is asked for"):
        tune()


def test_values_that_keras_refuses_fail_their_trial_alone(here):
    write(trials=3, space={"model.activation": {"choice": ["silu", "no_such_activation"]}}, sampler="GridSampler", pruner="NopPruner")
    tune()
    states = {row["model.activation"]: (row["state"], row["reason"]) for row in trials()}
    assert states["silu"][0] == "complete"
    assert states["no_such_activation"][0] == "failed"
    assert "no_such_activation" in states["no_such_activation"][1]


def test_cores_are_shared_and_gpus_have_one_worker_each(caplog):
    cores = sorted(os.sched_getaffinity(0))
    assert sweep.seats(TuneParams(), on_gpus=[]) == [((), "")]
    two = sweep.seats(TuneParams(workers=2), on_gpus=[])
    assert len(two) == 2
    assert all(len(share) == max(1, len(cores) // 2) for share, _ in two)
    assert len(cores) < 2 or not set(two[0][0]) & set(two[1][0])
    assert [gpu for _, gpu in sweep.seats(TuneParams(workers=3), on_gpus=["0", "1"])] == ["0", "1"]
    assert "2 GPUs are here: one a device" in caplog.text


@pytest.mark.slow
def test_killed_anywhere_and_resumed_the_reports_have_the_same_bytes(here, tmp_path_factory):
    """One worker: the parent is killed in the middle of a trial."""
    whole = tmp_path_factory.mktemp("whole")
    shutil.copytree(here, whole, dirs_exist_ok=True)
    for folder in (here, whole):
        write(folder, train={"epochs": 6}, trials=6)
    ended(command(folder=whole))
    for after in (1500, 7000, 12000):
        process = command(folder=here)
        _killed_after(process, here, after)
    ended(command(folder=here))
    assert digest(here / "reports" / "tune") == digest(whole / "reports" / "tune")


def _killed_after(process, folder, size):
    """Kill a sweep as soon as its study is so large; its workers end by themselves."""
    workers = []
    for _ in range(1200):
        workers = psutil.Process(process.pid).children(recursive=True) or workers
        if sum(file.stat().st_size for file in (folder / ".state" / "studies").glob("*.log")) > size or process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    process.stderr.close()
    assert not psutil.wait_procs(workers, timeout=20)[1]


@pytest.mark.slow
def test_killed_twenty_times_nothing_is_lost_and_nothing_done_twice(here):
    """Workers and parents, at random moments; two workers, 40 trials."""
    write(train={"epochs": 6}, trials=40, workers=2, retries=20)
    draw, kills, process = random.Random(4), 0, command()
    size = lambda: sum(file.stat().st_size for file in Path(".state/studies").glob("*.log"))  # noqa: E731
    at, began = size() + draw.randrange(200, 4000), time.monotonic()
    while kills < 20:
        assert process.poll() is None, f"the sweep ended after {kills} kills: {process.stderr.read()}"
        if size() > at or time.monotonic() - began > 60:
            workers = [one for one in psutil.Process(process.pid).children() if is_worker(one)]
            if draw.random() < 0.5 and workers:
                draw.choice(workers).kill()
            else:
                process.kill()
                process.wait()
                process.stderr.close()
                psutil.wait_procs(workers, timeout=20)
                process = command()
            kills += 1
            at, began = size() + draw.randrange(200, 4000), time.monotonic()
        time.sleep(0.02)
    ended(process, 600)
    rows = trials()
    assert len([row for row in rows if row["state"] in ("complete", "pruned")]) == 40
    assert len({row["number"] for row in rows}) == len(rows) == 40
    assert len({(row["train.learning_rate"], row["model.width"]) for row in rows}) == 40
    (parent,), children = runs()
    assert sorted(int(run.data.tags["trial"]) for run in children) == list(range(40))
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}


@pytest.mark.slow
def test_ctrl_c_keeps_everything(here):
    write(train={"epochs": 6}, trials=30)
    process = command()
    for _ in range(600):
        if sum(file.stat().st_size for file in Path(".state/studies").glob("*.log")) > 6000:
            break
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "of 30 trials are kept" in said
    assert "Traceback" not in said
    assert not psutil.wait_procs(workers, timeout=10)[1]
    (parent,), children = runs()
    assert parent.info.status == "KILLED"
    kept = {run.data.tags["trial"] for run in children}
    assert kept
    assert {run.info.status for run in children} == {"FINISHED"}
    write(train={"epochs": 6}, trials=len(kept) + 1)
    tune()
    (parent,), children = runs()
    assert parent.info.status == "FINISHED"
    assert len(children) == len(kept) + 1


@pytest.mark.slow
def test_two_workers_search_lists_and_conditions(here):
    space = {
        "model.layers": {"int": [1, 3]},
        "model.width": {"int": [4, 16], "each": "model.layers"},
        "train.optimizer": {"choice": ["adamw", "sgd"]},
        "train.optimizer_config.momentum": {"uniform": [0.0, 0.9], "when": {"train.optimizer": ["sgd"]}},
        "train.augment.mixup": {"uniform": [0.0, 0.4]},
    }
    write(trials=8, workers=2, space=space)
    tune()
    rows = trials()
    assert len(rows) == 8
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    for row in rows[1:]:
        assert len(json.loads(row["model.width"])) == int(row["model.layers"])
        assert bool(row["train.optimizer_config.momentum"]) == (row["train.optimizer"] == "sgd")
    assert "depends on which trial ended first" in best()["from"]["reproducible"]
    run_stage("train", load(paths.PARAMS))  # what was found can be trained
    trained = json.loads((paths.REPORTS / "train" / "metrics.json").read_text())
    assert trained["validation_loss"] == pytest.approx(best()["from"]["value"], rel=1e-6)


@pytest.mark.slow
def test_folds_objectives_constraints_and_a_warm_start(here):
    write(trials=3, folds=True, pruner="MedianPruner", pruner_config={"n_startup_trials": 1}, objectives=["auc"])
    tune()
    rows = trials()
    assert rows[0]["epochs"] == "9"  # three folds of three epochs
    assert best()["from"]["objective"] == "auc"
    key = best()["from"]["study"]
    write(trials=4, objectives=["loss", "latency"], constraints={"parameters": 1e9, "latency": 1e6}, warm_start=key)
    tune()
    again = trials()
    assert all(float(row["latency"]) > 0 for row in again)
    known = {(row["train.learning_rate"], row["model.width"]) for row in rows}
    assert (again[1]["train.learning_rate"], again[1]["model.width"]) in known
    (first, *_) = [run for run in runs()[0] if run.data.tags["study"] == key]
    write(trials=2, warm_start=first.info.run_id)
    tune()
    assert (trials()[1]["train.learning_rate"], trials()[1]["model.width"]) in known


@pytest.mark.slow
def test_minutes_end_a_sweep_that_has_a_result(here):
    write(train={"epochs": 6}, trials=10_000, minutes=0.1)
    tune()
    assert 1 <= len(trials()) < 200
    assert best()["from"]["trials"] == len(trials())


@pytest.mark.slow
def test_a_dry_run_tells_the_space_and_the_time_and_writes_nothing(here, capsys):
    write()
    before = sorted(here.rglob("*"))
    tune(dry_run=True)
    said = capsys.readouterr().out
    assert "train.learning_rate  0.001 to 0.01, log  (params.yaml: 0.001)" in said
    assert "4 trials of 3 epochs take" in said
    assert [file for file in sorted(here.rglob("*")) if file not in before and file.name not in ("locks", ".state")] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_machines_share_a_sweep_on_postgresql_and_one_of_them_dies(here, postgres, tmp_path_factory):
    """Four processes, each in a workspace and with a state of its own as machines have; the budget is met exactly."""
    folders = [here, *(tmp_path_factory.mktemp("machine") for _ in range(3))]
    for folder in folders[1:]:
        shutil.copytree(here, folder, dirs_exist_ok=True)
    for folder in folders:
        write(folder, train={"epochs": 6}, trials=24, storage="STUDIES", heartbeat=6, retries=3)
    main = command(folder=here, STUDIES=postgres)
    joined = []
    for folder in folders[1:]:
        for _ in range(100):  # a machine that comes before the sweep is there is refused
            process = command("--join", folder=folder, STUDIES=postgres)
            time.sleep(4)
            if process.poll() is None:
                break
            assert "--join" in process.communicate()[1]
        joined.append(process)
    time.sleep(6)
    for process in [*psutil.Process(joined[0].pid).children(recursive=True), psutil.Process(joined[0].pid)]:
        process.kill()
    ended(main, 600)
    for process in joined[1:]:
        ended(process, 120)
    joined[0].communicate()
    rows = trials()
    assert len([row for row in rows if row["state"] in ("complete", "pruned")]) == 24
    assert len({row["train.learning_rate"] for row in rows}) == len(rows)
    (parent,), children = runs()
    assert len(children) == len(rows)
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}

    write(folders[1], train={"epochs": 5}, trials=24, storage="STUDIES", heartbeat=6)
    refused = command("--join", folder=folders[1], STUDIES=postgres)
    said = refused.communicate(timeout=120)[1]
    assert refused.returncode == 2
    assert "train.epochs is 5, there 6" in said
    assert "hushhush" not in said
