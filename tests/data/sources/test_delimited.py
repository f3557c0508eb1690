"""Every way to write a text table gives exactly its rows; each bad file is one clear line."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from pipeline.data.sources import encodings
from pipeline.errors import UserError

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
    assert (found.found["kind"], found.found["delimiter"]) == ("csv", delimiter)


def test_decimal_commas_in_a_file_of_one_row_do_not_hide_the_semicolons(get):
    assert get("a;b\n1,5;2,5\n")[0] == {"a": ["1,5"], "b": ["2,5"]}


def test_tab_separated_text_may_hold_commas(get):
    assert get("a\tb, c\n1, 2\t3\n", "rows.tsv")[0] == {"a": ["1, 2"], "b, c": ["3"]}


def test_quoted_values_keep_newlines_delimiters_and_quotes(get):
    columns, _ = get('a,b\n"line one\nline two","x,y"\n"say ""hi""",\'tis\n"",it\'s\n')
    assert columns == {"a": ["line one\nline two", 'say "hi"', None], "b": ["x,y", "'tis", "it's"]}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("rows", [1, 0])
def test_header_that_spans_lines_is_no_row(get, mark, end, rows):
    content = mark + b'"' + end + b'a","b"' + end + rows * (b"1,x" + end)
    assert get(content)[0] == {"a": ["1"] * rows, "b": ["x"] * rows}


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


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("encoding", "found_as"),
    [
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("utf-8-sig", "utf-8"),
        ("UTF8", "utf-8"),
        ("windows-1252", "windows-1252"),
    ],
)
def test_other_encodings_give_the_same_text(get, encoding, found_as, named):
    columns, source = get("a,b\nété,1\n".encode(encoding), **({"encoding": encoding} if named else {}))
    assert columns == {"a": ["été"], "b": ["1"]}
    assert source.found["encoding"] == found_as or (named and found_as == "windows-1252")


def test_latin_1_is_told_by_bytes_that_windows_1252_has_not(get):
    columns, source = get(b"a,b\n\xe9\x81,1\n")
    assert (columns, source.found["encoding"]) == ({"a": ["é\x81"], "b": ["1"]}, "latin-1")


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
        ("a,b\n1,2\n3,4,5\n6,7\n", "rows.csv", "line 3: expected 2 values, got 3"),
        ("a,b,c\n1,2,3\n4,5\n", "rows.csv", "line 3: expected 3 values, got 2"),
        ("a,b\n1,2,3\n4,5,6\n", "rows.csv", "line 2: expected 2 values, got 3, and 1 more rows of 2 are ragged"),
        ("a,b,c\n1,2\n4,5\n", "rows.csv", "line 2: expected 3 values, got 2, and 1 more rows of 2 are ragged"),
        ('a,b\n"1,5",2\n"x,2\n3,4\n', "rows.csv", 'not readable as CSV: line 3: a quote (") is opened and never closed'),
        ('a,b\n"1,5",2\n"1,5"x,2\n3,4\n', "rows.csv", 'line 3: a value goes on after its closing quote (")'),
        (b"a,b\n1,2\n\x00,3\n", "rows.csv", "line 3 holds a NUL byte"),
        ("a,b,a\n1,2,3\n", "rows.csv", "columns 'a' and 'a' have the same name (case aside): rename all but one"),
        ("a,A,b,B,a\n1,2,3,4,5\n", "rows.csv", "columns 'a' and 'A' and 'a'; 'b' and 'B' have the same name"),
        ("Age,b,age\n1,2,3\n", "rows.csv", "columns 'Age' and 'age' have the same name (case aside): rename all but one"),
        ("a,b\n1,2\n", "rows.parquet", "rows.parquet: not readable as Parquet: Parquet magic bytes not found"),
        ("a,b\n1,2\n", "rows.xlsx", "rows.xlsx: expected a text table (.csv, .tsv, .txt), .json, .jsonl, .parquet"),
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
    monkeypatch.setattr(encodings, "CHUNK", 16)
    with pytest.raises(UserError, match="expected utf-8 text, but line 102 has byte 0xff; name the file's encoding"):
        get(b"a,b\n" + "é,2\n".encode() * 100 + b"\xff,3\n", encoding="utf-8")


def test_text_split_between_blocks_is_read_whole(get, monkeypatch):
    monkeypatch.setattr(encodings, "CHUNK", 3)
    assert get("a\né日本é\n".encode("utf-16"), encoding="utf-16")[0] == {"a": ["é日本é"]}


@pytest.mark.parametrize("encoding", ["utf-88", "base64", "rot13"])
def test_unknown_encoding_names_the_key(get, encoding):
    with pytest.raises(UserError, match=f"^data.csv.encoding: expected a name such as utf-8, latin-1 or windows-1252, got '{encoding}'$"):
        get("a,b\n1,2\n", encoding=encoding)


def test_header_only_has_columns_and_no_rows(get):
    assert get("a,b\n")[0] == {"a": [], "b": []}


def test_one_row_in_40_000_that_is_ragged_is_set_aside_with_its_line(backend, get):
    columns, source = get("a,b\n" + "1,2\n" * 40_000 + "1,2,3\n4,5\n")
    assert len(columns["a"]) == 40_001
    rejected = backend.to_pyarrow(backend.read_parquet(source.rejects)).to_pylist()
    assert [(row["line"], row["reason"], row["text"]) for row in rejected] == [(40_002, "expected 2 values, got 3", "1,2,3")]


def test_ragged_rows_are_padded_rejected_or_fail_as_told(backend, get):
    content = 'a,b,c\n1,2,3\n"4\n5"\n6,7,8,9\n\n10,11\n'
    columns, source = get(content, ragged="pad")
    assert columns == {"a": ["1", "4\n5", "10"], "b": ["2", None, "11"], "c": ["3", None, None]}
    rejected = backend.to_pyarrow(backend.read_parquet(source.rejects)).to_pylist()
    assert [(row["line"], row["text"]) for row in rejected] == [(5, "6,7,8,9")]
    columns, source = get(content, ragged="reject")
    assert columns == {"a": ["1"], "b": ["2"], "c": ["3"]}
    rejected = backend.to_pyarrow(backend.read_parquet(source.rejects)).to_pylist()
    assert [(row["line"], row["text"]) for row in rejected] == [(3, '"4\n5"'), (5, "6,7,8,9"), (7, "10,11")]
    with pytest.raises(UserError, match="line 3: expected 3 values, got 1, and 2 more rows of 4 are ragged"):
        get(content, ragged="fail")


@pytest.mark.parametrize("content", ["a,b\r\n1,x\n3,y\r\n", "a,b\n1,x\r3,y", "a,b\r\n1,x\r\n3,y\r", "a,b\n1,x\n\r\n3,y\n"])
def test_lines_may_end_in_several_ways(get, content):
    assert get(content)[0] == TWO


@pytest.mark.parametrize(
    ("content", "skip", "comment"),
    [
        ("# made by x\n# on, a, day\na,b\n1,x\n3,y\n", 2, "#"),
        ("#a,b\n1,x\n3,y\n", 0, "#"),
        ("# made by x\n#a,b\n1,x\n3,y\n", 1, "#"),
        ("Report of sales\n\na,b\n1,x\n3,y\n", 2, ""),
        ('"Report, of sales"\nfor 2020\na,b\n1,x\n3,y\n', 2, ""),
        ("Report,\na,b\n1,x\n3,y\n", 1, ""),
    ],
)
def test_lines_above_the_header_are_left_out(get, content, skip, comment):
    columns, source = get(content)
    assert columns == TWO
    assert (source.found["skip"], source.found["comment"], source.found["header"]) == (skip, comment, 1)


def test_title_lines_are_told_where_the_target_is_not_named_as_in_the_header(get):
    assert get("Report of sales\n\na,b\n1,x\n3,y\n", target="c")[0] == TWO


def test_two_header_rows_are_joined(get):
    columns, source = get("speed,speed,name\nmean,max,\n" + "1,2.5,x\n" * 4, target="speed max")
    assert columns == {"speed mean": ["1"] * 4, "speed max": ["2.5"] * 4, "name": ["x"] * 4}
    assert source.found["header"] == 2
    assert list(get("speed,speed,name\nmean,max,\n1,2,x\n", header=2, target="name")[0]) == ["speed mean", "speed max", "name"]


@pytest.mark.parametrize("second", ["?,NA", "-,4", "few,4"])
def test_a_first_row_of_odd_values_is_no_header(get, second):
    columns, source = get(f"a,b\n{second}\n" + "1,2\n" * 9)
    assert (len(columns["a"]), source.found["header"]) == (10, 1)


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ("1,2\n3,4\n5,6\n", 0),
        ("ham\tI am\nspam\tYou are\nham\tIt is\nham\tWe are\n", 0),
        ("2020-01-01;1,5\n2020-01-02;2,5\n", 0),
        ("x,1\ny,2\nz,3\n", 0),
        ("country,2019,2020\nItaly,1,2\nNorway,3,4\n", 1),
        ("0,1,2\n5,6,7\n8,9,10\n", 1),
        ("name,town\nAnn,Rome\nBo,Oslo\n", 1),
        ("n,v\n1,2\n", 1),
    ],
)
def test_header_is_told_from_the_rows(get, content, header):
    columns, source = get(content, target="none")
    lines = content.count("\n")
    assert source.found["header"] == header
    assert len(next(iter(columns.values()))) == lines - header
    assert header or list(columns)[:2] == ["column0", "column1"]


def test_target_tells_the_header(get):
    assert get("0,b\n1,2\n3,4\n", target="0")[0] == {"0": ["1", "3"], "b": ["2", "4"]}
    assert get("a,b\n1,2\n", target="column1")[0] == {"column0": ["a", "1"], "column1": ["b", "2"]}


@pytest.mark.parametrize(
    ("content", "csv"),
    [
        ("a::b\n1::x\n3::y\n", {"delimiter": "::"}),
        ("a<tab>b\n1<tab>x\n3<tab>y\n", {"delimiter": "<tab>"}),
        ("a<>b\n'1'<>x\n3<>'y'\n", {"delimiter": "<>", "quote": "'"}),
        ("a b\n1 x\n3 y\n", {}),
        ("a:b\n1:x\n3:y\n", {}),
        ("'a','b'\n'1','x'\n'3','y'\n", {}),
        ("junk\n,,,\na,b\n1,x\n3,y\n", {"skip": 2}),
        ("% note\na,b\n1,x\n3,y\n", {"comment": "%"}),
    ],
)
def test_rarer_dialects(get, content, csv):
    assert get(content, **csv)[0] == TWO


def test_single_quotes_keep_delimiters_and_newlines(get):
    assert get("a,b\n'1,5','x'\n'2','y\nz'\n")[0] == {"a": ["1,5", "2"], "b": ["x", "y\nz"]}


def test_stray_quotes_are_text(get):
    columns, source = get('a\tb\nx\t"I said\ny\tand "so" on\nz\t"all" is well\n')
    assert columns == {"a": ["x", "y", "z"], "b": ['"I said', 'and "so" on', '"all" is well']}
    assert source.found["quote"] == ""


def test_stray_quote_past_the_sniffed_lines_is_text(get):
    columns, source = get("a\tb\n" + "x\ty\n" * 5000 + 'x\t"open\n' + "x\ty\n" * 5000)
    assert len(columns["b"]) == 10_001
    assert (columns["b"][5000], source.found["quote"]) == ('"open', "")


def test_value_of_many_megabytes_is_read(get):
    long = "x" * 5_000_000
    assert get(f"a,b\n1,{long}\n2,y\n")[0]["b"] == [long, "y"]


def test_quoted_text_that_looks_like_rows_is_one_value(get):
    text = "1,2\n" * 3_000_000  # past the blocks that DuckDB reads in parallel
    columns, _ = get(f'a,b\n1,"{text}"\n2,y\n')
    assert [len(value) for value in columns["b"]] == [len(text), 1]


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.csv"])
def test_gzip_is_unpacked(get, name):
    assert get(gzip.compress(b"a,b\n1,x\n3,y\n"), name)[0] == TWO


def test_broken_gzip_is_one_clear_line(get):
    with pytest.raises(UserError, match="the gzip is broken"):
        get(gzip.compress(b"a,b\n1,x\n3,y\n" * 1000)[:-20], "rows.csv.gz")


def test_several_files_of_the_same_columns_are_one_table(rows, read, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    (tmp_path / "two.csv").write_bytes("b;a\r\né;3\r\n".encode("latin-1"))
    (tmp_path / "deep" / "three.csv").write_text("a,b\n5,6\n7\n")
    found = rows(tmp_path, files="**/*.csv", csv={"ragged": "pad"})
    assert sorted(found, key=lambda row: row["a"]) == [
        {"a": "1", "b": "2", "source_file": "one.csv"},
        {"a": "3", "b": "é", "source_file": "two.csv"},
        {"a": "5", "b": "6", "source_file": "deep/three.csv"},
        {"a": "7", "b": None, "source_file": "deep/three.csv"},
    ]
    (tmp_path / "two.csv").write_text("a,c\n1,2\n")
    with pytest.raises(UserError, match=r"two.csv: expected the columns of one.csv, but it lacks 'b' and has also 'c'"):
        read(tmp_path, files="*.csv")
    with pytest.raises(UserError, match=r"data.files: no file in .* matches '\*.tsv'; it holds deep/three.csv, one.csv, two.csv"):
        read(tmp_path, files="*.tsv")
    with pytest.raises(UserError, match=r"holds several tables: name those to read, for example data.files: '\*.csv'"):
        read(tmp_path)


def test_hundreds_of_files_are_one_table(rows, tmp_path):
    for at in range(300):
        (tmp_path / f"part{at}.csv").write_text(f"a,b\n{at},x\n")
    found = rows(tmp_path, files="*.csv")
    assert len(found) == 300
    assert all(row["source_file"] == f"part{row['a']}.csv" for row in found)


def test_names_of_files_do_not_depend_on_where_the_folder_is_named_from(rows, tmp_path, monkeypatch):
    (tmp_path / "incoming" / "deep").mkdir(parents=True)
    for name in ("1.csv", "2b.csv", "deep/3.csv"):
        (tmp_path / "incoming" / name).write_text("a,b\n1,x\n")
    monkeypatch.chdir(tmp_path)
    for source in (Path("incoming"), tmp_path / "incoming"):
        found = rows(source, files="**/*.csv")
        assert sorted(row["source_file"] for row in found) == ["1.csv", "2b.csv", "deep/3.csv"]


def test_quotes_around_values_are_never_taken_for_text(get):
    content = '"a","b"\n' + '"1","x"\n' * 99 + '"2","say \\"hi\\" now"\n'
    with pytest.raises(UserError, match=r'line 101: a value goes on after its closing quote \("\)'):
        get(content)


def test_ragged_rows_of_the_top_count_against_the_whole_file(backend, get):
    columns, source = get("a,b\n1,2\n" + "1,2,3\n" * 1500 + "1,2\n" * 200_000)
    assert len(columns["a"]) == 200_001
    assert backend.to_pyarrow(backend.read_parquet(source.rejects).count()).as_py() == 1500


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_may_end_with_a_delimiter(get, end):
    """Also where lines end in several ways, which another reader reads."""
    assert get(f"a,b\n1,x,{end}3,y,{end}")[0] == TWO


def test_web_page_is_no_table(get):
    with pytest.raises(UserError, match=r"expected a table, found a page \(<!DOCTYPE html>\)"):
        get("<!DOCTYPE html>\n<html><body>Not found, sorry</body></html>\n")
