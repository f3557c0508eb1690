"""The GitHub Actions workflow (docs/how-to/ci.md): sound as a file, and its own steps run here, on a project of git."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT

FILE = ROOT / ".github" / "workflows" / "pipeline.yml"
WORKFLOW = yaml.safe_load(FILE.read_text(encoding="utf-8"))
JOB = WORKFLOW["jobs"]["pipeline"]
STEPS = JOB["steps"]


def step(name: str) -> dict:
    return next(one for one in STEPS if one.get("name") == name)


def test_it_runs_on_pull_requests_and_on_main_and_may_do_little():
    events = WORKFLOW[True]  # YAML 1.1 reads the key `on` as true
    assert set(events) == {"pull_request", "push"}  # not pull_request_target, which would run a fork's code with our rights
    assert events["push"] == {"branches": ["main"]}
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert JOB["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert JOB["timeout-minutes"] <= 120


def test_each_step_has_one_action_pinned_by_its_version_or_a_script_that_bash_can_read():
    for one in STEPS:
        assert ("uses" in one) != ("run" in one), one
        if "uses" in one:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", one["uses"]), one
        else:
            done = subprocess.run(["bash", "-n"], input=one["run"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert "${{" not in one["run"]  # what others may write reaches a script by the environment alone


def test_expressions_name_contexts_that_github_has():
    contexts = set(re.findall(r"\$\{\{\s*([a-z]+)\.", FILE.read_text(encoding="utf-8")))
    assert contexts <= {"github", "secrets", "steps", "runner", "env"}


def test_the_caches_follow_the_lock_and_the_commit():
    keys = [one["with"] for one in STEPS if one.get("uses", "").startswith("actions/cache@")]
    assert [key["path"] for key in keys] == [".venv", ".dvc/cache"]
    named = re.findall(r"'([\w.-]+)'", keys[0]["key"])
    assert all((ROOT / name).is_file() for name in named)
    assert "requirements.lock" in named


def test_the_make_targets_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^test:", makefile, flags=re.MULTILINE)
    assert "READY := $(VENV)/$(LOCK).ready" in makefile


@pytest.mark.slow
def test_the_steps_fetch_run_and_compare_a_changed_branch(copied, tmp_path):
    at = copied.folder
    (at / ".venv" / "bin").mkdir(parents=True)
    (at / ".venv" / "bin" / "activate").write_text("")  # what runs the tests is on the path already
    copied.run("git", "checkout", "-q", "-b", "base")
    copied.run("git", "add", "-A")
    copied.run("git", "commit", "-qm", "results")
    remote = tmp_path / "remote"
    copied.dvc("remote", "add", "--default", "storage", str(remote))
    copied.dvc("push", "--quiet")
    copied.run("git", "checkout", "-q", "-b", "branch")
    copied.write_params({**copied.params, "train": {**copied.params["train"], "epochs": 2}, "tune": {"trials": 0}})
    shutil.rmtree(at / ".dvc" / "cache")  # as on a fresh machine
    shutil.rmtree(at / "reports")
    summary = tmp_path / "summary.md"
    for name in ("Fetch data and results", "Run what changed", "Compare with the base"):
        told = copied.run("bash", "-e", "-c", step(name)["run"], BASE="base", GITHUB_STEP_SUMMARY=str(summary))
        if name == "Run what changed":
            assert "train" in told.stdout
    text = (at / "comparison.md").read_text(encoding="utf-8")
    assert summary.read_text(encoding="utf-8") == text
    assert text.startswith("## This branch beside base\n\n**AUC ")
    assert "| `train.epochs` | `3` | `2` |" in text
    assert "The source is the same; test rows are the same." in text
    assert "| log loss ↓ |" in text
