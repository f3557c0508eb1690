"""Each kind of source becomes exactly its rows; each bad one becomes one clear line."""

from __future__ import annotations

import datetime
import hashlib
import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data import sources
from pipeline.data.engine import engine
from pipeline.errors import UserError


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


@pytest.fixture
def get(backend, tmp_path):
    """Read content as a file: its columns as lists, and what was found out about it."""

    def get(content, name="rows.csv", encoding="utf-8"):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        workspace = tmp_path / "workspace"
        workspace.mkdir(exist_ok=True)
        table, found = sources.read(backend, str(file), encoding=encoding, workspace=workspace)
        return backend.to_pyarrow(table).to_pydict(), found

    return get


@pytest.fixture
def load(backend, tmp_path):
    """Read a folder whose load.py holds this code."""

    def load(code):
        folder = tmp_path / "source"
        folder.mkdir(exist_ok=True)
        (folder / "load.py").write_text(code)
        if "loaded" in backend.list_tables():
            backend.drop_table("loaded")
        table, found = sources.read(backend, str(folder), encoding="utf-8", workspace=tmp_path)
        assert found["kind"] == "load.py"
        return backend.to_pyarrow(table)

    return load


TWO = {"a": ["1", "3"], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("content", "name", "delimiter"),
    [
        ("a,b\n1,x\n3,y\n", "rows.csv", ","),
        ("a,b\n1,x\n3,y", "rows.csv", ","),
        ("a,b\r\n1,x\r\n3,y\r\n", "rows.csv", ","),
        ("a,b\r1,x\r3,y\r", "rows.csv", ","),
        ("a;b\n1;x\n3;y\n", "rows.csv", ";"),
        ("a\tb\n1\tx\n3\ty\n", "rows.tsv", "\t"),
        ("a\tb\n1\tx\n3\ty\n", "rows.txt", "\t"),
        ("a|b\n1|x\n3|y\n", "rows.csv", "|"),
        (b"\xef\xbb\xbfa,b\n1,x\n3,y\n", "rows.csv", ","),
        (b'\xef\xbb\xbf"a","b"\n"1","x"\n"3","y"\n', "rows.CSV", ","),
        ("\n\na,b\n1,x\n\n3,y\n\n\n", "rows.csv", ","),
        (" a , b \n1,x\n3,y\n", "rows.csv", ","),
    ],
)
def test_csv_dialects_give_the_same_rows(get, content, name, delimiter):
    columns, found = get(content, name)
    assert columns == TWO
    assert (found["kind"], found["delimiter"]) == ("csv", delimiter)


def test_decimal_commas_in_a_file_of_one_row_do_not_hide_the_semicolons(get):
    assert get("a;b\n1,5;2,5\n")[0] == {"a": ["1,5"], "b": ["2,5"]}


def test_tab_separated_text_may_hold_commas(get):
    assert get("a\tb, c\n1, 2\t3\n", "rows.tsv")[0] == {"a": ["1, 2"], "b, c": ["3"]}


def test_quoted_values_keep_newlines_delimiters_and_quotes(get):
    columns, _ = get('a,b\n"line one\nline two","x,y"\n"say ""hi""",\'tis\n"",it\'s\n')
    assert columns == {"a": ["line one\nline two", 'say "hi"', None], "b": ["x,y", "'tis", "it's"]}


def test_quote_that_first_appears_late_still_quotes(get):
    columns, _ = get("a,b\n" + "1,x\n" * 30_000 + '"p,q\nr",y\n')
    assert len(columns["a"]) == 30_001
    assert columns["a"][-1] == "p,q\nr"


@pytest.mark.parametrize("rows", [1, 2047, 2048, 2049, 122_881])
def test_no_row_is_lost_or_invented(get, rows):
    columns, _ = get("a,b\n" + "".join(f"{k},{k % 7}\n" for k in range(rows)))
    assert columns["a"] == [str(k) for k in range(rows)]


def test_lines_that_look_like_comments_are_rows(get):
    assert get("a,b\n#1,2\n3,4\n#5,6\n")[0] == {"a": ["#1", "3", "#5"], "b": ["2", "4", "6"]}


def test_single_column_is_no_list_of_values(get):
    assert get("name\nAnn Lee\nBo\n")[0] == {"name": ["Ann Lee", "Bo"]}


def test_values_are_kept_as_they_are_written(get):
    columns, _ = get("a,b\n007, 1.50 \n1e3,TRUE\n,NA\n")
    assert columns == {"a": ["007", "1e3", None], "b": [" 1.50 ", "TRUE", "NA"]}


def test_latin_1_is_read_where_it_is_named(get):
    content = "name,town\nÉva,Köln\n".encode("latin-1")
    assert get(content, encoding="latin-1")[0] == {"name": ["Éva"], "town": ["Köln"]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "windows-1252", "UTF8"])
def test_other_encodings_give_the_same_text(get, encoding):
    columns, found = get("a,b\nété,1\n".encode(encoding), encoding=encoding)
    assert columns == {"a": ["été"], "b": ["1"]}
    assert found["encoding"] == encoding


def test_odd_column_names_are_kept(get):
    header = 'two words,"a ""quote""",\'tis,prénom,select,row_id,self,by,"new\nline",日本'
    columns, _ = get(header + "\n" + ",".join(map(str, range(10))) + "\n")
    assert list(columns) == ["two words", 'a "quote"', "'tis", "prénom", "select", "row_id", "self", "by", "new\nline", "日本"]
    assert [values[0] for values in columns.values()] == [str(k) for k in range(10)]


def test_column_without_name_gets_one(get):
    """As pandas writes an index."""
    assert get(",a\n0,x\n1,y\n")[0] == {"column0": ["0", "1"], "a": ["x", "y"]}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "absent.csv", "absent.csv: no such file or folder"),
        (b"", "rows.csv", "rows.csv: the file is empty"),
        ("\n \n\n", "rows.csv", "rows.csv: expected a header line, found blank lines only"),
        ("a,b\n1,2\n3,4,5\n6,7\n", "rows.csv", "not readable as CSV: line 3: Expected Number of Columns: 2 Found: 3"),
        ("a,b,c\n1,2,3\n4,5\n", "rows.csv", "not readable as CSV: line 3: Expected Number of Columns: 3 Found: 2"),
        ("a,b\n1,2,3\n4,5,6\n", "rows.csv", "not readable as CSV: line 2: Expected Number of Columns: 2 Found: 3"),
        ("a,b,c\n1,2\n4,5\n", "rows.csv", "not readable as CSV: line 2: Expected Number of Columns: 3 Found: 2"),
        ("a,b\n" + "1,2\n" * 40_000 + "1,2,3\n4,5\n", "rows.csv", "line 40002: Expected Number of Columns: 2 Found: 3"),
        ('a,b\n1,2\n"x,2\n3,4\n', "rows.csv", "line 3: Value with unterminated quote found"),
        ("a,b\r\n1,2\n3,4\r\n", "rows.csv", "its lines end in more than one way (LF, CRLF, CR)"),
        (
            "a,b\n1,2\n".encode("utf-16-le"),
            "rows.csv",
            "line 1 holds a NUL byte: expected text; if it is UTF-16, set data.encoding: utf-16",
        ),
        (b"a,b\n1,2\n\x00,3\n", "rows.csv", "line 3 holds a NUL byte"),
        ("a,b\n1,2\n".encode("utf-16"), "rows.csv", "for example data.encoding: utf-16"),
        (
            b"a,b\n1,2\n\xe9t\xe9,3\n",
            "rows.csv",
            "expected utf-8 text, but line 3 has byte 0xe9; name the file's encoding, for example data.encoding: windows-1252",
        ),
        (b"a,b\n1,2\n4,3\xc3", "rows.csv", "expected utf-8 text, but line 3 has byte 0xc3"),
        ("a,b,a\n1,2,3\n", "rows.csv", "columns 'a' and 'a' have the same name (case aside): rename one"),
        ("Age,b,age\n1,2,3\n", "rows.csv", "columns 'Age' and 'age' have the same name (case aside): rename one"),
        ("a,b\n1,2\n", "rows.parquet", "rows.parquet: not readable as Parquet: Parquet magic bytes not found"),
        ("a,b\n1,2\n", "rows.xlsx", "rows.xlsx: expected .csv, .tsv, .txt, .parquet or a folder with load.py"),
    ],
    ids=lambda value: None if isinstance(value, bytes) or value is None or len(value) > 60 else repr(value),
)
def test_bad_file_is_one_clear_line(get, content, name, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        get(content, name)
    assert len(caught.value.messages) == 1
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("data.source: ")


def test_bad_byte_is_found_past_the_first_block(get, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 16)
    with pytest.raises(UserError, match="line 102 has byte 0xff"):
        get(b"a,b\n" + "é,2\n".encode() * 100 + b"\xff,3\n")


def test_text_split_between_blocks_is_read_whole(get, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 3)
    assert get("a\né日本é\n".encode("utf-16"), encoding="utf-16")[0] == {"a": ["é日本é"]}


@pytest.mark.parametrize("encoding", ["utf-88", "base64", "rot13"])
def test_unknown_encoding_names_the_key(get, encoding):
    with pytest.raises(UserError, match=f"^data.encoding: expected a name such as utf-8, latin-1 or windows-1252, got '{encoding}'$"):
        get("a,b\n1,2\n", encoding=encoding)


def test_header_only_has_columns_and_no_rows(get):
    assert get("a,b\n")[0] == {"a": [], "b": []}


def test_parquet_keeps_its_types(get, tmp_path):
    day = datetime.datetime(2020, 1, 2)
    table = pa.table(
        {"i": [1, None], "f": [1.5, float("inf")], "t": ["x", ""], "b": [True, None], "d": pa.array([day, None], pa.timestamp("us"))}
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    columns, found = get(None, "rows.parquet")
    assert columns == {"i": [1, None], "f": [1.5, float("inf")], "t": ["x", ""], "b": [True, None], "d": [day, None]}
    assert found["kind"] == "parquet"


@pytest.mark.parametrize("names", [["a", "a"], ["Age", "age"]])
def test_parquet_columns_must_differ_in_more_than_case(get, tmp_path, names):
    pq.write_table(pa.table([[1], [2]], names=names), tmp_path / "rows.parquet")
    with pytest.raises(UserError, match=f"columns '{names[0]}' and '{names[1]}' have the same name"):
        get(None, "rows.parquet")


@pytest.mark.parametrize(
    "body",
    [
        "import pandas as pd\ndef load():\n    return pd.DataFrame({'a': [1, 2], 'b': ['x', None]}, index=[7, 8])\n",
        "import pyarrow as pa\ndef load():\n    return pa.table({'a': [1, 2], 'b': ['x', None]})\n",
        "def load():\n    return {'a': [1, 2], 'b': ['x', None]}\n",
        "rows = {'a': [1, 2]}\ndef load():\n    return rows | helper()\ndef helper():\n    return {'b': ['x', None]}\n",
    ],
)
def test_loader_may_return_any_table(load, body):
    assert load(body).to_pydict() == {"a": [1, 2], "b": ["x", None]}


def test_loader_keeps_types(load):
    columns = "{'f': np.float32([1.5]), 'b': [True], 'd': pd.to_datetime(['2020-01-02']), 'c': pd.Categorical(['x'])}"
    code = f"import numpy as np\nimport pandas as pd\ndef load():\n    return pd.DataFrame({columns})\n"
    found = load(code)
    assert found.to_pylist() == [{"f": 1.5, "b": True, "d": datetime.datetime(2020, 1, 2), "c": "x"}]
    assert [str(kind)[:9] for kind in found.schema.types] == ["float", "bool", "timestamp", "string"]


def test_loader_may_return_an_all_missing_column(load):
    assert load("def load():\n    return {'a': [None, None], 'b': [1, 2]}").to_pydict() == {"a": [None, None], "b": [1, 2]}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\n", r"load.py: expected a function load\(\) that returns a table$"),
        ("load = 3\n", r"load.py: expected a function load\(\) that returns a table$"),
        (
            "def load():\n    x = 1\n    return x / 0\n",
            r"load.py:3: load\(\) raised ZeroDivisionError: division by zero  \[return x / 0\]$",
        ),
        ("def load():\n    return {}['load']\n", r"load.py:2: load\(\) raised KeyError: 'load'"),
        ("import nothing_of_this_name\n", r"load.py:1: load\(\) raised ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("x = 1\ndef load(:\n", r"load.py:2: load\(\) raised SyntaxError"),
        ("def load():\n    return None\n", r"load\(\) returned no table \(NoneType\)"),
        ("def load():\n    return [1, 2]\n", r"load\(\) returned no table \(list\)"),
        (
            "def load():\n    return {'a': [1, 2], 'b': [1]}\n",
            r"load\(\) returned no table \(dict\): Column 1 named b expected length 2 but got length 1",
        ),
        ("def load():\n    return {}\n", r"load\(\) returned a table without columns$"),
        (
            "import pandas as pd\ndef load():\n    return pd.DataFrame({'a': [1, 'x']})\n",
            r"load\(\) returned no table \(DataFrame\): .*column a",
        ),
        ("def load():\n    return {'Age': [1], 'age': [2]}\n", r"columns 'Age' and 'age' have the same name"),
        (
            "import pandas as pd\ndef load():\n    return pd.DataFrame({'a': pd.to_timedelta([1], 'h')})\n",
            r"no place here: a \(duration\[ns\]\); make them numbers",
        ),
    ],
)
def test_bad_loader_is_one_clear_line(load, code, message):
    with pytest.raises(UserError, match=message) as caught:
        load(code)
    assert len(caught.value.messages) == 1


def test_loader_leaves_nothing_behind(load, tmp_path):
    before = set(sys.modules)
    load("def load():\n    return {'a': [1]}")
    assert [entry.name for entry in (tmp_path / "source").iterdir()] == ["load.py"]
    assert "load" not in set(sys.modules) - before


def test_folder_without_loader_is_told_with_what_it_holds(backend, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    with pytest.raises(UserError, match=r"pictures: expected a folder with a load.py, found nothing$"):
        sources.read(backend, str(folder), encoding="utf-8", workspace=tmp_path)
    for name in "abcdefg":
        (folder / f"{name}.png").touch()
    with pytest.raises(UserError, match=r"found a.png, b.png, c.png, d.png, e.png and 2 more$"):
        sources.read(backend, str(folder), encoding="utf-8", workspace=tmp_path)


def test_digest_of_a_file_is_its_sha256_and_of_a_folder_follows_names_and_contents(get, tmp_path):
    _, found = get("a,b\n1,2\n")
    assert found["sha256"] == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    folder = tmp_path / "folder"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "x").write_text("one")
    first = sources.digest(folder)
    (folder / "__pycache__" / "x.pyc").write_text("compiled")
    assert sources.digest(folder) == first
    (folder / "x").rename(folder / "y")
    assert sources.digest(folder) != first
    (folder / "y").rename(folder / "x")
    (folder / "x").write_text("two")
    assert sources.digest(folder) != first


def test_nan_in_arrays_is_kept_for_clean_to_judge(load):
    found = load("import numpy as np\ndef load():\n    return {'a': np.array([1.0, np.nan])}")
    assert np.isnan(found["a"].to_pylist()[1])
