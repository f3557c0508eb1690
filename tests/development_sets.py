"""The data sets that lie beside a development checkout; they are no part of the repository, and their tests are skipped without them."""

from __future__ import annotations

from pathlib import Path

import pytest

SETS = Path(__file__).parents[2] / "shared" / "datasets"
needed = pytest.mark.skipif(not SETS.is_dir(), reason="the development data sets are not here")
