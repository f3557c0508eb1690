"""Files are replaced in one step: whatever goes wrong, the old content or the new one is there, whole."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import files


def test_a_replaced_folder_holds_the_new_files_only(tmp_path):
    folder = tmp_path / "data" / "raw"
    for name in ("old", "new"):
        with files.replaced(folder) as fresh:
            assert fresh != folder
            (fresh / name).write_text(name)
    assert [file.name for file in folder.iterdir()] == ["new"]
    assert [entry.name for entry in folder.parent.iterdir()] == ["raw"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_folder_as_it_was_and_nothing_beside_it(tmp_path, error):
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "kept").write_text("old")

    def write():
        with files.replaced(folder) as fresh:
            (fresh / "kept").write_text("half")
            raise error("no disk")

    with pytest.raises(error, match="no disk"):
        write()
    assert (folder / "kept").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["raw"]


def test_the_old_folder_stays_until_the_new_one_is_whole(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "kept").write_text("old")
    with files.replaced(folder):
        assert (folder / "kept").read_text() == "old"
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_does_not_get_into_the_new_folder(tmp_path):
    folder = tmp_path / "raw"
    with files.replaced(folder) as fresh:
        pass
    fresh.mkdir()
    (fresh / "half").write_text("left behind")
    with files.replaced(folder) as fresh:
        (fresh / "whole").write_text("")
    assert [file.name for file in folder.iterdir()] == ["whole"]


def test_text_is_utf8_in_folders_made_for_it_and_a_failed_write_keeps_the_old(tmp_path, monkeypatch):
    file = tmp_path / "a" / "b" / "note.txt"
    files.write_text(file, "naïve ☂\n")
    assert file.read_bytes() == "naïve ☂\n".encode()

    def full(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        files.write_text(file, "new")
    assert file.read_text(encoding="utf-8") == "naïve ☂\n"


def test_json_has_null_for_what_is_not_finite_and_plain_numbers_for_numpy_ones(tmp_path):
    file = tmp_path / "found.json"
    value = {"loss": np.float32(0.5), "rows": np.int64(3), 1: [float("nan"), (np.float64("inf"), -np.inf)], "ok": np.bool_(True), "é": None}
    files.write_json(file, value)
    assert files.read_json(file) == {"loss": 0.5, "rows": 3, "1": [None, [None, None]], "ok": True, "é": None}
    assert "NaN" not in file.read_text(encoding="utf-8")
    assert "é" in file.read_text(encoding="utf-8")
    assert file.read_text(encoding="utf-8").endswith("}\n")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(value=PLAIN)
def test_plain_values_come_back_from_json_as_they_were(tmp_path_factory, value):
    file = tmp_path_factory.mktemp("json") / "value.json"
    files.write_json(file, value)
    assert files.read_json(file) == value
    assert json.loads(file.read_text(encoding="utf-8")) == value


def test_csv_has_one_header_quotes_what_needs_it_and_refuses_a_row_of_other_keys(tmp_path):
    file = tmp_path / "rows.csv"
    files.write_csv(file, ({"epoch": at, "note": note} for at, note in enumerate(["a", 'b,"c"', None])))
    assert file.read_bytes() == b'epoch,note\n0,a\n1,"b,""c"""\n2,\n'
    with pytest.raises(ValueError, match="fields not in fieldnames: 'surplus'"):
        files.write_csv(file, [{"epoch": 1}, {"epoch": 2, "surplus": 3}])
