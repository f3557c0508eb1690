"""What a training came from, as files from which it can be had again: models/lineage.  `pipeline reproduce` reads them."""

from __future__ import annotations

import io
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import files, patches, paths
from pipeline.secrets import without_secrets

PATCH = "patch.diff"
LOCK = "dvc.lock"
LEFT_OUT = "left_out.json"
DATA_STAGES = ("collect", "clean", "split", "normalize")  # whose outputs a training starts from


def keep(folder: Path) -> None:
    """Write params.yaml, best.yaml, what DVC knows of the data, and git's uncommitted changes to `folder`.

    Files that the patch must not hold, for secrets or size, are named in left_out.json.
    """
    with files.replaced(folder) as fresh:
        for file in (paths.PARAMS, paths.BEST, paths.SOURCE):
            files.write_text(fresh / file.name, without_secrets(file.read_text(encoding="utf-8")))
        if Path(LOCK).exists():
            _data_part(Path(LOCK), fresh / LOCK)
        patch = patches.of_workspace(without=(LOCK,))
        (fresh / PATCH).write_bytes(patch.content)
        files.write_json(fresh / LEFT_OUT, dict(patch.left_out))


def _data_part(lock: Path, target: Path) -> None:
    """The lock of the data stages: that of later ones differs from one run of the same to the next."""
    yaml = YAML()
    found = yaml.load(lock.read_text(encoding="utf-8"))
    found["stages"] = {name: stage for name, stage in found["stages"].items() if name in DATA_STAGES}
    text = io.StringIO()
    yaml.dump(found, text)
    files.write_text(target, without_secrets(text.getvalue()))
