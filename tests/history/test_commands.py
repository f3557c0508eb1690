"""`pipeline runs`, `show` and `diff` on a real store."""

import json
import logging
import subprocess

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.config import TrainParams
from pipeline.tracking import reading, runs, store, sweeps

pytestmark = pytest.mark.usefixtures("sent_here")


@pytest.fixture
def invoke():
    """Run a command in this process, and put the process's logging back after it."""
    root = logging.getLogger()
    kept = root.level, root.handlers[:]
    root.handlers[:] = []  # else basicConfig(force=True) closes pytest's own
    yield lambda *words: CliRunner().invoke(main, list(words), prog_name="pipeline")
    root.setLevel(kept[0])
    root.handlers[:] = kept[1]


def train(workspace, name, auc, *, digest="d1", **params):
    tags = {"stage": "train", "family": "mlp", "dvc.experiment": name, "git.commit": "c0ffee", "python": "3.12.1"}
    with runs.training("data", workspace / "marker", {**tags, "note": "http://me:hushhush@host"}) as run:
        run.params({"seed": 1, "train": TrainParams(**params)})
        run.inputs([runs.DataInput("data", "data/split/train", digest, "train", {"rows": 1234})])
        run.metrics({"best/validation/loss": 1 - auc, "best/epoch": 3, "baseline/linear/auc": 0.6})
        run.metrics({"test/auc": auc, "test/auc/low": auc - 0.05, "test/auc/high": auc + 0.05})
    return run


def lines(done):
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_without_runs_it_is_said_how_to_make_one(invoke, workspace):
    assert lines(invoke("runs")) == ["no runs yet: `pipeline run` makes one"]
    assert json.loads(invoke("runs", "--json").stdout) == []
    done = invoke("show", "last")
    assert (done.exit_code, done.stderr) == (2, "no run last; there are none yet: `pipeline run` makes one\n")


def test_runs_are_listed_filtered_sorted_and_limited(invoke, workspace):
    for name, auc, optimizer in (("first", 0.8, "sgd"), ("second", 0.7, "adamw"), ("third", 0.75, "adamw")):
        train(workspace, name, auc, optimizer=optimizer)

    def names(*words):
        return [line.split()[1] for line in lines(invoke("runs", *words))[1:]]

    listed = lines(invoke("runs"))
    assert listed[0].split() == ["run", "name", "when", "status", "family", "test/auc", "best/validation/loss", "params.train.optimizer"]
    assert listed[1].split()[1:] == ["third", "just", "now", "finished", "mlp", "0.750", "[0.700,", "0.800]", "0.250", "adamw"]
    assert len(listed[1]) > 80
    assert "\x1b" not in "".join(listed)
    assert names() == ["third", "second", "first"]
    assert names("data", "--sort", "test/auc") == ["first", "third", "second"]
    assert names("--sort", "best/validation/loss", "--limit", "1") == ["first"]
    assert names("--where", "test/auc < 0.8 and params.train.optimizer = adamw", "--limit", "1") == ["third"]
    assert lines(invoke("runs", "--where", "test/auc > 0.9")) == ["no run meets that; `pipeline runs` lists all"]
    for words, told in (
        (
            ("--where", "params.train.optimizr = sgd"),
            "none of the newest 3 runs has params.train.optimizr; nearest: params.train.optimizer",
        ),
        (("--sort", "test/acu"), "--sort: none of the newest 3 runs has test/acu; nearest: test/auc"),
        (("--where", "test/auc"), "--where: 'test/auc': expected NAME OPERATOR VALUE"),
        (("dato",), "no experiment dato; nearest: data"),
    ):
        done = invoke("runs", *words)
        assert done.exit_code == 2
        assert told in done.stderr


def test_json_holds_everything_and_nothing_else(invoke, workspace):
    run = train(workspace, "only", 0.75)
    done = invoke("runs", "--json")
    (told,) = json.loads(done.stdout)
    assert (told["key"], told["run_id"], told["metrics"]["test/auc"]) == (run.key, run.id, 0.75)
    assert told["params"]["train.optimizer"] == "adamw"
    assert told["start"].endswith("+00:00")
    assert "hushhush" not in done.output
    told = json.loads(invoke("show", "only", "--json").stdout)
    assert (told["key"], told["before"], told["artifacts"], told["versions"]) == (run.key, None, [], [])


def test_show_tells_of_a_run_and_what_differs_from_the_one_before(invoke, workspace):
    train(workspace, "before", 0.7)
    run = train(workspace, "after", 0.75, digest="d2", learning_rate=0.01)
    told = [" ".join(line.split()) for line in lines(invoke("show", run.key[:5]))]
    for line in (
        f"run {run.key} (after)",
        "experiment data",
        "status finished",
        "code c0ffee",
        "train 1,234 d2 data/split/train",
        "auc 0.750 [0.700, 0.800] 0.600",
        "epoch 4 of at most 60",
        "train.learning_rate 0.01 0.001",
        "train.learning_rate 0.001 → 0.01",
        "data train d1 (1,234 rows) → d2 (1,234 rows)",
        "test/auc 0.700 → 0.750",
    ):
        assert line in told
    assert not [line for line in lines(invoke("show", "before")) if "run before" in line]


def test_diff_shows_only_what_differs(invoke, workspace):
    train(workspace, "a", 0.7)
    train(workspace, "b", 0.8, epochs=9)
    told = [" ".join(line.split()) for line in lines(invoke("diff", "a", "b"))]
    assert "train.epochs 60 9" in told
    assert "test/auc 0.700 0.800 +0.100 outside A's interval" in told
    assert not [line for line in told if line.startswith(("data", "code", "environment"))]
    assert told[-1].startswith("equal: ")
    found = json.loads(invoke("diff", "a", "b", "--json").stdout)
    assert found["params"] == {"train.epochs": ["60", "9"]}
    assert found["metrics"]["test/auc"]["difference"] == pytest.approx(0.1)
    done = invoke("diff", "a", "c")
    assert (done.exit_code, done.stdout) == (2, "")


def test_a_store_out_of_reach_costs_one_warning(invoke, workspace):
    train(workspace, "kept", 0.7)
    (workspace / ".state" / "mlflow.db").write_text("not a database")
    store._client.cache_clear()
    reading._reachable.cache_clear()
    done = invoke("runs")
    assert [line.split()[1] for line in lines(done)[1:]] == ["kept"]
    assert done.stderr.count("is away") == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_refuses_costs_one_warning_without_its_password(invoke, workspace, monkeypatch):
    monkeypatch.setattr(logging.getLogger("urllib3.connectionpool"), "level", logging.NOTSET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hushhush@127.0.0.1:9")  # the discard port
    reading._reachable.cache_clear()
    done = invoke("runs", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert len(done.stderr.splitlines()) == 1
    assert "hushhush" not in done.output


def test_a_run_that_the_store_has_not_got_says_so(invoke, workspace, monkeypatch):
    train(workspace, "sent", 0.7)
    with monkeypatch.context() as patch:
        patch.setattr(type(store.client()), "create_run", lambda *arguments, **keys: (_ for _ in ()).throw(OSError("no")))
        train(workspace, "missed", 0.8)
    listed = lines(invoke("runs"))
    assert ["finished, not sent yet" in line for line in listed[1:]] == [True, False]
    assert "finished, not sent yet" in invoke("show", "missed").stdout


def test_sweeps_are_listed_where_asked_for_with_their_trials(invoke, workspace):
    sweep = sweeps.Sweep("data", "beef01", {})
    told = {"state": "complete", "reason": "", "objective": "loss", "started": 1.0, "ended": 2.0, "params": {}, "curve": {}, "measured": {}}
    for number in range(3):
        sweep.log({"number": number, **told})
    sweep.close("FINISHED", {}, {}, [])
    assert lines(invoke("runs")) == ["no runs yet: `pipeline run` makes one"]
    header, line = lines(invoke("runs", "--sweeps"))
    assert "trials" in header
    assert line.split() == ["beef01", "sweep", "beef01", "just", "now", "finished", "-", "3", "-", "-"]


def test_diff_tells_which_files_changed_between_two_commits(invoke, workspace):
    def commit(text):
        (workspace / "pipeline").mkdir(exist_ok=True)
        (workspace / "pipeline" / "code.py").write_text(text)
        for words in (["init", "-q"], ["add", "pipeline"], ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", text]):
            subprocess.run(["git", *words], check=True)
        return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()

    for name in ("a", "b"):
        with runs.training("data", workspace / "marker", {"stage": "train", "dvc.experiment": name, "git.commit": commit(name)}):
            pass
    told = [" ".join(line.split()) for line in lines(invoke("diff", "a", "b"))]
    assert "pipeline/code.py | 2 +-" in told
