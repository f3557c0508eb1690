"""Folders of classes, tables of paths, idx pairs and .ts files."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from media_files import idx, packed
from PIL import Image

from pipeline.errors import UserError


def tree(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(("ending", "kind"), [("png", "image"), ("JPG", "image"), ("webp", "image"), ("wav", "audio"), ("mp3", "audio")])
def test_class_folders_become_rows_of_bytes(rows, tmp_path, ending, kind):
    tree(tmp_path, [f"cat/1.{ending}", f"cat/2.{ending}", f"dog/1.{ending}", "README.md", "cat/.hidden.png"])
    assert rows(tmp_path, target="of") == [
        {kind: path.encode(), "path": path, "of": path[:3]} for path in (f"cat/1.{ending}", f"cat/2.{ending}", f"dog/1.{ending}")
    ]


@pytest.mark.parametrize(("ending", "kind"), [("png", "image"), ("wav", "audio")])
def test_an_empty_file_is_a_row_that_clean_rejects(rows, tmp_path, ending, kind):
    tree(tmp_path, [f"cat/1.{ending}", f"dog/1.{ending}"])
    (tmp_path / "dog" / f"2.{ending}").write_bytes(b"")
    assert [row[kind] for row in rows(tmp_path)] == [f"cat/1.{ending}".encode(), f"dog/1.{ending}".encode(), b""]


def test_upper_folders_are_the_split(rows, tmp_path):
    tree(tmp_path, ["train/cat/1.png", "test/dog/1.png", "notes.csv"])
    assert [(row["split"], row["b"]) for row in rows(tmp_path)] == [("test", "dog"), ("train", "cat")]


@pytest.mark.parametrize(
    ("names", "params", "message"),
    [
        (["cat/1.png", "train/cat/1.png"], {}, "expected class/file or side/class/file for every file, found cat/1.png, train/cat/1.png"),
        (["a/b/c/1.png"], {}, "found a/b/c/1.png"),
        (["cat/1.png", "dog/1.wav"], {"files": "**/*"}, "expected files of one kind, found cat/1.png, dog/1.wav"),
        (["cat/1.png"], {"target": "image"}, "columns 'image' and 'image' have the same name"),
    ],
)
def test_folders_of_no_clear_form_are_one_clear_line(read, tmp_path, names, params, message):
    tree(tmp_path, names)
    with pytest.raises(UserError, match=message):
        read(tmp_path, **params)


def test_link_out_of_the_folder_is_left_out(rows, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    tree(tmp_path / "data", ["cat/1.png"])
    (tmp_path / "data" / "cat" / "2.png").symlink_to(tmp_path / "secret.png")
    assert [row["path"] for row in rows(tmp_path / "data")] == ["cat/1.png"]


def test_table_of_paths_holds_the_bytes(rows, read, tmp_path):
    tree(tmp_path, ["img/1.png", "img/2.png"])
    (tmp_path / "list.csv").write_text("file,b\nimg/1.png,x\nimg/2.png,y\n")
    assert rows(tmp_path, files="list.csv") == [
        {"image": b"img/1.png", "file": "img/1.png", "b": "x"},
        {"image": b"img/2.png", "file": "img/2.png", "b": "y"},
    ]
    (tmp_path / "list.csv").write_text("file,b\nimg/1.png,x\nimg/4.png,x\nimg/2.png,y\n")
    with pytest.raises(UserError, match=r"column file: 'img/4.png': no such file"):
        read(tmp_path, files="list.csv")
    many = "img/1.png,x\n" * 60
    (tmp_path / "list.csv").write_text(f"file,b\n{many}img/3.png,y\n")
    with pytest.raises(UserError, match=r"column file: 'img/3.png': no such file"):
        read(tmp_path, files="list.csv")
    (tmp_path.parent / "out.png").write_bytes(b"")
    (tmp_path / "list.csv").write_text(f"file,b\n{many}../out.png,y\n")
    with pytest.raises(UserError, match=r"column file: '../out.png' leads out of the folder"):
        read(tmp_path, files="list.csv")


@pytest.mark.parametrize("names", [("1.PNG", "2.PNG"), ("1", "2"), ("img/1.PNG", "img/2.PNG")])
def test_names_may_begin_in_the_folder_of_the_files_and_lack_their_ending(rows, tmp_path, names):
    tree(tmp_path / "pets", ["img/1.PNG", "img/2.PNG", "img/3.PNG"])
    (tmp_path / "pets" / "list.csv").write_text("n,file,b\n5," + names[0] + ",x\n6," + names[1] + ",y\n")
    expected = [{"image": f"img/{n}.PNG".encode(), "n": str(n + 4), "file": names[n - 1], "b": "xy"[n - 1]} for n in (1, 2)]
    assert rows(tmp_path / "pets") == expected  # one folder of pictures beside a table is no class
    assert rows(tmp_path / "pets" / "list.csv") == expected


def test_one_folder_beside_several_tables_asks_which(read, tmp_path):
    tree(tmp_path, ["img/1.png", "labels.csv", "sample.csv"])
    with pytest.raises(UserError, match=r"holds several tables: name those to read, for example data.files: '\*.csv'"):
        read(tmp_path)


PICTURES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([7, 0, 9], np.uint8)


@pytest.mark.parametrize(("end", "pack"), [("", bytes), (".gz", packed)])
def test_idx_pairs_become_lossless_pictures(rows, tmp_path, end, pack):
    for side, part in (("train", slice(3)), ("t10k", slice(1))):
        (tmp_path / f"{side}-images-idx3-ubyte{end}").write_bytes(idx(PICTURES[part], pack))
        (tmp_path / f"{side}-labels-idx1-ubyte{end}").write_bytes(idx(LABELS[part], pack))
    found = rows(tmp_path)
    assert [(row["b"], row["split"]) for row in found] == [("7", "t10k"), ("7", "train"), ("0", "train"), ("9", "train")]
    assert np.array_equal([np.asarray(Image.open(io.BytesIO(row["image"]))) for row in found[1:]], PICTURES)
    assert len(rows(tmp_path, files=f"t10k*ubyte{end}")) == 1


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            idx(PICTURES),
            None,
            r"train-images-idx3-ubyte.gz: is one of a pair of idx files: its labels \(train-labels-idx1-ubyte\) are absent",
        ),
        (idx(PICTURES), idx(LABELS[:2]), "holds 3 pictures, but train-labels-idx1-ubyte.gz holds 2 labels"),
        (b"text", idx(LABELS), "not readable as idx: expected unsigned bytes"),
        (idx(PICTURES)[:-12], idx(LABELS), "not readable as idx: "),
        (packed(gzip.decompress(idx(PICTURES))[:-1]), idx(LABELS), "it ends before the items that its head tells"),
        (packed(gzip.decompress(idx(PICTURES)) + b"x"), idx(LABELS), "holds more than the 3 items"),
        (idx(PICTURES[0]), idx(LABELS), r"got shapes \(4, 5\) and \(3,\)"),
    ],
)
def test_broken_idx_is_one_clear_line(read, tmp_path, images, labels, message):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(images)
    if labels is not None:
        (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    with pytest.raises(UserError, match=message):
        read(tmp_path)


def test_single_idx_file_points_at_its_folder(read, tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(idx(PICTURES))
    with pytest.raises(UserError, match=r"set data.source to its folder and data.files to '\*ubyte\*'$"):
        read(tmp_path / "train-images-idx3-ubyte.gz")


TS = "# notes\n@problemName X\n@timeStamps false\n@classLabel true 1 2\n@data\n"


def test_ts_series_of_unequal_length(rows, tmp_path):
    (tmp_path / "X_TRAIN.ts").write_text(TS + "1,2.5:3,?:1\n\n7:8:2\n")
    assert str(rows(tmp_path / "X_TRAIN.ts")) == str(
        [{"dim_0": [1.0, 2.5], "dim_1": [3.0, float("nan")], "b": "1"}, {"dim_0": [7.0], "dim_1": [8.0], "b": "2"}]
    )
    (tmp_path / "X_TEST.ts").write_text(TS + "7:8:2\n")
    found = rows(tmp_path, files="*.ts")
    assert [(row["split"], row["source_file"]) for row in found] == [("TEST", "X_TEST.ts"), *[("TRAIN", "X_TRAIN.ts")] * 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2:1\n", "not readable as .ts: expected a line @data"),
        (TS, "holds no series after @data"),
        (TS + "1,x:1\n", "line 6: expected numbers, could not convert string to float: 'x'"),
        (TS + "1,2:3:1\n", "line 6: its dimensions have different lengths: 2, 1"),
        (TS + "1:3:1\n2:1\n", "series 2: expected 2 dimensions, got 1"),
        (TS + "1\n", "line 6: expected a series and its class"),
        (TS.replace("timeStamps false", "timeStamps true"), "@timeStamps true is not read"),
    ],
)
def test_broken_ts_is_one_clear_line(read, tmp_path, content, message):
    (tmp_path / "rows.ts").write_text(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "rows.ts")
