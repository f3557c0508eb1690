"""5,000 requests of any kind: each a right answer or a 4xx with its reason, and the server alive and right afterwards."""

from __future__ import annotations

import json
import os
import random
import socket
from collections import Counter
from contextlib import suppress
from datetime import date
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from served import Server, equal, records

RANDOM = bool(os.environ.get("FUZZ_RANDOM"))  # new examples in each run, to hunt; else the same ones
SCHEMA, VALUES, BYTES, WIRE = 1200, 2500, 1000, 300
REFUSALS = {400, 408, 413, 415, 422}
FEATURES = ("age", "income", "city", "member", "since")


def fuzz(count: int) -> Any:
    phases = (Phase.explicit, Phase.generate, *((Phase.shrink,) if RANDOM else ()))
    return settings(
        max_examples=count, deadline=None, derandomize=not RANDOM, phases=phases, database=None, suppress_health_check=list(HealthCheck)
    )


def alive(server: Server, model: Any, rows: pd.DataFrame) -> None:
    found = server.ask(records(rows.iloc[:3]))
    assert found.status_code == 200, found.text
    equal(found.json()["predictions"], model.predict(rows.iloc[:3]))


def reasoned(found: Any) -> None:
    assert found.status_code in REFUSALS, (found.status_code, found.text)
    told = found.json()
    assert told["error_code"]
    assert len(told["message"]) > 10


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-100, 100),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=20),
    st.sampled_from(["", " ", "NA", "nan", "null", "31", "1e999", "-0.0", "true", "F", "Rome", " rome"]),
    st.sampled_from(["2020-02-30", "2021-03-04", "9999-12-31T23:59:59Z", "x" * 10_000, "\ud800", "\x00", "١٢", "=1+1"]),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8
)
usual = {
    "age": st.floats(18, 80) | st.integers(18, 80),
    "income": st.floats(100, 1e5) | st.none(),
    "city": st.sampled_from(["Rome", "Oslo", "Bern", None]),
    "member": st.sampled_from(["true", "false"]) | st.booleans(),
    "since": st.dates(date(2019, 1, 1), date(2024, 1, 1)).map(str),
}
good = st.fixed_dictionaries(usual)
row = good | st.builds(lambda row, name, value: row | {name: value}, good, st.sampled_from(FEATURES), scalars)
odd_row = st.dictionaries(st.sampled_from(FEATURES) | st.text(max_size=6), anything, max_size=7)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_requests_made_from_the_servers_own_description(server, model, rows, mode):
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.checks import (
        content_type_conformance,
        not_a_server_error,
        response_schema_conformance,
        status_code_conformance,
    )

    wanted = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    described = schemathesis.openapi.from_dict(server.get("/openapi.json").json())
    described.config.update(base_url=server.url)
    operation = described["/invocations"]["POST"]
    kinds = Counter()

    @fuzz(SCHEMA // 2)
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
    def ask(case: Any) -> None:
        found = case.call(base_url=server.url)
        kinds[found.status_code] += 1
        assert found.status_code == 200 or found.status_code in REFUSALS, (found.status_code, found.text)
        if found.status_code != 200:
            reasoned(found)
        case.validate_response(found, checks=wanted)

    ask()
    assert sum(kinds.values()) >= SCHEMA // 2
    assert kinds[200] > 0 if mode == "POSITIVE" else kinds[200] < sum(kinds.values()) / 2, kinds
    alive(server, model, rows)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_rows_of_any_values_are_answered_as_the_package_answers_them(server, model, rows):
    statuses = Counter()

    @fuzz(VALUES)
    @given(asked=st.lists(row, min_size=1, max_size=3) | st.lists(odd_row, min_size=1, max_size=2), form=st.integers(0, 3))
    def ask(asked: list[dict], form: int) -> None:
        names = list(asked[0])
        bodies = [
            {"dataframe_records": asked},
            {"instances": asked},
            {"inputs": {name: [one.get(name) for one in asked] for name in names}},
            {"dataframe_split": {"columns": names, "data": [[one.get(name) for name in names] for one in asked]}},
        ]
        found = server.post(json.dumps(bodies[form]).encode())
        statuses[found.status_code] += 1
        told = found.json()
        if "predictions" not in told:
            return reasoned(found)
        assert found.status_code in (200, 422)
        equal(told["predictions"], model.predict(pd.DataFrame(asked, columns=names, dtype=object)))
        return None

    ask()
    assert statuses[200] > VALUES / 10, statuses
    assert statuses[422] > VALUES / 20, statuses
    alive(server, model, rows)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_bytes_of_any_kind_are_refused_with_a_reason(server, model, rows):
    whole = json.dumps({"dataframe_records": records(rows.iloc[:2])}).encode()
    readable = ["application/json", "text/csv", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"]
    kinds = st.sampled_from([*readable, "text/plain", "", "a/b;charset=x", "application/json; charset=utf-16"])
    bodies = st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        anything.map(lambda value: json.dumps(value).encode()),
        st.integers(0, len(whole)).map(lambda at: whole[:at]),
        st.tuples(st.integers(0, len(whole) - 1), st.binary(max_size=3)).map(lambda cut: whole[: cut[0]] + cut[1] + whole[cut[0] + 1 :]),
        st.sampled_from(["[", '{"a":', '{"dataframe_records": [', '{"inputs": {"age": [']).map(lambda opened: opened.encode() * 20_000),
        st.sampled_from(
            [b"9" * 900_000, b'{"instances": [' + b"1," * 300_000 + b"1]}", b"age\n" * 200_000, b'"' * 900_000, b"PAR1" * 50_000]
        ),
    )

    @fuzz(BYTES)
    @given(body=bodies, kind=kinds)
    def ask(body: bytes, kind: str) -> None:
        found = server.post(body, kind)
        if found.status_code == 200:
            assert "predictions" in found.json()
        elif "predictions" not in found.json():
            reasoned(found)

    ask()
    alive(server, model, rows)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_broken_connections_harm_nobody(server, model, rows):
    host, port = server.url.removeprefix("http://").split(":")
    chance = random.Random(None if RANDOM else 1)
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for at in range(WIRE):
        with socket.create_connection((host, int(port)), timeout=10) as wire:
            wire.sendall(
                [
                    bytes(chance.randrange(256) for _ in range(50)) + b"\r\n\r\n",
                    head + b"Content-Length: 50\r\n\r\n{",
                    head + b"Content-Length: -1\r\n\r\n{}",
                    head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
                    head + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
                    head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                ][at % 6]
            )
            if at % 2:
                wire.settimeout(0.05)
                with suppress(TimeoutError, ConnectionError):
                    assert b" 5" not in wire.recv(1000).split(b"\r\n")[0]
    alive(server, model, rows)
