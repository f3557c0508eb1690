"""The log as a training table: which rows, which columns, in which file, and what is refused."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from inference_log_rows import START, table

from pipeline import paths
from pipeline.cli import main
from pipeline.config import DataParams
from pipeline.data.engine import engine
from pipeline.data.sources import dispatch
from pipeline.errors import UserError
from pipeline.inference_log import exporting, labels
from pipeline.inference_log.exporting import Exported
from pipeline.inference_log.writing import Log

NAMES = ["shop", "size", "order"]


def answer(number: int, **more) -> pa.Table:
    columns = {
        "key__order": pa.array([f"o{number}", f"o{number}b"]),
        "key__shop": pa.array(["the kept one"] * 2),
        "key__bought": pa.array(["a guess of the client's"] * 2),
        "input__shop": pa.array([f"s{number}, main", None]),
        "input__size": pa.array([number + 0.5, None]),
        "output__prediction": pa.array(["yes", "no"]),
        "refused": pa.array([None, "no size"]),
    }
    return table(number, 2, **(columns | more))


@pytest.fixture
def log(workspace: Path) -> Path:
    """Requests r0 to r4 of two rows each in three segments, the last of which grows; r0, r2 and a row of r3 have labels."""
    folder = workspace / "log"
    for some in ((0, 1), (2, 3)):
        with closing(Log(folder)) as log:
            for number in some:
                log.add(answer(number))
    with closing(Log(folder)) as log:
        log.add(answer(4))
        log.flush()
        Path("labels.csv").write_text("order,bought\no0,yes\no0b,no\no2,no\no2b,no\no3b,yes\n")
        labels.add(folder, Path("labels.csv"), label="bought", by="order")
        yield folder


def export(folder: Path, name: str = "out.parquet", **more) -> Exported:
    return exporting.export(folder, Path(name), target="bought", **more)


def test_labelled_rows_have_the_columns_of_the_source_in_every_format(log):
    assert export(log) == Exported(5, 5, whole=False)
    found = pq.read_table("out.parquet")
    assert found.column_names == [*NAMES, "bought"]
    assert found.to_pylist() == [
        {"shop": "s0, main", "size": 0.5, "order": "o0", "bought": "yes"},
        {"shop": None, "size": None, "order": "o0b", "bought": "no"},
        {"shop": "s2, main", "size": 2.5, "order": "o2", "bought": "no"},
        {"shop": None, "size": None, "order": "o2b", "bought": "no"},
        {"shop": None, "size": None, "order": "o3b", "bought": "yes"},
    ]
    export(log, "out.csv")
    assert Path("out.csv").read_text().splitlines()[:3] == ['"shop","size","order","bought"', '"s0, main",0.5,"o0","yes"', ',,"o0b","no"']
    assert pd.read_csv("out.csv").fillna("-").to_dict("records") == found.to_pandas().fillna("-").to_dict("records")
    export(log, "out.jsonl")
    assert [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()] == found.to_pylist()


def test_all_takes_rows_without_a_label_too_and_a_span_those_of_a_time(log):
    assert export(log, whole=True) == Exported(10, 5, whole=True)
    found = pd.read_parquet("out.parquet")
    assert found["bought"].isna().tolist() == [False, False, True, True, False, False, True, False, True, True]
    span = {"since": START.replace(second=1), "until": START.replace(second=3)}
    assert export(log, force=True, **span) == Exported(2, 2, whole=False)
    assert pd.read_parquet("out.parquet")["order"].tolist() == ["o2", "o2b"]


def test_the_last_label_counts(log):
    Path("labels.csv").write_text("order,bought\no2,yes\n")
    labels.add(log, Path("labels.csv"), label="bought", by="order")
    export(log)
    assert pd.read_parquet("out.parquet")["bought"].tolist() == ["yes", "no", "yes", "no", "yes"]


def test_equal_logs_give_equal_bytes(log):
    export(log, "one.parquet", whole=True)
    export(log, "two.parquet", whole=True)
    assert Path("one.parquet").read_bytes() == Path("two.parquet").read_bytes()


def test_it_is_read_beside_the_first_parts_of_a_source(log):
    Path("incoming").mkdir()
    Path("incoming/1.csv").write_text("order,bought,size,shop\np1,yes,3.5,s9\n")
    export(log, "incoming/2.csv")
    data = DataParams(source="incoming", files="*.csv", target="bought")
    with engine() as backend:
        rows = dispatch.read(backend, data, workspace=Path.cwd() / "work").table.to_pandas()
    assert rows.sort_values("order")["bought"].tolist() == ["yes", "no", "no", "no", "yes", "yes"]
    assert sorted(rows.loc[rows["source_file"].str.endswith("2.csv"), "order"]) == ["o0", "o0b", "o2", "o2b", "o3b"]


def test_segments_of_other_columns_and_columns_without_a_value_have_one_schema(workspace):
    for number, more in enumerate(({"input__colour": pa.nulls(2)}, {"input__size": pa.array([1, 2])}, {})):
        with closing(Log(Path("log"))) as log:
            log.add(answer(number, **more))
    for name in ("out.parquet", "out.csv", "out.jsonl"):
        assert export(Path("log"), name, whole=True).rows == 6
    found = pq.read_table("out.parquet")
    assert found.column_names == ["shop", "size", "colour", "order", "bought"]
    assert found["size"].to_pylist() == [0.5, None, 1, 2, 2.5, None]
    assert found["colour"].null_count == found["bought"].null_count == 6
    assert {found.schema.field(name).type for name in ("colour", "bought")} == {pa.string()}


def test_hashed_columns_are_left_out_and_told_of(log, caplog):
    with caplog.at_level(logging.WARNING, "pipeline"):
        export(log, hidden=["shop", "city"])
    assert pq.read_schema("out.parquet").names == ["size", "order", "bought"]
    assert caplog.messages == ["out.parquet: left out, since the log holds no values but hashes of them: shop"]


def test_mistakes_leave_everything_as_it_was(log, workspace):
    with pytest.raises(UserError, match=r"nowhere: expected the folder of an inference log, found nothing"):
        export(Path("nowhere"))
    Path("out.parquet").write_text("mine")
    with pytest.raises(UserError, match=r"^out.parquet: is there already; --force replaces it$"):
        export(log)
    with pytest.raises(UserError, match=r"^out.xlsx: expected a name that ends in .parquet, .csv, .jsonl$"):
        export(log, "out.xlsx")
    with pytest.raises(UserError, match=r"log: no row with a label of that time; 2 have none yet: `pipeline label` gives it"):
        export(log, since=START.replace(second=4), force=True)
    with pytest.raises(UserError, match=r"log: no row of that time$"):
        export(log, since=START.replace(year=2030), whole=True, force=True)
    assert Path("out.parquet").read_text() == "mine"
    assert not [file.name for file in workspace.iterdir() if file.name.endswith(".new")]


def test_the_command_takes_target_log_and_hashes_from_params(log, write_params):
    run = lambda *words: CliRunner().invoke(main, ["logged", *words])  # noqa: E731
    write_params(serve={"hashed": ["shop"]})
    home = paths.inference_log("small")
    home.parent.mkdir(parents=True)
    log.rename(home)
    done = run("rows.csv")
    assert (done.exit_code, done.stdout) == (0, "rows.csv: 5 rows written; 5 have no label yet\n")
    assert Path("rows.csv").read_text().splitlines()[0] == '"size","order","bought"'
    again = run("rows.csv", "--all")
    assert (again.exit_code, again.stderr) == (2, "rows.csv: is there already; --force replaces it\n")
    done = run("rows.csv", "--all", "--force", "--since", "2026-01-01", "--until", "2026-01-01 00:00:02")
    assert done.stdout == "rows.csv: 4 rows written, 2 of them without a label\n"
    missing = run("other.csv", "--log", "nowhere")
    assert (missing.exit_code, missing.stderr) == (2, "nowhere: expected the folder of an inference log, found nothing\n")
    Path("params.yaml").unlink()
    assert run("rows.csv").stderr == "logged: no params.yaml here that names the target\n"


def test_a_forecast_is_refused(workspace, write_params):
    write_params(
        data={"task": "forecast", "forecast": {"look_back": 3, "horizon": 2}},
        split={"strategy": "time", "by": "day"},
    )
    done = CliRunner().invoke(main, ["logged", "rows.csv"])
    assert done.exit_code == 2
    assert "logged: a forecast's requests overlap and bring no labels" in done.stderr
