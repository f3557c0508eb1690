"""The command line: what it lists, says and answers to mistakes."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from filelock import FileLock

from pipeline import paths
from pipeline.cli import main
from pipeline.commands import stages
from pipeline.commands.stages import STAGES
from pipeline.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def invoke(monkeypatch):
    """Run a command in this process, and put the process's logging back after it."""
    root, environment = logging.getLogger(), dict(os.environ)
    kept = root.level, root.handlers[:]
    root.handlers[:] = []  # else basicConfig(force=True) closes pytest's own
    yield lambda *words: CliRunner().invoke(main, list(words), prog_name="pipeline")
    root.setLevel(kept[0])
    root.handlers[:] = kept[1]
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)


def test_the_stages_are_those_of_dvc_yaml_in_its_order_and_have_a_section_in_the_help(invoke):
    declared = list(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    assert list(STAGES) == declared
    done = invoke("--help")
    assert done.exit_code == 0
    listed = re.findall(r"^  ([a-z]+)  +\S", done.output.split("their order:")[1], flags=re.MULTILINE)
    assert listed[: len(declared)] == declared
    assert sorted(re.findall(r"^  ([a-z]+)  +\S", done.output, flags=re.MULTILINE)) == sorted(main.commands)


@pytest.mark.parametrize("command", main.list_commands(None))
def test_each_command_tells_what_it_does_with_an_example(invoke, command):
    for flag in ("--help", "-h"):
        done = invoke(command, flag)
        assert done.exit_code == 0
        assert done.output.startswith(f"Usage: pipeline {command} ")
        assert f": pipeline {command}" in done.output
        if command in STAGES:
            assert STAGES[command] in " ".join(done.output.split())


def test_the_version_is_that_of_the_installed_package(invoke):
    assert invoke("--version").output == f"pipeline, version {importlib.metadata.version('experiment-pipeline')}\n"


def test_without_a_command_the_help_is_shown_and_a_misspelt_one_is_an_error(invoke):
    assert "Usage: pipeline" in invoke().output
    done = invoke("colect")
    assert done.exit_code == 2
    assert "No such command 'colect'" in done.stderr


def test_check_says_ok_or_all_mistakes_with_exit_code_2(invoke, small, write_params):
    done = invoke("check")
    assert (done.exit_code, done.output) == (0, "params.yaml: ok\n")
    write_params(split={"validation": 2}, train={"epochs": "many"})
    done = invoke("check")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert [re.sub(r":\d+:\d+: ", ": ", line) for line in done.stderr.splitlines()] == [
        "params.yaml: split.validation: expected less than 1, got 2",
        'params.yaml: train.epochs: expected a whole number, got "many"',
    ]


def test_a_stage_does_its_work_and_says_how_long_it_took(invoke, small):
    done = invoke("collect")
    assert done.exit_code == 0, done.output
    sniffed = "csv, encoding 'utf-8', delimiter ',', quote '\"', header 1"
    assert re.search(
        rf"^400 rows, 7 columns from rows\.csv \({re.escape(sniffed)}\)\ncollect done in \d+\.\d s$", done.stderr, flags=re.MULTILINE
    )
    assert (small / paths.RAW / paths.ROWS).exists()


def test_quiet_says_nothing_and_verbose_lets_the_libraries_speak(invoke, small):
    done = invoke("-q", "collect")
    assert (done.exit_code, done.output) == (0, "")
    assert not logging.getLogger("some.library").isEnabledFor(logging.INFO)
    done = invoke("-v", "collect")
    assert "collect done" in done.stderr
    assert logging.getLogger("some.library").isEnabledFor(logging.INFO)
    assert logging.getLogger("pipeline.stages").isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize("stage", ["clean", "split", "normalize", "report"])
def test_a_stage_before_its_inputs_exist_says_what_to_run(invoke, small, stage):
    done = invoke(stage)
    assert done.exit_code == 2, done.output
    assert re.fullmatch(rf"{stage}: data/\S+ is not there yet: run the stages before it, or `pipeline run`\n", done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["tune", "train", "evaluate", "register", "monitor"])
def test_a_stage_with_a_network_before_its_inputs_exist_says_what_to_run(small, stage):
    done = subprocess.run([sys.executable, "-m", "pipeline", stage], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"{stage}: " in done.stderr
    assert "is not there yet: run the stages before it, or `pipeline run`" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_absent_source_is_the_users_mistake(invoke, small):
    (small / "rows.csv").unlink()
    done = invoke("collect")
    assert (done.exit_code, done.stderr) == (2, "data.source: rows.csv: no such file or folder\n")


def test_an_absent_file_that_is_no_input_keeps_its_traceback(invoke, small, monkeypatch):
    def fail(name, params):
        raise FileNotFoundError(2, "No such file or directory", "/etc/absent")

    monkeypatch.setattr(stages, "run_stage", fail)
    done = invoke("clean")
    assert done.exit_code == 1
    assert isinstance(done.exception, FileNotFoundError)


def test_an_interrupt_ends_with_130_and_no_traceback(invoke, small, monkeypatch):
    def stop(name, params):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "run_stage", stop)
    done = invoke("clean")
    assert (done.exit_code, done.stderr) == (130, "interrupted\n")


def test_debug_gives_the_traceback_of_a_users_mistake(invoke, workspace):
    done = invoke("--debug", "check")
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith("params.yaml: no such file")


def test_a_fresh_process_ends_with_2_and_one_line_where_there_is_no_params_file(workspace):
    done = subprocess.run([sys.executable, "-m", "pipeline", "train"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "params.yaml: no such file; run in the project's root, or start from examples/rand_health\n"
    assert list(workspace.iterdir()) == []


def test_run_stops_at_a_mistake_before_dvc_removes_any_output(invoke, small, write_params, monkeypatch):
    called = []
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: called.append(words))
    write_params(train={"epochs": 0})
    done = invoke("run")
    assert done.exit_code == 2
    assert "train.epochs: expected greater than or equal to 1, got 0" in done.stderr
    assert called == []


def test_run_passes_its_arguments_to_dvc_and_gives_back_its_exit_code(invoke, small, monkeypatch):
    called = []

    def run(words, env):
        called.append((words, env["PATH"].split(os.pathsep)[0]))
        return subprocess.CompletedProcess(words, 255)

    monkeypatch.setattr(subprocess, "run", run)
    assert invoke("run", "--force", "train").exit_code == 255
    assert called == [([sys.executable, "-m", "dvc", "repro", "--force", "train"], str(Path(sys.executable).parent))]


def test_a_stage_waits_for_the_same_stage_of_this_workspace(invoke, small):
    assert invoke("collect").exit_code == 0
    (lock,) = (small / ".state" / "locks").glob("*-collect.lock")
    with FileLock(lock):
        second = subprocess.Popen([sys.executable, "-m", "pipeline", "collect"], stderr=subprocess.PIPE, text=True)
        assert second.stderr.readline() == "collect already runs in this workspace; waiting for it to end\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(2)
    assert "collect done in" in second.communicate(timeout=60)[1]
    assert second.returncode == 0
