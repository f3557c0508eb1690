"""How often the leakage audit names leaks planted in generated tables, and how often it names something where nothing leaks.

Run: `python benchmarks/leakage.py [--seeds 100] [--first 1000] [--whole] [--only copy affine ...]`.  Takes about six minutes on two cores.

Each row of the table printed is one kind of leak, or of table without one, over the seeds from --first on.  Tables are drawn by
tests/leak_tables.py, leaks planted by tests/planted_leaks.py.  Tables without a leak go through the whole audit; those
with one go through the searches for it, or with --whole through all of it, which takes about three times as long.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the tables of the tests
    from leak_study import ALL, markdown, study

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100, help="tables of each kind")
    parser.add_argument("--first", type=int, default=1000, help="the first seed: the searches were tuned on those from 0")
    parser.add_argument("--whole", action="store_true", help="the whole audit of tables with a leak too")
    parser.add_argument("--only", nargs="+", default=[make.__name__ for make in ALL], help="kinds of tables")
    asked = parser.parse_args()
    rates = study([make for make in ALL if make.__name__ in asked.only], asked.seeds, first=asked.first, whole=asked.whole)
    print(markdown(rates))
    for rate in rates:
        if rate.missed or rate.false:
            print(f"{rate.what}: missed at seeds {list(rate.missed)}; wrongly named {rate.false}", file=sys.stderr)


if __name__ == "__main__":  # workers import this file anew
    main()
