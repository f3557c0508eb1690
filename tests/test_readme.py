"""The README's commands and settings are real."""

import re
import shlex

import pytest
import yaml
from conftest import ROOT

from pipeline import params_file

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines() if line.split("#")[0].strip()]


def test_no_placeholder_is_left():
    assert "@@" not in README


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"run", "test"} <= named <= targets


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.startswith(("pipeline check", "pipeline runs", "dvc exp show", "dvc metrics", "dvc params"))]
)
def test_quick_commands_run(finished, command):
    program, *words = shlex.split(command)
    done = finished.pipeline(*words) if program == "pipeline" else finished.dvc(*words)
    assert done.returncode == 0


def test_every_command_is_one_that_a_test_runs():
    elsewhere = ("make run", "make test", "source .venv/bin/activate", "mlflow ui", "pipeline run", "dvc exp run")
    predict = ("pipeline predict new.csv", "pipeline serve", "pipeline monitor --log")  # batch/, serving/, test_walkthrough.py
    remotes = ("dvc remote add --default storage", "git commit -am")  # promises/test_5_had_again.py
    quick = ("pipeline check", "pipeline runs", "dvc exp show", "dvc metrics", "dvc params")
    assert [c for c in COMMANDS if not c.startswith(elsewhere + remotes + predict + quick)] == []


def test_mlflow_ui_takes_the_options_named(finished):
    (command,) = [c for c in COMMANDS if c.startswith("mlflow ui")]
    done = finished.run("python", "-m", *shlex.split(command), "--help")
    assert "--backend-store-uri" in done.stdout


def test_the_settings_shown_for_an_own_csv_are_valid(workspace, write_params):
    (block,) = [b for b in blocks("yaml") if "churn.csv" in b]
    write_params(**{name: value for name, value in yaml.safe_load(block).items() if name == "data"})
    params = yaml.safe_load((workspace / "params.yaml").read_text()) | yaml.safe_load(block)
    (workspace / "params.yaml").write_text(yaml.safe_dump(params))
    loaded = params_file.load(workspace / "params.yaml")
    assert loaded.data.target == "churned"
    assert loaded.split.strategy == "stratified"


def test_files_and_links_exist():
    for path in re.findall(r"\]\(([^)#]+)\)", README) + [p.strip("/") for p in re.findall(r"^\| `([^`]+)`", README, flags=re.MULTILINE)]:
        written = path.rstrip("/") in ("models", ".state")  # by the stages, not in git
        assert written or (ROOT / path).exists(), path
