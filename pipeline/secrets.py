"""What must never be copied into a run, a report or a log: files that are private by name, and texts that hold a secret."""

from __future__ import annotations

import fnmatch
import re
from pathlib import PurePosixPath

PRIVATE = (
    *(".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_rsa*", "id_ed25519*", ".netrc", ".pgpass", ".npmrc", ".pypirc"),
    *("credentials", "credentials.*", "secrets.y*ml", "secrets.json", "secrets.toml", "config.local"),
)
NAMES = r"(?:password|passwd|secret|api_?key|access_?key|private_?key|auth_?token|access_?token|credentials?)"
PATTERNS = (
    re.compile(r"(?P<kept>[a-z][a-z0-9+.-]*://[^/\s:@'\"]*:)(?!(?:\*\*\*|password)@)[^\s/'\"]+(?=@)", re.IGNORECASE),  # in an address
    re.compile(rf"(?P<kept>[?&](?:{NAMES}|token|sig|X-Amz-Signature)=)(?!\*\*\*)[^&\s'\"]+", re.IGNORECASE),
    re.compile(r"(?P<kept>)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),  # AWS
    re.compile(r"(?P<kept>)\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[\w-]{35}|sk-[\w-]{20,})"),
    re.compile(r"(?P<kept>)\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"),  # a JSON web token
    re.compile(r"(?P<kept>\bBearer\s+)(?!\*\*\*)[\w.~+/-]{16,}=*"),
    re.compile(r"(?P<kept>)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    # assigned to a name that says so: a literal of six characters or more, in quotes or, after a colon or =, to the end of the line
    re.compile(rf"(?P<kept>\b\w*{NAMES}\w*[\"']?\s*[:=]\s*)(?P<quote>[\"'])(?!\*\*\*)[^\"'\s{{}}]{{6,}}(?P=quote)", re.IGNORECASE),
    re.compile(rf"(?P<kept>^[+\s-]*\w*{NAMES}\s*[:=]\s*)(?!\*\*\*)(?=\S*\d)[^\s\"'(){{}}\[\]$<>]{{6,}}$", re.IGNORECASE | re.MULTILINE),
)


def without_secrets(text: str) -> str:
    """The text with *** in the place of passwords, keys and tokens."""
    for pattern in PATTERNS:
        text = pattern.sub(lambda found: f"{found['kept']}***", text)
    return text


def holds_secret(text: str) -> bool:
    """Whether there is something in the text that looks like a password, a key or a token."""
    return any(pattern.search(text) for pattern in PATTERNS)


def private(file: str) -> bool:
    """Whether a file's name says that it is not for others."""
    return any(fnmatch.fnmatch(PurePosixPath(file).name, pattern) for pattern in PRIVATE)
