"""Promise 2: what serves is what was tested."""

import numpy as np
import pandas as pd
import pytest

from pipeline import fresh, packaging
from pipeline.data import contents
from pipeline.data.fitted import Preprocessor

TOLERANCE = packaging.TOLERANCE


@pytest.fixture
def tested(finished):
    """The package, the raw test rows, and the network's outputs for them as evaluate measured them."""
    ids = finished.table("data/split/test/rows.parquet")["__row_id__"]
    raw = finished.table("data/raw/rows.parquet").set_index("__row_id__").loc[ids].reset_index(drop=True)
    fitted = Preprocessor.from_json((finished.folder / "data/normalized/preprocessor.json").read_text())
    return finished.folder / "models/package", raw, np.load(finished.folder / "reports/evaluate/outputs.npy"), fitted


def test_raw_rows_through_the_package_in_a_fresh_process_give_the_tested_numbers(tested):
    package, raw, expected, fitted = tested
    parsed = pd.read_csv(package.parents[1] / "rows.csv")  # as a user would read the file: typed, all rows
    columns = list(raw.columns)
    rng = np.random.default_rng(0)
    forms = [
        (columns, None, None),
        (list(rng.permutation(columns)), None, None),
        ([name for name in columns if name != "bought"], None, None),
        (columns, 10, 1),
    ]
    for answer in fresh.answers(package, raw, forms):
        found = packaging.outputs(fitted, answer)
        np.testing.assert_allclose(found, expected[: len(found)], rtol=0, atol=TOLERANCE)
    odd = raw.head(2).assign(city=["never seen", None], income=[None, "40"])
    assert np.isfinite(packaging.outputs(fitted, fresh.predictions(package, odd))).all()
    assert len(fresh.predictions(package, parsed)) == len(parsed)


def test_the_package_runs_its_own_code(tested, tmp_path):
    import shutil

    package, raw, _, _ = tested
    broken = tmp_path / "package"
    shutil.copytree(package, broken)
    (broken / "code/pipeline/predict.py").write_text("raise SystemExit('the code of the package')")
    with pytest.raises(fresh.PackageError, match="the code of the package"):
        fresh.predictions(broken, raw.head(1))


@pytest.mark.parametrize("file", ["preprocessor.json", "model.keras"])
def test_the_check_fails_when_what_serves_is_not_what_was_tested(tested, tmp_path, file):
    import shutil

    package, raw, expected, fitted = tested
    tampered = tmp_path / "package"
    shutil.copytree(package, tampered)
    target = tampered / "artifacts/files" / file
    if file == "preprocessor.json":  # a scaler that was fitted on other rows
        scale = next(n for n in fitted.numbers if n.column == "age").scale
        text = target.read_text()
        assert repr(scale) in text
        target.write_text(text.replace(repr(scale), repr(scale * 1.5)))
    else:
        from pipeline.config import ModelParams
        from pipeline.models.build import build, save

        save(build(fitted, ModelParams(layers=1, width=8, bins=4, embedding=2), seed=99), target)
    with pytest.raises(fresh.PackageError, match=f"{file} was changed since it was packaged"):
        packaging.check(tampered, fitted, raw, expected)
    contents.write(target.parent, {})  # who made it wrong may have listed it so
    with pytest.raises(packaging.SkewError, match="differ from evaluate's by"):
        packaging.check(tampered, fitted, raw, expected)


def test_two_versions_that_differ_in_code_each_give_their_own_answers(tested, tmp_path):
    """In one process the second would run the first one's code; the gate and every replay have a process each."""
    import shutil

    package, raw, expected, fitted = tested
    other = tmp_path / "other"
    shutil.copytree(package, other)
    with (other / "code/pipeline/models/answers.py").open("a") as code:
        code.write("\n\nplain = Answers.calibrated\nAnswers.calibrated = lambda self, outputs: 1 - plain(self, outputs)\n")
    with pytest.raises(fresh.PackageError, match=r"code/pipeline/models/answers\.py was changed since it was packaged"):
        fresh.predictions(other, raw.head(1))
    contents.write(other / "artifacts/files", {})
    for version, truth in ((package, expected), (other, 1 - expected), (package, expected)):
        found = packaging.outputs(fitted, fresh.predictions(version, raw))
        np.testing.assert_allclose(found, truth, rtol=0, atol=TOLERANCE)
