"""Having a run again removes nothing of the user's; what comes of it end to end stands in tests/promises/test_5_had_again.py."""

import pytest

from pipeline.errors import UserError
from pipeline.history import reproducing
from pipeline.tracking.reading import Found


def test_a_folder_that_holds_something_is_refused_and_stays(workspace):
    found = Found("k" * 8, "r", "data", "name", "FINISHED", 0, 1, {}, {}, {"stage": "train"}, (), True)
    (workspace / "mine").mkdir()
    (workspace / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(UserError, match=r"expected a new or an empty folder, .*mine holds something"):
        reproducing.reproduce(found, workspace / "mine")
    assert (workspace / "mine" / "thesis.txt").read_text() == "years"
