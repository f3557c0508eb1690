"""Where params.yaml goes, so that nothing that somebody wrote is lost."""

from __future__ import annotations

from pathlib import Path

from pipeline import files, paths
from pipeline.errors import UserError
from pipeline.proposing import examples


def check_free(*, force: bool) -> None:
    """Raises UserError where a params.yaml is there that is no example's, and may not be replaced."""
    if _owned() and not force:
        raise UserError(f"init: {paths.PARAMS} is there already; --force replaces it, and keeps the old one as {_spare()}")


def placed(text: str, *, force: bool) -> Path | None:
    """Write params.yaml and return where the old one now is, if anything would have been lost with it.

    Raises:
        UserError: it may not be replaced.
    """
    if paths.PARAMS.exists() and _read() == text:
        return None
    check_free(force=force)
    spare = _spare() if _owned() else None
    if spare:
        paths.PARAMS.rename(spare)
    files.write_text(paths.PARAMS, text)
    return spare


def _owned() -> bool:
    return paths.PARAMS.exists() and not examples.is_one(_read())


def _read() -> str:
    return paths.PARAMS.read_text(encoding="utf-8", errors="replace")


def _spare() -> Path:
    """params.yaml.bak, or the first that is free of .bak2, .bak3, ..."""
    at, spare = 1, Path(f"{paths.PARAMS}.bak")
    while spare.exists():
        at += 1
        spare = Path(f"{paths.PARAMS}.bak{at}")
    return spare
