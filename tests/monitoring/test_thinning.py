"""An even share of a stream, whatever its length."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.monitoring.thinning import Thinned


def thinned(rows, most, step=100):
    kept = Thinned(most)
    for start in range(0, rows, step):
        places = np.arange(start, min(start + step, rows), dtype=np.uint64)
        kept.add(pa.table({"at": places}), places)
    return kept


@pytest.mark.parametrize("rows", [0, 1, 99, 100, 1000])
def test_few_rows_all_stay(rows):
    kept = thinned(rows, 1000)
    assert kept.seen == rows
    assert (kept.table()["at"].to_pylist() if rows else []) == list(range(rows))


def test_many_rows_leave_an_even_share_that_does_not_depend_on_the_steps():
    kept = thinned(100_000, 5000)
    assert kept.seen == 100_000
    assert 2400 < len(kept.table()) <= 5000
    places = np.array(kept.table()["at"])
    counts = np.histogram(places, bins=20, range=(0, 100_000))[0]
    assert counts.min() > 0.7 * counts.mean()  # Poisson: 150 to 250 a bin
    assert kept.table().equals(thinned(100_000, 5000, step=7919).table().combine_chunks()) or (
        thinned(100_000, 5000, step=7919).table()["at"].to_pylist() == kept.table()["at"].to_pylist()
    )


def test_each_thinning_halves():
    kept = thinned(10_000, 10_000)
    kept.thin()
    assert 4700 < kept.rows < 5300


def test_a_column_that_only_some_rows_have_is_missing_in_the_others():
    kept = Thinned(10)
    for table in (pa.table({"x": ["a"]}), pa.table({"x": ["b"], "y": ["c"]})):
        kept.add(table, np.zeros(1, np.uint64))
    assert kept.table().to_pydict() == {"x": ["a", "b"], "y": [None, "c"]}
    kept.add(pa.table({"x": [[1.0]]}), np.zeros(1, np.uint64))
    with pytest.raises(UserError, match="rows of one window have a column of different types"):
        kept.table()
