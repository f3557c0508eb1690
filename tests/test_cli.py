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
from click import shell_completion
from click.testing import CliRunner
from filelock import FileLock

from pipeline import paths
from pipeline.cli import FLAGS, main
from pipeline.commands import stages
from pipeline.commands.stages import STAGES
from pipeline.errors import UserError
from pipeline.terminal import help

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
        examples = re.search(r"^Examples:\n((?:  .+\n)+)", done.output, flags=re.MULTILINE)
        assert examples, "its docstring ends with `Examples: first; second`"
        lines = examples[1].splitlines()
        assert len(lines) >= 2
        assert all(f"pipeline {command}" in line or f"pipeline run {command}" in line or f"-v {command}" in line for line in lines), lines
        if command in STAGES:
            assert STAGES[command] in " ".join(done.output.split())


def test_the_version_is_that_of_the_installed_package(invoke):
    assert invoke("--version").output == f"pipeline, version {importlib.metadata.version('experiment-pipeline')}\n"


def test_without_a_command_the_help_is_shown_and_a_misspelt_one_gets_the_nearest_name(invoke):
    assert "Usage: pipeline" in invoke().output
    done = invoke("colect")
    assert (done.exit_code, done.stderr) == (2, "no command 'colect': did you mean `pipeline collect`?\n")
    assert invoke("xyzzy").stderr == "no command 'xyzzy': `pipeline --help` lists them\n"


def test_the_help_is_a_table_of_contents_in_which_no_line_is_cut_off(invoke):
    told = invoke("--help").output
    assert "..." not in told.split("Begin:")[1]
    for command in main.commands.values():
        assert command.short_help, command.name
        assert len(command.short_help) <= help.SHORT, command.name
    assert "Exit codes: 0 done;" in told


def test_flags_of_the_whole_may_stand_after_the_command_and_no_command_has_them_itself(invoke, workspace):
    taken = {name for command in main.commands.values() for option in command.params for name in option.opts}
    assert taken & FLAGS == set()
    done = invoke("check", "--debug")
    assert isinstance(done.exception, UserError)


def test_check_says_ok_or_all_mistakes_with_exit_code_2(invoke, small, write_params):
    done = invoke("check")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "params.yaml: ok")
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
    done = invoke("-v", "collect")
    assert "collect done" in done.stderr


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


def test_a_defect_ends_in_a_line_that_names_the_log_with_its_traceback(invoke, small, monkeypatch):
    def fail(name, params):
        raise FileNotFoundError(2, "No such file or directory", "/etc/absent")

    monkeypatch.setattr(stages, "run_stage", fail)
    done = invoke("clean")
    assert done.exit_code == 1
    first, second = done.stderr.splitlines()
    assert first == "clean: FileNotFoundError: [Errno 2] No such file or directory: '/etc/absent'"
    named = re.fullmatch(r"This is a defect of this program: its traceback is in (\.state/logs/\S+\.log); --debug shows it", second)
    assert named
    assert "Traceback (most recent call last)" in (small / named[1]).read_text()
    assert isinstance(invoke("--debug", "clean").exception, FileNotFoundError)


def test_a_full_disk_is_told_with_what_to_do(invoke, small, monkeypatch):
    def fail(name, params):
        with open("/dev/full", "w", buffering=1) as out:
            out.write("a line\n")

    monkeypatch.setattr(stages, "run_stage", fail)
    done = invoke("clean")
    assert done.exit_code == 2
    assert done.stderr.startswith("clean: disk full at ")
    assert "run the same command again" in done.stderr


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
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: called.append(words))
    write_params(train={"epochs": 0})
    done = invoke("run")
    assert done.exit_code == 2
    assert "train.epochs: expected greater than or equal to 1, got 0" in done.stderr
    assert called == []


def test_run_passes_its_arguments_to_dvc_and_tells_what_dvc_refuses(invoke, small):
    (small / "dvc.yaml").write_text("stages: {}\n")
    done = invoke("run", "--single-item", "nosuch")
    assert done.exit_code == 2
    assert "you are not inside of a DVC repository" in done.stderr
    assert re.search(r"Log: \.state/logs/\S+-run-\d+\.log$", done.stderr)
    assert "repro --interactive" in invoke("run", "--interactive").stderr


def test_completion_prints_a_script_and_names_of_what_is_here(invoke, small, monkeypatch):
    told = invoke("completion", "bash")
    assert told.exit_code == 0
    assert told.output.startswith("# eval ")
    assert subprocess.run(["bash", "-n"], input=told.output, text=True).returncode == 0
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "say which" in invoke("completion").stderr
    for at, key in enumerate(("a1b2", "c3d4")):
        run = small / ".state/runs" / key / "run.json"
        run.parent.mkdir(parents=True)
        run.write_text("{}")
        os.utime(run, (at, at))

    def completed(*words, start=""):
        asked = shell_completion.ShellComplete(main, {}, "pipeline", "_PIPELINE_COMPLETE")
        return [item.value for item in asked.get_completions(list(words), start)]

    assert completed("show") == ["last", "workspace", "c3d4", "a1b2"]
    assert completed("diff", "last", start="a") == ["a1b2"]
    assert completed("run", start="t") == ["tune", "train"]
    assert set(completed(start="re")) == {"register", "report", "reproduce"}
    assert completed("init", "--target") == []
    assert invoke("collect").exit_code == 0
    assert "income" in completed("init", "--target")


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
