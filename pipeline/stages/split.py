"""Split: rows are put on sides by key and seed.  Run: `python -m pipeline split`."""

from __future__ import annotations

import logging

from pipeline import files, paths
from pipeline.config import SplitParams
from pipeline.data import splitting
from pipeline.data.engine import engine, read, write
from pipeline.data.leakage import giveaways
from pipeline.data.schema import Schema

log = logging.getLogger(__name__)


def run(seed: int, split: SplitParams) -> None:
    """Write data/split/<side> for train, validation, test and production, and reports/split/split.json."""
    schema = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8"))
    with engine() as backend:
        sided = splitting.assign(read(backend, paths.CLEAN / paths.ROWS), schema, split, seed)
        sided = backend.create_table("sided", sided)
        found = splitting.describe(backend, sided, schema, split)
        found["gives_target_away"] = giveaways(backend, sided.filter(sided[splitting.SIDE] == "train"), schema, group=split.by)
        for side in paths.SIDES:
            with files.replaced(paths.SPLIT / side) as folder:
                write(sided.filter(sided[splitting.SIDE] == side).drop(splitting.SIDE), folder / paths.ROWS)
    files.write_json(paths.REPORTS / "split" / "split.json", found)
    log.info("%s: %s", split.strategy, ", ".join(f"{row['rows']} {side}" for side, row in found["sides"].items()))
    if any(found["equal_to_train"].values()) and split.strategy != "group":
        log.warning("rows that equal a train row in every column: %s", found["equal_to_train"])
    for name, share in found["gives_target_away"].items():
        log.warning(
            "%s alone tells %.1f%% of %s: is it known before the target? If not, set data.columns.%s: ignore",
            name,
            100 * share,
            schema.target,
            name,
        )
