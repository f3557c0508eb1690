"""The folder `artifacts/files` of a package, around a network that no stage has trained, from what normalize has written."""

from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.data import contents
from pipeline.data.fitted import Preprocessor
from pipeline.models.answers import Answers
from pipeline.models.build import save
from pipeline.packaging import FILES


def packed(files: Path, fitted: Preprocessor, network: Any, answers: Answers | None = None) -> Path:
    """Fill the folder `files`, for a package in the current workspace."""
    for folder in (paths.MODELS, paths.ANSWERS.parent, files):
        folder.mkdir(parents=True, exist_ok=True)
    paths.FITTED.write_text(fitted.to_json())
    paths.ANSWERS.write_text((answers or Answers(fitted.task)).to_json())
    save(network, paths.MODEL)
    for file in FILES:
        (files / file.name).write_bytes(file.read_bytes())
    contents.write(files, {})
    return files
