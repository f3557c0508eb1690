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


QUICK = ("pipeline check", "pipeline runs", "pipeline status", "pipeline versions", "dvc exp show")
ELSEWHERE = {
    "make run": "tests/promises",
    "make test": "tests/promises",
    "mlflow ui": "tests/test_readme.py",
    "dvc exp run": "tests/promises/test_3_no_lost_run.py",
    "pipeline run": "tests/repository.py",
    "pipeline init churn.csv": "docs/how-to/own-csv.md",
    "pipeline predict new.csv": "docs/how-to/own-csv.md",
    "pipeline doctor": "tests/health/test_doctor.py",
    "pipeline serve": "tests/test_walkthrough.py",
    "pipeline monitor --log": "tests/test_walkthrough.py",
}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(QUICK)])
def test_quick_commands_run(finished, command):
    program, *words = shlex.split(command)
    done = finished.pipeline(*words) if program == "pipeline" else finished.dvc(*words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_is_one_that_a_test_runs():
    assert [c for c in COMMANDS if not c.startswith((*QUICK, *ELSEWHERE))] == []
    assert [place for place in ELSEWHERE.values() if not (ROOT / place).exists()] == []
    assert [c for c in ELSEWHERE if not any(shown.startswith(c) for shown in COMMANDS)] == []  # a command that the README has no more


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
    paths = re.findall(r'(?:src|srcset)="([^"]+)"', README) + re.findall(r"\]\(([^)#]+)\)", README)
    paths += [path.strip("/") for path in re.findall(r"^\| `([^`]+)`", README, flags=re.MULTILINE)]
    for path in paths:
        if path.startswith(("http:", "https:")):
            continue
        written = path.rstrip("/") in ("models", ".state")  # by the stages, not in git
        assert written or (ROOT / path).exists(), path


def test_every_picture_is_shown_by_a_page_and_light_enough():
    pages = README + "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert len(pictures) >= 7
    for picture in pictures:
        assert f"images/{picture.name}" in pages, f"{picture.name}: no page shows it"
        assert picture.stat().st_size < 250_000, picture.name


def test_the_tools_compared_are_those_of_the_long_form():
    table = README.split("## Beside other tools")[1].split("\n## ")[0]
    tools = [name.strip("* ") for name in re.findall(r"^\| ([^|]+?) \|", table, flags=re.MULTILINE) if name.strip("- ")]
    assert len(tools) == 6
    long = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    for tool in tools:
        assert f"| **{tool}**" in long, tool
