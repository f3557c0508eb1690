"""What looks like a secret is found, and ordinary code and settings are not."""

import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT
from repository import Repository
from web import serving

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
        ("postgresql://me:h{ush}%3Ash@host/db", "h{ush}"),
        ("mysql://me:p@ss@host/db", "p@ss"),
        ("https://host/a?X-Amz-Signature=0123abcdef&x=1", "0123abcdef"),
        ("https://host/a?x=1&sig=hush%2Bhush", "hush%2Bhush"),
        ("Server=db;Password=hush;Encrypt=yes", "hush;"),
        ("host=db user=me password=hushhush dbname=x", "hushhush"),
        ("id ASIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"),
        ("github_pat_" + "a1B2" * 10, "a1B2"),
        ("gho_" + "a1B2" * 9, "a1B2"),
        ("xoxb-" + "1234567890-abcdef", "1234567890"),
        ("AIza" + "a1B2c" * 7, "a1B2c"),
        ("sk-" + "proj-a1B2" * 5, "a1B2"),
        ("hf_" + "aBcD" * 8, "aBcD"),
        ("authorization: bearer abcdefghijklmnop1234", "abcdefghijklmnop1234"),
        ('password: str = "hushhush"', "hushhush"),
        ('os.environ["DB_PASSWORD"] = "hushhush"', "hushhush"),
        ("connect(host, passwd=b'hushhush')", "hushhush"),
        (r'"db_password = \"hushhush\"\n",', "hushhush"),  # in a notebook
        ("export DB_PASSWORD=hushhush", "hushhush"),
        ("docker run -e POSTGRES_PASSWORD=hushhush image", "hushhush"),
        ("spring.datasource.password=hush1234", "hush1234"),
        ("- password: hushhush  # of the database", "hushhush"),
        ("password: 123456", "123456"),
        ("HF_TOKEN=abcd1234", "abcd1234"),
        ('token = "abcd1234"', "abcd1234"),
        ('"access_token": "hushhush"', "hushhush"),
        ("api_key: hush-hush", "hush-hush"),
        ("client_secret: hushhush\r\n", "hushhush"),
        (KEY.replace("RSA ", "OPENSSH "), "MIIEow"),
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
        "f'postgresql://{user}:{password}@{host}/db'",
        "postgresql://user:${PASSWORD}@host/db",
        "https://host/a?token={token}&x=1",
        "password = 12345",
        "password: SecretStr",
        "secret = settings.password",
        "password=password1,",
        "password = os.environ.get('PASSWORD')",
        "PASSWORD=$(cat file)",
        "api_key_env: OPENAI_API_KEY",
        'secret_name = "prod/database"',
        "password_file: /run/secrets/database",
        "secret_scale: 0.123456",
        "secret_scale: 1e-10",
        "API_KEY = None",
        "pad_token: <padding>",
        'mask_token = "[MASKED]"',
        'stop_token = "playing"',
        "TOKENIZERS_PARALLELISM=false",
        "MAX_TOKENS=512000",
        "tokens = 12345678",
        "the password: it must be long",
        "class sk-toggleable__label-arrow",
        "Bearer authentication/authorization",
        "password: ***",
        "a ? b : c; x = y",
    ],
)
def test_ordinary_lines_stay_as_they_are(text):
    assert secrets.without_secrets(text) == text
    assert not secrets.holds_secret(text)


def test_this_project_s_own_files_raise_no_alarm():
    listed = subprocess.run(
        ["git", "ls-files", "pipeline", "examples", "docs", "params.yaml", "dvc.yaml", "README.md"], cwd=ROOT, capture_output=True
    )
    files = [ROOT / name for name in listed.stdout.decode().split() if not name.endswith(".png")] or sorted(
        (ROOT / "pipeline").rglob("*.py")
    )
    assert len(files) > 100
    assert [file.name for file in files if secrets.holds_secret(file.read_text(encoding="utf-8"))] == []


def test_files_are_private_by_name():
    private = [".env", "deep/.env.local", "server.pem", "id_rsa", "id_ed25519.pub", ".netrc", ".dvc/config.local", "credentials.json"]
    private += [
        "Server.KEY",
        "a.p12",
        "a.pfx",
        "a.kdbx",
        ".pgpass",
        ".npmrc",
        ".pypirc",
        "credentials",
        "my-secrets.txt",
        "deep/client_secret",
    ]
    assert [name for name in private if not secrets.private(name)] == []
    assert not any(secrets.private(name) for name in ["params.yaml", "environment.py", "keys.csv", "tokens.txt", "secretary.py"])
    assert not secrets.private(str(Path("pipeline") / "secrets.py"))


def test_known_values_are_masked_wherever_they_stand_the_longest_first():
    assert secrets.without_secrets("a hush-hush b hush", ["hush", "", "hush-hush"]) == "a *** b ***"
    assert secrets.holds_secret("a hush b", ["hush"])
    assert not secrets.holds_secret("a hush b")


def test_secrets_of_the_environment_are_those_its_names_tell_and_passwords_of_addresses():
    environ = {
        "PGPASSWORD": "hush-one",
        "AWS_SECRET_ACCESS_KEY": "/hush-two",
        "HF_TOKEN": "hush-three",
        "OPENAI_API_KEY": "hush-four",
        "MLFLOW_TRACKING_URI": "https://me:hush%405@host",
        "PWD": "/home/somebody",
        "OLDPWD": "/home/somebody/else",
        "TOKENIZERS_PARALLELISM": "falsehood",
        "MAX_TOKENS": "100000",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json",
        "AWS_SHARED_CREDENTIALS_FILE": "whatever.ini",
        "SHORT_PASSWORD": "short",
        "HOME": "/home/somebody",
    }
    assert set(secrets.of_environment(environ)) == {"hush-one", "/hush-two", "hush-three", "hush-four", "hush%405", "hush@5"}
    assert secrets.of_environment({}) == ()


@pytest.mark.parametrize(
    "piece",
    ["a", "\n", " ", "secret", "a1-", "password= ", "://", "://a:b", "eyJaaaaaaaaaaa.", "sk-", "+ -", "host=a ", "A_SECRET_", ";token"],
)
def test_the_time_grows_with_the_text_and_not_with_its_square(piece):
    text = piece * (200_000 // len(piece))
    start = time.process_time()
    secrets.holds_secret(text)
    assert time.process_time() - start < 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_planted_secrets_reach_no_run_no_report_and_no_log(tmp_path, request):
    """In the source's address, in its query, in the sweep's store, in the environment, in changed code and in a private file."""
    planted = {"address": "swordfish-1", "query": "swordfish-2", "store": "hushhush", "key": "swordfish4word", "env": "swordfish-5"}
    made = Repository(tmp_path / "work")
    served = tmp_path / "served"
    served.mkdir()
    (made.folder / "rows.csv").rename(served / "rows.csv")
    (made.folder / ".env").write_text(f"DATABASE_PASSWORD={planted['env']}\n")
    with (made.folder / "pipeline" / "models" / "mlp.py").open("a") as code:
        code.write(f"\nMINE = {planted['key']!r}\n")
    environment = {"HF_TOKEN": planted["key"], "DATABASE_PASSWORD": planted["env"]}
    said = ""
    with serving(served) as address:
        source = f"http://me:{planted['address']}@{address}/rows.csv?api_key={planted['query']}"
        params = {**made.params, "seed": 3, "tune": {**made.params["tune"], "storage": request.getfixturevalue("postgres")}}
        made.write_params({**params, "data": {**params["data"], "source": source}})
        with (made.folder / "params.yaml").open("a") as text:
            text.write(f"# ask the hub with {planted['key']}\n")
        for words in (["-v", "run"], ["show", "last"], ["runs", "--json"], ["sync"], ["-v", "check"]):
            done = made.pipeline(*words, **environment)
            said += done.stdout + done.stderr
        (served / "rows.csv").unlink()
        done = made.pipeline("collect", check=False, **environment)
        assert done.returncode == 2
        said += done.stdout + done.stderr
    assert "rows.csv" in said
    for key in ("data.source", "tune.storage"):
        assert f" {key}: holds what looks like a password: git, dvc.lock and DVC's cache keep it as it is" in said
    assert [name for name, secret in planted.items() if secret in said] == []
    own = [made.folder / name for name in ("params.yaml", ".env", "pipeline/models/mlp.py")]
    own += [made.folder / name for name in (".git", "dvc.lock", ".dvc/cache/runs")]  # git's, and DVC's copies of params
    kept = [file for file in made.folder.rglob("*") if file.is_file() and not any(file.is_relative_to(one) for one in own)]
    kept = [file for file in kept if file.parent != made.folder / "pipeline" / "models" / "__pycache__"]  # the changed code, compiled
    assert {"mlflow.db", "tracked.json", "params.yaml", "index.html"} <= {file.name for file in kept}
    held = [(name, file) for file in kept for name, secret in planted.items() if secret.encode() in file.read_bytes()]
    assert held == []
