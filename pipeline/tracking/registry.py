"""Model packages: written as MLflow models, and registered once for each content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.tracking import store

MOVED = "alias moved "  # begins the tags that tell of it
LONGEST = 5000  # characters of a description that every store keeps
MOST = 10_000  # versions of a model that are looked at


def save_package(
    files: Path, code: Path, columns: Iterable[str], outputs: Mapping[str, str], example: Any, package: Path, versions: Iterable[str]
) -> None:
    """Write an MLflow pyfunc model (models from code) around the folder `files` into `package`.

    Args:
        code: the folder `pipeline` with as much of this package as the model needs.
        columns: raw columns that the model reads.
        outputs: predicted columns and their MLflow types; `any` for one that is as the source has it.
        example: a few raw rows, a DataFrame.
        versions: pinned requirements.
    """
    mlflow = store.mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # "any", since MLflow refuses an int64 column where a double is asked for; the model converts, or refuses in words
    inputs = Schema([ColSpec(AnyType(), name) for name in columns])
    kinds = {name: AnyType() if kind == "any" else kind for name, kind in outputs.items()}
    signature = ModelSignature(inputs, Schema([ColSpec(kind, name) for name, kind in kinds.items()]))
    mlflow.pyfunc.save_model(
        package,
        python_model=str(Path(__file__).parents[1] / "pyfunc.py"),
        artifacts={"files": str(files)},
        code_paths=[str(code)],
        signature=signature,
        input_example=example,
        pip_requirements=list(versions),
    )


def register(
    package: Path,
    *,
    name: str,
    digest: str,
    run_id: str,
    alias: str | None,
    experiment_name: str,
    over: int | None = None,
    otherwise: str | None = None,
    tags: Mapping[str, str] | None = None,
    when: str = "",
    card: str = "",
) -> int:
    """Register `package` under `name` unless a version with this digest is there; point `alias`, if any, at it.

    Args:
        over: the version that had the alias when this one was judged, None for none: where it is another by now, `otherwise`
            is the alias, if any.
        tags: of the version, such as the verdict.
        when: the moment that is told of the alias; now, where it is empty.
        card: what the version says of itself, Markdown; a later one replaces it.

    Returns:
        the version's number.
    """
    from mlflow.exceptions import MlflowException

    client = store.client()
    with store.lock("registry"):
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        same = [v for v in client.search_model_versions(f"name = '{name}'") if v.tags.get("digest") == digest]
        version = max(same, key=lambda v: int(v.version), default=None)
        if version is None:
            model = client.create_logged_model(store.experiment(experiment_name), name="model", source_run_id=run_id)
            client.log_model_artifacts(model.model_id, str(package))
            client.finalize_logged_model(model.model_id, "READY")
            # not mlflow.register_model, which prints what it does
            source = f"models:/{model.model_id}"
            version = client.create_model_version(name, source, run_id, tags={"digest": digest}, model_id=model.model_id)
        number = int(version.version)
        if card:
            client.update_model_version(name, str(number), card[:LONGEST])
        for key, value in (tags or {}).items():
            client.set_model_version_tag(name, str(number), key, value)
        if alias and otherwise and (holder := holding(name, alias)) and holder.number not in (over, number):
            alias = otherwise
        if alias and ((holder := holding(name, alias)) is None or holder.number != number):
            point(name, alias, number, who="register", why=(tags or {}).get("verdict", ""), when=when)
    return number


@dataclass(frozen=True)
class Version:
    """A registered version of a model."""

    name: str
    number: int
    run_id: str
    created: int
    """ms since 1970."""
    aliases: tuple[str, ...]
    tags: Mapping[str, str]


def versions(name: str) -> list[Version]:
    """All of a model, the newest first; none where there is no such model."""
    found = store.client().search_model_versions(f"name = '{name}'", max_results=MOST)
    return sorted((_version(one) for one in found), key=lambda one: -one.number)


def holding(name: str, alias: str) -> Version | None:
    """The version that has an alias."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(store.client().get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _version(found: Any) -> Version:
    # a search does not tell aliases
    aliases = found.aliases or store.client().get_model_version(found.name, found.version).aliases
    return Version(found.name, int(found.version), found.run_id, found.creation_timestamp, tuple(aliases), dict(found.tags))


def fetch(version: Version, folder: Path) -> Path:
    """The package of a version, copied into `folder`."""
    return Path(store.mlflow().artifacts.download_artifacts(artifact_uri=f"models:/{version.name}/{version.number}", dst_path=str(folder)))


def point(name: str, alias: str, number: int, *, who: str, why: str, when: str = "") -> None:
    """Give a version an alias, which another loses; the version's tags keep who, when and why."""
    client = store.client()
    client.set_registered_model_alias(name, alias, str(number))
    told = json.dumps({"alias": alias, "who": who, "why": why})
    client.set_model_version_tag(name, str(number), f"{MOVED}{when or moment()}", told)


def move(name: str, alias: str, number: int | None, *, who: str, why: str) -> tuple[int, int | None]:
    """Give an alias to a version, or, where that is None, to the one that had it before the present one.

    Returns:
        the version that has it now, and that which had it, if any.

    Raises:
        UserError: there is no such version, or it has the alias already.
    """
    with store.lock("registry"):
        there = {one.number for one in versions(name)}
        present = holding(name, alias)
        was = present.number if present else None
        if number is None:
            before = [moved.number for moved in history(name, alias) if moved.number != was and moved.number in there]
            if not before:
                raise UserError(f"rollback: no version of {name} was {alias} before{f' version {was}' if was else ''}")
            number = before[0]
        elif number not in there:
            raise UserError(f"promote: {name} has no version {number}; there are: {', '.join(map(str, sorted(there))) or 'none'}")
        if number == was:
            raise UserError(f"promote: version {number} of {name} is {alias} already")
        point(name, alias, number, who=who, why=why)
    return number, was


def moment() -> str:
    """This moment, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Move:
    """An alias was given to a version."""

    when: str
    number: int
    who: str
    why: str


def history(name: str, alias: str) -> list[Move]:
    """Who held an alias, the latest first."""
    told = [
        Move(key.removeprefix(MOVED), one.number, of["who"], of["why"])
        for one in versions(name)
        for key, of in ((key, json.loads(value)) for key, value in one.tags.items() if key.startswith(MOVED))
        if of["alias"] == alias
    ]
    return sorted(told, key=lambda move: move.when, reverse=True)
