"""All ten stages by their real commands, on some hundred rows, under DVC and git."""

import json
import re

import mlflow
import pandas as pd
import pytest
import yaml
from conftest import ROOT

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


def store(repository):
    return mlflow.MlflowClient(f"sqlite:///{repository.folder / '.state' / 'mlflow.db'}")


def runs(repository):
    client = store(repository)
    return client.search_runs([client.get_experiment_by_name("rows").experiment_id])


def test_pipeline_run_tells_a_line_a_stage_and_in_five_lines_what_came_of_it(finished):
    told, ended = finished.output.stderr.splitlines(), finished.output.stdout.splitlines()
    rows = [line.split()[0] for line in told if re.match(r"[a-z]+ +\d+\.\d s  \S", line)]
    assert rows == list(STAGES)
    assert [line[:10].strip() for line in ended] == ["", "result", "verdict", "monitor", "look at", "try next"]
    assert ended[1].startswith("result    AUC")
    assert "small version 1 is champion (first)" in ended[2]
    assert "control windows" in ended[3]
    assert "reports/index.html" in ended[4]
    assert "mlflow ui --backend-store-uri sqlite:///.state/mlflow.db" in ended[4]
    assert "train.epochs: 6" in ended[5]  # its loss still fell
    log = max((finished.folder / ".state/logs").glob("*-run-*.log")).read_text()
    assert "Running stage 'train'" in log
    for chatter in ("Traceback", "Running stage", "lock file", "git add", "\x1b"):
        assert chatter not in finished.output.stderr + finished.output.stdout


def test_the_tree_stays_clean_but_for_the_lock_file(finished):
    assert finished.run("git", "status", "--porcelain").stdout.split() == ["??", "dvc.lock"]


def test_a_second_repro_runs_nothing(finished):
    told = finished.dvc("repro").stdout
    assert "Running stage" not in told
    assert "Data and pipelines are up to date" in told


def test_the_training_is_one_mlflow_run_that_explains_itself(finished):
    found = json.loads((finished.folder / "models/run.json").read_text())
    run = store(finished).get_run(found["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["train.batch_size"] == "32"
    assert run.data.params["seed"] == "1"
    history = store(finished).get_metric_history(run.info.run_id, "validation/loss")
    assert [m.step for m in history] == [0, 1, 2]
    metrics = json.loads((finished.folder / "reports/evaluate/metrics.json").read_text())
    assert run.data.metrics["test/auc"] == pytest.approx(metrics["test"]["auc"])
    assert run.data.tags["git.commit"] == finished.run("git", "rev-parse", "HEAD").stdout.strip()
    assert {i.dataset.name for i in run.inputs.dataset_inputs} == {"rows"}
    artifacts = {f.path for f in store(finished).list_artifacts(run.info.run_id)}
    assert {"train", "evaluate", "monitor", "model.keras", "params.yaml", "best.yaml"} <= artifacts


def test_every_trial_of_the_sweep_is_a_run_below_the_sweep(finished):
    trials = [run for run in runs(finished) if run.data.tags.get("stage") == "trial"]
    assert len(trials) == 2
    assert all(run.info.status == "FINISHED" for run in runs(finished))


def test_the_registered_version_is_the_package_of_this_run(finished):
    registered = json.loads((finished.folder / "reports/register.json").read_text())
    version = store(finished).get_model_version_by_alias("small", "champion")
    assert int(version.version) == registered["version"] == 1
    assert version.tags["digest"] == registered["digest"]
    assert max(registered["skew"].values()) <= 1e-6


def test_the_first_model_is_champion_and_parts_of_its_test_rows_are_looked_at(finished):
    judged = json.loads((finished.folder / "reports/register.json").read_text())["judgement"]
    assert (judged["verdict"], judged["accepted"], judged["champion_version"]) == ("first", True, None)
    parts = json.loads((finished.folder / "reports/evaluate/slices.json").read_text())
    assert parts["looked_at"] + parts["too_small"] > 10
    assert {gap["column"] for gap in parts["gaps"]} == {"city"}
    rates = pd.read_csv(finished.folder / "reports/evaluate/fairness.csv")
    test = finished.table("data/split/test/rows.parquet")
    assert dict(zip(rates["category"], rates["rows"], strict=True)) == test["city"].fillna("missing").value_counts().to_dict()
    page = (finished.folder / "reports/index.html").read_text()
    assert "Registry: small is champion, by the gate&#39;s verdict first" in page.replace("'", "&#39;")
    assert "Where it is worse" in page
    importance = pd.read_csv(finished.folder / "reports/evaluate/importance.csv")
    assert {"age", "income", "city", "member", "since"} <= set(importance.iloc[:, 0])
    assert "Probabilities are " in page
    assert "Disturbed rows: " in page
    pictures = ("importance.png", "dependence.png", "robustness.png", "calibration.png")
    for name in (*pictures, "dependence.csv", "confident_errors.csv", "label_errors.csv", "robustness.csv"):
        assert (finished.folder / "reports/evaluate" / name).stat().st_size > 10


def test_the_card_says_what_the_model_is_and_the_registry_shows_it(finished):
    card = (finished.folder / "models/package/card.md").read_text()
    auc = json.loads((finished.folder / "reports/evaluate/metrics.json").read_text())["test"]["auc"]
    for words in ("# small", "Predicts `bought`: one of two classes (no, yes)", "Split: group by customer.", f"| AUC | {auc:.3f} ["):
        assert words in card
    version = store(finished).get_model_version_by_alias("small", "champion")
    assert version.description == card[:5000]


def test_a_file_is_answered_by_the_package_and_by_the_registered_champion(finished, tmp_path):
    for model in ("models/package", "models:/small@champion"):
        out = tmp_path / f"{model.replace('/', '')}.parquet"
        done = finished.pipeline("predict", "rows.csv", "-o", str(out), "--keep", "customer", "--model", model)
        answers = pd.read_parquet(out)
        assert f"{len(answers)} rows in" in done.stderr
        assert list(answers) == ["customer", "prediction", "probability of no", "probability of yes", "refused", "flags"]
        rows = pd.read_csv(finished.folder / "rows.csv")
        assert answers["customer"].tolist() == rows["customer"].tolist()
        assert answers["prediction"].notna().all()
        assert ((answers["prediction"] == "yes") == (rows["bought"] == "yes")).mean() > 0.6
    for words, told in (((), "predict: expected either FILE"), (("rows.csv", "--stdin"), "predict: expected either FILE")):
        done = finished.pipeline("predict", *words, check=False)
        assert (done.returncode, told in done.stderr) == (2, True)


def test_a_protected_column_that_is_not_there_is_named(copied):
    copied.write_params({**copied.params, "evaluate": {"protected": ["sex"]}})
    done = copied.pipeline("evaluate", check=False)
    assert done.returncode == 2
    assert (
        "evaluate.protected: sex: expected columns of numbers, categories or dates: customer, age, income, city, member, since"
        in done.stderr
    )


def test_metrics_and_plots_say_something(finished):
    shown = json.loads(finished.dvc("metrics", "show", "--json").stdout)
    data = shown[""]["data"]["reports/evaluate/metrics.json"]["data"]
    assert set(data["test"]) == {"auc", "log_loss", "brier", "accuracy", "f1", "average_precision", "ece"}
    assert set(data["baseline"]) == {"prior", "linear", "boosting"}
    plots = json.loads(finished.dvc("plots", "show", "--json", "-o", str(finished.folder / ".dvc/tmp/plots")).stdout)
    assert {"learning curves", "trials", "roc", "precision and recall"} <= set(plots.get("data", plots))


def test_the_page_holds_the_result_and_asks_nothing_of_the_network(finished):
    page = (finished.folder / "reports/index.html").read_text()
    assert "gradient boosting" in page
    assert "production-01" in page
    assert "http" not in page.replace("http-equiv", "")
    for link in ("monitor/control-01/report.html", "evaluate/intervals.json", "split/split.json"):
        assert link in page
        assert (finished.folder / "reports" / link).exists()


def test_monitoring_judges_control_and_production(finished):
    windows = json.loads((finished.folder / "reports/monitor/summary.json").read_text())["windows"]
    for kind, side in (("control", "test"), ("production", "production")):
        judged = [w for w in windows if w["window"].startswith(kind)]
        assert sum(w["rows"] for w in judged) == len(finished.table(f"data/split/{side}/rows.parquet")) > 0
    drifted = {m["column"] for w in judged for m in w["measures"] if m["drifted"]}
    assert "city" in drifted


def test_a_mistake_in_params_is_found_before_dvc_removes_anything(copied):
    before = copied.bytes("data", "models", "reports")
    copied.write_params({**copied.params, "train": {"epoch": 3}})
    done = copied.pipeline("run", check=False)
    assert done.returncode == 2
    assert "unknown key train.epoch; nearest valid key: train.epochs" in done.stderr
    assert copied.bytes("data", "models", "reports") == before


def test_outputs_of_a_failed_stage_return_with_dvc_checkout(copied):
    before = copied.bytes("data/clean")
    right = copied.params
    copied.write_params({**right, "data": {**right["data"], "target": "sold"}})
    done = copied.dvc("repro", check=False)
    assert done.returncode != 0
    assert "data.target: 'sold' is no column of the source; columns are customer, age" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (copied.folder / "data/clean").exists()
    copied.dvc("checkout")
    assert copied.bytes("data/clean") == before


def test_a_stage_reruns_only_what_follows_from_a_change(copied):
    copied.write_params({**copied.params, "monitor": {"window": 100}})
    told = copied.dvc("repro").stdout
    assert [stage for stage in STAGES if f"Running stage '{stage}'" in told] == ["monitor", "report"]


@pytest.mark.slow
def test_forced_repro_gives_the_same_bytes(copied):
    without = ("run.json", "trials.csv")
    folders = ("data", "models/model.keras", "models", "reports/evaluate", "reports/train", "reports/split", "reports/clean")
    kept = {"MLmodel", "conda.yaml", "python_env.yaml"}

    def state():
        return {k: v for k, v in copied.bytes(*folders, without=without).items() if k.split("/")[-1] not in kept}

    before = state()
    copied.dvc("repro", "-f", "register")
    assert state() == before


@pytest.mark.slow
def test_an_experiment_is_a_run_of_its_own_and_moves_no_alias(copied):
    copied.run("git", "add", "dvc.lock")
    copied.run("git", "commit", "-qm", "lock")
    told = copied.dvc("exp", "run", "-n", "other", "-S", "tune.trials=0", "-S", "train.learning_rate=0.003").stdout
    assert [s for s in STAGES if f"Running stage '{s}'" in told] == ["tune", "train", "evaluate", "register", "monitor", "report"]
    trained = [run for run in runs(copied) if run.data.tags.get("stage") == "train"]
    assert {run.data.params["train.learning_rate"] for run in trained} >= {"0.003"}
    assert len(trained) == 2
    assert int(store(copied).get_model_version_by_alias("small", "champion").version) == 1
    assert len(store(copied).search_model_versions("name = 'small'")) == 2
    assert "other" in copied.dvc("exp", "show", "--csv").stdout


def test_predictions_by_mlflow_equal_the_test_outputs(finished):
    """The registered package, loaded as any MLflow user would, in a process of its own."""
    code = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
rows = pd.read_csv("rows.csv")
mlflow.pyfunc.load_model("models:/small@champion").predict(rows).to_parquet(sys.argv[2])
"""
    import sys

    answers = finished.folder / ".state" / "answers.parquet"
    finished.run(sys.executable, "-I", "-W", "ignore", "-c", code, f"sqlite:///{finished.folder}/.state/mlflow.db", str(answers))
    found = pd.read_parquet(answers)
    assert len(found) == 500
    assert found["probability of yes"].between(0, 1).all()
