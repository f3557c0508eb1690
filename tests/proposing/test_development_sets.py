"""What is proposed for real data sets; see `development_sets`."""

import pytest
from development_sets import SETS, needed

from pipeline import params_file, paths
from pipeline.proposing.proposal import propose
from pipeline.proposing.writing import written

pytestmark = [pytest.mark.slow, needed]

STRATIFIED = {"strategy": "stratified", "validation": 0.15, "test": 0.15}
GIVEN = {"strategy": "given", "by": "split", "validation": 0.15}


@pytest.mark.parametrize(
    ("source", "target", "task", "split", "aside"),
    [
        ("tabular/telco_churn.csv", "Churn", "binary", STRATIFIED, set()),
        ("tabular/titanic.csv", "survived", "binary", {**STRATIFIED, "validation": 0.2, "test": 0.2}, {"alive"}),
        ("tabular/california_housing.csv", "median_house_value", "regression", {**STRATIFIED, "strategy": "random"}, set()),
        ("drift/bike_sharing_hour.csv", "cnt", "regression", {**STRATIFIED, "strategy": "time", "by": "dteday"}, {"casual", "registered"}),
        ("text/sms_spam.csv", "label", "binary", STRATIFIED, set()),
        ("text/SMSSpamCollection.tsv", "column0", "binary", STRATIFIED, set()),
        ("forecast/ETTh1.csv", "OT", "forecast", {**STRATIFIED, "strategy": "time"}, set()),
        ("sequence/JapaneseVowels_long.csv.gz", "label", "multiclass", GIVEN, set()),
        ("sequence", "label", "multiclass", GIVEN, set()),
        ("image/fashion_mnist_png_12k_2k.tar.gz", "label", "multiclass", GIVEN, set()),
        ("image", "label", "multiclass", GIVEN, set()),
    ],
)
def test_target_task_split_and_what_is_set_aside(workspace, source, target, task, split, aside):
    found = propose(str(SETS / source), None)
    paths.PARAMS.write_text(written(found))
    params = params_file.load(paths.PARAMS)
    assert (params.data.target, params.data.task) == (target, task)
    assert found.sides.keys == split
    assert set(params.data.columns) == aside
    assert (params.data.series is not None) == (source == "sequence/JapaneseVowels_long.csv.gz")
    assert params.data.files == ("*.ts" if source == "sequence" else None)
    assert params.clean.duplicates == ("drop" if source.startswith("text/") else "keep")


def test_a_target_of_ones_own_choice_is_a_forecast_too(workspace):
    found = propose(str(SETS / "forecast/ETTh1.csv"), "HUFL")
    assert (found.data.target, found.task, found.unsure) == ("HUFL", "forecast", False)
