"""Promise 6: one look at the config says all that is wrong with it, with line and nearest valid key, and touches nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import params_file
from pipeline.errors import UserError

SIX = """\
seed: 1
data: {source: rows.csv, target: bought, taks: binary}
clean: {duplicates: remove}
split: {validation: 0.6, test: 0.6}
normalize: {rare_category: 0}
model: {layers: two}
train:
tune: {space: {train.learning_rat: {log: [1.0e-4, 1.0e-2]}}}
evaluate:
register:
monitor:
"""
TOLD = [
    "params.yaml:2:42: unknown key data.taks; nearest valid key: data.task",
    "params.yaml:3:21: clean.duplicates: expected 'keep' or 'drop', got \"remove\"",
    "params.yaml:4:9: split: expected validation + test below 1, so that rows are left to train on, got 0.6 + 0.6",
    "params.yaml:5:28: normalize.rare_category: expected greater than or equal to 1, got 0",
    'params.yaml:6:17: model.layers: expected a whole number, got "two"',
    "params.yaml:8:16: tune.space: train.learning_rat is no key of normalize, model or train; nearest valid key: train.learning_rate",
]


def assert_all_told(lines: list[str]) -> None:
    """Every planted mistake is told on one line of its own, and nothing else is."""
    assert [re.sub(r"^\S*params\.yaml", "params.yaml", line) for line in lines] == TOLD


@pytest.mark.parametrize("command", ["check", "collect", "run"])
def test_six_mistakes_are_six_located_lines_in_one_run_and_the_folder_stays_as_it_was(workspace, command):
    (workspace / "params.yaml").write_text(SIX)
    (workspace / "rows.csv").write_text("bought\nyes\n")
    before = {file: file.read_bytes() for file in sorted(workspace.rglob("*")) if file.is_file()}
    done = subprocess.run([sys.executable, "-m", "pipeline", command], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert_all_told(done.stderr.splitlines())
    assert {file: file.read_bytes() for file in sorted(workspace.rglob("*")) if file.is_file()} == before
    assert sorted(entry.name for entry in workspace.iterdir()) == ["params.yaml", "rows.csv"]


def test_a_reader_that_stops_at_the_first_mistake_is_found_out(workspace, monkeypatch):
    (workspace / "params.yaml").write_text(SIX)

    def told() -> list[str]:
        with pytest.raises(UserError) as caught:
            params_file.load(Path("params.yaml"))
        return list(caught.value.messages)

    assert_all_told(told())
    monkeypatch.setattr(params_file.ValidationError, "errors", lambda self, real=params_file.ValidationError.errors: real(self)[:1])
    monkeypatch.setattr(params_file, "_mend", lambda raw, error: None)
    with pytest.raises(AssertionError):
        assert_all_told(told())
