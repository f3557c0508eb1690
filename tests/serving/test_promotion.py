"""A promotion while clients ask: no request is lost, each answer is of one version, and MLflow's own client and server take part."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
from served import Server, environment, records

from pipeline import fresh
from pipeline.inference_log import reading

NAME = "models:/small@champion"


@pytest.fixture(scope="module")
def two(finished, tmp_path_factory):
    """A repository with two versions of different weights, the first of them the champion."""
    import copy
    import shutil

    again = copy.copy(finished)
    again.folder = tmp_path_factory.mktemp("two") / "repository"
    shutil.copytree(finished.folder, again.folder, symlinks=True)
    other = {"train": {**again.params["train"], "learning_rate": 0.02}, "tune": {"trials": 0}}
    again.write_params(again.params | other | {"register": {"name": "small", "accept": ["first"]}, "serve": {"reload": 0.5}})
    again.dvc("repro", "register")
    told = json.loads(again.pipeline("versions", "--json").stdout)["versions"]
    assert [(one["number"], "champion" in one["aliases"]) for one in told] == [(2, False), (1, True)]
    return again


def predictions(repository, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Probabilities of each version, from a process of its own."""
    found = {}
    for number in (1, 2):
        out = repository.folder / f"answers{number}.csv"
        repository.pipeline("predict", "asked.csv", "--model", f"models:/small/{number}", "-o", str(out), "--force")
        found[str(number)] = pd.read_csv(out)["probability of yes"].to_numpy()
    assert np.abs(found["1"] - found["2"]).max() > 1e-3
    return found


@pytest.mark.slow
def test_a_promotion_under_load_loses_no_request_and_mixes_no_versions(two, rows):
    rows.to_csv(two.folder / "asked.csv", index=False)
    expected, asked = predictions(two, rows), records(rows)
    answers, ended = list[tuple[float, int, str, float]](), threading.Event()
    with Server(NAME, two.folder, "--log", "log") as server:

        def ask(client: int) -> None:
            session, at = requests.Session(), client
            while not ended.is_set():
                at = (at + 7) % len(asked)
                found = session.post(f"{server.url}/invocations", json={"dataframe_records": [asked[at]]}, timeout=60)
                assert found.status_code == 200, found.text
                version = found.headers["X-Model-Version"]
                given = found.json()["predictions"][0]["probability of yes"]
                answers.append((time.monotonic(), at, version, given))
            session.close()

        clients = [threading.Thread(target=ask, args=(at,)) for at in range(8)]
        for client in clients:
            client.start()
        moments = []
        for command in (("promote", "2"), ("rollback",)):
            time.sleep(1)
            before = server.get("/model").json()["version"]
            two.pipeline(*command, "--why", "to see")
            end = time.monotonic() + 90
            while server.get("/model").json()["version"] == before and time.monotonic() < end:
                time.sleep(0.1)
            moments.append(time.monotonic())
        time.sleep(1)
        ended.set()
        for client in clients:
            client.join()
        assert server.get("/model").json()["version"] == "1"
        assert len(server.children) == 1  # those of the version before have ended
        assert server.stop() == 0
    counted = Counter(version for _, _, version, _ in answers)
    assert set(counted) == {"1", "2"}
    assert min(counted.values()) > 20
    for _, at, version, given in answers:
        assert abs(given - expected[version][at]) < 1e-6, (at, version, given)
    slack = 1.0  # of an answer that was on its way
    assert {version for when, _, version, _ in answers if when > moments[1] + slack} == {"1"}
    assert {version for when, _, version, _ in answers if moments[0] + slack < when < moments[1] - slack} <= {"1", "2"}
    kept = reading.read(two.folder / "log")
    assert Counter(kept["version"].to_pylist()) == counted


@pytest.mark.slow
def test_a_version_that_cannot_be_loaded_leaves_the_present_one(finished, two, rows):
    # of version 2: a copied store keeps its files where it was made
    network = max(finished.folder.glob(".state/**/artifacts/files/model.keras"), key=lambda file: file.stat().st_mtime)
    with Server("models:/small@champion", two.folder, "--no-log") as server:
        assert server.get("/model").json()["version"] == "1"
        kept = network.read_bytes()
        try:
            network.write_bytes(b"broken" + kept)
            two.pipeline("promote", "2", "--why", "to break")
            end = time.monotonic() + 60
            while 'reloads_total{outcome="failed"} 1.0' not in server.get("/metrics").text and time.monotonic() < end:
                time.sleep(0.2)
            assert server.get("/model").json()["version"] == "1"
            assert server.ask(records(rows.iloc[:1])).status_code == 200
            assert "model.keras was changed since it was packaged" in server.said
        finally:
            network.write_bytes(kept)
        server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while server.get("/model").json()["version"] == "1" and time.monotonic() < end:
            time.sleep(0.2)
        assert server.get("/model").json()["version"] == "2"
    two.pipeline("rollback", "--why", "as it was")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # of MLflow's own, on import
def test_mlflows_client_and_mlflows_server_give_the_numbers_of_the_package(two, rows):
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    expected = fresh.predictions(two.folder / "models/package", rows.assign(income=rows["income"].astype(float)))
    with Server("models/package", two.folder, "--no-log") as server:
        host, port = server.url.removeprefix("http://").split(":")
        client = ScoringServerClient(host, int(port))
        client.wait_server_ready(timeout=10)
        import mlflow

        assert client.get_version() == mlflow.__version__
        told = client.invoke(rows).get_predictions()
        _same(told, expected)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    two.pipeline("promote", "2", "--why", "the package in models/package")
    store = f"sqlite:///{two.folder / '.state/mlflow.db'}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", NAME, "--env-manager", "local", "--port", str(port)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    plain = subprocess.Popen(command, cwd=two.folder, env=environment(MLFLOW_TRACKING_URI=store, PATH=path), process_group=0, **silent)
    try:
        client = ScoringServerClient("127.0.0.1", port)
        client.wait_server_ready(timeout=180, scoring_server_proc=plain)
        _same(client.invoke(rows.iloc[:20]).get_predictions(), expected.iloc[:20])
    finally:
        os.killpg(plain.pid, signal.SIGKILL)
        plain.wait()
        two.pipeline("rollback", "--why", "as it was")


def _same(told: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(told) == list(expected)
    assert list(told["prediction"]) == list(expected["prediction"])
    np.testing.assert_allclose(told["probability of yes"], expected["probability of yes"], atol=1e-6)
