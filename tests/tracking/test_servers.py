"""A real `mlflow server`: everything arrives; where it dies or stops answering in mid-training, the rest arrives later, once."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

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
        for _ in range(240):
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


def test_a_server_with_postgresql_and_s3_behind_it_gets_runs_and_files(workspace, tmp_path_factory, monkeypatch, postgres):
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    s3 = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    s3.start()
    host, port = s3.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    keys |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    bucket = boto3.client("s3")
    bucket.create_bucket(Bucket="runs")
    made = Server(tmp_path_factory.mktemp("server"), "--artifacts-destination", "s3://runs/kept", backend=postgres, **keys)
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", made.address)
        run = train(workspace)
        assert_complete(run)
        kept = [one["Key"] for one in bucket.list_objects_v2(Bucket="runs")["Contents"]]
        assert [key for key in kept if key.endswith(f"{run.id}/artifacts/note.txt")] == kept
    finally:
        made.end()
        s3.stop()


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
