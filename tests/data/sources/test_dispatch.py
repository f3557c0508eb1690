"""What a path holds is told from it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile

import pytest

from pipeline.data.sources import archives, dispatch
from pipeline.errors import UserError


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "found nothing$"),
        (
            ["a.png", "b.png"],
            "expected a folder with a load.py, class folders of pictures or sounds, idx files, or tables, found a.png, b.png$",
        ),
        ([f"{name}.md" for name in "abcdefg"], "found a.md, b.md, c.md, d.md, e.md and 2 more$"),
    ],
)
def test_folder_of_no_known_kind_is_told_with_what_it_holds(read, tmp_path, names, message):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        read(tmp_path)


def test_only_table_of_a_folder_is_read(rows, tmp_path):
    (tmp_path / "README.md").touch()
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    assert rows(tmp_path) == [{"a": "1", "b": "2"}]


def test_link_that_leads_out_of_a_folder_is_not_followed(read, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "rows.csv").symlink_to(secret)
    with pytest.raises(UserError, match=r"no file in .* matches"):
        read(folder, files="*.csv")


def test_digest_of_a_file_is_its_sha256_and_of_a_folder_follows_names_and_contents(read, tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    assert read(tmp_path / "rows.csv").found["sha256"] == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    folder = tmp_path / "folder"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "x").write_text("one")
    first = dispatch.digest(folder)
    (folder / "__pycache__" / "x.pyc").write_text("compiled")
    assert dispatch.digest(folder) == first
    (folder / "x").rename(folder / "y")
    assert dispatch.digest(folder) != first
    (folder / "y").rename(folder / "x")
    (folder / "x").write_text("two")
    assert dispatch.digest(folder) != first


def tarred(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            else:
                entry.type, entry.linkname = content
                archive.addfile(entry)
    return out.getvalue()


def zipped(entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(("name", "pack"), [("rows.tar.gz", tarred), ("rows.tgz", tarred), ("rows.zip", zipped)])
@pytest.mark.parametrize(
    ("entries", "params"),
    [
        ({"rows.csv": b"a,b\n1,2\n"}, {}),
        ({"deep/down/rows.csv": b"a,b\n1,2\n", "__MACOSX/._rows.csv": b"junk", ".DS_Store": b"junk"}, {}),
        ({"rows.csv": b"a;b\n1;2\n", "other.csv": b"c\n1\n"}, {"files": "rows.csv"}),
        ({"rows.jsonl": b'{"a": "1", "b": "2"}\n'}, {}),
    ],
)
def test_archive_is_read_as_what_it_holds(rows, tmp_path, name, pack, entries, params):
    (tmp_path / name).write_bytes(pack(entries))
    assert rows(tmp_path / name, **params) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("name", ["../evil.csv", "/tmp/evil.csv", "a/../../evil.csv", "..\\evil.csv", "C:\\evil.csv"])
@pytest.mark.parametrize(("ending", "pack"), [("tar.gz", tarred), ("zip", zipped)])
def test_archive_cannot_write_elsewhere(read, tmp_path, name, ending, pack):
    (tmp_path / f"rows.{ending}").write_bytes(pack({name: b"a,b\n1,2\n"}))
    with pytest.raises(UserError, match="leads out of the archive"):
        read(tmp_path / f"rows.{ending}")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_archive_holds_no_links_or_devices(read, tmp_path, kind):
    (tmp_path / "rows.tar.gz").write_bytes(tarred({"rows.csv": (kind, "/etc/hostname")}))
    with pytest.raises(UserError, match=r"its entry 'rows.csv' is a link or a device"):
        read(tmp_path / "rows.tar.gz")


@pytest.mark.parametrize(("ending", "pack"), [("tar.gz", tarred), ("zip", zipped)])
def test_broken_archive_is_one_clear_line(read, tmp_path, ending, pack):
    whole = pack({"rows.csv": b"a,b\n" + bytes(range(32, 120)) * 99})
    for content in (b"no archive", whole[: len(whole) // 2]):
        (tmp_path / f"rows.{ending}").write_bytes(content)
        with pytest.raises(UserError, match="not readable as an archive"):
            read(tmp_path / f"rows.{ending}")


def test_archive_that_would_fill_the_disk_is_refused(read, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LEFT", 1 << 60)
    (tmp_path / "rows.zip").write_bytes(zipped({"rows.csv": b"a,b\n1,2\n"}))
    with pytest.raises(UserError, match="more than the disk"):
        read(tmp_path / "rows.zip")


def test_series_are_gathered_from_long_rows(rows, tmp_path):
    (tmp_path / "rows.csv").write_text("id,t,x,y,sex,b\nq,10,3.5,,f,1\np,2,1,4,m,0\nq,9,2.5,7,f,1\np,1,,3,m,0\n")
    found = sorted(rows(tmp_path / "rows.csv", series={"id": "id", "time": "t"}), key=lambda row: row["id"])
    assert [(row["id"], row["sex"], row["b"]) for row in found] == [("p", "m", "0"), ("q", "f", "1")]
    assert str([row["x"] for row in found]) == "[[nan, 1.0], [2.5, 3.5]]"
    assert str([row["y"] for row in found]) == "[[3.0, 4.0], [7.0, nan]]"


@pytest.mark.parametrize(
    ("content", "series", "message"),
    [
        ("id,t,x\np,1,2\n", {"id": "no", "time": "t"}, "data.series.id: .*rows.csv has no column 'no'; it has id, t, x"),
        ("id,t,x\np,1,2\n", {"id": "id", "time": "no"}, "data.series.time: .*rows.csv has no column 'no'"),
        (
            "id,t,x\np,1,2\np,2,u\n",
            {"id": "id", "time": "t"},
            "column x: changes within a series, so it must be a number, but 1 values are none",
        ),
        ("id,t,x\np,1,2\np,1,3\n", {"id": "id", "time": "t"}, "column t: a series .id. has two rows of one time"),
        ("id,t,x\np,1,2\n,2,3\n", {"id": "id", "time": "t"}, "column id: 1 rows have no value"),
    ],
)
def test_rows_that_are_no_series_are_one_clear_line(read, tmp_path, content, series, message):
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "rows.csv", series=series)
