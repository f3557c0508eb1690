"""The files of the user's own encoders: what a training depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline import extensions
from pipeline.errors import UserError

FOLDER, KEY = "encoders", "model.encoder"


def placed(encoders: Mapping[str, str]) -> dict[str, Path]:
    """The files that params name, by the kind of inputs that they read.

    Raises:
        UserError: one is not where encoders lie.
    """
    return {kind: extensions.place(f"{KEY}.{kind}", path, FOLDER) for kind, path in sorted(encoders.items())}


def described(encoders: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Of each file its path and digest, as run.json tells what a network was made of."""
    return {kind: {"file": str(file), "digest": extensions.digest(file)} for kind, file in placed(encoders).items()}


def trained(told: Mapping[str, Mapping[str, str]]) -> dict[str, Path]:
    """The files by kind that a network was trained with, as run.json tells them.

    Raises:
        UserError: one was changed since.
    """
    found = placed({kind: one["file"] for kind, one in told.items()})
    for kind, file in found.items():
        if extensions.digest(file) != told[kind]["digest"]:
            raise UserError(f"{file}: was changed since the network was trained with it; train again, or run `pipeline run`")
    return found
