"""Rows of the inference log out of what was asked and answered."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pipeline.config import ServeParams
from pipeline.inference_log import reading
from pipeline.inference_log.writing import Log
from pipeline.serving import recording
from pipeline.serving.about import About
from pipeline.serving.recording import Entry, Recorder, Request

RAW = {"age": "number", "city": "text"}
OUTPUTS = {"prediction": "string", "probability of yes": "double", "refused": "string", "flags": "string"}
ABOUT = About("shop", "3", ("age", "city"), RAW, RAW, {"age": (), "city": ()}, {}, OUTPUTS, "binary", ("no", "yes"), False, ())
NOW = 1_700_000_000_000_000_000


def entry(ages, cities, *, spans=None, ids=("r",), flags=None, refused=None, about=ABOUT, **more) -> Entry:
    count = len(cities)
    rows = pa.table({"age": ages, "city": pa.array(cities, pa.string()), **{k: pa.array(v, pa.string()) for k, v in more.items()}})
    answer = pa.table(
        {
            "prediction": ["yes"] * count,
            "probability of yes": [0.5] * count,
            "refused": refused or [None] * count,
            "flags": flags or [None] * count,
        }
    )
    return Entry(about, [Request(one, NOW) for one in ids], spans or [range(count)], rows, answer, NOW + 5_000_000)


def one_table(*entries: Entry, **params) -> list[dict]:
    (found,) = recording.tables(entries, ServeParams(**params), b"key")
    return found.to_pylist()


def test_requests_that_were_answered_together_become_rows_of_their_own():
    found = one_table(
        entry([1.0, 2.0, 3.0], ["a", "b", "c"], ids=("r", "s"), spans=[range(2), range(4096, 4097)]), entry([4.0], ["d"], ids=("t",))
    )
    assert [(row["request_id"], row["row"], row["input.age"], row["input.city"]) for row in found] == [
        ("r", 0, 1.0, "a"), ("r", 1, 2.0, "b"), ("s", 4096, 3.0, "c"), ("t", 0, 4.0, "d"),
    ]  # fmt: skip
    assert found[0] | {"time": 0} == {
        "request_id": "r", "row": 0, "time": 0, "model": "shop", "version": "3", "seconds": 0.005, "input.age": 1.0, "input.city": "a",
        "unread": None, "output.prediction": "yes", "output.probability of yes": 0.5, "refused": None, "flags": None,
    }  # fmt: skip
    assert found[0]["time"] == datetime.fromtimestamp(NOW / 1e9, UTC)


def test_columns_keep_their_types_whatever_the_values():
    schemas = [
        table.schema
        for table in recording.tables([entry([None], [None]), entry([1.0], ["a"], flags=["odd"], refused=["no"])], ServeParams(), b"")
    ]
    assert len({str(schema) for schema in schemas}) == 1
    assert str(schemas[0].field("flags").type) == str(schemas[0].field("refused").type) == "string"


def test_a_value_that_was_not_read_stands_beside():
    (found,) = one_table(entry(pa.array(["old"], pa.string()), ["a"]))
    assert (found["input.age"], found["unread"]) == (None, '{"age": "old"}')


def test_what_must_not_be_stored_is_nowhere():
    private = {"hashed": ("city",), "omitted": ("age",)}
    told = entry(
        pa.array(["37 and a half", "1", "2"], pa.string()),
        ["Atlantis", "Atlantis", None],
        flags=["city 'Atlantis' is not in training", None, None],
        refused=["age: expected a number, got '37 and a half'", None, "member is missing"],
        spans=[range(3)],
    )
    found = one_table(told, **private)
    assert "Atlantis" not in str(found)
    assert "37" not in str([{**row, "time": 0} for row in found])
    assert "input.age" not in found[0]
    assert found[0]["input.city"] == found[1]["input.city"] != found[2]["input.city"] is None
    assert [row["refused"] for row in found] == ["not stored", None, "member is missing"]
    (other,) = recording.tables([told], ServeParams(**private), b"another key")
    assert other["input.city"][0].as_py() != found[0]["input.city"]


def test_further_columns_are_kept_where_they_are_asked_for():
    (found,) = one_table(entry([1.0], ["a"], order=["17"]), keep=("order",))
    assert found["key.order"] == "17"


def test_a_forecasts_steps_come_before_its_answer():
    outputs = {"week": "datetime", "co2": "double"}
    about = About(
        "co2",
        "1",
        ("week", "co2"),
        {"week": "datetime", "co2": "number"},
        {},
        {"week": (), "co2": ()},
        {},
        outputs,
        "forecast",
        (),
        True,
        (),
    )
    weeks = pa.array([datetime(2020, 1, at) for at in (1, 8, 15)], pa.timestamp("us"))
    asked = pa.table({"week": weeks, "co2": [1.0, 2.0, 3.0]})
    answer = pa.table({"week": weeks[:2], "co2": [4.0, 5.0]})
    found = one_table(Entry(about, [Request("r", NOW)], [range(3)], asked, answer, NOW))
    assert [(row["row"], row["input.co2"], row["output.co2"]) for row in found] == [
        (-3, 1.0, None),
        (-2, 2.0, None),
        (-1, 3.0, None),
        (0, None, 4.0),
        (1, None, 5.0),
    ]


def test_a_series_name_that_is_not_to_be_stored_stands_in_no_answer_either():
    kinds = {"day": "text", "shop": "text", "sold": "number"}
    about = About(
        "shops", "1", tuple(kinds), kinds, {}, dict.fromkeys(kinds, ()), {}, {"sold": "double"}, "forecast", (), True, (), ("day", "shop")
    )
    asked = pa.table({"day": ["a", "b"], "shop": ["Rome", "Rome"], "sold": [1.0, 2.0]})
    told = Entry(about, [Request("r", NOW)], [range(2)], asked, pa.table({"shop": ["Rome"], "day": ["c"], "sold": [3.0]}), NOW)
    found = one_table(told, hashed=("shop",))
    assert {row["input.shop"] for row in found[:2]} == {found[2]["output.shop"]}
    assert "Rome" not in str(found)
    found = one_table(told, omitted=("shop",))
    assert not {"input.shop", "output.shop"} & set(found[0])
    assert (found[2]["output.day"], found[2]["output.sold"]) == ("c", 3.0)


def wait(condition) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("unlogged", ["refuse", "answer"])
def test_a_disk_that_takes_nothing_is_told_and_what_was_held_is_written_later(tmp_path, unlogged):
    folder, away = tmp_path / "log", tmp_path / "away"
    recorder = Recorder(Log(folder, flush=0.05, waiting_bytes=3000), ServeParams(unlogged=unlogged), b"")
    recorder.add(entry([1.0], ["before"], ids=("before",)))
    wait(lambda: recorder.log.rows == 1)
    folder.rename(away)
    sent = 0
    while not recorder.full:
        recorder.add(entry([1.0], ["x" * 100], ids=(f"r{sent}",)))
        sent += 1
        time.sleep(0.02)
    assert recorder.log.failing
    away.rename(folder)
    wait(lambda: not recorder.log.failing)
    recorder.add(entry([1.0], ["after"], ids=("after",)))
    wait(lambda: not recorder.full)
    recorder.close()
    found = reading.read(folder)["request_id"].to_pylist()
    assert {"before", "after"} <= set(found)
    assert len(found) == len(set(found)) == sent + 2 - recorder.lost
    assert (recorder.lost == 0) == (unlogged == "refuse")
