"""Files cut into windows, before the package is asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.config import CsvParams, SeriesParams
from pipeline.errors import UserError
from pipeline.monitoring import from_files

MODEL = SimpleNamespace(
    reference=SimpleNamespace(group=None),
    fitted=SimpleNamespace(raw_columns=("x",), target=SimpleNamespace(column="kind")),
    package=SimpleNamespace(sequences=("x",)),
    written={},
    most=100,
)


def windows_of(source, **more):
    return from_files.of_files(MODEL, None, source, None, time=None, csv=CsvParams(), latest=10, **more)


def test_long_rows_become_one_row_a_series(workspace):
    rows = [
        f"{name},{second},{second + 10 * at},{kind}" for at, (name, kind) in enumerate((("b", "up"), ("a", "down"))) for second in (1, 0)
    ]
    Path("long.csv").write_text("recording,second,x,kind\n" + "\n".join(rows) + "\n")
    (window,) = windows_of(Path("long.csv"), series=SeriesParams(id="recording", time="second"))
    assert window.load.kept.table().select(["x", "kind"]).to_pylist() == [
        {"x": [10.0, 11.0], "kind": "down"},
        {"x": [0.0, 1.0], "kind": "up"},
    ]
    assert window.load.kept.seen == 2


def test_files_of_one_name_in_two_folders_are_two_windows_and_one_changes_without_the_other(workspace):
    for folder in ("january", "february"):
        (workspace / "all" / folder).mkdir(parents=True)
        (workspace / "all" / folder / "rows.csv").write_text("x,kind\n1,up\n2,down\n")
    first = windows_of(Path("all"))
    assert [one.name for one in first] == ["february-rows.csv", "january-rows.csv"]
    (workspace / "all" / "january" / "rows.csv").write_text("x,kind\n1,up\n3,down\n")
    assert [a.made_from == b.made_from for a, b in zip(first, windows_of(Path("all")), strict=True)] == [True, False]


def test_a_file_that_cannot_be_read_is_a_window_without_rows(workspace, caplog):
    (workspace / "all").mkdir()
    (workspace / "all" / "1.csv").write_text("x,kind\n1,up\n")
    (workspace / "all" / "2.csv").write_text("y,z\n1,2\n")
    good, bad = windows_of(Path("all"))
    assert (good.load.kept.seen, bad.load.kept.seen) == (1, 0)
    assert bad.load.unread.startswith("the file cannot be read: all/2.csv: none of the model's columns")
    assert "the other files are judged" in caplog.text
    with pytest.raises(UserError, match="none of the model's columns"):
        windows_of(Path("all/2.csv"))
