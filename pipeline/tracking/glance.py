"""The store as a status line needs it, in milliseconds: MLflow, which takes seconds to import, is not.

SQLite is read as it lies, never made, migrated or written; a server is asked over its REST interface, with a time limit.  For all
that goes deeper there is `reading`.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import masked

PATIENCE = 3.0  # seconds
MOVED = "alias moved "  # as in `registry`, which writes these tags


class Away(Exception):
    """The store gives no answer; the text says why."""


@dataclass(frozen=True)
class Holder:
    """The version that has an alias, since when and by whom, and the test metrics of its run."""

    version: int
    since: str
    who: str
    why: str
    run_id: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Seen:
    """That a store answers: what it is, how many runs it has (where that is cheap to say), and how long it took."""

    what: str
    runs: int | None
    seconds: float


def file_of(uri: str) -> Path | None:
    """The file of a SQLite store."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:") else None


def look(uri: str) -> Seen | None:
    """Whether the store answers; None where it is a file that is not made yet.

    Raises:
        Away: it does not.
    """
    began = time.monotonic()
    if (file := file_of(uri)) is not None:
        if not file.exists():
            return None
        return Seen("SQLite", int(_rows(file, "select count(*) from runs")[0][0]), time.monotonic() - began)
    if uri.startswith(("http://", "https://")):
        try:
            with _opened(uri, "/version") as answer:
                told = answer.read(40).decode(errors="replace").strip()
        except FileNotFoundError:
            raise Away(f"{masked(uri)}: a server answers there, but it is not MLflow") from None
        return Seen(f"MLflow {told}", None, time.monotonic() - began)
    raise Away(f"what is there is not known without MLflow, which `pipeline runs` asks ({masked(uri)})")


def holder(uri: str, name: str, alias: str) -> Holder | None:
    """The version of a model that has an alias; None where there is none.

    Raises:
        Away: the store gives no answer.
    """
    if (file := file_of(uri)) is not None:
        return _stored(file, name, alias) if file.exists() else None
    if uri.startswith(("http://", "https://")):
        return _served(uri, name, alias)
    raise Away("`pipeline versions` asks this store")


def _stored(file: Path, name: str, alias: str) -> Holder | None:
    of = "from model_versions v join registered_model_aliases a using (name, version, workspace) where name = ? and alias = ?"
    found = _rows(file, f"select version, run_id {of}", name, alias)
    if not found:
        return None
    version, run_id = found[0]
    tags = dict(_rows(file, "select key, value from model_version_tags where name = ? and version = ?", name, version))
    metrics = dict(_rows(file, "select key, value from latest_metrics where run_uuid = ? and not is_nan", run_id))
    return _holder(version, run_id, tags, metrics, alias)


def _served(uri: str, name: str, alias: str) -> Holder | None:
    asked = urllib.parse.urlencode({"name": name, "alias": alias})
    try:
        with _opened(uri, f"/api/2.0/mlflow/registered-models/alias?{asked}") as answer:
            found = json.load(answer)["model_version"]
        with _opened(uri, f"/api/2.0/mlflow/runs/get?run_id={found.get('run_id', '')}") as answer:
            metrics = {one["key"]: float(one["value"]) for one in json.load(answer)["run"]["data"].get("metrics", ())}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError) as error:
        raise Away(f"{masked(uri)}: its answer was not understood ({type(error).__name__})") from None
    return _holder(
        int(found["version"]), found.get("run_id", ""), {one["key"]: one["value"] for one in found.get("tags", ())}, metrics, alias
    )


def _holder(version: int, run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float], alias: str) -> Holder:
    moves = [(key.removeprefix(MOVED), json.loads(value)) for key, value in tags.items() if key.startswith(MOVED)]
    none: tuple[str, dict[str, str]] = ("", {})
    since, told = max(((when, of) for when, of in moves if of["alias"] == alias), default=none, key=lambda move: move[0])
    return Holder(version, since, told.get("who", ""), told.get("why", ""), run_id, metrics)


def _rows(file: Path, query: str, *values: Any) -> list[Any]:
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE / 2)) as store:
            return store.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise Away(f"{file}: {error}") from None


def _opened(uri: str, path: str) -> Any:
    """The answer of a server.

    Raises:
        FileNotFoundError: it has no such thing.
        Away: it gives none, or refuses.
    """
    parts = urllib.parse.urlsplit(uri)
    user, password = (
        urllib.parse.unquote(given) if given else os.environ.get(f"MLFLOW_TRACKING_{name}", "")
        for given, name in ((parts.username, "USERNAME"), (parts.password, "PASSWORD"))
    )
    request = urllib.request.Request(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/")).geturl() + path)
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    elif user:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    try:
        return urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            raise FileNotFoundError(path) from None
        raise Away(f"{masked(uri)} answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise Away(f"{masked(uri)}: {getattr(error, 'reason', error)}") from None
