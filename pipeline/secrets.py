"""What must never be copied into a run, a report or a log: files that are private by name, and texts that hold a secret.

Lengths in the patterns are bounded, so that the time grows with the text and not with its square.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from urllib.parse import unquote

API_KEY = "PIPELINE_API_KEY"  # the variable of the key that a server asks for
PRIVATE = (
    *(".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_rsa*", "id_ed25519*", ".netrc", ".pgpass", ".npmrc", ".pypirc"),
    *("credentials", "credentials.*", "config.local"),
)
SOURCES = (".py", ".pyi", ".md", ".rst")  # code and prose about secrets: judged by what they hold, not by their name

NAMES = r"(?:password|passwd|secret|api_?key|access_?key|private_?key|(?:access|auth)_?token|credential)"
TOKEN = r"(?:(?<![a-z0-9])token(?![a-z0-9]))"  # a word of its own: not tokens, tokenizer
ELSEWHERE = re.compile(r"_(?:env|file|path|dir|folder|name|field|column|type|url|uri|length|size|count)s?$", re.IGNORECASE)
FILLED_IN = r"\*\*\*|[{$<]|%[(s]"  # begins what is masked already, or a place to fill in
PLAIN = re.compile(
    rf"(?:{FILLED_IN}|[\[(]|os\.|getenv).*|None|True|False|password|[A-Z]+(?:_[A-Z0-9]+)+|[+-]?(?:\d{{1,5}}|\d*\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)"
)
TYPES = re.compile(r"[A-Z][a-z]\w*|string|object|callable|boolean|integer|optional|required")

ADDRESS = re.compile(rf"(?P<kept>://[^/\s:@'\"\\]{{0,200}}:)(?!password@|{FILLED_IN})(?P<value>[^\s/'\"\\]{{1,500}})(?=@)")
ALWAYS = (
    ADDRESS,
    re.compile(rf"(?i)(?P<kept>[?&;](?:\w{{0,40}}{NAMES}|[\w-]{{0,40}}(?:token|signature)|sig|pwd)=)(?!{FILLED_IN})[^&;#\s'\"\\]+"),
    re.compile(r"(?P<kept>\b(?:host|port|user|dbname)=(?:[^\s,]{1,99} \w{1,20}=){0,5}[^\s,]{1,99} password=)(?![*{$<%])[^\s'\"]+"),  # libpq
    re.compile(r"(?P<kept>)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),  # AWS
    re.compile(
        r"(?P<kept>)\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,})"
    ),
    re.compile(r"(?P<kept>)(?<![\w-])sk-(?=[A-Za-z_-]{0,99}\d)[\w-]{20,}"),  # OpenAI and alike
    re.compile(r"(?P<kept>)(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"),  # a JSON web token
    re.compile(r"(?i)(?P<kept>\bBearer[ \t]{1,8})(?=[a-z.~+/_-]{0,99}\d)[\w.~+/-]{16,}=*"),
    re.compile(r"(?P<kept>)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL),
)
NAME = rf"(?P<name>(?<![\w.-])[\w.-]{{0,60}}(?:{NAMES}|{TOKEN})[\w.-]{{0,60}})"
ASSIGNED = (
    re.compile(  # in quotes, also after a type; a notebook has them behind a backslash
        rf"(?i)(?P<kept>{NAME}(?:\\?[\"'])?\]?[ \t]{{0,20}}(?::[ \t]{{0,9}}[\w\[\]., |]{{1,60}}=|:=|=>|[:=])"
        r"\s{0,20}[rbu]?\\?(?P<quote>[\"']))"
        r"(?P<value>[^\"'\s\\]{6,})(?=\\?(?P=quote))"
    ),
    re.compile(rf"(?i)(?P<kept>(?<![\w.-])(?-i:(?=[A-Z0-9_]{{1,99}}=)){NAME}=)(?P<value>[^\s\"'`;|&,\\]{{6,}})"),  # NAME=value of a shell
    re.compile(  # bare, to the end of the line
        rf"(?im)^(?P<kept>[+ \t-]{{0,80}}(?:export |set )?{NAME}[ \t]{{0,20}}(?P<sign>[:=])[ \t]{{0,20}})"
        r"(?P<value>[^\s\"'(){}\[\]<>,;\\]{6,})(?=[ \t]{0,80}(?:#|\r|$))"
    ),
)


def without_secrets(text: str, known: Iterable[str] | None = None) -> str:
    """The text with *** in the place of passwords, keys and tokens, and of each of `known` wherever it stands.

    Args:
        known: secrets by themselves; None for those of this process' environment.
    """
    for value in sorted(filter(None, of_environment(os.environ) if known is None else known), key=len, reverse=True):
        # a plain word is one only where it stands by itself: not postgres in postgresql
        text = re.sub(rf"(?<![A-Za-z]){value}(?![A-Za-z])", "***", text) if value.isalpha() else text.replace(value, "***")
    for pattern in ALWAYS:
        text = pattern.sub(lambda found: f"{found['kept']}***", text)
    for pattern in ASSIGNED:
        text = pattern.sub(lambda found: f"{found['kept']}***" if _literal(**found.groupdict()) else found[0], text)
    return text


def _literal(*, name: str, value: str, quote: str = "", sign: str = "", **_: str) -> bool:
    """Whether what is assigned to a name that says secret is one, and no expression, type, number or mention of one."""
    if PLAIN.fullmatch(value) or ELSEWHERE.search(name):
        return False
    digits, letters = (any(map(kind, value)) for kind in (str.isdigit, str.isalpha))
    if not re.search(NAMES, name, re.IGNORECASE):  # a token may be a word of a text, too
        return len(value) >= 8 and digits and letters
    if quote or not re.fullmatch(r"[A-Za-z_][\w.]*", value):
        return True
    if "." in value or (sign == "=" and re.search(NAMES, value, re.IGNORECASE)):
        return False
    return digits or (sign != "=" and not TYPES.fullmatch(value))


def holds_secret(text: str, known: Iterable[str] | None = None) -> bool:
    """Whether there is something in the text that looks like a password, a key or a token."""
    return without_secrets(text, known) != text


def of_environment(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values of six characters or more of variables whose name says secret, and the passwords in addresses, as written and decoded."""
    found = {
        value
        for name, value in environ.items()
        if re.search(f"{NAMES}|{TOKEN}", name, re.IGNORECASE)
        and not ELSEWHERE.search(name)
        and not re.match(r"~?/[^/]+/|\.{1,2}/", value)  # where a file with the secret is
    }
    written = {match["value"] for value in environ.values() for match in ADDRESS.finditer(value)}
    return tuple(sorted(value for value in found | written | set(map(unquote, written)) if len(value) >= 6))


def private(file: str) -> bool:
    """Whether a file's name says that it is not for others."""
    name = PurePosixPath(file.lower()).name
    return any(fnmatch.fnmatchcase(name, one) for one in PRIVATE) or ("secret" in name and not name.endswith(SOURCES))
