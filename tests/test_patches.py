"""The uncommitted changes of real repositories, applied to a fresh clone."""

import os
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import patches


def git(folder, *words):
    named = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", *words]
    return subprocess.run(named, cwd=folder, capture_output=True, check=True).stdout


@pytest.fixture
def repository(workspace):
    """A repository with a text, a script, a binary file, a link, and something ignored, as the current folder."""
    git(workspace, "init", "--quiet")
    (workspace / "text.txt").write_text("one\ntwo\n")
    (workspace / "script.sh").write_text("echo\n")
    (workspace / "picture.bin").write_bytes(bytes(range(256)) * 20)
    (workspace / "gone.txt").write_text("gone\n")
    (workspace / "link").symlink_to("text.txt")
    (workspace / ".gitignore").write_text("ignored\n")
    (workspace / "ignored").write_text("x")
    git(workspace, "add", "--all")
    git(workspace, "commit", "--quiet", "-m", "first")
    return workspace


def state(folder):
    """All files but git's own and ignored ones: content or link, and whether they can be run."""
    found = [
        file for file in folder.rglob("*") if ".git" not in file.parts and file.name != "ignored" and (file.is_symlink() or file.is_file())
    ]
    told = lambda file: os.readlink(file).encode() if file.is_symlink() else file.read_bytes()  # noqa: E731
    return {str(file.relative_to(folder)): (told(file), file.is_symlink() or os.access(file, os.X_OK)) for file in found}


def applied(repository, patch, tmp_path_factory):
    """A clone of the commit with the patch on it."""
    clone = tmp_path_factory.mktemp("clone") / "clone"
    git(repository, "clone", "--quiet", str(repository), str(clone))
    if patch.content:
        (clone.parent / "patch").write_bytes(patch.content)
        git(clone, "apply", "--binary", "--whitespace=nowarn", str(clone.parent / "patch"))
    return clone


def test_a_clean_tree_has_no_changes_and_outside_a_repository_there_are_none(repository, tmp_path_factory, monkeypatch):
    assert patches.of_workspace() == patches.Patch()
    monkeypatch.chdir(tmp_path_factory.mktemp("outside"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    assert patches.of_workspace() == patches.Patch()
    monkeypatch.setenv("PATH", "")
    assert patches.of_workspace() == patches.Patch()


def test_changed_new_removed_renamed_binary_and_oddly_named_files_return_and_the_repository_stays_as_it_is(
    repository, tmp_path_factory, monkeypatch
):
    for name in ("diff.noprefix", "diff.mnemonicPrefix", "color.ui"):
        git(repository, "config", name, "true" if name != "color.ui" else "always")
    git(repository, "config", "diff.external", "false")
    (repository / "text.txt").write_bytes(b"one\r\n2\r\nno end")
    (repository / "script.sh").chmod(0o755)
    (repository / "picture.bin").write_bytes(bytes(range(255, -1, -1)) * 20)
    (repository / "gone.txt").unlink()
    (repository / "link").unlink()
    (repository / "link").symlink_to("script.sh")
    (repository / "deep").mkdir()
    for name in ("a b.txt", 'quote".txt', "späße.txt", "new\nline.txt", "latin.txt"):
        (repository / "deep" / name).write_bytes("café\n".encode("latin-1"))
    git(repository, "add", "text.txt")  # a part of it staged
    status = git(repository, "status", "--porcelain", "-z")
    index = (repository / ".git/index").read_bytes()
    objects = sorted(str(file) for file in (repository / ".git/objects").rglob("*"))
    monkeypatch.chdir(repository / "deep")  # from a folder below, too, it is the whole
    patch = patches.of_workspace()
    assert patch.left_out == {}
    assert (repository / ".git/index").read_bytes() == index
    assert sorted(str(file) for file in (repository / ".git/objects").rglob("*")) == objects
    assert git(repository, "status", "--porcelain", "-z") == status
    assert state(applied(repository, patch, tmp_path_factory)) == state(repository)


def test_secrets_private_and_large_files_are_left_out_and_named(repository, tmp_path_factory):
    (repository / "text.txt").write_text("one\npassword = 'hushhush'\n")
    (repository / ".env").write_text("A=1\n")
    (repository / "large.csv").write_text("1,2\n" * 10_000)
    (repository / "kept.py").write_text("x = 1\n")
    (repository / "dvc.lock").write_text("y: 1\n")
    patch = patches.of_workspace(without=("dvc.lock",), limit=20_000)
    assert patch.left_out == {
        "text.txt": "holds what looks like a secret",
        ".env": "private by its name",
        "large.csv": "too large (40,000 bytes)",
    }
    assert b"hushhush" not in patch.content
    there = state(applied(repository, patch, tmp_path_factory))
    assert set(there) - {"kept.py"} == {"text.txt", "script.sh", "picture.bin", "gone.txt", "link", ".gitignore"}


def test_of_many_files_the_largest_are_left_out_until_the_rest_fits(repository):
    for at in range(1, 5):
        (repository / f"{at}.txt").write_text("word\n" * 100 * at)
    patch = patches.of_workspace(limit=4_500)
    assert list(patch.left_out) == ["4.txt"]
    assert len(patch.content) <= 4_500


def test_a_secret_that_is_taken_away_is_no_reason_to_leave_the_change_out(repository):
    (repository / "text.txt").write_text("password = 'hushhush'\n")
    git(repository, "commit", "--quiet", "-am", "oh")
    (repository / "text.txt").write_text("password = ask()\n")
    assert patches.of_workspace().left_out == {}


def test_worktrees_and_repositories_without_a_commit_work(repository, tmp_path_factory, monkeypatch):
    tree = tmp_path_factory.mktemp("tree") / "tree"
    git(repository, "worktree", "add", "--quiet", "--detach", str(tree))
    (tree / "text.txt").write_text("three\n")
    monkeypatch.chdir(tree)
    assert b"+three" in patches.of_workspace().content
    shutil.rmtree(repository / ".git")
    git(repository, "init", "--quiet")
    monkeypatch.chdir(repository)
    assert b"new file mode" in patches.of_workspace().content


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_content_returns(repository, tmp_path_factory, content):
    (repository / "text.txt").write_bytes(content)
    (repository / "new").write_bytes(content[::-1])
    assert state(applied(repository, patches.of_workspace(), tmp_path_factory)) == state(repository)
