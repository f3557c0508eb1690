"""Promise 5: any run can be had again, or the first thing that differs or is gone is named."""

import json
import shutil

import pytest
from repository import Repository
from web import s3, s3_client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
BEFORE = ("data", "models", "reports", "pipeline")


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    """A repository with a DVC remote, and a training from uncommitted code, params and a new file; the code was changed on top since."""
    made = Repository(tmp_path_factory.mktemp("dirty") / "work")
    made.write_params({**made.params, "tune": {"trials": 0}})
    with (made.folder / ".gitignore").open("a") as ignored:
        ignored.write("/rows.csv\n")  # as large data are, it is no part of git
    made.run("git", "rm", "-q", "--cached", "rows.csv")
    made.run("git", "commit", "-qam", "params")
    remote = made.folder.parent / "remote"
    made.dvc("remote", "add", "--default", "storage", str(remote))
    made.run("git", "commit", "-qam", "remote")
    code = made.folder / "pipeline" / "models" / "mlp.py"
    committed = code.read_text()
    code.write_text(committed + "\nEXTRA = 1\n")
    (made.folder / "new file.txt").write_text("new")
    (made.folder / ".env").write_text("TOKEN_OF_MINE=1\n")
    made.write_params({**made.params, "seed": 5, "train": {**made.params["train"], "epochs": 2}})
    made.pipeline("run", "evaluate")
    made.ran = json.loads((made.folder / "models" / "run.json").read_text())
    made.dvc("push")
    code.write_text(committed + "\nEXTRA = 2\n")
    made.write_params({**made.params, "train": {**made.params["train"], "epochs": 1}})
    made.run("git", "add", "pipeline", "params.yaml", "dvc.lock")
    made.run("git", "commit", "-qm", "later")
    return made


def test_a_run_of_a_dirty_tree_is_had_again_to_the_byte_and_the_workspace_stays_as_it_is(dirty):
    before, status = dirty.bytes(*BEFORE), dirty.run("git", "status", "--porcelain").stdout
    done = dirty.pipeline("reproduce", dirty.ran["run"][:8])
    assert "verdict     reproduced to the byte" in done.stdout
    assert ".env was changed and not committed, and is not in the run (private by its name)" in done.stderr
    again = next((dirty.folder / ".state" / "reproduced").glob("*/models/model.keras")).parents[1]
    assert (again / "pipeline/models/mlp.py").read_text().endswith("EXTRA = 1\n")
    assert (again / "new file.txt").read_text() == "new"
    assert not (again / ".env").exists()
    assert dirty.bytes(*BEFORE) == before
    assert dirty.run("git", "status", "--porcelain").stdout == status


def test_a_run_is_had_again_from_a_fresh_clone_and_the_remote(dirty, tmp_path):
    clone = Repository.__new__(Repository)
    clone.folder = tmp_path / "clone"
    dirty.run("git", "clone", "-q", str(dirty.folder), str(clone.folder))
    store = f"sqlite:///{dirty.folder / '.state' / 'mlflow.db'}"
    done = clone.pipeline("reproduce", dirty.ran["run_id"], "--into", str(tmp_path / "again"), MLFLOW_TRACKING_URI=store)
    assert "data/raw by dvc pull" in done.stderr
    assert "verdict     reproduced to the byte" in done.stdout


def test_a_run_is_had_again_from_a_fresh_clone_and_a_remote_on_s3(dirty, tmp_path):
    with s3() as environment:
        s3_client(environment).create_bucket(Bucket="team")
        made = Repository.__new__(Repository)
        made.folder = tmp_path / "made"
        shutil.copytree(dirty.folder, made.folder, symlinks=True)
        made.dvc("remote", "add", "--default", "--force", "storage", "s3://team/storage")
        made.dvc("push", "--run-cache", **environment)
        made.run("git", "commit", "-qam", "remote on s3")
        clone = Repository.__new__(Repository)
        clone.folder = tmp_path / "clone"
        made.run("git", "clone", "-q", str(made.folder), str(clone.folder))
        store = f"sqlite:///{dirty.folder / '.state' / 'mlflow.db'}"
        done = clone.pipeline("reproduce", dirty.ran["run"], MLFLOW_TRACKING_URI=store, **environment)
        assert "data/raw by dvc pull" in done.stderr
        assert "verdict     reproduced to the byte" in done.stdout
        clone.dvc("pull", "evaluate", "--with-deps", **environment)
        assert clone.bytes("data/raw", "models") == made.bytes("data/raw", "models")


def test_where_the_data_are_nowhere_the_source_is_read_again_if_it_has_not_changed_and_is_named_else(dirty, tmp_path):
    other = Repository.__new__(Repository)
    other.folder = tmp_path / "other"
    shutil.copytree(dirty.folder, other.folder, symlinks=True)
    shutil.rmtree(other.folder / ".dvc" / "cache")
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{dirty.folder / '.state' / 'mlflow.db'}"}
    hidden = dirty.folder.parent / "hidden"
    (dirty.folder.parent / "remote").rename(hidden)
    try:
        rows = (other.folder / "rows.csv").read_text()
        done = other.pipeline("reproduce", dirty.ran["run"], **store)
        assert "read again from rows.csv, which holds the same" in done.stderr
        assert "verdict     reproduced to the byte" in done.stdout
        assert (other.folder / "rows.csv").read_text() == rows
        (other.folder / "rows.csv").write_text(rows.replace("Oslo", "Paris", 1))
        done = other.pipeline("reproduce", dirty.ran["run"], check=False, **store)
        assert done.returncode == 2
        assert "rows.csv has changed since the run, and data/raw is in neither DVC's cache nor a remote: it had 500 rows" in done.stderr
        (other.folder / "rows.csv").unlink()
        done = other.pipeline("reproduce", dirty.ran["run"], check=False, **store)
        assert done.returncode == 2
        assert "data/raw is in neither DVC's cache nor a remote, and its source rows.csv is gone" in done.stderr
    finally:
        hidden.rename(dirty.folder.parent / "remote")


def test_a_run_whose_commit_is_not_here_says_so(dirty, tmp_path):
    other = Repository(tmp_path / "other")
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{dirty.folder / '.state' / 'mlflow.db'}"}
    done = other.pipeline("reproduce", dirty.ran["run"], check=False, **store)
    assert done.returncode == 2
    assert "of the run is not in this repository; `git fetch` may bring it" in done.stderr
