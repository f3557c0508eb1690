"""Fingerprints: every input of a result changes its own, nothing else does; the commit is that of the workspace."""

from __future__ import annotations

import importlib.metadata
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import lineage
from pipeline.config import TrainParams


def write(folder, **contents):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_a_digest_follows_bytes_and_order_and_keeps_files_apart(tmp_path):
    one, two = write(tmp_path, one=b"ab", two=b"c")
    found = lineage.digest([one, two])
    assert len(found) == 16
    assert int(found, 16) >= 0
    assert lineage.digest([one, two]) == found
    assert lineage.digest([two, one]) != found
    assert lineage.digest(write(tmp_path / "other", one=b"a", two=b"bc")) != found
    assert lineage.digest(write(tmp_path / "same", alpha=b"ab", beta=b"c")) == found
    with pytest.raises(FileNotFoundError, match="three"):
        lineage.digest([tmp_path / "three"])


@settings(max_examples=20, derandomize=True, deadline=None)
@given(content=st.binary(max_size=64), at=st.integers(0, 63), flip=st.integers(1, 255))
def test_one_changed_byte_changes_the_digest(tmp_path_factory, content, at, flip):
    content = content or b"x"
    at %= len(content)
    other = content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
    one, two = write(tmp_path_factory.mktemp("bytes"), one=content, two=other)
    assert lineage.digest([one]) != lineage.digest([two])


def test_a_fingerprint_changes_with_code_data_and_params_and_with_nothing_else(tmp_path):
    (code,) = write(tmp_path, **{"code.py": b"import json\n"})
    data = write(tmp_path / "data", rows=b"1,2")

    def now(**changes):
        return lineage.fingerprint(**({"code": code, "data": data, "params": {"seed": 1, "train": TrainParams()}} | changes))

    first = now()
    assert len(first) == 16
    assert now() == first
    assert now(params={"train": TrainParams(), "seed": 1}) == first
    assert now(params={"seed": 2, "train": TrainParams()}) != first
    assert now(params={"seed": 1, "train": TrainParams(epochs=61)}) != first
    assert now(data=write(tmp_path / "elsewhere", table=b"1,2")) == first
    assert now(data=write(tmp_path / "changed", rows=b"1,3")) != first
    code.write_bytes(b"import json  # changed\n")
    changed = now()
    assert changed != first
    write(tmp_path, **{"code2.py": b"from pipeline import errors\n"})
    assert now(code=tmp_path / "code2.py") not in (first, changed)


def test_a_fingerprint_covers_what_the_code_imports(tmp_path, monkeypatch):
    (code,) = write(tmp_path, **{"code.py": b"from pipeline import errors\n"})
    helper = write(tmp_path, **{"helper.py": b"a = 1\n"})[0]
    monkeypatch.setattr(lineage, "closure", lambda *entries, real=lineage.closure: real(*entries) | {helper})
    before = lineage.fingerprint(code=code, data=[], params={})
    helper.write_bytes(b"a = 2\n")
    assert lineage.fingerprint(code=code, data=[], params={}) != before


def git(*words):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_is_that_of_the_workspace_even_where_dvc_runs_it_for_another_one(workspace, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.parent))
    assert lineage.commit() == {}
    git("init", "--quiet", "--initial-branch", "work")
    (workspace / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    head = git("rev-parse", "HEAD")
    assert lineage.commit() == {"git.commit": head, "git.branch": "work", "git.dirty": "false"}
    (workspace / "file").write_text("2")
    assert lineage.commit()["git.dirty"] == "true"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("main")))
    assert lineage.commit()["git.commit"] == head


def test_without_git_there_is_no_commit_and_no_error(workspace, monkeypatch):
    monkeypatch.setenv("PATH", str(workspace))
    assert lineage.commit() == {}


def test_the_environment_names_versions_lock_and_experiment(workspace, monkeypatch):
    found = lineage.environment()
    assert found["version.keras"] == importlib.metadata.version("keras")
    assert found["python"].startswith("3.")
    assert "lock" not in found
    assert "dvc.experiment" not in found
    (workspace / "requirements.lock").write_text("keras==3\n")
    monkeypatch.setenv("DVC_EXP_NAME", "bushy-sofa")
    found = lineage.environment()
    assert found["lock"] == lineage.digest([workspace / "requirements.lock"])
    assert found["dvc.experiment"] == "bushy-sofa"
    assert all(isinstance(value, str) for value in found.values())
