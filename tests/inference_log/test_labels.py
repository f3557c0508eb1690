"""Labels that come later: by request, by key, changed, unknown, wrong."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inference_log_rows import table

from pipeline.errors import UserError
from pipeline.inference_log import labels, reading
from pipeline.inference_log.labels import Added
from pipeline.inference_log.writing import Log


def answers(first: int, count: int, **more) -> list[pa.Table]:
    probabilities = {f"output__probability of {name}": pa.array([0.5]) for name in ("yes", "no")}
    return [
        table(
            number,
            key__order=pa.array([f"o{number // 2}"]),
            input__shop=pa.array([float(number % 3)]),
            output__prediction=pa.array(["yes"]),
            **probabilities,
            **more,
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def log(workspace) -> Path:
    """Requests r0 to r5 of orders o0 to o2, some closed and some growing."""
    with closing(Log(workspace / "log")) as log:
        for some in answers(0, 3):
            log.add(some)
    with closing(Log(workspace / "log")) as log:
        for some in answers(3, 3):
            log.add(some)
        log.flush()
        yield workspace / "log"


def csv(text: str) -> Path:
    Path("labels.csv").write_text(text)
    return Path("labels.csv")


def given(folder: Path) -> dict[str, str]:
    found = reading.read(folder)
    return {
        name if row == 0 else f"{name}.{row}": label
        for name, row, label in zip(*(found[name].to_pylist() for name in ("request_id", "row", "label")), strict=True)
        if label is not None
    }


def test_labels_by_request_stand_beside_their_rows(log):
    before = datetime.now(UTC)
    assert labels.add(log, csv("request_id,label\nr1,yes\nr4,no\n")) == Added(2, 2, 0, 0, 0, (), 0)
    assert given(log) == {"r1": "yes", "r4": "no"}
    times = [time for time in reading.read(log)["label_time"].to_pylist() if time]
    assert len(times) == 2
    assert all(before <= time <= datetime.now(UTC) for time in times)
    assert given_parts(log) == {"r1": "yes", "r4": "no"}
    [file] = (log / "labels").iterdir()
    assert pq.read_schema(file) == labels.SCHEMA


def given_parts(folder: Path) -> dict[str, str]:
    parts = [part.select(["request_id", "label"]).to_pylist() for part in reading.batches(folder)]
    return {row["request_id"]: row["label"] for part in parts for row in part if row["label"]}


def test_the_last_label_wins_and_the_same_one_is_not_written_again(log):
    assert labels.add(log, csv("request_id,label\nr1,yes\nr1,no\nr2,no\n")) == Added(3, 2, 0, 0, 0, (), 0)
    assert given(log) == {"r1": "no", "r2": "no"}
    assert labels.add(log, csv("request_id,label\nr1,no\nr2,no\n")) == Added(2, 0, 0, 2, 0, (), 0)
    assert len(list((log / "labels").iterdir())) == 1
    assert labels.add(log, csv("request_id,label\nr1,yes\nr2,no\nr3,no\n")) == Added(3, 1, 1, 1, 0, (), 0)
    assert given(log) == {"r1": "yes", "r2": "no", "r3": "no"}
    assert labels.add(log, csv("request_id,label\nr1,no\n")) == Added(1, 0, 1, 0, 0, (), 0)
    assert given(log) == {"r1": "no", "r2": "no", "r3": "no"}


def test_a_changed_label_wins_although_the_clock_was_set_back(log, monkeypatch):
    class Yesterday(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) - timedelta(days=1)

    labels.add(log, csv("request_id,label\nr1,yes\n"))
    monkeypatch.setattr(labels, "datetime", Yesterday)
    assert labels.add(log, csv("request_id,label\nr1,no\n")).changed == 1
    assert given(log) == {"r1": "no"}


def test_unknown_requests_are_told_and_kept_for_when_their_rows_come(log):
    found = labels.add(log, csv("request_id,label\nr1,yes\nr9,no\nr8,no\nr7,no\nr6,no\n,no\nr2,\n"))
    assert found == Added(7, 5, 0, 0, 4, ("r6", "r7", "r8"), 2)
    with closing(Log(log)) as more:
        more.add(answers(9, 1)[0])
    assert given(log) == {"r1": "yes", "r9": "no"}


def test_rows_of_a_request_need_their_place(log):
    with closing(Log(log)) as more:
        more.add(table(20, 3))
    with pytest.raises(UserError, match=r"labels\.csv: row 2: request r20 had several rows: expected a column row"):
        labels.add(log, csv("request_id,label\nr1,yes\nr20,no\n"))
    assert not (log / "labels").exists()
    assert labels.add(log, csv("request_id,row,label\nr20,2,no\nr20,0,yes\nr20,3,no\n")) == Added(3, 3, 0, 0, 1, ("r20, row 3",), 0)
    assert given(log) == {"r20": "yes", "r20.2": "no"}
    with pytest.raises(UserError, match=r"labels\.csv: row 2: request r20 had several rows: expected a column row"):
        labels.add(log, csv("request_id,row,label\nr1,,no\nr20,,no\n"))
    for bad in ("first", "-1", "1.5"):
        with pytest.raises(UserError, match=rf"labels\.csv: row 1: column row: expected a row's place in its request, got '{bad}'"):
            labels.add(log, csv(f"request_id,row,label\nr20,{bad},no\n"))


def test_labels_by_a_key_go_to_all_its_rows_and_unknown_keys_to_none(log):
    source = csv("order,truth\no1,yes\no2,no\no7,no\n,no\n")
    assert labels.add(log, source, label="truth", by="order") == Added(4, 4, 0, 0, 1, ("o7",), 1)
    assert given(log) == {"r2": "yes", "r3": "yes", "r4": "no", "r5": "no"}
    assert labels.add(log, source, label="truth", by="order").unchanged == 4


def test_labels_by_a_number_that_was_sent(log):
    assert labels.add(log, csv("shop,label\n2,yes\n1.0,no\n"), by="shop").rows == 2
    assert given(log) == {"r2": "yes", "r5": "yes", "r1": "no", "r4": "no"}


@pytest.mark.parametrize("form", ["jsonl", "parquet", "frame"])
def test_other_files_and_values_that_are_no_text(workspace, form):
    with closing(Log(workspace / "log")) as log:
        for number in range(3):
            log.add(table(number, key__order=pa.array([str(number)]), output__prediction=pa.array([0.5])))
    rows = [{"order": 0, "label": 1.5}, {"order": 1, "label": 2}, {"order": 2, "label": None}]
    file = Path("labels.jsonl") if form == "jsonl" else Path("labels.parquet")
    if form == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        frame = pd.DataFrame(rows)
        if form == "frame":
            frame = frame.astype({"order": float})  # as pandas has integers beside a missing one
        frame.to_parquet(file)
    assert labels.add(log.folder, file, by="order") == Added(3, 2, 0, 0, 0, (), 1)
    assert {name: float(label) for name, label in given(log.folder).items()} == {"r0": 1.5, "r1": 2.0}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("request_id,label\nr1,yes\nr2,maybe\n", {}, r"labels\.csv: row 2: column label: expected one of the classes no, yes, got 'maybe'"),
        ("request_id,label\nr9,maybe\n", {}, r"row 1: column label: expected one of the classes"),
        ("request_id,truth\nr1,yes\n", {}, r"labels\.csv: missing column label"),
        ("order,label\no1,yes\n", {}, r"labels\.csv: missing column request_id"),
        ("order,label\no1,yes\n", {"by": "customer"}, r"log: no column customer; expected request_id or one of order, shop"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_kept(log, text, options, message):
    with pytest.raises(UserError, match=message):
        labels.add(log, csv(text), **options)
    assert not (log / "labels").exists()
    assert given(log) == {}


def test_numbers_are_wanted_where_answers_are_numbers_and_either_where_both_are(workspace):
    with closing(Log(workspace / "log")) as log:
        log.add(table(0, output__prediction=pa.array([0.5])))
        log.add(table(1))
        log.flush()
        for bad in ("yes", "nan", "inf"):
            with pytest.raises(UserError, match=rf"row 2: column label: expected a number, got '{bad}'"):
                labels.add(log.folder, csv(f"request_id,label\nr0,1e3\nr1,{bad}\n"))
        log.add(answers(2, 1)[0])
        log.flush()
        with pytest.raises(UserError, match=r"row 1: column label: expected a number or one of the classes no, yes, got 'maybe'"):
            labels.add(log.folder, csv("request_id,label\nr0,maybe\n"))
        assert labels.add(log.folder, csv("request_id,label\nr0,1\nr2,yes\n")).added == 2
    assert given(log.folder) == {"r0": "1", "r2": "yes"}


def test_a_log_without_answers_takes_any_label(workspace):
    with closing(Log(workspace / "log")) as log:
        log.add(table(0))
    assert labels.add(log.folder, csv("request_id,label\nr0,anything\n")).added == 1


def test_files_that_are_not_there(log):
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        labels.add(log, Path("none.csv"))
    with pytest.raises(UserError, match=r"nowhere: expected the folder of an inference log"):
        labels.add(Path("nowhere"), csv("request_id,label\nr1,yes\n"))


def test_a_disk_that_does_not_take_labels_is_told_and_leaves_nothing(log, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labels.os, "replace", fail)
    with pytest.raises(UserError, match=r"log/labels: not written: .*No space left"):
        labels.add(log, csv("request_id,label\nr1,yes\n"))
    assert list((log / "labels").iterdir()) == []
