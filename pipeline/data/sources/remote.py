"""Sources over http, https and s3: fetched into the workspace."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pipeline.config import DataParams
from pipeline.data.sources.parts import mistake
from pipeline.terminal import progress

SCHEMES = ("http", "https", "s3")
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
CHUNK = 1 << 20
ENDINGS = {  # of names that have none, by what the server says
    "text/csv": ".csv",
    "text/plain": ".txt",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/zip": ".zip",
    "application/vnd.apache.parquet": ".parquet",
}


def is_remote(source: str) -> bool:
    """Whether this is a URL that is fetched."""
    return source.partition("://")[0].lower() in SCHEMES and "://" in source


def shown(source: str) -> str:
    """The source without user, password and query, which may hold secrets."""
    if not is_remote(source):
        return source
    url = urlsplit(source)
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))


def fetch(data: DataParams, folder: Path) -> Path:
    """The file or, for an s3 prefix that ends with / or with data.files, the folder, as a local copy.

    Raises:
        UserError: the server cannot be reached, refuses, or breaks off.
    """
    folder.mkdir(parents=True)
    return _s3(data, folder) if data.source.lower().startswith("s3://") else _http(data.source, folder)


def _name(source: str) -> str:
    return PurePosixPath(unquote(urlsplit(source).path)).name or "source"


def _http(source: str, folder: Path) -> Path:
    import requests

    try:
        with requests.get(source, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code != 200:
                raise mistake(shown(source), f"the server answered {answer.status_code} {answer.reason}")
            name, kind = _name(source), answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            file = folder / (name if PurePosixPath(name).suffix else name + ENDINGS.get(kind, ""))
            with file.open("wb") as out:
                length = answer.headers.get("Content-Length", "")
                with progress.step("fetching", int(length) if length.isdigit() else None, unit="B") as step:
                    for chunk in answer.iter_content(CHUNK):
                        step.advance(out.write(chunk))
            told, came = answer.headers.get("Content-Length", ""), file.stat().st_size
            if told.isdigit() and not answer.headers.get("Content-Encoding") and came != int(told):
                raise mistake(shown(source), f"the answer broke off after {came} of {told} bytes")
    except requests.exceptions.Timeout:
        raise mistake(shown(source), "the server did not answer in time") from None
    except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
        raise mistake(shown(source), "no connection to the server, or it broke off") from None
    except requests.exceptions.RequestException as error:
        raise mistake(shown(source), f"cannot be fetched: {type(error).__name__}") from None
    return file


def _s3(data: DataParams, folder: Path) -> Path:
    import s3fs
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    where = shown(data.source)
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config: dict[str, Any] = {"connect_timeout": TIMEOUT[0], "read_timeout": TIMEOUT[1], "retries": {"max_attempts": 2}}
    try:
        system = s3fs.S3FileSystem(endpoint_url=address, config_kwargs=config, skip_instance_cache=True, use_listings_cache=False)
        key = data.source[5:]
        if not (key.endswith("/") or data.files):
            file = folder / _name(data.source)
            system.get_file(key, str(file))
            return file
        names = [name for name in system.find(key.rstrip("/")) if not name.endswith("/")]
        if not names:
            raise mistake(where, "no such bucket or folder, or it is empty")
        for name in progress.over(names, "fetching", len(names), unit="files"):
            inside = PurePosixPath(name.removeprefix(key.rstrip("/")).lstrip("/"))
            if ".." in inside.parts or inside.is_absolute():
                raise mistake(where, f"its object {name!r} leads out of the folder")
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            system.get_file(name, str(folder / inside))
        return folder
    except FileNotFoundError:
        raise mistake(where, "no such bucket or object") from None
    except PermissionError:
        raise mistake(where, "access is refused: check the AWS credentials in the environment") from None
    except (OSError, BotoCoreError, ClientError, ValueError) as error:
        raise mistake(where, f"cannot be fetched: {type(error).__name__}: {str(error)[:200]}") from None
