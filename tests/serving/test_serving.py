"""A server as its clients see it: the package's numbers, whatever the form; a reason where there is no answer."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from served import Server, environment, equal, records

from pipeline.inference_log import reading

FEATURES = ["age", "income", "city", "member", "since"]


def split(rows: pd.DataFrame) -> dict:
    return {"columns": list(rows), "data": json.loads(rows.to_json(orient="values"))}


def parquet(rows: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    rows.to_parquet(sink)
    return sink.getvalue()


FORMS = {
    "records": (lambda rows: json.dumps({"dataframe_records": records(rows)}), "application/json"),
    "split": (lambda rows: json.dumps({"dataframe_split": split(rows)}), "application/json; charset=utf-8"),
    "instances": (lambda rows: json.dumps({"instances": records(rows)}), "application/json"),
    "inputs": (lambda rows: json.dumps({"inputs": columns(rows)}), "application/json"),
    "csv": (lambda rows: rows.to_csv(index=False), "text/csv"),
    "parquet": (parquet, "application/vnd.apache.parquet"),
}


def columns(rows: pd.DataFrame) -> dict:
    found = records(rows)
    return {name: [row[name] for row in found] for name in rows}


@pytest.mark.parametrize("form", FORMS)
def test_a_server_answers_as_the_package_does_in_every_form(server, model, rows, form):
    make, kind = FORMS[form]
    expected = model.predict(rows)
    for some in (rows, rows.iloc[:1], rows[rows.columns[::-1]].assign(further="x"), rows[FEATURES]):
        found = server.post(make(some), kind)
        assert found.status_code == 200, found.text
        equal(found.json()["predictions"], expected.iloc[: len(some)])


def test_a_hundred_clients_at_once_get_each_its_own_answer(server, model, rows):
    expected, asked = model.predict(rows), records(rows)

    def one(at: int) -> None:
        found = requests.post(f"{server.url}/invocations", json={"dataframe_records": [asked[at]]}, timeout=60)
        assert found.status_code == 200, found.text
        equal(found.json()["predictions"], expected.iloc[[at]])

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(one, range(len(rows))))
    together = server.get("/metrics").text
    assert float(together.partition('pipeline_requests_together_bucket{le="1.0"} ')[2].partition("\n")[0]) < len(rows)


BAD = {
    "no json": ("{", "application/json", 400, "JSON"),
    "a list of numbers": ("[1, 2]", "application/json", 400, "dataframe_records"),
    "no form": ('{"rows": []}', "application/json", 400, "dataframe_records"),
    "nothing": ("", "application/json", 400, ""),
    "another type": ("<a/>", "text/xml", 415, "text/csv"),
    "another charset": ("{}", "application/json; charset=latin-1", 415, "UTF-8"),
    "a missing column": ('{"dataframe_records": [{"age": 3}]}', "application/json", 422, "income"),
    "no parquet": (b"PAR1 nothing PAR1", "application/vnd.apache.parquet", 400, "Parquet"),
    "ragged csv": ("age,income,city,member,since\n1,2\n", "text/csv", 400, "5"),
    "too large": (b" " * 1_100_000, "application/json", 413, "1 MB"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_answered_is_refused_with_a_reason(server, rows, case):
    body, kind, status, told = BAD[case]
    found = server.post(body, kind)
    assert (found.status_code, found.headers["content-type"]) == (status, "application/json"), found.text
    assert found.json()["error_code"]
    assert told in found.json()["message"]
    assert server.ask(records(rows.iloc[:1])).status_code == 200


def test_a_row_that_is_refused_says_why_and_the_others_are_answered(server, model, rows):
    asked = records(rows.iloc[:3])
    asked[1]["age"] = "old"
    found = server.ask(asked)
    assert found.status_code == 200
    told = found.json()["predictions"]
    equal([told[0], told[2]], model.predict(rows.iloc[[0, 2]]))
    assert (told[1]["prediction"], told[1]["refused"]) == (None, "age: expected a number, got 'old'")
    alone = server.ask(asked[1:2])
    assert alone.status_code == 422
    assert "row 0: age: expected a number, got 'old'" in alone.json()["message"]
    assert alone.json()["predictions"][0]["refused"] == "age: expected a number, got 'old'"


def test_other_paths_and_methods_are_refused_as_json(server):
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/invocations", 405), ("POST", "/ping", 405)):
        found = server.session.request(method, server.url + path, timeout=30)
        assert (found.status_code, found.json()["error_code"] != "") == (status, True)


def test_a_body_that_does_not_come_is_given_up(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        started = time.monotonic()
        assert b" 408 " in slow.recv(1000)
        assert 4 < time.monotonic() - started < 10


def test_the_pages_around_it(server, package):
    assert (server.get("/ping").text, server.get("/ping").status_code) == ("\n", 200)
    assert server.get("/health").json()["status"] == "ok"
    from importlib.metadata import version

    assert server.get("/version").text == version("mlflow")
    told = server.get("/model").json()
    assert sorted(told["columns"]) == sorted(FEATURES)
    assert told["classes"] == ["no", "yes"]
    described = server.get("/openapi.json").json()
    assert "/invocations" in described["paths"]
    assert "income" in json.dumps(described)
    page = server.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "income" in page.text
    counted = server.get("/metrics").text
    assert 'pipeline_requests_total{status="200"}' in counted
    assert f'pipeline_model{{model="package",version="{told["version"]}"}} 1.0' in counted


def kept(server: Server, *requests: str) -> pa.Table:
    """Rows of the log, once it has those of all these requests."""
    end = time.monotonic() + 10
    while True:
        found = reading.read(server.log) if server.log.exists() else pa.table({"request_id": pa.array([], pa.string())})
        if set(requests) <= set(found["request_id"].to_pylist()):
            return found.filter(pa.compute.is_in(found["request_id"], pa.array(requests)))
        assert time.monotonic() < end
        time.sleep(0.1)


def test_answers_are_remembered_with_what_was_asked(server, model, rows):
    asked = records(rows.iloc[:2])
    asked[1] |= {"age": "old", "city": "Atlantis"}
    before = datetime.now(UTC)
    assert server.ask(asked, **{"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    found = kept(server, "mine-1").to_pandas()
    assert list(found["row"]) == [0, 1]
    assert list(found["key.customer"]) == [asked[0]["customer"], asked[1]["customer"]]
    assert list(found["input.age"]) == [str(asked[0]["age"]), "old"]  # as a CSV file, such as that of training, has them
    assert found["input.since"][0] == asked[0]["since"]
    equal(
        json.loads(
            found.filter(like="output.").head(1).rename(columns=lambda name: name.removeprefix("output.")).to_json(orient="records")
        ),
        model.predict(rows.iloc[:1]).drop(columns=["refused", "flags"]),
    )
    assert "Atlantis" not in found.to_json()
    assert len(found["input.city"][1]) == 32
    assert found["refused"][1] == "age: expected a number, got 'old'"
    assert 0 < found["seconds"][0] < 5
    assert abs(found["time"][0].to_pydatetime() - before).total_seconds() < 5


def test_a_model_that_is_killed_is_replaced_and_no_request_is_lost(server, model, rows):
    expected, asked = model.predict(rows), records(rows)
    statuses, ended = [], threading.Event()

    def ask() -> None:
        while not ended.is_set():
            found = requests.post(f"{server.url}/invocations", json={"dataframe_records": asked[:1]}, timeout=60)
            statuses.append((found.status_code, found.text[:200]))
            if found.status_code == 200:
                equal(found.json()["predictions"], expected.iloc[:1])

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    time.sleep(0.5)
    (child,) = server.children
    os.kill(child.pid, signal.SIGKILL)
    killed = time.monotonic()
    while "restarts_total 1.0" not in server.get("/metrics").text and time.monotonic() < killed + 60:
        time.sleep(0.2)
    away = time.monotonic() - killed
    count = len(statuses)
    time.sleep(0.5)
    ended.set()
    for client in clients:
        client.join()
    late = [status for status in statuses if status[0] == 504]  # its start may take longer than the 5 s of this server
    assert {status for status, _ in statuses} <= {200, 504}, statuses
    assert len(late) <= (away // 5 + 1) * len(clients)
    assert len(statuses) > count
    assert server.get("/health").json()["status"] == "ok"


def test_a_key_is_asked_for_where_one_is_set_also_of_predict(package, model, tmp_path, rows):
    with Server(package, tmp_path, "--no-log", PIPELINE_API_KEY="s3cret") as server:
        asked = records(rows.iloc[:1])
        assert server.ask(asked).status_code == 401
        assert server.ask(asked, Authorization="Bearer wrong").status_code == 401
        assert server.ask(asked, Authorization="Bearer s3cret").status_code == 200
        assert server.ask(asked, **{"X-API-Key": "s3cret"}).status_code == 200
        assert (server.get("/metrics").status_code, server.get("/ping").status_code) == (401, 200)
        assert not (tmp_path / ".state" / "inference").exists()
        rows.to_csv(tmp_path / "rows.csv", index=False)
        command = [sys.executable, "-m", "pipeline", "predict", "rows.csv", "--url", server.url, "-o", "out.parquet"]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment())
        assert (told.returncode, "key" in told.stderr) == (2, True), told.stderr
        subprocess.run(command, cwd=tmp_path, check=True, env=environment(PIPELINE_API_KEY="s3cret"))
        equal(pq.read_table(tmp_path / "out.parquet").to_pylist(), model.predict(rows))


def test_told_to_stop_it_answers_what_has_come_and_closes_its_log(package, tmp_path, rows):
    with Server(package, tmp_path, "--log", "log", "--workers", "2") as server:
        children = server.children
        assert len(children) == 2
        asked = {"dataframe_records": records(rows) * 30}  # more than are asked at once
        with ThreadPoolExecutor(4) as pool:
            coming = [pool.submit(requests.post, f"{server.url}/invocations", json=asked, timeout=60) for _ in range(4)]
            while float(server.get("/metrics").text.partition('pipeline_rows_total{outcome="answered"} ')[2].partition("\n")[0] or 0) == 0:
                time.sleep(0.01)
            assert server.stop() == 0
            answers = [one.result() for one in coming]
        assert [len(answer.json()["predictions"]) for answer in answers] == [30 * len(rows)] * 4
        assert not any(child.is_running() for child in children)
        assert {file.suffix for file in (tmp_path / "log").iterdir() if file.is_file()} == {".parquet"}
        kept = reading.read(tmp_path / "log").to_pandas().groupby("request_id")["row"].apply(sorted)
        assert list(kept) == [list(range(30 * len(rows)))] * 4


def test_a_start_that_cannot_succeed_says_why(package, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases = {
            ("--model", str(package), "--port", str(port)): f"port {port}",
            ("--model", str(tmp_path)): "expected the folder of a model package",
            ("--model", "models:/small@champion"): "no version has this alias",
            ("--model", str(package), "--port", "0", "--log", str(package / "MLmodel" / "log")): "MLmodel",
        }
        for words, told in cases.items():
            done = subprocess.run(
                [sys.executable, "-m", "pipeline", "serve", *words],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=120,
                env=environment(),
            )
            assert done.returncode == 2, done.stderr
            assert told in done.stderr
            assert len(done.stderr.strip().splitlines()) == 1


def test_what_came_true_is_told_later_by_the_requests_id_or_by_a_key(server, rows, tmp_path):
    asked = records(rows.iloc[:3])
    for at, one in enumerate(asked):
        one["customer"] = f"order {at}"
        server.ask([one], **{"X-Request-ID": f"told-{at}"})
    ids = [f"told-{at}" for at in range(3)]
    kept(server, *ids)
    (tmp_path / "outcomes.csv").write_text("request_id,label\ntold-0,yes\ntold-1,no\nnobody,yes\n")
    (tmp_path / "orders.csv").write_text("customer;bought\norder 1;yes\norder 2;no\n")

    def label(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline", "label", *words, "--log", str(server.log)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment())

    assert label("outcomes.csv").stdout == (
        "3 rows read; 3 labels added, 0 changed, 0 as before; 1 that the log does not know, such as nobody\n"
    )
    assert label("orders.csv", "--by", "customer", "--label", "bought").stdout == "2 rows read; 1 labels added, 1 changed, 0 as before\n"
    (tmp_path / "wrong.csv").write_text("request_id,label\ntold-0,perhaps\n")
    wrong = label("wrong.csv")
    assert (wrong.returncode, "perhaps" in wrong.stderr, "yes" in wrong.stderr) == (2, True, True), wrong.stderr
    found = {row["request_id"]: row["label"] for row in kept(server, *ids).to_pylist()}
    assert found == {"told-0": "yes", "told-1": "yes", "told-2": "no"}
