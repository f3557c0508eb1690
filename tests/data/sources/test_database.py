"""A query over SQLAlchemy: SQLite always, PostgreSQL where its server is installed."""

from __future__ import annotations

import datetime
import sqlite3

import pytest

from pipeline.errors import UserError


@pytest.fixture
def sqlite(tmp_path, monkeypatch):
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE sales (id INTEGER, price REAL, name TEXT, photo BLOB, mixed)")
        rows = [(1, 1.5, "x", b"\0\1", 1), (2, None, "é'%", None, "one"), (3, 2.0, None, b"", 2.5)]
        database.executemany("INSERT INTO sales VALUES (?, ?, ?, ?, ?)", rows)
    database.close()
    monkeypatch.setenv("SHOP", f"sqlite:///{tmp_path / 'shop.db'}")
    return tmp_path / "query.sql"


def test_query_becomes_rows_with_types(backend, read, sqlite):
    sqlite.write_text("-- all sales\nSELECT * FROM sales WHERE name IS NULL OR name LIKE '%%';\n")
    source = read(sqlite, connection="SHOP")
    assert backend.to_pyarrow(source.table).to_pylist() == [
        {"id": 1, "price": 1.5, "name": "x", "photo": b"\0\1", "mixed": "1"},
        {"id": 2, "price": None, "name": "é'%", "photo": None, "mixed": "one"},
        {"id": 3, "price": 2.0, "name": None, "photo": b"", "mixed": "2.5"},
    ]
    assert (source.found["kind"], source.found["database"]) == ("sql", "sqlite")


def test_types_that_widen_in_a_later_batch(rows, sqlite):
    query = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 50000) "
    sqlite.write_text(query + "SELECT k, CASE WHEN k > 45000 THEN 0.5 ELSE k END AS v, CASE WHEN k > 45000 THEN 'x' END AS late FROM n")
    found = rows(sqlite, connection="SHOP")
    assert [found[0], found[-1]] == [{"k": 1, "v": 1.0, "late": None}, {"k": 50_000, "v": 0.5, "late": "x"}]
    assert len(found) == 50_000


def test_query_without_rows_has_columns(read, sqlite):
    sqlite.write_text("SELECT id, name FROM sales WHERE id > 99")
    assert read(sqlite, connection="SHOP").table.columns == ("id", "name")


@pytest.mark.parametrize(
    ("query", "connection", "url", "message"),
    [
        ("SELECT 1", None, None, r"data.connection: .*query.sql needs the name of the environment variable"),
        ("SELECT 1", "ABSENT", None, "data.connection: the environment variable ABSENT is not set"),
        ("SELECT 1", "URL", "no url", "data.connection: URL holds no SQLAlchemy URL such as"),
        ("SELECT 1", "URL", "nodb://u:hushhush@h/d", "data.connection: URL: Can't load plugin"),
        ("SELECT 1", "URL", "mysql+pymysql://u:hushhush@h/d", "data.connection: URL needs a driver that is not installed: pymysql"),
        ("SELECT 1", "URL", "postgresql+psycopg://u:hushhush@127.0.0.1:1/d", "query.sql: the query failed: connection failed"),
        ("SELECT absent FROM sales", "SHOP", None, "query.sql: the query failed: no such column: absent"),
        ("CREATE TABLE other (a)", "SHOP", None, "expected a query that returns rows"),
        ("SELECT 1; SELECT 2", "SHOP", None, "the query failed: You can only execute one statement at a time"),
        ("SELECT id, id FROM sales", "SHOP", None, "columns 'id' and 'id' have the same name"),
        (" \n", "SHOP", None, "holds no query"),
    ],
)
def test_bad_query_is_one_clear_line_without_secrets(read, sqlite, monkeypatch, query, connection, url, message):
    if url:
        monkeypatch.setenv("URL", url)
    sqlite.write_text(query)
    with pytest.raises(UserError, match=message) as caught:
        read(sqlite, connection=connection)
    assert "\n" not in str(caught.value)
    assert "hushhush" not in str(caught.value)


@pytest.mark.slow
def test_postgresql(rows, read, tmp_path, monkeypatch, postgres):
    monkeypatch.setenv("SHOP", postgres)
    query = tmp_path / "query.sql"
    query.write_text(
        "SELECT k, k / 2.0 AS half, 'é%' AS t, k % 2 = 0 AS even, DATE '2020-01-01' + k AS d, "
        "TIMESTAMPTZ '2020-01-01 12:00+02' AS at, ARRAY[k] AS l, NULL AS nothing FROM generate_series(1, 45000) k ORDER BY k"
    )
    found = rows(query, connection="SHOP")
    assert len(found) == 45_000
    assert found[0] == {
        "k": 1,
        "half": 0.5,
        "t": "é%",
        "even": False,
        "d": datetime.datetime(2020, 1, 2),
        "at": datetime.datetime(2020, 1, 1, 10),
        "l": "[1]",
        "nothing": None,
    }
    query.write_text("SELECT absent FROM nowhere")
    with pytest.raises(UserError, match='the query failed: relation "nowhere" does not exist'):
        read(query, connection="SHOP")
    monkeypatch.setenv("SHOP", postgres.replace("hushhush", "wrong-hush"))
    with pytest.raises(UserError, match="password authentication failed") as caught:
        read(query, connection="SHOP")
    assert "wrong-hush" not in str(caught.value)
