"""examples/production/walkthrough.sh, run as a reader runs it: each step by what it printed, by its exit code, and by what it left."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from conftest import ROOT
from served import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
SCRIPT = ROOT / "examples/production/walkthrough.sh"
SIZES = {"WALK_EPOCHS": "8", "WALK_WIDTH": "32", "WALK_TRIALS": "0", "WALK_REPLICATES": "100"}


@dataclass(frozen=True)
class Walked:
    """What the script printed, by the number of the step, and the folder it left."""

    steps: dict[int, str]
    folder: Path

    def json(self, place: str) -> dict[str, Any]:
        return json.loads((self.folder / place).read_text(encoding="utf-8"))

    def looks(self, step: int) -> list[tuple[str, int]]:
        """What each `pipeline monitor` of a step printed, and its exit code."""
        found = re.findall(r"\$ pipeline monitor [^\n]*\n(.*?)   exit code (\d)", self.steps[step], re.DOTALL)
        return [(told, int(code)) for told, code in found]


def run(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", str(SCRIPT), str(folder)],
        env=environment(PATH=path, PYTHON=sys.executable, **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """The script run once; it names each step."""
    folder = tmp_path_factory.mktemp("production") / "project"
    done = run(folder, **SIZES)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Traceback" not in done.stdout
    parts = re.split(r"^== (\d+)\. ", done.stdout, flags=re.MULTILINE)
    return Walked({int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}, folder)


@pytest.fixture(scope="module")
def first(walked: Walked) -> dict[str, Any]:
    return walked.json("reports/production/visits-1/summary.json")


@pytest.fixture(scope="module")
def second(walked: Walked) -> dict[str, Any]:
    return walked.json("reports/production/visits-2/summary.json")


def test_every_step_is_told_in_its_order(walked):
    assert list(walked.steps) == list(range(1, 11))


def test_the_first_version_is_champion_and_serves(walked):
    assert "visits version 1, champion: first" in walked.steps[2]
    assert re.search(r"answers at http://127\.0\.0\.1:\d+", walked.steps[3])


def test_the_usual_traffic_is_quiet_with_its_labels(walked):
    asked, labelled = len(pd.read_csv(walked.folder / "sent/usual.csv")), len(pd.read_csv(walked.folder / "outcomes/usual.csv"))
    assert f"{asked:,} rows answered by version 1" in walked.steps[4]
    assert f"{labelled:,} labels added, 0 changed, 0 as before" in walked.steps[4]
    ((told, code),) = walked.looks(4)
    assert code == 0
    assert re.search(r"^visits, version 1: ok$", told, re.MULTILINE)
    assert "retrain" not in told


def test_the_new_plan_is_drift_before_any_label(walked):
    (told, code), (_, for_decay) = walked.looks(5)
    assert (code, for_decay) == (3, 0)
    assert re.search(r"^visits, version 1: drift since ", told, re.MULTILINE)
    assert "drift in" in walked.steps[5]
    assert "plan" in told


def test_its_labels_make_it_decay_and_retraining_is_suggested(walked, first):
    ((told, code),) = walked.looks(6)
    assert code == 3
    assert re.search(r"^visits, version 1: decay since ", told, re.MULTILINE)
    assert re.search(r"^retrain: the loss has risen by \d+%", told, re.MULTILINE)
    assert (first["state"], first["alarmed"], first["retrain"]["suggested"]) == ("decay", True, True)


def test_windows_of_the_first_version_are_bad_from_the_first_row_under_the_new_plan_on(walked, first):
    usual, new = (len(pd.read_csv(walked.folder / f"sent/{name}.csv")) for name in ("usual", "enrolment"))
    windows = first["windows"]
    assert sum(one["rows"] for one in windows) == sum(one["labelled"] for one in windows) == usual + new
    before = usual // 1000
    assert {one["state"] for one in windows[:before]} == {"ok"}
    assert [one["state"] for one in windows[-(new // 1000) :]] == ["decay"] * (new // 1000)
    worst = next(one for one in windows[-1]["measures"] if one["column"] == "plan")
    assert worst["drifted"]
    assert worst["harmful"]


def test_the_rows_of_the_log_are_the_next_delivery_and_keep_their_columns(walked):
    usual, new, delivered = (pd.read_csv(walked.folder / f"{name}.csv") for name in ("sent/usual", "sent/enrolment", "incoming/2"))
    first = pd.read_csv(walked.folder / "incoming/1a.csv")
    assert f"incoming/2.csv: {len(delivered):,} rows written\n" in walked.steps[7]
    assert set(delivered) == set(first)
    sent = pd.concat([usual, new]).sort_values("case", ignore_index=True)
    back = delivered.sort_values("case", ignore_index=True)
    pd.testing.assert_frame_equal(back[list(sent)], sent, check_dtype=False)
    truth = pd.concat([pd.read_csv(walked.folder / f"outcomes/{name}.csv") for name in ("usual", "enrolment")])
    assert back.set_index("case")["any_visit"].to_dict() == truth.set_index("case")["any_visit"].to_dict()


def test_the_second_version_is_judged_on_rows_new_to_both_and_becomes_champion(walked):
    judged = walked.json("reports/register.json")
    assert judged["version"] == 2
    assert judged["judgement"]["champion_version"] == 1
    assert judged["judgement"]["verdict"] in ("better", "equal", "worse")
    assert set(pd.read_parquet(walked.folder / "data/split/test/rows.parquet")["plan"]) >= {"95%", "0%"}
    promoted = "version 2 is champion, version 1 no longer" in walked.steps[8]
    assert promoted != judged["judgement"]["accepted"]
    assert "the server has taken version 2 by itself" in walked.steps[8]


def test_everyday_traffic_is_quiet_for_the_second_version(walked, second):
    asked = len(pd.read_csv(walked.folder / "sent/everyday.csv"))
    assert f"{asked:,} rows answered by version 2" in walked.steps[9]
    ((told, code),) = walked.looks(9)
    assert code == 0
    assert re.search(r"^visits, version 2: ok$", told, re.MULTILINE)
    assert {one["state"] for one in second["windows"]} == {"ok"}
    assert sum(one["labelled"] for one in second["windows"]) == asked
    assert second["retrain"]["suggested"] is False


def test_pages_and_reports_lie_where_the_script_says(walked, first, second):
    for summary in (first, second):
        folder = walked.folder / f"reports/production/visits-{summary['model']['version']}"
        page = (folder / "index.html").read_text(encoding="utf-8")
        assert summary["windows"][-1]["window"] in page
        assert all((folder / one["report"]).is_file() for one in summary["windows"])


def test_at_the_end_two_versions_are_there_and_nothing_runs(walked):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "versions", "--json"],
        cwd=walked.folder, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    versions = json.loads(done.stdout)["versions"]
    assert [(one["number"], "champion" in one["aliases"]) for one in versions] == [(2, True), (1, False)]
    left = [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(walked.folder)]
    assert not left
    assert not subprocess.run(["git", "status", "--porcelain"], cwd=walked.folder, capture_output=True, text=True).stdout


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").write_text("x")
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stdout.strip().endswith("is not empty")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
    assert shutil.which("bash")
