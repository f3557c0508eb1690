"""dvc.yaml tells the truth: what each stage reads and writes is what it declares, so nothing stale is ever reused."""

from __future__ import annotations

import configparser
import hashlib
import inspect
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from conftest import SMALL

from pipeline import paths
from pipeline.commands.stages import STAGES, run_stage
from pipeline.imports import HOME, closure
from pipeline.params_file import load

ROOT = Path(__file__).parents[1]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
DECLARED = DVC["stages"]
SOURCE = "${data.source}"
TEMPLATES = {"clean": ["quality.html"], "split": ["leakage.html"], "tune": ["tune.html", "timeline.html"]}
RUN = ("style.css", "draw.html", "head.html", "result.html", "data.html", "model.html", "production.html", "links.html")
TEMPLATES |= {"monitor": ["monitor.html"], "report": ["index.html", *(f"run/{name}" for name in RUN)]}
EXTRA = {"register": closure(HOME / "predict.py", HOME / "pyfunc.py")}  # read as data
EXTRA |= {stage: frozenset(HOME / "templates" / name for name in names) for stage, names in TEMPLATES.items()}
DATA_STAGES = ("collect", "clean", "split", "normalize")


def code(stage: str) -> list[str]:
    """The files of the package that a stage's deps name, those in a folder each."""
    named = [ROOT / dep for dep in DECLARED[stage]["deps"] if dep.startswith("pipeline/")]
    files = [file for path in named for file in (path.rglob("*.py") if path.is_dir() else [path]) if file.name != "__init__.py"]
    return [file.relative_to(ROOT).as_posix() for file in files]


def data(stage: str) -> list[str]:
    return [dep for dep in DECLARED[stage]["deps"] if not dep.startswith(("pipeline/", "extensions/")) and dep != SOURCE]


def owned(stage: str) -> list[str]:
    """The folders of extensions/ that a stage's deps name."""
    return [dep for dep in DECLARED[stage]["deps"] if dep.startswith("extensions/")]


def lies_in(path: str, places: list[str]) -> bool:
    return any(Path(path).is_relative_to(place) for place in places)


def test_the_stages_are_those_of_the_command_line_each_run_by_its_command():
    assert list(DECLARED) == list(STAGES)
    assert {name: stage["cmd"] for name, stage in DECLARED.items()} == {name: f"python -m pipeline {name}" for name in STAGES}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_runs(stage):
    needed = closure(HOME / "stages" / f"{stage}.py") | EXTRA.get(stage, set())
    assert sorted(code(stage)) == sorted(file.relative_to(ROOT).as_posix() for file in needed if file.name != "__init__.py")
    assert all((ROOT / dep).is_file() for dep in code(stage))


def test_the_stages_that_read_a_users_own_file_depend_on_its_folder():
    asking = {  # what places such a file, and whether a stage that reaches it asks for one
        "cleaning": lambda stage: "clean" in DECLARED[stage].get("params", []),
        "encoders": lambda stage: "models/own_files.py" in reached(stage) and ("train" in DECLARED[stage]["params"] or stage == "register"),
        "metrics": lambda stage: "evaluation/own.py" in reached(stage),
    }
    found = {stage: [f"extensions/{folder}" for folder, asks in asking.items() if asks(stage)] for stage in STAGES}
    assert found == {stage: owned(stage) for stage in STAGES}
    assert all((ROOT / dep).is_dir() for stage in STAGES for dep in owned(stage))


def reached(stage: str) -> set[str]:
    return {file.relative_to(HOME).as_posix() for file in closure(HOME / "stages" / f"{stage}.py")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_sections_that_it_reads(stage):
    run = import_module(f"pipeline.stages.{stage}").run
    sections = [name for name, given in inspect.signature(run).parameters.items() if given.kind != given.KEYWORD_ONLY]  # the rest are flags
    assert DECLARED[stage].get("params", []) == sections


def test_what_a_stage_reads_is_written_by_an_earlier_one():
    written: list[str] = []
    for name, stage in DECLARED.items():
        assert [dep for dep in data(name) if not lies_in(dep, written)] == [], name
        written += stage["outs"]
    assert [name for name in STAGES if SOURCE in DECLARED[name]["deps"]] == ["collect"]


def test_outputs_do_not_overlap_and_lie_under_data_models_and_reports():
    outs = [out for stage in DECLARED.values() for out in stage["outs"]]
    assert all(lies_in(out, ["data", "models", "reports"]) for out in outs)
    assert [(a, b) for a in outs for b in outs if a != b and lies_in(a, [b])] == []
    assert len(set(outs)) == len(outs)


def test_nobody_reads_test_rows_before_evaluate_nor_production_before_monitor():
    for name in ("tune", "train"):
        assert not [dep for dep in data(name) if "test" in dep or "production" in dep or dep in ("data/split", "data/clean")]
    assert [name for name in STAGES if "data/split/production" in data(name)] == ["monitor"]
    assert [name for name in STAGES if "data/normalized/test" in data(name)] == ["evaluate", "register"]


def test_metrics_and_plots_lie_in_outputs():
    outs = [out for stage in DECLARED.values() for out in stage["outs"]]
    shown = list(DVC["metrics"])
    for plot in DVC["plots"]:
        shown += [plot] if isinstance(plot, str) else [file for inner in plot.values() for file in inner["y"]]
    assert len(shown) > 8
    assert [file for file in shown if not lies_in(file, outs)] == []


def test_dvc_sends_nothing_home_and_asks_for_no_update():
    found = configparser.ConfigParser()
    found.read(ROOT / ".dvc" / "config")
    assert (found["core"]["analytics"], found["core"]["check_update"]) == ("false", "false")


def digests(folder: Path) -> dict[str, str]:
    """The digest of every file under a folder but its state, by path."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and ".state" not in file.relative_to(folder).parts]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def copy(path: str, source: Path, target: Path) -> None:
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    if (source / path).is_dir():
        shutil.copytree(source / path, target / path, dirs_exist_ok=True)
    else:
        shutil.copy2(source / path, target / path)


def run_alone(stage: str, whole: Path, alone: Path, run, deps: list[str] | None = None) -> list[str]:
    """Run a stage where only its declared inputs are, bring its outputs to `whole`, and return what is wrong with them."""
    alone.mkdir()
    copy("params.yaml", whole, alone)
    for dep in data(stage) if deps is None else deps:
        copy(dep, whole, alone)
    for dep in owned(stage):
        copy(dep, ROOT, alone)
    if SOURCE in DECLARED[stage]["deps"]:
        copy("rows.csv", whole, alone)
    before = digests(alone)
    run(stage, alone)
    after = digests(alone)
    outs = DECLARED[stage]["outs"]
    wrong = [f"{stage} changed its input {file}" for file in before if after.get(file) != before[file]]
    wrong += [f"{stage} wrote {file}, which is no output" for file in after if file not in before and not lies_in(file, outs)]
    wrong += [f"{stage} did not write {out}" for out in outs if not (alone / out).exists()]
    for out in outs:
        if (alone / out).exists():
            copy(out, alone, whole)
    return wrong


@pytest.fixture
def in_process(small, monkeypatch):
    monkeypatch.setenv("PIPELINE_STATE", str(small / ".state"))

    def run(stage: str, folder: Path) -> None:
        monkeypatch.chdir(folder)
        run_stage(stage, load(paths.PARAMS))
        monkeypatch.chdir(small)

    return run


PROFIT = "extensions/metrics/profit.py"
PRODUCTION = {"production": {"column": "city", "in": ["Bern"]}}


def test_the_data_stages_need_their_declared_inputs_alone_and_write_their_declared_outputs(
    small, write_params, in_process, tmp_path_factory
):
    write_params(split=PRODUCTION)
    places = tmp_path_factory.mktemp("alone")
    assert [wrong for stage in DATA_STAGES for wrong in run_alone(stage, small, places / stage, in_process)] == []


def test_a_forgotten_input_and_an_undeclared_output_are_found_out(small, in_process, tmp_path_factory, monkeypatch):
    places = tmp_path_factory.mktemp("alone")
    for stage in ("collect", "clean", "split"):
        assert run_alone(stage, small, places / stage, in_process) == []
    with pytest.raises(FileNotFoundError, match=r"data/clean/schema\.json"):
        run_alone("normalize", small, places / "forgotten", in_process, deps=[d for d in data("normalize") if "schema" not in d])
    monkeypatch.chdir(small)
    monkeypatch.setitem(DECLARED["split"], "outs", [out for out in DECLARED["split"]["outs"] if out != "reports/split"] + ["reports/other"])
    assert run_alone("split", small, places / "undeclared", in_process) == [
        "split wrote reports/split/leakage.html, which is no output",
        "split wrote reports/split/leakage.json, which is no output",
        "split wrote reports/split/split.json, which is no output",
        "split did not write reports/other",
    ]


def in_fresh_process(stage: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "-q", stage]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    assert done.returncode == 0, f"{stage}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_every_stage_needs_its_declared_inputs_alone_and_writes_its_declared_outputs(small, write_params, tmp_path_factory, monkeypatch):
    own = {"clean": {"steps": ["extensions/cleaning/household.py"]}, "evaluate": {"replicates": 100, "metrics": [PROFIT]}}
    model = {**SMALL["model"], "encoder": {"table": "extensions/encoders/gated.py"}}
    write_params(split=PRODUCTION, model=model, **own)
    monkeypatch.setenv("PIPELINE_STATE", str(small / ".state"))
    places = tmp_path_factory.mktemp("alone")
    assert [wrong for stage in STAGES for wrong in run_alone(stage, small, places / stage, in_fresh_process)] == []
    assert (small / paths.INDEX).stat().st_size > 10_000
