"""Batches through a package: in this process where reading and writing are meant, in the package's own where that is."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.feather
import pytest
from conftest import ROOT, purchases

from pipeline import child, packaging, paths
from pipeline.batch import predicting, reading
from pipeline.config import SeriesParams
from pipeline.data import contents, frozen
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError

ROWS = 300
BLOCK = 64


@pytest.fixture
def inside(monkeypatch, model):
    """The package answers in this process, which takes no seconds to start, and refuses the age `young`; the sizes of its blocks."""
    sizes = []

    class Inside:
        def __init__(self, package):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, table):
            sizes.append(len(table))
            if "young" in (ages := table["age"].to_pylist()):
                raise child.Refused(ages.index("young"), "column age: no")
            return pa.Table.from_pandas(model.predict(table.to_pandas(types_mapper=pd.ArrowDtype)), preserve_index=False)

    monkeypatch.setattr(predicting, "Child", Inside)
    return sizes


@pytest.fixture
def rows(workspace) -> pd.DataFrame:
    """Rows as a CSV file has them, in rows.csv of the current folder."""
    purchases(ROWS, seed=3).to_csv("rows.csv", index=False)
    return pd.read_csv("rows.csv", dtype=str)


def equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    assert len(found) == len(expected) > 0
    for name in expected:
        if name.startswith("probability"):
            np.testing.assert_allclose(found[name].astype(float), expected[name], atol=1e-6)
        else:
            assert [None if pd.isna(value) else value for value in found[name]] == [
                None if pd.isna(value) else value for value in expected[name]
            ]


def pack(file: str) -> None:
    Path(f"{file}.gz").write_bytes(gzip.compress(Path(file).read_bytes()))


def folder(rows: pd.DataFrame) -> str:
    """Three parts whose delimiters differ, beside files that are no parts."""
    for at, delimiter in enumerate(",;\t"):
        part = Path(f"parts/day={at}/part.csv")
        part.parent.mkdir(parents=True)
        rows.iloc[at * 100 : (at + 1) * 100].to_csv(part, index=False, sep=delimiter)
    Path("parts/_SUCCESS").touch()
    Path("parts/.part.csv").write_text("nothing\n")
    return "parts"


FORMS = {
    "rows.csv": lambda rows: None,
    "rows.tsv": lambda rows: rows.to_csv("rows.tsv", index=False, sep="\t"),
    "rows.csv.gz": lambda rows: pack("rows.csv"),
    "semicolons.csv": lambda rows: rows.to_csv("semicolons.csv", index=False, sep=";", encoding="utf-16"),
    "rows.jsonl": lambda rows: rows.to_json("rows.jsonl", orient="records", lines=True),
    "rows.parquet": lambda rows: purchases(ROWS, seed=3).to_parquet("rows.parquet"),
    "rows.arrow": lambda rows: pa.feather.write_feather(purchases(ROWS, seed=3), "rows.arrow"),
    "parts": folder,
}


@pytest.mark.parametrize("form", FORMS)
def test_each_row_is_answered_in_its_place_whatever_the_form(rows, inside, model, form):
    FORMS[form](rows)
    done = predicting.predict(Path(form), Path("out.parquet"), keep=["customer", "age"], block=BLOCK)
    assert done.rows == ROWS
    assert max(inside) <= BLOCK
    assert len(inside) > 3
    found = pd.read_parquet("out.parquet")
    expected = pd.concat([rows[["customer", "age"]], model.predict(rows)], axis=1)
    equal(found.assign(age=found["age"].astype(float)), expected.assign(age=expected["age"].astype(float)))


@pytest.mark.parametrize("out", ["out.parquet", "deep/out.csv", "out.jsonl"])
def test_answers_are_written_in_the_form_that_the_name_says(rows, inside, model, out):
    read = {".parquet": pd.read_parquet, ".csv": lambda file: pd.read_csv(file, dtype={"customer": str}), ".jsonl": pd.DataFrame}
    predicting.predict(Path("rows.csv"), Path(out), keep=["customer", "income"], block=BLOCK)
    file = [json.loads(line) for line in Path(out).read_text().splitlines()] if out.endswith(".jsonl") else out
    found = read[Path(out).suffix](file)
    assert found["income"].isna().sum() == rows["income"].isna().sum() > 0
    equal(found.drop(columns="income"), pd.concat([rows[["customer"]], model.predict(rows)], axis=1))


def test_answers_go_to_standard_output_as_csv(rows, inside, model, capfdbinary):
    predicting.predict(Path("rows.csv"), block=BLOCK)
    equal(pd.read_csv(io.BytesIO(capfdbinary.readouterr().out)), model.predict(rows))


def test_a_table_without_rows_has_an_answer_without_rows(rows, inside, model):
    rows.head(0).to_csv("none.csv", index=False)
    assert predicting.predict(Path("none.csv"), Path("out.parquet"), keep=["city"]).rows == 0
    assert list(pd.read_parquet("out.parquet")) == ["city", *model.predict(rows.head(0))]


def test_parts_tell_their_file(rows, inside):
    folder(rows)
    predicting.predict(Path("parts"), Path("out.parquet"), keep=["source_file"])
    assert list(pd.read_parquet("out.parquet")["source_file"][[0, 150, 299]]) == [f"day={at}/part.csv" for at in range(3)]


def left() -> set[str]:
    return {file.name for file in Path().iterdir()} - {".state"}


def mistakes(rows: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Sources that cannot be answered, and what is told of them."""
    rows.drop(columns="age").to_csv("lacking.csv", index=False)
    text = Path("rows.csv").read_text().splitlines()
    Path("ragged.csv").write_text("\n".join([*text[:200], text[200] + ",more", *text[201:]]))
    Path("empty.csv").touch()
    Path("broken.parquet").write_bytes(b"PAR1 and no more")
    rows.to_csv("unknown.xyz")
    Path("mixed").mkdir()
    rows.to_csv("mixed/a.csv")
    rows.to_parquet("mixed/b.parquet")
    return {
        "absent.csv": "absent.csv: no such file or folder",
        "lacking.csv": "lacking.csv: missing column age; expected age, city, income, member, since, found bought, city",
        "ragged.csv": "ragged.csv: line 201: expected 7 values, got 8; every row needs an answer",
        "empty.csv": "empty.csv: the file is empty",
        "broken.parquet": "broken.parquet: not readable as Parquet",
        "unknown.xyz": "unknown.xyz: expected a text table",
        "mixed": "mixed: expected parts of one kind, found a.csv, b.parquet",
    }


def test_what_cannot_be_read_is_told_in_one_line_and_leaves_no_file(rows, inside):
    for source, told in mistakes(rows).items():
        before = left()
        with pytest.raises(UserError) as error:
            predicting.predict(Path(source), Path("out.parquet"), block=BLOCK)
        assert str(error.value).startswith(told)
        assert "\n" not in str(error.value)
        assert left() == before


def test_a_failure_after_some_blocks_leaves_the_old_file(rows, inside):
    folder(rows)
    rows.drop(columns="city").to_csv("parts/later.csv", index=False)
    Path("out.parquet").write_text("old")
    with pytest.raises(UserError, match=r"parts/later\.csv: missing column city"):
        predicting.predict(Path("parts"), Path("out.parquet"), block=BLOCK, force=True)
    assert len(inside) > 2
    assert Path("out.parquet").read_text() == "old"
    assert not [name for name in left() if name.endswith(".new")]


def test_a_file_that_is_there_is_replaced_by_force_alone(rows, inside):
    Path("out.csv").write_text("old")
    with pytest.raises(UserError, match=r"out\.csv: is there already; --force replaces it"):
        predicting.predict(Path("rows.csv"), Path("out.csv"))
    with pytest.raises(UserError, match=r"absent\.csv: no such file or folder"):
        predicting.predict(Path("absent.csv"), Path("out.csv"), force=True)
    assert Path("out.csv").read_text() == "old"
    predicting.predict(Path("rows.csv"), Path("out.csv"), force=True)
    assert len(pd.read_csv("out.csv")) == ROWS
    with pytest.raises(UserError, match=r"rows\.csv: .*got the file that is read"):
        predicting.predict(Path("rows.csv"), Path("rows.csv"), force=True)
    with pytest.raises(UserError, match=r"expected a name that ends in \.parquet, \.csv, \.jsonl"):
        predicting.predict(Path("rows.csv"), Path("out.xls"))


def test_a_kept_column_may_not_be_called_as_an_answer(rows, inside):
    rows.assign(prediction=1).to_csv("named.csv", index=False)
    with pytest.raises(UserError, match="--keep prediction: the answer has a column of this name"):
        predicting.predict(Path("named.csv"), Path("out.csv"), keep=["prediction"])


def test_what_is_no_package_is_told(rows):
    with pytest.raises(UserError, match=r"models/package: expected the folder of a model package; `pipeline run` makes one"):
        predicting.predict(Path("rows.csv"))


def test_long_rows_have_one_answer_a_series(workspace, monkeypatch):
    long = [f"{name},{second},{second * 2 if name == 'b' else 7},{at}" for at, name in enumerate("ba") for second in (1, 0, 2)]
    Path("long.csv").write_text("recording,second,x,where\n" + "\n".join(long) + "\n")
    asked = []

    class Inside:
        def ask(self, table):
            asked.extend(table.to_pylist())
            return pa.table({"prediction": ["up"] * len(table), "refused": pa.array([None, "no"], pa.string())})

    @contextmanager
    def there(model):
        yield packaging.Package(Path(), ("x", "where"), False, ("x",)), lambda: nullcontext(Inside())

    monkeypatch.setattr(predicting, "_there", there)
    params = SeriesParams(id="recording", time="second")
    done = predicting.predict(Path("long.csv"), Path("out.csv"), series=params, keep=("where",))
    assert (done.rows, done.refused) == (2, 1)
    assert str(done).startswith("2 rows, 1 refused in ")
    assert asked == [{"x": [7.0, 7.0, 7.0], "where": "1"}, {"x": [0.0, 2.0, 4.0], "where": "0"}]  # a channel that stays is one too
    assert Path("out.csv").read_text() == '"recording","where","prediction","refused"\n"a","1","up",\n"b","0","up","no"\n'


@pytest.fixture
def whole(monkeypatch, package, inside):
    """A package that takes rows as a whole, as a forecast does."""

    @contextmanager
    def opened(model):
        with original(str(package)) as found:
            yield packaging.Package(found.folder, found.columns, True)

    original = packaging.opened
    monkeypatch.setattr(predicting, "opened", opened)
    return inside


def test_a_forecast_is_asked_once_with_all_rows_and_no_more_than_fit(rows, whole, monkeypatch):
    folder(rows)
    predicting.predict(Path("parts"), Path("out.parquet"), block=BLOCK)
    assert whole == [ROWS]
    monkeypatch.setattr(reading, "MOST_WHOLE", ROWS - 1)
    with pytest.raises(UserError, match=r"rows\.csv: a forecast holds its rows in memory, at most 299"):
        predicting.predict(Path("rows.csv"), Path("more.parquet"), block=BLOCK)
    with pytest.raises(UserError, match="--keep: a forecast answers with the steps to come"):
        predicting.predict(Path("rows.csv"), keep=["city"])
    with pytest.raises(UserError, match="--stdin: a forecast needs"):
        predicting.stream(io.BytesIO(), io.BytesIO())


@pytest.fixture(autouse=True)
def default(monkeypatch, package, request):
    """The finished package wherever a test names none."""
    if "what_is_no_package" not in request.node.name:
        for function in (predicting.predict, predicting.stream):
            monkeypatch.setitem(function.__kwdefaults__, "model", str(package))


def streamed(content: bytes, **options) -> list[dict]:
    """What `stream` answers to all of `content` at once."""
    reading, writing = os.pipe()
    threading.Thread(target=lambda: (os.write(writing, content), os.close(writing))).start()
    out = io.BytesIO()
    try:
        with os.fdopen(reading, "rb") as incoming:
            predicting.stream(incoming, out, **options)
    finally:
        streamed.lines = [json.loads(line) for line in out.getvalue().splitlines()]
    return streamed.lines


def test_lines_of_csv_and_of_json_are_answered_as_a_file_is(rows, inside, model):
    expected = pd.concat([rows[["customer"]], model.predict(rows)], axis=1)
    equal(pd.DataFrame(streamed(Path("rows.csv").read_bytes(), keep=["customer"], block=BLOCK)), expected)
    assert max(inside) <= BLOCK
    equal(pd.DataFrame(streamed(rows.to_json(orient="records", lines=True).encode(), keep=["customer"])), expected)
    numbers = purchases(ROWS, seed=3).to_json(orient="records", lines=True, date_format="iso")
    equal(pd.DataFrame(streamed(b"\xef\xbb\xbf\n" + numbers.encode(), keep=["customer"])), expected)


def test_lines_of_csv_may_go_on_within_quotes(rows, inside, model):
    some = rows.head(3).assign(customer=["a\nb", 'say "x",\r\nor so', 'c"'], city='"Rome"')
    found = streamed(some.to_csv(index=False, sep=";").encode().replace(b'"c"""', b'c"'), keep=["customer"])
    equal(pd.DataFrame(found), pd.concat([some[["customer"]], model.predict(some)], axis=1))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"age": 3}', "line 4: missing column city, income, member, since; expected age, city"),
        (b"[1]", r"line 4: expected a JSON object, got \[1\]"),
        (b"{", "line 4: Expecting property name"),
        (b'{"age": "\xff"}', "line 4: expected UTF-8 text"),
    ],
)
def test_a_line_that_is_no_row_is_told_and_those_before_it_are_answered(rows, inside, line, told):
    lines = rows.head(3).to_json(orient="records", lines=True).encode()
    with pytest.raises(UserError, match=f"standard input: {told}"):
        streamed(lines + line + b"\n" + lines)
    assert len(streamed.lines) == 3


def test_a_line_that_the_package_refuses_is_told_and_those_before_it_are_answered(rows, inside):
    rows.loc[[200, 210], "age"] = "young"
    with pytest.raises(UserError, match="standard input: line 202: column age: no"):  # the header is line 1
        streamed(rows.to_csv(index=False).encode(), keep=["customer"], block=BLOCK)
    assert [line["customer"] for line in streamed.lines] == list(rows["customer"][:200])


def test_a_line_of_csv_that_is_no_row_is_told(rows, inside):
    with pytest.raises(UserError, match="standard input: line 3: expected 7 values, got 2"):
        streamed(rows.head(1).to_csv(index=False).encode() + b"1,2\n")
    assert len(streamed.lines) == 1
    with pytest.raises(UserError, match="standard input: line 3: a quote is opened and never closed"):
        streamed(rows.head(1).to_csv(index=False).encode() + b'"1,2\n3')
    with pytest.raises(UserError, match="standard input: line 1: missing column age; expected age"):
        streamed(rows.drop(columns="age").to_csv(index=False).encode())


TYPED = {
    "number": (["1", "-2.5e3", ".5", None], [1.0, -2500.0, 0.5, None]),
    "number, as pandas knows it": (["1", " +7 ", ""], [1.0, 7.0, None]),
    "number, with tokens": (["1", "NA", "?"], [1.0, None, None]),
    "number, of decimals": ([Decimal("1.25"), None], [1.25, None]),
    "boolean": (["true", "F", "0", None], [True, False, False, None]),
    "boolean, with tokens": (["true", "NA"], [True, None]),
    "datetime": (["2020-02-03", "2020-02-03 04:05:06.5", None], [datetime(2020, 2, 3), datetime(2020, 2, 3, 4, 5, 6, 500_000), None]),
    "datetime, as pandas knows it": (["02/03/2020", None], [datetime(2020, 2, 3), None]),
    "text": ([1, -2, None], ["1", "-2", None]),
}


@pytest.mark.parametrize("case", TYPED)
def test_blocks_of_another_arrow_type_are_read_as_the_source_s(case):
    values, expected = TYPED[case]
    raw = case.partition(",")[0]
    asked = object.__new__(frozen.Frozen)  # a package of this column alone, without a query
    asked.raw, asked.missing = {"column": raw}, {"column": ("NA", "?")}
    table = pa.table({"column": values})
    for given in (table, table.to_pandas(types_mapper=pd.ArrowDtype)):
        found = asked.arrow(given, ["column"])["column"]
        assert found.type == frozen.TYPES[raw]
        assert found.to_pylist() == expected


# from here on in a process of the package's own, which takes seconds to start


def test_raw_rows_give_in_the_package_s_process_what_evaluate_measured(finished, workspace, model):
    raw = finished.folder / paths.RAW / paths.ROWS
    predicting.predict(raw, Path("out.parquet"), keep=["__row_id__"], block=BLOCK)
    found, rows = pd.read_parquet("out.parquet"), pd.read_parquet(raw)
    equal(found, pd.concat([rows[["__row_id__"]], model.predict(rows)], axis=1))
    test = pd.read_parquet(finished.folder / paths.SPLIT / "test" / paths.ROWS)["__row_id__"]
    measured = np.load(finished.folder / paths.OUTPUTS)
    fitted = Preprocessor.from_json((finished.folder / paths.FITTED).read_text())
    assert fitted.task == "binary"
    given = found.set_index("__row_id__").loc[test, f"probability of {fitted.target.classes[1]}"]
    np.testing.assert_allclose(given, measured, atol=1e-6)


@pytest.fixture
def refusing(package, tmp_path) -> Path:
    """The package with a code that takes no age `young`, wherever it stands among the rows."""
    copy = tmp_path / "refusing"
    shutil.copytree(package, copy)
    with (copy / "code" / "pipeline" / "predict.py").open("a") as code:
        code.write(
            "\n\nanswered = Model._answered\n\n\ndef refusing(self, rows):\n"
            "    ages = rows['age'].to_pylist() if isinstance(rows, pa.Table) else list(rows['age'])\n"
            "    if 'young' in ages:\n"
            "        raise UserError(f'column age: no number at position {ages.index(\"young\")}')\n"
            "    return answered(self, rows)\n\n\nModel._answered = refusing\n"
        )
    contents.write(copy / "artifacts" / "files", {})
    return copy


def test_a_package_whose_file_was_changed_is_refused(rows, package, tmp_path):
    copy = tmp_path / "changed"
    shutil.copytree(package, copy)
    (copy / "artifacts" / "files" / "answers.json").write_text("{}")
    rows.to_csv("some.csv", index=False)
    with pytest.raises(UserError, match=r"changed: answers\.json was changed since it was packaged; register the model anew$") as error:
        predicting.predict(Path("some.csv"), Path("bad.csv"), model=str(copy))
    assert "process" not in str(error.value)
    assert not [name for name in left() if "bad" in name]


def test_a_row_that_the_package_refuses_is_told_by_its_number(rows, refusing):
    rows.loc[[250, 270], "age"] = "young"
    rows.to_parquet("young.parquet")
    with pytest.raises(UserError) as error:
        predicting.predict(Path("young.parquet"), Path("bad.parquet"), model=str(refusing), block=BLOCK)
    assert str(error.value) == "young.parquet: row 251: column age: no number"
    assert not [name for name in left() if "bad" in name]


def test_a_process_that_is_killed_or_cannot_start_is_told(rows, package, tmp_path, monkeypatch):
    table = pa.Table.from_pandas(rows)
    with packaging.opened(str(package)) as found:
        with child.Child(found) as process:
            os.kill(process.process.pid, signal.SIGKILL)
            with pytest.raises(UserError, match="the model's process was killed by SIGKILL"):
                process.ask(table)
        shutil.copytree(package, tmp_path / "without", ignore=shutil.ignore_patterns("predict.py"))
        with (
            child.Child(packaging.Package(tmp_path / "without", found.columns, False)) as process,
            pytest.raises(UserError, match=r"without: the model's process ended with 1: .*pipeline\.predict"),
        ):
            process.ask(table)


COMMAND = """
import signal, sys
from pathlib import Path
from pipeline.batch import predicting
signal.signal(signal.SIGINT, signal.default_int_handler)
package, source, out = sys.argv[1:]
if source == "-":
    predicting.stream(sys.stdin.buffer, sys.stdout.buffer, model=package, keep=["customer"])
else:
    predicting.predict(Path(source), Path(out), model=package, block=1)
"""


def command(package: Path, source: str, out: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", COMMAND, str(package), source, out]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes)


def test_a_line_is_answered_before_the_next_one_comes(rows, package):
    header, *lines = rows.to_csv(index=False).splitlines(keepends=True)
    with command(package, "-", "") as process:
        process.stdin.write(header.encode())
        for at in (0, 1):
            process.stdin.write(lines[at].encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["customer"] == rows["customer"][at]
        out, error = process.communicate("".join(lines[2:]).encode())
    assert process.returncode == 0, error
    assert [json.loads(line)["customer"] for line in out.splitlines()] == list(rows["customer"][2:])


def test_an_interrupted_batch_leaves_neither_file_nor_process(rows, package):
    with command(package, "rows.csv", "out.parquet") as process:
        until(lambda: Path(".out.parquet.new").exists() and psutil.Process(process.pid).children())
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    assert b"KeyboardInterrupt" in error
    assert left() == {"rows.csv"}
    until(lambda: not any(child.is_running() for child in children))


def until(happened) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError("did not happen within a minute")


def test_a_package_of_the_registry_is_fetched(finished, workspace, package, monkeypatch):
    monkeypatch.chdir(finished.folder)  # its own store: `workspace` has put aside what says otherwise
    for name in ("models:/small@champion", "models:/small/1"):
        with packaging.opened(name) as found, packaging.opened(str(package)) as made:
            assert (found.columns, found.whole) == (made.columns, made.whole)
            assert found.folder != made.folder
    with pytest.raises(UserError, match="models:/small@other: no such model in the registry"), packaging.opened("models:/small@other"):
        pass
