"""Why a stage is stale: on a real DVC repository of three tiny stages, beside what DVC itself says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.staleness import changes, declared, hashing, table
from pipeline.staleness.changes import Change, Standing

FLOW = {
    "stages": {
        "third": {"cmd": "wc -l < out/second.txt > out/third.txt", "deps": ["out/second.txt"], "outs": ["out/third.txt"]},
        "first": {
            "cmd": "mkdir -p out/first && cp rows/* out/first",
            "params": ["data"],
            "deps": ["${data.source}", "pipeline/first.py"],
            "outs": ["out/first"],
        },
        "second": {
            "cmd": "cat out/first/a.csv params.yaml > out/second.txt",
            "params": ["train", "seed"],
            "deps": ["out/first/a.csv", "pipeline/models"],
            "outs": ["out/second.txt"],
        },
    }
}
PARAMS = {"seed": 7, "data": {"source": "rows"}, "train": {"epochs": 60, "schedule": {}, "mixed": False}}


def run(folder: Path, *words: str) -> str:
    outer = {name: value for name, value in os.environ.items() if name not in ("DVC_ROOT", "DVC_EXP_NAME")}
    done = subprocess.run(words, cwd=folder, env=outer, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dvc(folder: Path, *words: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *words)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The repository, its stages run once, one of them after a change that is taken back: its run is in DVC's cache."""
    folder = tmp_path_factory.mktemp("three")
    write(folder, {"rows/a.csv": "1\n2\n", "rows/b.csv": "3\n", "rows/c.csv": "4\n", ".dvcignore": "__pycache__\n"})
    write(folder, {"pipeline/first.py": "1\n", "pipeline/models/fit.py": "1\n", "pipeline/models/old.py": "1\n"})
    write(folder, {".dvc/config": "[core]\n    analytics = false\n    check_update = false\n", ".dvc/.gitignore": "/cache\n/tmp\n"})
    write(folder, {"dvc.yaml": yaml.safe_dump(FLOW, sort_keys=False), "params.yaml": yaml.safe_dump(PARAMS, sort_keys=False)})
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "start")
    dvc(folder, "repro", "-q")
    return folder


@pytest.fixture
def three(made: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy to change, as the current folder."""
    shutil.copytree(made, folder := tmp_path / "three", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def standings(folder: Path) -> dict[str, Standing]:
    flow = declared.declared(folder, declared.read(folder / "params.yaml"))
    found = changes.standings(flow, declared.locked(folder), hasher=hashing.Hasher(folder), cache=declared.cache(folder))
    return {one.stage: one for one in found}


def states(folder: Path) -> dict[str, str]:
    return {name: one.state for name, one in standings(folder).items()}


def change_params(folder: Path, **sections: dict) -> None:
    params = {name: {**value, **sections.get(name, {})} if isinstance(value, dict) else value for name, value in PARAMS.items()}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def test_nothing_is_stale_after_a_run_and_the_stages_come_in_the_order_in_which_they_run(three):
    assert states(three) == {"first": "ok", "second": "ok", "third": "ok"}
    assert list(standings(three)) == ["first", "second", "third"]  # dvc.yaml has the third first
    (three / "rows" / "__pycache__").mkdir()
    (three / "rows" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    assert set(states(three).values()) == {"ok"}


def test_a_param_is_told_with_its_old_and_new_value_and_what_follows_is_told_apart(three):
    change_params(three, train={"epochs": 20, "schedule": {"kind": "cosine"}, "mixed": 0})
    found = standings(three)
    assert [(one.name, one.told, one.old, one.new) for one in found["second"].changes] == [
        ("train.epochs", "changed", 60, 20),
        ("train.mixed", "changed", False, 0),
        ("train.schedule.kind", "added", None, "cosine"),
    ]
    assert (found["first"].state, found["third"].state, found["third"].after) == ("ok", "follows", ("second",))
    assert table.reasons(found["second"])[0] == "train.epochs 60 → 20"


def test_files_of_a_folder_are_named_by_the_commit_in_which_it_was_as_it_ran(three):
    write(three, {"rows/a.csv": "1\n2\n5\n", "rows/new.csv": "6\n", "pipeline/models/fit.py": "2\n", "pipeline/first.py": "2\n"})
    (three / "rows/b.csv").unlink()
    run(three, "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qam", "changed")  # HEAD is another one now
    found = standings(three)
    source, code = found["first"].changes
    assert (source.kind, source.name) == ("data", "rows")
    assert source.files == {"changed": ["a.csv"], "added": ["new.csv"], "removed": ["b.csv"]}
    assert (code.kind, code.name, code.told) == ("code", "pipeline/first.py", "changed")
    assert [(one.name, one.files) for one in found["second"].changes] == [
        ("pipeline/models", {"changed": ["fit.py"], "added": [], "removed": []})
    ]
    assert "data changed: rows (a.csv, +new.csv, -b.csv)" in table.reasons(found["first"])


def test_a_folder_that_neither_cache_nor_commit_knows_is_told_as_a_whole(three):
    shutil.rmtree(three / ".git")
    write(three, {"pipeline/models/fit.py": "9\n", "rows/a.csv": "9\n"})
    found = standings(three)
    assert found["second"].changes == (Change("code", "pipeline/models", "changed"),)
    assert found["first"].changes[0].files == {"changed": ["a.csv"], "added": [], "removed": []}  # an output of the same content tells it


def test_the_stages_with_changes_are_those_of_dvc_status(three):
    change_params(three, train={"epochs": 20})
    write(three, {"pipeline/first.py": "2\n"})
    (three / "out/third.txt").unlink()
    told = json.loads(dvc(three, "status", "--json"))
    ours = {name for name, one in standings(three).items() if one.changes}
    assert ours == set(told) == {"first", "second", "third"}
    write(three, {"pipeline/first.py": "1\n"})
    assert (
        set(json.loads(dvc(three, "status", "--json")))
        == {name for name, one in standings(three).items() if one.changes}
        == {"second", "third"}
    )


def test_outputs_that_are_gone_come_back_from_the_cache_as_long_as_it_has_them(three):
    shutil.rmtree(three / "out" / "first")
    (three / "out/third.txt").write_text("by hand")
    found = standings(three)
    assert {name: one.state for name, one in found.items()} == {"first": "restored", "second": "ok", "third": "restored"}
    assert [one.told for one in (*found["first"].changes, *found["third"].changes)] == ["missing", "changed"]
    said = dvc(three, "repro")  # and DVC does as was told
    assert "Stage 'first' is cached" in said
    assert "Stage 'third' is cached" in said
    assert "Running stage" not in said
    shutil.rmtree(three / "out" / "first")
    shutil.rmtree(three / ".dvc" / "cache" / "files")
    found = standings(three)
    assert found["first"].state == "stale"
    assert table.pulled(list(found.values()), remotes=False) == ""
    assert "dvc pull" in table.pulled(list(found.values()), remotes=True)


def test_a_run_of_long_ago_is_restored_and_so_is_what_it_led_to(three):
    change_params(three, train={"epochs": 20})
    dvc(three, "repro", "-q")
    change_params(three)
    found = standings(three)
    assert {name: one.state for name, one in found.items()} == {"first": "ok", "second": "restored", "third": "restored"}
    assert found["second"].changes[0].old == 20
    assert [(one.name, one.told) for one in found["third"].changes] == [("out/second.txt", "written anew by second")]
    assert "Running stage" not in dvc(three, "repro")


def test_a_stage_whose_input_was_made_anew_is_stale_by_itself(three):
    write(three, {"rows/a.csv": "7\n"})
    dvc(three, "repro", "-q", "first")  # as after a run that was killed in the second stage
    found = standings(three)
    assert [(one.kind, one.name, one.told) for one in found["second"].changes] == [("input", "out/first/a.csv", "written anew by first")]
    assert (found["first"].state, found["second"].state, found["third"].state) == ("ok", "stale", "follows")


def test_where_nothing_ran_all_is_never_run_and_a_new_stage_alone_is(three):
    flow = {"stages": {**FLOW["stages"], "fourth": {"cmd": "true", "deps": ["out/third.txt"], "outs": ["out/fourth.txt"]}}}
    write(three, {"dvc.yaml": yaml.safe_dump(flow)})
    assert states(three) == {"first": "ok", "second": "ok", "third": "ok", "fourth": "never run"}
    shutil.rmtree(three / ".dvc" / "cache")
    (three / "dvc.lock").unlink()
    assert set(states(three).values()) == {"never run"}
    assert table.verdict(list(standings(three).values()), {}).startswith("Never run here")


def test_commands_and_paths_that_are_new_are_told(three):
    flow = {
        "stages": {
            **FLOW["stages"],
            "third": {**FLOW["stages"]["third"], "cmd": "wc out/second.txt > out/third.txt", "deps": ["out/second.txt", "more.csv"]},
        }
    }
    write(three, {"dvc.yaml": yaml.safe_dump(flow)})
    assert [(one.kind, one.name, one.told) for one in standings(three)["third"].changes] == [
        ("command", "cmd", "changed"),
        ("data", "more.csv", "missing"),
    ]
    write(three, {"more.csv": "1\n"})
    assert standings(three)["third"].changes[1].told == "not read before"


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        (
            "dvc.lock",
            "schema: '2.0'\n<<<<<<< ours\nstages:\n=======\n",
            r"dvc\.lock:\d+:\d+: .*both sides of a merge.*git checkout --ours dvc\.lock",
        ),
        ("dvc.yaml", "stages: [", r"dvc\.yaml:\d+:\d+: "),
        ("dvc.yaml", "stages:\n  all: {foreach: [a], do: {cmd: b}}\n", "stage all: expected cmd, deps and outs"),
        ("params.yaml", "seed: 1\ndata: {}\n", r"stage first reads \$\{data\.source\}, but data\.source is not set in params\.yaml"),
    ],
)
def test_files_that_cannot_be_read_are_told_with_their_place(three, file, text, told):
    write(three, {file: text})
    with pytest.raises(UserError, match=told):
        standings(three)


def test_the_cache_is_where_the_settings_say(three, tmp_path):
    assert declared.cache(three) == three / ".dvc" / "cache"
    write(three, {".dvc/config.local": f"[cache]\n    dir = {tmp_path}/shared\n['remote \"team\"']\n    url = /mnt/x\n"})
    assert declared.cache(three) == tmp_path / "shared"
    assert declared.config(three)['remote "team"'] == {"url": "/mnt/x"}


def test_digests_are_kept_where_reading_took_long_and_taken_again_only_from_files_that_were_not_written_to(tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_text("1234")
    kept = tmp_path / "kept.json"
    first = hashing.Hasher(tmp_path, kept)
    known = first.of("rows.csv")
    first.keep()
    assert not kept.exists()  # four bytes are read faster
    monkeypatch.setattr(hashing, "WORTH_KEEPING", 1)
    first.keep()
    told = json.loads(kept.read_text())
    kept.write_text(json.dumps({name: [*of[:3], "kept"] for name, of in told.items()}))
    assert hashing.Hasher(tmp_path, kept).of("rows.csv") == "kept"
    (tmp_path / "rows.csv").write_text("4321")
    assert hashing.Hasher(tmp_path, kept).of("rows.csv") not in ("kept", known)
    kept.write_text("{broken")
    assert hashing.Hasher(tmp_path, kept).of("absent.csv") is None


def test_the_table_is_short_and_fits_a_terminal():
    many = tuple(Change("param", f"tune.space.key{n}", "changed", "a" * 90, n) for n in range(9))
    code = tuple(Change("code", f"pipeline/part{n}.py", "changed") for n in range(7))
    lines = table.reasons(Standing("tune", "stale", (*many, *code)))
    assert lines[4] == "and 5 more params"
    assert lines[0] == f"tune.space.key0 {'a' * 29}... → 0"
    assert lines[5] == "code changed: pipeline/part0.py, pipeline/part1.py, pipeline/part2.py, pipeline/part3.py and 3 more"
    rows = table.stages(
        [Standing("train", "stale", (Change("param", "seed", "changed", 1, 2), Change("output", "x", "missing")))], {"train": [12]}
    ).rows
    assert rows == [("train", "running", "process 12 works on it"), ("", "", "seed 1 → 2")]


def test_the_verdict_says_what_would_run_and_how_long_it_took():
    found = [Standing("a", "ok"), Standing("b", "restored"), Standing("c", "stale"), Standing("d", "follows", after=("c",))]
    assert table.verdict(found[:1], {}) == "Nothing to run: results are those of these params, data and code."
    costs = {"c": {"wall_seconds": 61.0}, "d": {"wall_seconds": 4.0}}
    assert table.verdict(found, costs) == (
        "`pipeline run` runs c, then d where what it reads changes, then takes b from the cache; about 1 min 5 s, as last time."
    )
    assert "as last time" not in table.verdict(found, {"c": {"wall_seconds": 61.0}})
