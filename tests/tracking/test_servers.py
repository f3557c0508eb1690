"""A real `mlflow server`: everything arrives; where it dies or stops answering in mid-training, the rest arrives later, once."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import psycopg
import pytest
from web import s3, s3_client

from pipeline import paths
from pipeline.tracking import companion, runs, store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TAGS = {"git.commit": "abc", "stage": "train"}


class Server:
    """`mlflow server` on 127.0.0.1, which can be killed, stopped and started again."""

    def __init__(self, folder, *options, backend=None, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"
        kept = backend or f"sqlite:///{folder / 'server.db'}"
        self.words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2]]
        self.words += ["--workers", "1", "--backend-store-uri", kept, *(options or ("--artifacts-destination", str(folder / "artifacts")))]
        self.environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **environment}
        self.environment.pop("MLFLOW_TRACKING_URI", None)
        self.log = folder / "server.log"
        self.start()

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.words, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        for _ in range(480):
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                    return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()[-2000:]
                time.sleep(0.25)
        raise AssertionError(self.log.read_text()[-2000:])

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def end(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(workspace, tmp_path_factory, monkeypatch):
    """A server that keeps runs in SQLite and artifacts in a folder, as the one that the project logs to."""
    made = Server(tmp_path_factory.mktemp("server"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.address)
    yield made
    made.end()


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def remote(request, workspace, tmp_path_factory, monkeypatch):
    """A server with a database behind it and artifacts in an s3 bucket, `remote.bucket`, as the one that the project logs to."""
    backend = fresh_database(request.getfixturevalue("postgres")) if request.param == "PostgreSQL" else None
    name, folder = f"runs-{uuid.uuid4().hex}", tmp_path_factory.mktemp("server")
    with s3() as keys:
        bucket = s3_client(keys)
        bucket.create_bucket(Bucket=name)
        made = Server(folder, "--serve-artifacts", "--artifacts-destination", f"s3://{name}/kept", backend=backend, **keys)
        try:
            made.bucket = lambda: sorted(one["Key"] for one in bucket.list_objects_v2(Bucket=name).get("Contents", ()))
            monkeypatch.setenv("MLFLOW_TRACKING_URI", made.address)  # the keys are the server's alone
            yield made
        finally:
            made.end()


def fresh_database(address):
    """The address of an empty database of the PostgreSQL server at `address`."""
    name = f"runs_{uuid.uuid4().hex}"
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{address.rpartition('/')[0]}/{name}"


def train(workspace, meanwhile=lambda run, epoch: None, epochs=3):
    (workspace / "note.txt").write_text("x")
    with runs.training("data", workspace / "marker", TAGS) as run:
        run.params({"seed": 1})
        for epoch in range(epochs):
            run.metrics({"train/loss": 1.0 / (epoch + 1)}, step=epoch)
            meanwhile(run, epoch)
        run.files([Path("note.txt")])
    return run


def sent(run, at=None):
    size, end = at or run.journal.size, time.monotonic() + 60
    while run.journal.sent["at"] < size:
        assert time.monotonic() < end
        time.sleep(0.05)


def assert_complete(run, epochs=3):
    client = store.client()
    (found,) = client.search_runs([client.get_experiment_by_name("data").experiment_id])
    assert found.data.tags["pipeline.run"] == run.key
    assert found.info.status == "FINISHED"
    assert found.data.params == {"seed": "1"}
    assert [point.step for point in client.get_metric_history(found.info.run_id, "train/loss")] == list(range(epochs))
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["note.txt"]


def sync():
    done = subprocess.run([sys.executable, "-m", "pipeline", "sync"], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout


def test_a_run_arrives_at_a_server_complete(workspace, server):
    assert_complete(train(workspace))
    assert "up to date" in sync()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_dies_or_hangs_in_mid_training_costs_seconds_and_gets_the_rest_later(workspace, server, caplog, how):
    told = []

    def meanwhile(run, epoch):
        if epoch == 0:
            sent(run)
            server.signal(how)
        told.append(time.monotonic())

    run = train(workspace, meanwhile)
    assert time.monotonic() - told[-1] < 10  # all of the delay
    assert told[-1] - told[0] < 1  # the training itself is not held up
    assert f"run {run.key} is complete in files" in caplog.text
    if how == signal.SIGKILL:
        server.end()
        server.start()
    else:
        server.signal(signal.SIGCONT)
    assert "1 run sent" in sync()
    assert_complete(run)
    assert "up to date" in sync()


def assert_registered(remote, package, digest="d1"):
    """One version of that package, which the alias names, its files whole in the bucket."""
    client = store.client()
    (version,) = client.search_model_versions("name = 'twice'")
    assert version.tags["digest"] == digest
    assert client.get_model_version_by_alias("twice", "champion").version == version.version
    files = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.is_file()}
    kept = [key for key in remote.bucket() if "/models/" in key]
    assert {key.partition("/artifacts/")[2] for key in kept} == files
    assert len(kept) == len(files)


def test_runs_and_packages_arrive_at_a_server_with_a_database_and_s3_behind_it(workspace, remote, package):
    run = train(workspace)
    sync()  # a busy machine may need longer than a training waits
    assert_complete(run)
    for _ in range(2):  # a package that is told again is the same version
        with runs.training("other", workspace / "register", TAGS) as other:
            other.version(package, name="twice", digest="d1", alias="champion")
        sync()
        assert other.version_of("d1") == 1
    assert_registered(remote, package)
    assert [key for key in remote.bucket() if key.endswith(f"{run.id}/artifacts/note.txt")]
    assert "up to date" in sync()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("remote", ["PostgreSQL"], indirect=True)
def test_a_package_and_files_told_while_the_server_is_away_arrive_later_once(workspace, remote, package, caplog, how):
    (workspace / "note.txt").write_text("x")
    with runs.training("data", workspace / "marker", TAGS) as run:
        run.params({"seed": 1})
        run.metrics({"train/loss": 1.0}, step=0)
        sent(run)
        assert run.id
        remote.signal(how)
        away = time.monotonic()
        for epoch in (1, 2):
            run.metrics({"train/loss": 1.0 / (epoch + 1)}, step=epoch)
        run.files([Path("note.txt")])
        run.version(package, name="twice", digest="d1", alias="champion")
    assert time.monotonic() - away < 10
    assert run.version_of("d1") is None
    told = [event for event, _ in run.journal.events()]
    assert [event["step"] for event in told if "train/loss" in event.get("metrics", ())] == [0, 1, 2]
    assert run.journal.last("status") == "FINISHED"
    assert [run.journal.kept(event).read_text() for event in told if "file" in event] == ["x"]
    (workspace / "note.txt").unlink()  # the journal has a copy of its own
    if how == signal.SIGKILL:
        remote.end()
        remote.start()
    else:
        remote.signal(signal.SIGCONT)
    assert "1 run sent" in sync()
    assert_complete(run)
    assert_registered(remote, package)
    assert run.version_of("d1") == 1
    assert "up to date" in sync()


def test_a_process_beside_a_training_that_is_killed_costs_nothing(workspace, server, caplog):
    def meanwhile(run, epoch):
        if epoch == 1:
            sent(run)
            run._sender._process.kill()
            run._sender._process.wait()

    run = train(workspace, meanwhile)
    assert f"run {run.key} is complete in files" in caplog.text
    assert "1 run sent" in sync()
    assert_complete(run)


def test_passwords_of_store_and_data_stand_nowhere(workspace, server, caplog, capfd, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address.replace("//", "//me:hushhush@"))
    address = "postgresql://reader:swordfish@db.example/rows"
    (workspace / "params.yaml").write_text(f"data: {{source: '{address}'}}\n")

    def told(marker):
        with runs.training("data", workspace / marker, {**TAGS, "from": address}) as run:
            run.params({"data.source": address, "listed": [address]})
            run.inputs([runs.DataInput("rows", address, "d1", "train")])
            run.tags({"mlflow.note.content": f"learnt from {address}"})
            run.files([Path("params.yaml")])
            run.save(paths.REPORTS / "train")
        return run

    arrived = told("first")
    server.signal(signal.SIGSTOP)
    missed = told("second")
    assert (arrived.journal.sent["at"], missed.id) == (arrived.journal.size, None)
    kept = [file for folder in (paths.state(), paths.REPORTS) for file in folder.rglob("*") if file.is_file()]
    assert paths.state() / "runs" / missed.key / "events.jsonl" in kept
    assert any(file.name == "params.yaml" for file in kept)
    server.signal(signal.SIGCONT)
    said = sync()
    assert "1 run sent" in said
    assert "me:***@" in said
    client = store.client()
    stored = client.search_runs([client.get_experiment_by_name("data").experiment_id])
    assert len(stored) == 2
    for run in stored:
        assert run.data.params["data.source"] == "postgresql://reader:***@db.example/rows"
        said += str(run.to_dictionary()) + Path(client.download_artifacts(run.info.run_id, "params.yaml", str(workspace))).read_text()
    captured = capfd.readouterr()
    said += caplog.text + captured.out + captured.err
    kept += [file for file in [*paths.state().rglob("*"), server.log, server.log.with_name("server.db")] if file.is_file()]
    for secret in ("hushhush", "swordfish"):
        assert secret not in said
        assert [file for file in kept if file.exists() and secret.encode() in file.read_bytes()] == []


def test_the_process_beside_a_training_ends_with_it(workspace):
    code = f"""
import os, time
from pathlib import Path
from pipeline.tracking import runs
with runs.training("data", Path("marker"), {TAGS}) as run:
    print(run._sender._process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    beside = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{beside}").exists() or Path(f"/proc/{beside}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        raise AssertionError("it lives on")
    assert companion.NICE > 0
