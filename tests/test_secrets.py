"""What looks like a secret is found, and ordinary code and settings are not."""

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline import secrets

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://me:hush%40hush@host/db", "hush%40hush"),
        ("http://:hushhush@127.0.0.1:5000", "hushhush"),
        ("postgresql://me:hu:sh@host/db", "hu:sh"),
        ("https://host/rows.csv?token=hushhush&x=1", "hushhush"),
        ("s3 key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
        ("+password: hush1234", "hush1234"),
        ('+    "api_key": "hush-hush-hush",', "hush-hush-hush"),
        ("PASSWORD='hushhush'", "hushhush"),
        ("Authorization: Bearer abcdefghijklmnop.1234", "abcdefghijklmnop.1234"),
        (f"token {'ghp_' + 'a1' * 18}", "ghp_" + "a1" * 18),
        (f"key {'eyJ' + 'hbGciOiJI'}UzI1.eyJzdWIiOiIxMjM0.SflKxwRJSM", "SflKxwRJSM"),
        (KEY, "MIIEow"),
        (KEY.rpartition("\n")[0], "IBAAK"),  # cut off
    ],
)
def test_a_secret_is_found_and_masked_and_stays_masked(text, secret):
    assert secrets.holds_secret(text)
    masked = secrets.without_secrets(text)
    assert secret not in masked
    assert "***" in masked
    assert secrets.without_secrets(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "tokens = tokenizer.encode(text)",
        "rare_token: 10",
        "token: str",
        "max_tokens=512",
        'password = os.environ["PASSWORD"]',
        "password = getpass()",
        "secret: ${SECRET}",
        "api_key: str | None = None",
        "http://127.0.0.1:5000/path@2",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "loss: 0.123456789",
        "user@example.com: hello",
        "postgresql://user:password@host/studies",
    ],
)
def test_ordinary_lines_stay_as_they_are(text):
    assert secrets.without_secrets(text) == text
    assert not secrets.holds_secret(text)


def test_this_project_s_own_files_raise_no_alarm():
    listed = subprocess.run(
        ["git", "ls-files", "pipeline", "examples", "docs", "params.yaml", "dvc.yaml", "README.md"], cwd=ROOT, capture_output=True
    )
    files = [ROOT / name for name in listed.stdout.decode().split()] or sorted((ROOT / "pipeline").rglob("*.py"))
    assert len(files) > 100
    assert [file.name for file in files if secrets.holds_secret(file.read_text(encoding="utf-8"))] == []


def test_files_are_private_by_name():
    private = [".env", "deep/.env.local", "server.pem", "id_rsa", "id_ed25519.pub", ".netrc", ".dvc/config.local", "credentials.json"]
    assert all(secrets.private(name) for name in private)
    assert not any(secrets.private(name) for name in ["params.yaml", "environment.py", "keys.csv", "tokens.txt", "secretary.py"])
    assert not secrets.private(str(Path("pipeline") / "secrets.py"))
