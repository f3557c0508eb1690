"""The flow: what ran, what was reused, and how long it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from made_reports import window, write

from pipeline import files, paths, summary
from pipeline.commands.stages import run_stage
from pipeline.params_file import load
from pipeline.run_page import flow


def facts(**changes):
    return {**summary.facts(), "sweep": 0, **changes}


def costs(**ended):
    return {name: {"wall_seconds": 10.0} for name in ended} | {"ended": ended}


def states(steps):
    return {step.name: step.state for step in steps}


def test_a_stage_that_ended_before_this_repro_was_reused(workspace):
    write()
    steps = flow.steps(facts(sweep=3), costs(collect=50, clean=50, tune=150, train=180), 100.0, {"clean": "clean/index.html"})
    told = states(steps)
    assert (told["collect"], told["tune"], told["train"], told["report"]) == ("reused", "ran", "ran", "now")
    assert told["split"] == "reused"  # of which nothing is known: DVC's cache had it
    assert [step.seconds for step in steps if step.name in ("train", "split", "report")] == [None, 10.0, None]
    assert next(step.href for step in steps if step.name == "clean") == "clean/index.html"
    first, last = flow.told(steps).split("; ")
    assert first == "20 s for 2 stages that ran in this repro, most of it tune (10 s)"
    assert last == "7 reused, with the time of when they last ran."


def test_without_a_repro_stages_were_run_by_hand(workspace):
    write()
    steps = flow.steps(facts(), costs(collect=50, tune=60), None, {})
    told = states(steps)
    assert (told["collect"], told["tune"], told["clean"]) == ("alone", "off", "reused")
    assert flow.told(steps) == "20 s for 2 stages, each as it last ran here, most of it collect (10 s)."
    assert flow.told(flow.steps(facts(), {}, None, {})).startswith("No times are kept in this workspace")


def test_shares_are_those_of_the_longest_stage(workspace):
    write()
    known = {"clean": {"wall_seconds": 5.0}, "train": {"wall_seconds": 20.0}}
    shares = {step.name: step.share for step in flow.steps(facts(), known, None, {})}
    assert (shares["clean"], shares["train"], shares["monitor"]) == (25.0, 100.0, 0.0)


def test_each_stage_says_what_it_found(workspace):
    windows = [window("control-01", kind="control"), window("production-01"), window("production-02", "drift")]
    write(windows=windows, version=7)
    told = flow.facts(facts(sweep=12))
    assert told["split"] == "random"
    assert told["normalize"] == "2 columns used"
    assert told["tune"] == "12 trials"
    assert told["train"] == "best of 3 epochs: 2"
    assert told["evaluate"] == "AUC 0.700"
    assert told["register"] == "version 7"
    assert told["monitor"] == "1 of 2 drift"


def test_a_forecast_has_steps_instead_of_columns(workspace):
    write("forecast")
    assert flow.facts(facts())["normalize"] == "8 steps in, 2 out"


def test_durations_read_well():
    words = [summary.duration(seconds) for seconds in (0.04, 9.94, 9.96, 59.4, 59.6, 130, 3599.7, 11_100)]
    assert words == ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 0 s", "2 min 10 s", "1 h 0 min", "3 h 5 min"]


def test_a_stage_notes_what_it_took_and_when_it_ended(small):
    before = time.time()
    run_stage("collect", load(paths.PARAMS))
    noted = files.read_json(paths.costs())
    assert before <= noted["ended"]["collect"] <= time.time()
    assert noted["collect"]["wall_seconds"] > 0
    write()
    collect, clean, *_ = flow.steps(facts(), noted, before, {})
    assert (collect.state, clean.state) == ("ran", "reused")
    assert flow.steps(facts(), noted, time.time(), {})[0].state == "reused"


def test_the_repro_above_a_stage_is_found_by_its_process(tmp_path):
    assert flow.repro_began() is None or "DVC_ROOT" in os.environ
    code = "from pipeline.run_page import flow; print(flow.repro_began())"
    program = Path(tmp_path, "dvc")  # a program of that name that calls a stage, as DVC does
    program.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}], check=True)\n")
    before = time.time()
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert abs(float(done.stdout) - before) < 60
