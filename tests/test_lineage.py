"""Fingerprints: every input of a result changes its own, nothing else does; the commit is that of the workspace."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import lineage, patches
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


def test_the_machine_is_told_in_tags(workspace, monkeypatch):
    monkeypatch.setenv("PATH", str(workspace))
    found = lineage.machine()
    assert set(found) == {"machine.processor", "machine.cores", "machine.memory_gb"}  # no GPU, no word of one
    assert int(found["machine.cores"]) >= 1
    assert float(found["machine.memory_gb"]) > 0.1
    assert found["machine.processor"]
    told = workspace / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: Some Chip: 3 GHz\nprocessor\t: 1\nmodel name\t: Other\n")
    assert lineage._processor(told) == "Some Chip: 3 GHz"
    assert lineage._processor(workspace / "none") == (platform.processor() or platform.machine())


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'NVIDIA H100, 550.1'", {"gpu": "NVIDIA H100", "gpu.driver": "550.1"}),
        ("echo 'A, 1'; echo 'B, 1'; echo 'A, 1'", {"gpu": "2 x A, B", "gpu.driver": "1"}),
        ("echo 'No devices were found'", {}),
        ("echo 'A, 1'; exit 9", {}),
        ("exec sleep 30", {}),
    ],
)
def test_the_gpu_is_what_nvidia_smi_tells_and_none_where_it_fails_or_hangs(workspace, monkeypatch, script, expected):
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *words, timeout, **rest: real(*words, timeout=timeout / 10, **rest))
    (workspace / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (workspace / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{workspace}{os.pathsep}{os.environ['PATH']}")
    start = time.monotonic()
    assert lineage._gpu() == expected
    assert time.monotonic() - start < 5


@pytest.fixture
def repository(workspace, monkeypatch):
    """A repository with files to change, as the current folder."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git("init", "--quiet")
    (workspace / "text.txt").write_text("one\ntwo\n")
    (workspace / "place").write_text("a file\n")
    (workspace / "folder").mkdir()
    (workspace / "folder/inner.txt").write_text("inner\n\nend\n")
    (workspace / "secret.py").write_text("def ask(password='hushhush'):\n" + "    x = 1\n" * 9 + "    return 1\n")
    (workspace / "picture.bin").write_bytes(bytes(range(256)) * 20)
    git("add", "--all")
    git("commit", "--quiet", "-m", "first")
    return workspace


def files_of(folder):
    """Content or link of every file but git's own."""
    found = (file for file in folder.rglob("*") if ".git" not in file.parts and (file.is_symlink() or file.is_file()))
    return {str(file.relative_to(folder)): os.readlink(file).encode() if file.is_symlink() else file.read_bytes() for file in found}


def times(folder):
    """When each file was changed; of git's objects only that they are there: git marks those that it meets again as fresh."""
    return {file: 0 if "objects" in file.parts else file.stat().st_mtime_ns for file in folder.rglob("*")}


def applied(repository, patch, clone):
    """The files of a clone of the commit with the patch on it."""
    git("clone", "--quiet", str(repository), str(clone))
    (clone.parent / "patch").write_bytes(patch.content)
    git("-C", str(clone), "apply", "--binary", "--whitespace=nowarn", str(clone.parent / "patch"))
    return files_of(clone)


@pytest.fixture
def clone(tmp_path_factory):
    return tmp_path_factory.mktemp("clone") / "clone"


def test_a_folder_in_the_place_of_a_file_and_the_other_way_round(repository, clone):
    (repository / "place").unlink()
    (repository / "place").mkdir()
    (repository / "place/new.txt").write_text("new\n")
    (repository / "place/.env").write_text("A=hush\n")
    (repository / "folder/inner.txt").unlink()
    (repository / "folder").rmdir()
    (repository / "folder").write_text("no folder\n")
    (repository / "text.txt").unlink()
    (repository / "text.txt").symlink_to("picture.bin")
    patch = patches.of_workspace()
    assert patch.left_out == {"place/.env": "private by its name"}
    assert b"hush" not in patch.content
    expected = files_of(repository)
    del expected["place/.env"]
    assert applied(repository, patch, clone) == expected


def test_secrets_that_a_file_no_longer_holds_or_holds_elsewhere_are_not_in_the_patch_and_it_applies(repository, clone):
    (repository / "picture.bin").write_bytes(b"\0" + bytes(range(255, 0, -1)) * 20)
    text = (repository / "secret.py").read_text()
    (repository / "secret.py").write_text(text.replace("return 1", "return 2"))  # the heading of this hunk is the line of the secret
    assert b"return 2" in patches.of_workspace().content
    assert b"hushhush" not in patches.of_workspace().content
    (repository / "secret.py").write_text(text.replace("hushhush", ""))
    patch = patches.of_workspace()
    assert patch.left_out == {}
    assert b"hushhush" not in patch.content
    assert patch.content.count(b"\nliteral ") + patch.content.count(b"\ndelta ") == 2  # one each, and no way back
    assert applied(repository, patch, clone) == files_of(repository)


def test_a_removed_file_with_a_secret_is_removed_and_not_told(repository, clone):
    (repository / "secret.py").unlink()
    patch = patches.of_workspace()
    assert b"hushhush" not in patch.content
    assert applied(repository, patch, clone) == files_of(repository)


def test_secrets_are_found_in_binary_files_and_by_the_environment(repository, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "plain-word")
    (repository / "zeros").write_bytes(b"\0password = 'hushhush'\n")
    (repository / "wide.txt").write_text("password = 'hushhush'\n", encoding="utf-16")
    (repository / "called.py").write_text("connect('plain-word')\n")
    (repository / "fine.py").write_text("connect()\n")
    patch = patches.of_workspace()
    assert patch.left_out == dict.fromkeys(["called.py", "wide.txt", "zeros"], "holds what looks like a secret")
    assert b"fine.py" in patch.content
    monkeypatch.delenv("SOME_API_KEY")
    assert "called.py" not in patches.of_workspace().left_out


def test_settings_of_the_user_change_nothing(repository, clone, monkeypatch):
    (repository / "text.txt").write_bytes(b"one\r\n2\r\n\r\nend")
    (repository / 'caf\u00e9 "x".txt').write_bytes(b"a\r\n")
    (repository / "secret.py").rename(repository / "moved.py")
    (repository / "picture.bin").chmod(0o755)
    (repository / "folder/inner.txt").write_text("inner\n\nchanged\n")
    (repository / ".gitattributes").write_text("*.txt diff=x\n")
    os.utime(repository / "place", (1, 1))
    expected = patches.of_workspace()
    settings = {"core.autocrlf": "input", "core.quotePath": "false", "core.splitIndex": "true", "core.untrackedCache": "true"}
    settings |= {"diff.noprefix": "true", "diff.mnemonicPrefix": "true", "diff.renames": "copies", "diff.context": "0"}
    settings |= {"color.ui": "always", "diff.external": "false", "diff.suppressBlankEmpty": "true", "diff.algorithm": "patience"}
    settings |= {"diff.x.textconv": "tac", "diff.x.command": "false", "core.attributesFile": str(repository / ".git/attributes")}
    for name, value in settings.items():
        git("config", name, value)
    (repository / ".git/attributes").write_text("* diff=x\n")
    (repository / ".git/hooks").mkdir(exist_ok=True)
    (repository / ".git/hooks/post-index-change").write_text("#!/bin/sh\ntouch hooked\n")
    (repository / ".git/hooks/post-index-change").chmod(0o755)
    monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=0")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    before = times(repository)
    assert patches.of_workspace() == expected
    assert times(repository) == before
    assert expected.left_out == {"moved.py": "holds what looks like a secret"}
    there = files_of(repository)
    del there["moved.py"]
    monkeypatch.delenv("GIT_DIFF_OPTS")
    assert applied(repository, expected, clone) == there
    assert os.access(clone / "picture.bin", os.X_OK)


def test_repositories_inside_are_left_out_and_named(repository):
    for name in ("inside", "module"):
        git("clone", "--quiet", str(repository), str(repository / name))
    git("-c", "advice.addEmbeddedRepo=false", "add", "module")
    (repository / "text.txt").write_text("3\n")
    patch = patches.of_workspace()
    assert patch.left_out == dict.fromkeys(["inside", "module"], "a repository of its own")
    assert b"Subproject" not in patch.content
    assert b"+3" in patch.content
    git("commit", "--quiet", "-m", "second")
    (repository / "module/text.txt").write_text("changed\n")
    assert patches.of_workspace().left_out == patch.left_out


def test_a_file_that_git_cannot_take_in_is_named_and_the_rest_is_there(repository):
    (repository / ".gitattributes").write_text("*.large filter=broken\n")
    git("config", "filter.broken.clean", "false")
    git("config", "filter.broken.required", "true")
    for name in ("a.txt", "b.large", "c.txt", "d.large"):
        (repository / name).write_text(name)
    patch = patches.of_workspace()
    assert patch.left_out == dict.fromkeys(["b.large", "d.large"], "git cannot read it")
    assert [name in patch.content for name in (b"+a.txt", b"+b.large", b"+c.txt")] == [True, False, True]


def test_dvc_lock_is_never_too_large_and_a_staged_change_back_to_the_commit_is_none(repository):
    (repository / "dvc.lock").write_text("a: 1\n" * 2000)
    (repository / "table.csv").write_text("1\n" * 2000)
    patch = patches.of_workspace(limit=1000)
    assert patch.left_out == {"table.csv": "too large (4,000 bytes)"}
    assert patch.content.count(b"+a: 1") == 2000
    git("add", "table.csv")
    assert patches.of_workspace(limit=1000) == patch
    (repository / "dvc.lock").unlink()
    (repository / "table.csv").unlink()
    assert patches.of_workspace() == patches.Patch()


def test_a_large_file_is_not_copied_anywhere(repository, monkeypatch):
    (repository / "large.bin").write_bytes(os.urandom(3_000_000))
    seen = []

    def watched(*words, real=patches._restore, **rest):
        seen.extend(file.stat().st_size for file in Path(os.environ["TMPDIR"]).rglob("*") if file.is_file())
        return real(*words, **rest)

    place = repository / ".git/temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(patches.tempfile, "tempdir", None)
    monkeypatch.setattr(patches, "_restore", watched)
    assert list(patches.of_workspace().left_out) == ["large.bin"]
    assert seen
    assert sum(seen) < 100_000
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("--object-format=sha256",)])
def test_without_a_commit_everything_is_new_and_odd_places_work(workspace, monkeypatch, clone, words):
    place = workspace / 'a:b "c" \u00e9'
    place.mkdir()
    monkeypatch.chdir(place)
    git("init", "--quiet", *words)
    (place / "new.txt").write_text("new\n")
    (place / os.fsdecode(b"\xff.pem")).write_text("x")
    patch = patches.of_workspace()
    assert patch.left_out == {r"\xff.pem": "private by its name"}
    clone.mkdir()
    (clone.parent / "patch").write_bytes(patch.content)
    git("init", "--quiet", *words, str(clone))
    git("-C", str(clone), "apply", "--binary", str(clone.parent / "patch"))
    assert files_of(clone) == {"new.txt": b"new\n"}
    if words:
        return
    git("add", "new.txt")
    git("commit", "--quiet", "-m", "first")
    (place / "new.txt").write_text("newer\n")  # against an object of a folder whose name has a colon
    assert b"+newer" in patches.of_workspace().content


def test_shallow_clones_and_unmerged_files_work(repository, clone, monkeypatch):
    git("checkout", "--quiet", "-b", "other")
    (repository / "text.txt").write_text("other\n")
    git("commit", "--quiet", "-am", "second")
    git("clone", "--quiet", "--depth=1", f"file://{repository}", str(clone))
    (clone / "text.txt").write_text("shallow\n")
    monkeypatch.chdir(clone)
    assert b"+shallow" in patches.of_workspace().content
    monkeypatch.chdir(repository)
    git("checkout", "--quiet", "-b", "third", "HEAD~1")
    (repository / "text.txt").write_text("third\n")
    git("commit", "--quiet", "-am", "third")
    with pytest.raises(subprocess.CalledProcessError, match=r"exit status 1\."):
        git("merge", "other")
    before = git("status", "--porcelain")
    assert b"+<<<<<<<" in patches.of_workspace().content
    assert git("status", "--porcelain") == before
    assert list(patches.of_workspace(limit=20).left_out) == ["text.txt"]
