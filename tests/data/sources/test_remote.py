"""http and s3 sources, against servers on 127.0.0.1 that the tests start; as DVC dependencies, a change reruns the stage."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest
import web

from pipeline.data.sources import remote
from pipeline.errors import UserError


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    with web.serving(tmp_path / "served") as address:
        yield tmp_path / "served", address


def test_http_source_is_fetched_and_its_secrets_are_not_told(rows, read, server):
    folder, address = server
    (folder / "my rows.csv").write_text("a,b\n1,2\n")
    url = f"http://me:hush@{address}/my%20rows.csv?signature=hush"
    assert rows(url) == [{"a": "1", "b": "2"}]
    found = read(url).found
    assert found["source"] == f"http://{address}/my%20rows.csv"
    assert found["sha256"] == hashlib.sha256(b"a,b\n1,2\n").hexdigest()


def test_name_without_ending_gets_one_from_the_type(rows, server):
    assert rows(f"http://{server[1]}/named-by-type?id=3") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.csv", "the server answered 404"),
        ("refused.csv", "the server answered 403 Forbidden"),
        ("broken.csv", "no connection to the server, or it broke off|the answer broke off"),
        ("slow.csv", "no connection to the server|did not answer in time"),
        ("rows.xyz", "rows.xyz: expected a text table"),
    ],
)
def test_failed_fetch_is_one_clear_line(read, server, monkeypatch, path, message):
    folder, address = server
    (folder / "rows.xyz").write_text("x")
    monkeypatch.setattr(remote, "TIMEOUT", (1, 0.5))
    with pytest.raises(UserError, match=message) as caught:
        read(f"http://me:hush@{address}/{path}?token=hush")
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absent_server_is_one_clear_line(read):
    with pytest.raises(UserError, match=r"^data.source: http://127.0.0.1:1/rows.csv: no connection to the server, or it broke off$"):
        read("http://127.0.0.1:1/rows.csv")


@pytest.fixture(scope="module")
def s3():
    with web.s3() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        client = web.s3_client(environment)
        client.create_bucket(Bucket="shop")
        yield client


@pytest.mark.slow
def test_s3_object_and_folder(rows, read, s3):
    s3.put_object(Bucket="shop", Key="one/rows.csv", Body=b"a,b\n1,2\n")
    s3.put_object(Bucket="shop", Key="many/x.csv", Body=b"a,b\n1,2\n")
    s3.put_object(Bucket="shop", Key="many/deep/y.csv", Body=b"b,a\n4,3\n")
    assert rows("s3://shop/one/rows.csv") == [{"a": "1", "b": "2"}]
    found = rows("s3://shop/many/", files="**/*.csv")
    assert sorted((row["a"], row["source_file"]) for row in found) == [("1", "x.csv"), ("3", "deep/y.csv")]
    for url, message in (
        ("s3://shop/absent.csv", "no such bucket or object"),
        ("s3://nowhere/absent.csv", "no such bucket or object"),
        ("s3://shop/none/", "no such bucket or folder, or it is empty"),
    ):
        with pytest.raises(UserError, match=f"^data.source: {url}: {message}$"):
            read(url)


PIPELINE = """\
stages:
  collect:
    cmd: echo ran >> log.txt
    deps:
      - {source}
"""


def dvc(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "dvc", *args], cwd=folder, capture_output=True, text=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"}
    )


def repro(folder):
    done = dvc(folder, "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    return len((folder / "log.txt").read_text().split())


@pytest.mark.slow
def test_changed_http_source_reruns_a_dvc_stage(tmp_path, server):
    served, address = server
    dvc(tmp_path, "init", "--no-scm")
    (served / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE.format(source=f"http://{address}/rows.csv"))
    assert repro(tmp_path) == 1
    assert repro(tmp_path) == 1
    (served / "rows.csv").write_text("a,b\n1,3\n")
    assert repro(tmp_path) == 2


@pytest.mark.slow
def test_changed_s3_source_reruns_a_dvc_stage(tmp_path, s3):
    dvc(tmp_path, "init", "--no-scm")
    s3.put_object(Bucket="shop", Key="dvc/rows.csv", Body=b"a,b\n1,2\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE.format(source="s3://shop/dvc/rows.csv"))
    assert repro(tmp_path) == 1
    assert repro(tmp_path) == 1
    s3.put_object(Bucket="shop", Key="dvc/rows.csv", Body=b"a,b\n1,3\n")
    assert repro(tmp_path) == 2
