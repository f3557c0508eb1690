"""Real files are read to their last row with nothing told but the target."""

from __future__ import annotations

import pytest
from development_sets import SETS, needed

pytestmark = needed


@pytest.mark.parametrize(
    ("name", "target", "rows", "columns", "params"),
    [
        ("tabular/telco_churn.csv", "Churn", 7_043, 21, {}),
        ("tabular/titanic.csv", "survived", 891, 15, {}),
        ("tabular/california_housing.csv", "median_house_value", 20_640, 10, {}),
        ("drift/bike_sharing_hour.csv", "cnt", 17_379, 17, {}),
        ("forecast/ETTh1.csv", ("OT",), 17_420, 8, {}),
        ("text/sms_spam.csv", "label", 5_574, 2, {}),
        ("text/SMSSpamCollection.tsv", "column0", 5_574, 2, {}),
        ("text/SMSSpamCollection.tsv", "label", 5_574, 2, {}),
        ("sequence/JapaneseVowels_TRAIN.ts", "label", 270, 13, {}),
        ("sequence", "label", 640, 15, {"files": "*.ts"}),
        ("sequence/JapaneseVowels_long.csv.gz", "label", 9_961, 16, {}),
        ("sequence/JapaneseVowels_long.csv.gz", "label", 640, 15, {"series": {"id": "series_id", "time": "t"}}),
        ("image/fashion_mnist_png_12k_2k.tar.gz", "class", 14_000, 4, {}),
        ("image", "class", 10_000, 3, {"files": "t10k-*"}),
    ],
)
def test_real_file_is_read_whole(backend, read, name, target, rows, columns, params):
    source = read(SETS / name, target=target, **params)
    assert backend.to_pyarrow(source.table.count()).as_py() == rows
    assert len(source.table.columns) == columns
    assert source.rejects is None


def test_series_from_long_rows_equal_those_of_the_ts_files(backend, read):
    long = read(SETS / "sequence" / "JapaneseVowels_long.csv.gz", target="label", series={"id": "series_id", "time": "t"})
    wide = read(SETS / "sequence", target="label", files="*.ts")
    dims = [f"dim_{k}" for k in range(12)]
    got, wanted = (sorted(map(str, backend.to_pyarrow(source.table.select(*dims, "label")).to_pylist())) for source in (long, wide))
    assert got == wanted
