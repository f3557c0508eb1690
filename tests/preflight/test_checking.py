"""`pipeline check`: each check fires on a planted mistake, all at once, and stays quiet on a sound project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import purchases
from media_files import idx, packed, png
from pseudo_terminal import shown

from pipeline import cli
from pipeline.preflight import asked, sampling
from pipeline.preflight.checking import Checked, check

PARAMS = Path("params.yaml")


def told(level: str = "error", **options) -> list[str]:
    """What a check finds, without place."""
    return [finding.text for finding in check(PARAMS, **options).findings if finding.level == level]


@pytest.fixture
def changed(small: Path, write_params: Callable[..., dict]) -> Callable[..., list[str]]:
    """The errors of the small project with sections changed."""

    def change(**sections) -> list[str]:
        write_params(**sections)
        return told()

    return change


def test_a_sound_project_has_no_finding_and_leaves_no_trace(small):
    found = check(PARAMS)
    assert found.findings == ()
    assert found.params is not None
    assert found.schema is not None
    assert found.sample is not None
    assert (found.sample.rows, found.sample.whole, found.schema.task) == (400, True, "binary")
    assert sorted(path.name for path in small.rglob("*")) == ["params.yaml", "rows.csv"]


def test_all_kinds_of_mistakes_are_told_at_once_each_at_its_place(small):
    PARAMS.write_text(
        "seed: 1\n"
        "data: {source: rows.csv, target: bougth, columns: {agee: number}, taks: binary}\n"
        "clean: {ranges: {incom: [0, 1]}}\n"
        "split: {strategy: group, by: custmer, production: {column: citty, in: [Rome]}}\n"
        "normalize: {columns: {ages: log}}\n"
        "model: {layers: two}\n"
        "train:\n"
        "tune:\n"
        "evaluate: {protected: [city, sex]}\n"
        "register:\n"
        "monitor: {time: sinc}\n"
        "serve: {keep: [order], hashed: [order, custome], omitted: [agge]}\n"
    )
    found = [str(finding) for finding in check(PARAMS).findings]
    columns = "columns are customer, age, income, city, member, since, bought"
    assert found == [
        f"params.yaml:2:34: data.target: no column 'bougth'; did you mean 'bought'? {columns}",
        f"params.yaml:2:58: data.columns.agee: no such column; did you mean 'age'? {columns}",
        "params.yaml:2:67: unknown key data.taks; nearest valid key: data.task",
        f"params.yaml:3:25: clean.ranges.incom: no such column; did you mean 'income'? {columns}",
        f"params.yaml:4:30: split.by: no column 'custmer'; did you mean 'customer'? {columns}",
        f"params.yaml:4:60: split.production.column: no column 'citty'; did you mean 'city'? {columns}",
        f"params.yaml:5:29: normalize.columns.ages: no such column; did you mean 'age'? {columns}",
        'params.yaml:6:17: model.layers: expected a whole number, got "two"',
        f"params.yaml:9:30: evaluate.protected: no column 'sex'; {columns}",
        f"params.yaml:11:17: monitor.time: no column 'sinc'; did you mean 'since'? {columns}",
        f"params.yaml:12:40: serve.hashed: no column 'custome'; did you mean 'customer'? {columns}",
        f"params.yaml:12:60: serve.omitted: no column 'agge'; did you mean 'age'? {columns}",
    ]


def test_without_data_only_the_file_is_looked_at(small, write_params):
    write_params(data={"target": "bougth"}, model={"heads": 3, "width": 64, "family": "transformer"})
    assert [text.partition(":")[0] for text in told()] == ["data.target", "model.heads"]
    assert [text.partition(":")[0] for text in told(data=False)] == ["model.heads"]


@pytest.mark.parametrize(
    ("values", "sections", "expected"),
    [
        (["x"] * 100, {}, "is constant: there is nothing to predict"),
        ([""] * 100, {}, "has no value in any row"),
        (["a", "b"] * 50, {"task": "regression"}, "regression needs numbers"),
        (["a", "b", "c", "d"] * 25, {"task": "binary"}, "a binary task needs two classes, found 4 values"),
        (["a", "b"] * 49 + ["c", "d"], {}, "need 1 row of each class, at least 3 in all, but class 'c' has 1, 'd' has 1"),
    ],
)
def test_a_task_that_the_targets_values_do_not_fit(workspace, write_params, values, sections, expected):
    write_params(data={"target": "y", **sections}, split={"strategy": "stratified", "by": None})
    pd.DataFrame({"x": range(100), "y": values}).to_csv("rows.csv", index=False)
    (message,) = told()
    assert expected in message
    assert message.startswith(("data.target", "data.task"))


def test_a_target_that_fits_is_let_pass(workspace, write_params):
    pd.DataFrame({"x": range(100), "y": np.arange(100) % 2}).to_csv("rows.csv", index=False)
    write_params(data={"target": "y"}, split={"strategy": "stratified", "by": None})
    assert told() == []


def test_rare_classes_may_be_allowed(workspace, write_params):
    pd.DataFrame({"x": range(300), "y": ["a", "b"] * 149 + ["c", "c"]}).to_csv("rows.csv", index=False)
    split = {"strategy": "random", "by": None}
    write_params(data={"target": "y"}, split=split)
    assert "class 'c' has 2" in told()[0]
    write_params(data={"target": "y"}, split={**split, "min_class_rows": 0}, seed=2)
    assert not [text for text in told() if "at least 3" in text]


@pytest.mark.parametrize(
    ("rare", "least", "expected"),
    [
        (["c"] * 9, 1, "class 'c' of y has 9 rows: some side may hold one or none, too few to be learnt and tested"),
        (["c"] * 3 + ["d"] * 4, 1, "2 classes of y have fewer than 10 rows ('c' 3, 'd' 4): some side may hold one or none"),
        (["c"], 0, "class 'c' of y has 1 row:"),
        ([name for name in "cdefghi" for _ in range(5)], 1, "('c' 5, 'd' 5, 'e' 5, 'f' 5, 'g' 5 and 2 more)"),
        (["c"] * 10, 1, None),
        (["c"] * 2, 1, None),  # an error already
    ],
)
def test_classes_of_few_rows_are_told_in_one_warning(workspace, write_params, rare, least, expected):
    values = ["a", "b"] * 100 + rare
    pd.DataFrame({"x": range(len(values)), "y": values}).to_csv("rows.csv", index=False)
    write_params(data={"target": "y"}, split={"strategy": "stratified", "by": None, "min_class_rows": least})
    if expected is None:
        assert told("warning") == []
    else:
        (warning,) = told("warning")
        assert warning.startswith("data.target: ")
        assert expected in warning


def test_columns_that_look_like_dates_and_are_read_as_text_are_told(workspace, write_params):
    frame = pd.DataFrame({"at": [f"{1 + n % 12}/{1 + n % 11}/2020" for n in range(60)], "y": [0, 1] * 30, "code": ["1-2", "3-4"] * 30})
    frame.to_csv("rows.csv", index=False)
    write_params(data={"target": "y"}, split={"strategy": "time", "by": None})
    (warning,) = told("warning")
    assert warning.startswith("data.columns.at: values such as '1")
    assert "set data.columns.at: datetime" in warning
    assert [text.partition(":")[0] for text in told()] == ["split.by"]  # no datetime column to split by
    write_params(data={"target": "y", "columns": {"at": "datetime"}}, split={"strategy": "time", "by": None})
    assert told() + told("warning") == []  # what the warning says mends both


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_wrong_delimiter_is_told_and_nothing_that_follows_from_it(small, write_params, mark):
    purchases().to_csv("rows.csv", index=False, sep=mark)
    write_params(data={"csv": {"delimiter": ","}})
    (message,) = told()
    assert message.startswith("data.csv.delimiter: the table has one column")
    assert ("\\t" if mark == "\t" else mark) in message
    write_params(data={"csv": {"delimiter": mark}})
    assert told() == []


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"split": {"production": {"column": "city", "in": ["Paris"]}}}, "split.production.in: no row has city in ['Paris']"),
        ({"split": {"strategy": "time", "by": "city"}}, "split.by: strategy time needs a datetime or number column"),
        ({"split": {"by": "bought"}}, "split.by: bought is the target"),
        ({"split": {"strategy": "given", "by": "city"}}, "split.given: 'Bern'"),
        ({"data": {"positive": "ja"}}, "data.positive: no class 'ja'; classes are "),
        ({"train": {"class_weight": {"yes": 2, "nope": 1}}}, "train.class_weight.nope: no such class"),
        ({"train": {"class_weight": {"yes": 2}}}, "train.class_weight: expected a weight for each class, got none for no"),
        ({"evaluate": {"costs": {"yes": {"not": 3}}}}, "evaluate.costs.yes.not: no such class; did you mean 'no'"),
        ({"train": {"start_from": "old.keras"}}, "train.start_from: no file old.keras"),
        ({"train": {"cross_validation": True}}, "train.cross_validation: the rows have no folds; set split.folds to 3 or more"),
        ({"tune": {"folds": True}}, "tune.folds: the rows have no folds"),
        ({"data": {"source": "rows.csw"}}, "data.source: rows.csw: no such file or folder"),
        ({"data": {"connection": "NO_SUCH_URL"}}, "data.connection: the environment variable NO_SUCH_URL is not set"),
        ({"clean": {"ranges": {"city": [0, 1]}}}, "clean.ranges.city: expected a number column"),
    ],
)
def test_what_a_stage_would_end_with_is_told_before(changed, sections, expected):
    found = changed(**sections)
    assert [text for text in found if text.startswith(expected)], found


def test_a_column_that_own_cleaning_may_add_is_no_mistake(small, write_params):
    write_params(clean={"steps": ["own.py"]}, evaluate={"protected": ["household"]}, split={"by": "household"})
    Path("own.py").write_text("")
    assert [text for text in told() if "household" in text] == []
    assert len([text for text in told("warning") if "household" in text]) == 2
    write_params(evaluate={"protected": ["household"]})
    assert [text.partition(":")[0] for text in told()] == ["evaluate.protected"]


def test_a_group_of_one_row_each_is_no_group(small, write_params):
    frame = purchases()
    frame["id"] = [f"r{at}" for at in range(len(frame))]
    frame.to_csv("rows.csv", index=False)
    write_params(split={"by": "id"})
    assert [text.partition(":")[0] for text in told("warning")] == ["split.by"]
    write_params(split={"by": "customer"})
    assert told("warning") == []


def test_a_gpu_that_is_not_there_and_a_backend_that_is_not_installed(changed, monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "with" / "dev").mkdir(parents=True)
    (tmp_path / "with" / "dev" / "nvidia0").touch()
    assert asked.gpu_there(tmp_path / "with")
    assert not asked.gpu_there(tmp_path)
    monkeypatch.setattr(asked, "gpu_there", lambda: False)
    assert changed(train={"device": "gpu"}) == [
        "train.device: gpu is asked for, but this machine shows none; set train.device: auto, or cpu"
    ]
    monkeypatch.setattr(asked, "_installed", lambda module: module != "jax")
    assert changed(train={"backend": "jax"})[0].startswith("train.backend: jax is asked for, but it is not installed: pip install")


def test_a_sampler_that_optuna_does_not_have(changed):
    assert changed(tune={"sampler": "TPESamler"})[0].startswith("tune.sampler: expected one of ")


def test_a_disk_without_room(small, monkeypatch):
    monkeypatch.setattr(asked.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 10**8}))
    (message,) = told()
    assert message.startswith("data.source: a run writes some 0.4 GB")
    assert "has 0.1 GB left" in message


def test_series_are_checked_against_the_long_rows(workspace, write_params):
    rows = [{"run": r, "t": t, "x": r * t, "y": "ab"[r % 2]} for r in range(60) for t in range(4)]
    pd.DataFrame(rows).to_csv("rows.csv", index=False)
    split = {"strategy": "stratified", "by": None}
    write_params(data={"target": "y", "series": {"id": "run", "time": "t"}}, split=split)
    found = check(PARAMS)
    assert (found.findings, found.sample.rows if found.sample else 0) == ((), 60)
    write_params(data={"target": "y", "series": {"id": "runn", "time": "t"}}, split=split)
    assert told() == ["data.series.id: no column 'runn'; did you mean 'run'? columns are run, t, x, y"]


def test_a_part_of_a_large_table_is_read_and_what_it_lacks_is_a_warning(small, write_params, monkeypatch):
    monkeypatch.setattr(sampling, "WHOLE", 1000)
    monkeypatch.setattr(sampling, "PART", 4000)
    write_params(split={"production": {"column": "city", "in": ["Paris"]}})
    found = check(PARAMS)
    assert found.sample is not None
    assert not found.sample.whole
    assert 40 < found.sample.rows < 200
    assert 300 < found.sample.total < 500
    assert found.errors == []
    assert any("none of" in finding.text and "Paris" in finding.text for finding in found.findings)
    purchases().to_parquet("rows.parquet")
    monkeypatch.setattr(sampling, "PART", 1)
    write_params(data={"source": "rows.parquet"})
    assert told() == []


def test_a_part_of_large_idx_files_is_read_whatever_lies_beside_them(workspace, write_params, monkeypatch):
    monkeypatch.setattr(sampling, "WHOLE", 1000)
    monkeypatch.setattr(sampling, "PART", 500)
    monkeypatch.setattr(sampling, "ITEMS", 30)
    folder = Path("digits")
    folder.mkdir()
    (folder / "an-archive.tar.gz").write_bytes(b"x" * 9000)
    rng = np.random.default_rng(0)
    for side, count in (("t10k", 40), ("train", 90)):
        (folder / f"{side}-images-idx3-ubyte.gz").write_bytes(idx(rng.integers(0, 256, (count, 8, 8), np.uint8)))
        (folder / f"{side}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(count, dtype=np.uint8) % 3))
    write_params(data={"source": "digits", "target": "label"}, split={"strategy": "given", "by": "split"})
    found = check(PARAMS)
    assert found.findings == ()
    assert found.sample is not None
    assert (found.sample.rows, found.sample.whole, found.sample.kind) == (60, False, "idx")
    assert 100 < found.sample.total < 160
    assert found.sample.bytes == sum(file.stat().st_size for file in folder.glob("*ubyte.gz"))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(packed(b"no idx"))
    (mistake,) = told()
    assert mistake.startswith("data.source: digits/train-labels-idx1-ubyte.gz: not readable as idx")


def test_a_table_beside_many_pictures_is_looked_at_with_some_of_them(workspace, write_params, monkeypatch):
    monkeypatch.setattr(sampling, "MANY", 30)
    folder = Path("pets/img")
    folder.mkdir(parents=True)
    for number in range(90):
        (folder / f"{number}.png").write_bytes(png(np.full((8, 8), number * 2, np.uint8)))
    pd.DataFrame({"file": [f"{n}.png" for n in range(90)], "bought": ["no", "yes"] * 45}).to_csv("pets/labels.csv", index=False)
    write_params(data={"source": "pets"}, split={"strategy": "stratified", "by": None})
    found = check(PARAMS)
    assert found.findings == ()
    assert found.sample is not None
    assert (found.sample.rows, found.sample.total, found.sample.columns) == (30, 90, ("image", "file", "bought"))
    assert found.work is not None
    assert found.work.shape.picture == (8, 8, 1)


def test_a_cut_ends_at_a_whole_line_outside_of_quotes():
    text = b'a,b\n1,2\n3,"x\ny\nz'
    assert text[: sampling._last_line(text)] == b"a,b\n1,2\n"
    wide = "a;b\n1;2\n3;".encode("utf-16-le")
    assert sampling._last_line(b"\xff\xfe" + wide) == 2 + len("a;b\n1;2\n".encode("utf-16-le"))


def test_what_cannot_be_looked_at_is_said_and_is_no_mistake(small, write_params):
    Path("rows.sql").write_text("SELECT 1")
    write_params(data={"source": "rows.sql"})
    found: Checked = check(PARAMS)
    assert found.findings == ()
    assert "is a query" in found.unread


def test_a_load_py_that_takes_long_is_left_to_the_run(small, write_params, monkeypatch):
    monkeypatch.setattr(sampling, "SECONDS", 0.3)
    Path("slow").mkdir()
    Path("slow/load.py").write_text("import time\ndef load():\n    time.sleep(60)\n")
    write_params(data={"source": "slow"})
    found = check(PARAMS)
    assert found.findings == ()
    assert "takes more than" in found.unread


def test_the_command_says_what_a_run_takes_and_ok(small):
    done = CliRunner().invoke(cli.main, ["check"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "params.yaml: ok")
    assert done.output.splitlines()[0] == "400 rows, 7 columns; target bought: binary"
    assert any(line.startswith("tune ") and " to " in line and line.endswith(" GB") for line in done.output.splitlines())


def test_the_command_tells_all_as_json(small, write_params):
    write_params(data={"target": "bougth"}, train={"lora_rank": 4})
    done = CliRunner().invoke(cli.main, ["check", "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"]) == (2, False)
    assert [(f["level"], f["key"], f["file"], f["line"]) for f in found["findings"]] == [
        ("error", "data.target", "params.yaml", 4),
        ("warning", "train.lora_rank", "params.yaml", 22),
    ]
    write_params()
    sound = json.loads(CliRunner().invoke(cli.main, ["check", "--json"]).stdout)
    assert (sound["ok"], sound["task"], sound["data"]["rows"], len(sound["estimates"])) == (True, "binary", 400, 10)


def test_in_a_terminal_errors_are_red_and_warnings_yellow(small, write_params):
    write_params(data={"target": "bougth"}, train={"lora_rank": 4})
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "CI")} | {"TERM": "xterm-256color"}
    told = shown([sys.executable, "-m", "pipeline", "check"], env=environment, code=2, stdout="terminal")
    assert re.search("\x1b\\[[0-9;]*31m[^\x1b]*data.target", told), told
    assert re.search("\x1b\\[[0-9;]*33m[^\x1b]*train.lora_rank", told), told


def test_a_check_imports_nothing_that_takes_seconds(small):
    code = (
        "import sys; from pathlib import Path; from pipeline.preflight import checking, estimating\n"
        "found = checking.check(Path('params.yaml')); estimating.estimates(found.work, found.params, fresh=False)\n"
        "print(sorted({'tensorflow', 'keras', 'mlflow', 'optuna', 'evidently', 'dvc', 'sklearn'} & set(sys.modules)), found.findings)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] ()\n"
